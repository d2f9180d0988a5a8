"""Where an error came from, for the logs: the place, and never the message.

The text of an exception may quote a value, and the value may be a patient's.
"""

from __future__ import annotations

import traceback

__all__ = ["trace"]


def trace(error: BaseException) -> str:
    """``KeyError at hub.py:120 in _hand < hub.py:98 in _hand_out``, the innermost place first."""
    places = (
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}"
        for frame in reversed(traceback.extract_tb(error.__traceback__))
    )
    return f"{type(error).__name__} at {' < '.join(places)}"
