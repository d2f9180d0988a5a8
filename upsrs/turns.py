"""The turn of an event loop: what was written in it leaves together, at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from upsrs.traces import trace

__all__ = ["Flushed", "Turn"]

logger = logging.getLogger(__name__)


class Flushed(Protocol):
    def flush(self) -> None:
        """Let go of what was written in this turn."""


class Turn:
    """One per event loop, used again for each of its turns."""

    _turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turn] = WeakKeyDictionary()

    @classmethod
    def running(cls) -> Turn:
        """The turn of the running loop."""
        loop = asyncio.get_running_loop()
        return cls._turns.setdefault(loop, cls(loop))

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._last_words: list[Callable[[], None]] = []
        self._written: list[Flushed] = []

    def add(self, written: Flushed) -> None:
        """Flush it at the end of this turn."""
        self._schedule()
        self._written.append(written)

    def before_end(self, add: Callable[[], None]) -> None:
        """Call this when all has been written, for what is to leave in the same write."""
        self._schedule()
        self._last_words.append(add)

    def flush(self) -> None:
        """Let go of what was written until now, without the last words."""
        written, self._written = self._written, []
        for each in written:
            _guarded(each.flush)

    def _schedule(self) -> None:
        if not (self._written or self._last_words):
            self.loop.call_soon(self._end)

    def _end(self) -> None:
        # The lists are let go of only when nothing can be added to this turn any more.
        for add in self._last_words:
            _guarded(add)
        self._last_words = []
        self.flush()


def _guarded(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception as error:  # a socket that fails must not keep the frames of the others
        logger.error("Frames did not leave: %s", trace(error))
