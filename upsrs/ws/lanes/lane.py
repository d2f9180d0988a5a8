"""What all lanes have in common: a queue, the turn of the loop in which it leaves, and its bounds."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from upsrs.backlog import backlog
from upsrs.conf import conf
from upsrs.turns import Turn

__all__ = [
    "CLOSE_SECONDS",
    "PACE_BYTES",
    "Frame",
    "Full",
    "Lane",
    "QueuedLane",
    "Send",
    "Taken",
    "bound_kernel",
]

PACE_BYTES = 256 * 1024
"""Replays and reports pause while more than this waits for the reader."""

CHUNK_BYTES = 64 * 1024
"""So much is written at once, and then what the network did with it is looked at."""

KERNEL_BYTES = 128 * 1024
"""More than this the kernel is not given before it sends: on its own it takes megabytes a socket."""

CLOSE_SECONDS = 10.0
"""How long a closing socket waits for the reader to take what is on the line, and to answer."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Taken = Callable[[], None]

Frame = tuple[bytes, bytes]
"""A text in UTF-8: its own beginning, and the rest that it may share with many."""


class Full(Protocol):
    """Too much waits for this reader, or for all readers together."""

    def __call__(self, *, everywhere: bool) -> None: ...


class Lane(Protocol):
    """The way to one open socket."""

    def write(self, frame: Frame) -> None:
        """Hand over one text; never blocks. It leaves at the end of this turn of the loop."""

    def outstanding(self) -> int:
        """How many bytes have been written that the network has not taken."""

    @property
    def has_room(self) -> bool:
        """Are no more than `PACE_BYTES` outstanding?"""

    async def room(self) -> None:
        """Wait until it has."""

    @property
    def can_prove(self) -> bool:
        """Does a proof come soon, or only long after?"""

    def prove(self, taken: Taken) -> None:
        """Call back once everything written until now is known to have been taken."""

    def close(self, code: int, *, at_once: bool = False) -> None:
        """Close behind what has been written; ``at_once`` lets go of what has not left yet."""

    def drop(self) -> None:
        """The socket is gone: let go of whatever waits for it."""


def bound_kernel(connection: socket.socket) -> None:
    with suppress(AttributeError, OSError):  # not every system knows it, and no Unix socket does
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_BYTES)


class QueuedLane:
    """A queue of frames; how they leave is the business of each server.

    Each frame is two elements of it, so that what many sockets are told is in memory once.
    """

    __slots__ = (
        "__weakref__",
        "_backlog",
        "_bytes",
        "_code",
        "_due",
        "_full",
        "_queue",
        "_roomy",
        "_turn",
    )

    def __init__(self, full: Full) -> None:
        self._full = full
        self._turn = Turn.running()
        self._queue: deque[Any] = deque()
        self._bytes = 0
        """In the queue."""
        self._backlog = 0
        """Counted in the process's backlog."""
        self._due = False
        """Is it in the present turn?"""
        self._code: int | None = None
        """Close with this, once the queue is empty."""
        self._roomy: asyncio.Event | None = None

    def put(self, beginning: Any, rest: bytes, size: int) -> None:
        self._queue.append(beginning)
        self._queue.append(rest)
        self._bytes += size
        if not self._due:
            self._due = True
            self._turn.add(self)

    def flush(self) -> None:
        """Let go what the network takes, and look at what stays."""
        self._due = False
        self.pump()
        if self._queue:
            self._look_at_backlog()
            if self._code is None:
                if self._backlog > conf.SOCKET_BUFFER_BYTES:
                    self._full(everywhere=False)
                elif backlog.is_too_much(self._backlog):
                    self._full(everywhere=True)

    def pump(self) -> None:
        """Write as much of the queue as the network takes; called again when it takes more."""
        raise NotImplementedError

    def pumped(self) -> None:
        """Some of the queue has left, or was taken."""
        if self._backlog:
            self._look_at_backlog()
        if self._roomy is not None and self.outstanding() <= PACE_BYTES:
            self._wake()
        if self._code is not None and not self._queue:
            code, self._code = self._code, None
            self.say_close(code)

    def _wake(self) -> None:
        if self._roomy is not None:
            self._roomy.set()
            self._roomy = None

    def _look_at_backlog(self) -> None:
        now = self.left()
        backlog.changed(self._backlog, now)
        self._backlog = now

    def outstanding(self) -> int:
        return self._bytes

    def left(self) -> int:
        """How many bytes the reader keeps this process from letting go of, as far as is known."""
        return self.outstanding() if self._queue else 0

    @property
    def has_room(self) -> bool:
        return self.outstanding() <= PACE_BYTES

    async def room(self) -> None:
        while not self.has_room:
            if self._roomy is None:
                self._roomy = asyncio.Event()
            await self._roomy.wait()

    def close(self, code: int, *, at_once: bool = False) -> None:
        if at_once:
            self.drop()
        self._code = code
        self.pump()
        if self._code is not None:
            self._turn.loop.call_later(CLOSE_SECONDS, self.give_up)

    def say_close(self, code: int) -> None:
        """Everything has left: now the close may."""
        raise NotImplementedError

    def give_up(self) -> None:
        """The reader has not taken what was before the close."""
        raise NotImplementedError

    def drop(self) -> None:
        self._queue.clear()
        self._bytes = 0
        self._code = None
        self._look_at_backlog()
        self._wake()

    def next_chunk(self) -> bytes:
        """Some whole frames off the queue."""
        queue = self._queue
        if self._bytes <= CHUNK_BYTES:
            chunk = b"".join(queue)
            queue.clear()
        else:
            parts: list[bytes] = []
            size = 0
            while queue and (not parts or size + len(queue[0]) + len(queue[1]) <= CHUNK_BYTES):
                parts += (queue.popleft(), queue.popleft())
                size += len(parts[-2]) + len(parts[-1])
            chunk = b"".join(parts)
        self._bytes -= len(chunk)
        return chunk
