"""Which lane a socket gets."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import FunctionType
from typing import Any

from upsrs.conf import conf
from upsrs.ws.lanes import daphne, uvicorn
from upsrs.ws.lanes.lane import Full, Lane, Send
from upsrs.ws.lanes.portable import PortableLane

__all__ = ["lane_for"]

logger = logging.getLogger(__name__)

DEPTH = 16
"""So many callables around a server's own `send` are looked behind."""


def lane_for(send: Send, full: Full) -> Lane:
    """The fastest lane that this socket can have; for whoever has accepted it."""
    lane = _lane_for(send, full)
    if type(lane) not in _told:
        _told.add(type(lane))
        logger.info("Frames reach their sockets by the %s.", type(lane).__name__)
    return lane


_told: set[type] = set()
"""The lanes of this process that the log tells of."""


def _lane_for(send: Send, full: Full) -> Lane:
    for inner, is_ours in _behind(send):
        line: Any = daphne.line_of(inner) or uvicorn.line_of(inner)
        if line is None:
            continue
        line.bound_intake()
        fast = line.fast_lane(full) if is_ours and conf.FAST_LANE else None
        lane: Lane = fast or PortableLane(send, full, line)
        line.say_goodbye_to(lane)
        return lane
    return PortableLane(send, full)


def _behind(send: Any) -> Iterator[tuple[Any, bool]]:
    """What a `send` wraps, from the outside in, and whether frames may go past what is around it.

    The session of Channels only waits for the handshake. A middleware of the portal's may want to
    see each message: frames go through it, and only pings go past.
    """
    waiting = deque([(send, True)])
    for _ in range(DEPTH):
        if not waiting:
            return
        found, may_pass = waiting.popleft()
        yield found, may_pass
        owner = getattr(found, "__self__", None)
        if inner := getattr(owner, "real_send", None):
            waiting.append((inner, may_pass))
        elif isinstance(found, FunctionType):
            waiting.extend((inside, False) for inside in _closed_over(found))


def _closed_over(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a name that has no value yet
            if callable(cell.cell_contents):
                yield cell.cell_contents
