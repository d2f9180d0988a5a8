"""One thing that is listened to, over as many connections as it takes.

`Line` is what the customer's channel and the standard's have in common: it connects, listens, and
comes back after a pause that grows and is random. What is said on a connection, and where the next
one goes on, is the business of `following` and `listening`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl as tls
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from upsrs.client.errors import ClientError, LoginRequired, Unreachable, refused
from upsrs.client.notifications import Place

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
except ImportError as missing:  # pragma: no cover - the extra is always tested with
    raise ImportError(
        "The client needs the package websockets: pip install django-upsrs[client]"
    ) from missing

__all__ = ["ClientConnection", "ComeBack", "ConnectionClosed", "Line", "LineState", "may_pass"]

Heard = TypeVar("Heard")

LARGEST_FRAME_BYTES = 16 * 1_048_576
"""A notification lists the input series of a workitem; a large study still fits many times."""

ANSWER_SECONDS = 10.0
"""How long to wait for a handshake, or for the pong of a line that has gone quiet."""

CLOSING_SECONDS = 3.0


class LineState(StrEnum):
    """What the line is doing; every change is told through ``on_state``."""

    CONNECTING = "connecting"
    SUBSCRIBED = "subscribed"
    """The server confirmed; reports of the present state, or what was missed, follow."""
    RESYNC = "resync"
    """Something may have been missed: what was known may be outdated."""
    LIVE = "live"
    """From here on every change is heard."""
    WAITING = "waiting"
    CLOSED = "closed"


class ComeBack(Exception):
    """The connection is of no more use; another one may be."""


def may_pass(status: int) -> bool:
    """Is this HTTP status of a server that is busy, or not ready yet?"""
    return status >= 500 or status in (408, 425, 429)


class Line(ABC, Generic[Heard]):
    """What is heard: an async iterator, and an async context manager."""

    _give_up: ClassVar = frozenset({4003, 4008, 4009, 4401, 4403})
    """Close codes that trying again would only repeat."""

    def __init__(
        self,
        *,
        headers: Mapping[str, str],
        silence_seconds: float,
        place: Place | None,
        on_state: Callable[[LineState, str], None] | None,
        ssl: tls.SSLContext | None,
        delays: tuple[float, float],
    ) -> None:
        self.place = place
        """Where the listener stands. Keep it, and a later run goes on from there. None: nowhere."""
        self._headers = headers
        self._silence = silence_seconds
        self._on_state = on_state or (lambda _state, _detail: None)
        self._ssl = ssl
        self._delays = delays
        self._connection: ClientConnection | None = None
        self._ending = asyncio.Event()
        self._was_confirmed = False
        self._has_heartbeat = False
        self._heard = self._listen()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Heard:
        return await anext(self._heard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Go away. What was subscribed to stays so, and `place` returns to it."""
        self._ending.set()
        await self._heard.aclose()

    @abstractmethod
    async def unsubscribe(self) -> None:
        """End the subscription itself; the iteration then ends."""

    @abstractmethod
    async def _address(self) -> str:
        """Where the next connection goes."""

    @abstractmethod
    async def _opened(self, connection: ClientConnection) -> None:
        """A connection is open: say what is to be said first."""

    @abstractmethod
    def _take(self, frame: dict[str, Any]) -> Heard | None:
        """Note what a frame says about the line; return what it says to the listener."""

    async def _listen(self) -> AsyncGenerator[Heard, None]:
        attempt = 0
        first, longest = self._delays
        while not self._ending.is_set():
            began = time.monotonic()
            self._on_state(LineState.CONNECTING, "")
            try:
                async with self._connect(await self._address()) as connection:
                    self._connection = connection
                    await self._opened(connection)
                    while True:
                        heard = self._take(await self._receive(connection))
                        if heard is not None:
                            yield heard
            except (WebSocketException, OSError, TimeoutError, ComeBack) as error:
                reason = self._why(error)
            finally:
                self._connection = None
            if self._ending.is_set():
                break
            if time.monotonic() - began > longest:
                attempt = 0
            # Full jitter: a thousand clients of a server that restarts do not return at once.
            delay = random.uniform(0, min(longest, first * 2**attempt))  # noqa: S311
            attempt = min(attempt + 1, 16)
            self._on_state(LineState.WAITING, f"{reason}; again in {delay:.1f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay)
        self._on_state(LineState.CLOSED, "")

    def _connect(self, address: str) -> connect:
        self._has_heartbeat = False
        options: dict[str, Any] = {} if self._ssl is None else {"ssl": self._ssl}
        return connect(
            address,
            additional_headers=self._headers,
            open_timeout=ANSWER_SECONDS,
            close_timeout=CLOSING_SECONDS,
            # What is silent is asked (`_receive`); a ping of the library's own would close the
            # line of a reader that takes its time over what it heard.
            ping_interval=None,
            max_size=LARGEST_FRAME_BYTES,
            **options,
        )

    async def _receive(self, connection: ClientConnection) -> dict[str, Any]:
        """The next frame. A line that has been silent for too long is given up."""
        while True:
            try:
                async with asyncio.timeout(self._silence):
                    text = await connection.recv()
            except TimeoutError:
                if self._has_heartbeat:
                    raise ComeBack("the heartbeats stopped") from None
                # A server that sends none: a pong proves that the line is only quiet.
                async with asyncio.timeout(ANSWER_SECONDS):
                    await (await connection.ping())
                continue
            try:
                frame = json.loads(text)
            except ValueError:
                frame = None
            if not isinstance(frame, dict):
                raise ClientError("What answers at this address does not speak UPS-RS.")
            return frame

    def _why(self, error: Exception) -> str:
        """Why a line ended, if it is worth trying another one; else raise what a person reads."""
        if isinstance(error, InvalidStatus):
            return self._handshake_refused(error.response.status_code)
        if isinstance(error, ConnectionClosed):
            code = error.rcvd.code if error.rcvd else 1006
            reason = (error.rcvd.reason if error.rcvd else "") or CLOSINGS.get(code, "")
            if code in self._give_up:
                raise refused(code, reason) from error
            return f"the line was closed: {reason} ({code})"
        if isinstance(error, tls.SSLCertVerificationError) and not self._was_confirmed:
            raise Unreachable(f"The server's certificate is not trusted: {error}") from error
        return str(error) or "no answer"

    def _handshake_refused(self, status: int) -> str:
        if status in (401, 403):
            raise LoginRequired(status, "The server did not let us in: log in again.")
        if not may_pass(status) and not self._was_confirmed:
            raise refused(status, "There is no UPS-RS subscription channel at this address.")
        return f"the server answered {status}"


CLOSINGS = {
    1000: "closed",
    1001: "going away",
    1006: "the connection broke",
    1011: "an error of the server",
    1012: "the server restarts",
    4001: "the server is going away",
    4003: "a binary frame was sent",
    4008: "too many bad messages",
    4009: "a frame was too large",
    4013: "too slow, or the server is full",
    4401: "The login ended: log in again.",
    4403: "This user may not follow the worklist.",
    4404: "no such subscription",
}
"""What a close code says, where the server gave no reason of its own."""
