"""The lane for any ASGI server: a queue, and a task that awaits each send.

Where `send` waits for the reader (uvicorn), that is all the back-pressure that is needed. Where it
returns at once (daphne), no more is sent than answered pings say was taken, and a budget.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from upsrs.backlog import backlog
from upsrs.ws.lanes.lane import PACE_BYTES, Frame, Full, QueuedLane, Send, Taken
from upsrs.ws.lanes.proofs import Proofs

__all__ = ["Line", "PortableLane"]

PROOF_SECONDS = 60.0
"""A server that pings drops a dead line sooner than this: what is older and alive was taken."""

PING_BYTES = 64 * 1024
"""A ping goes along with each so many bytes, or with fewer while all sockets together wait for much."""

logger = logging.getLogger(__name__)


class Line(Protocol):
    """What there is of a server below ASGI, for frames that go their ordinary way."""

    def hear_pongs(self, proofs: Proofs) -> None:
        """Tell these proofs of each pong."""

    def ping(self, payload: bytes) -> None:
        """Send a ping behind all that was sent."""


class PortableLane(QueuedLane):
    __slots__ = ("_answered", "_line", "_news", "_pinged", "_proofs", "_send", "_sent", "_task")

    def __init__(self, send: Send, full: Full, line: Line | None = None) -> None:
        super().__init__(full)
        self._send = send
        self._line = line
        self._task: asyncio.Task[None] | None = None
        self._news: asyncio.Event | None = None
        self._proofs = Proofs()
        self._sent = self._pinged = self._answered = 0
        """Bytes since the beginning: handed to the server, before a ping, before an answered one."""
        if line is not None:
            line.hear_pongs(self._proofs)

    @property
    def can_prove(self) -> bool:
        return self._line is not None

    def write(self, frame: Frame) -> None:
        beginning, rest = frame
        self.put(beginning, rest, len(beginning) + len(rest))

    def prove(self, taken: Taken) -> None:
        if self._line is None:
            self._turn.loop.call_later(PROOF_SECONDS, taken)
        else:
            self.put(taken, b"", 0)

    def outstanding(self) -> int:
        return self._bytes + self._unanswered()

    def left(self) -> int:
        return self.outstanding()

    def _unanswered(self) -> int:
        return 0 if self._line is None else self._sent - self._answered

    def pump(self) -> None:
        if self._task is not None:
            return  # it comes to this by itself
        if self._queue:
            self._task = self._turn.loop.create_task(self._drain())
        else:
            self.pumped()

    async def _drain(self) -> None:
        try:
            while self._queue:
                if self._unanswered() > PACE_BYTES:
                    self._news = asyncio.Event()
                    await self._news.wait()
                    continue
                beginning, rest = self._queue.popleft(), self._queue.popleft()
                if callable(beginning):
                    self._ask(beginning)
                    continue
                text = (beginning + rest).decode()
                await self._send({"type": "websocket.send", "text": text})
                size = len(beginning) + len(rest)
                self._bytes = max(0, self._bytes - size)  # 0, if it was dropped meanwhile
                self._sent += size
                if self._ping_is_due():
                    self._ask(lambda: None)
                self.pumped()
        except Exception as error:  # servers differ in what they raise on a closed socket
            logger.debug("A frame met a closed socket (%s).", type(error).__name__)
            self.drop()
        finally:
            self._task = None
        self.pumped()

    def _ping_is_due(self) -> bool:
        if self._line is None:
            return False
        hurry = not self._queue and backlog.is_much
        return hurry or self._sent - self._pinged >= PING_BYTES

    def _ask(self, taken: Taken) -> None:
        assert self._line is not None, "proofs are asked for where they can be had"
        at = self._pinged = self._sent

        def answered() -> None:
            self._answered = max(self._answered, at)
            taken()
            self._wake_drain()
            self.pumped()

        self._line.ping(self._proofs.ask(answered))

    def _wake_drain(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    def say_close(self, code: int) -> None:
        self._task = self._turn.loop.create_task(self._say_close(code))

    async def _say_close(self, code: int) -> None:
        try:
            await self._send({"type": "websocket.close", "code": code})
        except Exception as error:  # as above
            logger.debug("A close met a closed socket (%s).", type(error).__name__)

    def give_up(self) -> None:
        """ASGI knows no harder way to end a socket: the server's own pings will."""

    def drop(self) -> None:
        self._answered = self._sent
        super().drop()
        self._wake_drain()
