"""Following a worklist: one subscription, kept alive over as many connections as it takes.

A connection ends, a subscription does not. Who comes back tells the server the last event that was
heard, and goes on from there; nothing is lost, and what comes twice is dropped here:

1. The first connection asks the general channel, and is told a subscription UID.
2. Reports of the present state follow, then the place in the log at which that state was read.
   Before that there is no place: a return asks for the reports again.
3. Events follow, each with its number. A return goes to the subscription's own channel with
   ``?after=<the last number>&log=<the log's UUID>``.
4. A place that the log no longer knows is answered with a resync: reports again, as in 2.
5. A subscription that no longer exists (4404) is asked for anew, as in 1.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl as tls
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from upsrs.client.addresses import credentials, socket_address
from upsrs.client.errors import ClientError, LoginRequired, SubscriptionEnded, Unreachable, refused
from upsrs.client.notifications import Notification, Place

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
except ImportError as missing:  # pragma: no cover - proven by hand, the extra is always tested with
    raise ImportError(
        "Following a worklist needs the package websockets: pip install django-upsrs[client]"
    ) from missing

__all__ = ["Following", "LineState", "follow"]

LARGEST_FRAME_BYTES = 16 * 1_048_576
"""A notification lists the input series of a workitem; a large study still fits many times."""

ANSWER_SECONDS = 10.0
"""How long to wait for a handshake, or for the pong of a line that has gone quiet."""

CLOSING_SECONDS = 3.0

GIVE_UP = frozenset({4003, 4008, 4009, 4401, 4403})
"""Close codes that trying again would only repeat."""


class LineState(StrEnum):
    """What the line is doing; every change is told through ``on_state``."""

    CONNECTING = "connecting"
    SUBSCRIBED = "subscribed"
    """The server confirmed; reports of the present state, or what was missed, follow."""
    RESYNC = "resync"
    """The old place is lost: what was known may be outdated, reports follow."""
    LIVE = "live"
    """The present state was told; from here on every change is heard."""
    WAITING = "waiting"
    CLOSED = "closed"


class _ComeBack(Exception):
    """The line is of no more use; another one may be."""


def follow(
    url: str,
    *,
    token: str = "",
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's word
    place: Place | None = None,
    resume: bool = True,
    on_state: Callable[[LineState, str], None] | None = None,
    heartbeat_seconds: int = 20,
    headers: Mapping[str, str] | None = None,
    ssl: tls.SSLContext | None = None,
    first_delay_seconds: float = 0.5,
    longest_delay_seconds: float = 30.0,
) -> Following:
    """Follow the workitems that ``filter`` means, and never miss a change of one.

    ``url`` is the base of the service, ``wss://portal.example/ups-rs``. ``place``, kept from an
    earlier run, continues where that one ended. ``resume=False`` does not take up a subscription
    of the same user and filter that waits without a socket. ``headers`` carry other credentials
    than a token.

    Raises `LoginRequired` and `NotAllowed`, which only a person can mend, `Refused` with the
    server's sentence for a request that it does not take, and `SubscriptionEnded`. Everything else
    is waited out, with growing and random pauses.
    """
    return Following(
        address=f"{socket_address(url)}/workitems/subscription",
        headers=credentials(token, headers),
        request={
            "filter": dict(filter or {}),
            "heartbeatSeconds": heartbeat_seconds,
            **({} if resume else {"resume": False}),
        },
        place=place,
        on_state=on_state or (lambda _state, _detail: None),
        ssl=ssl,
        delays=(first_delay_seconds, longest_delay_seconds),
    )


class Following:
    """A subscription that is being followed: an async iterator, and an async context manager."""

    def __init__(
        self,
        *,
        address: str,
        headers: Mapping[str, str],
        request: Mapping[str, Any],
        place: Place | None,
        on_state: Callable[[LineState, str], None],
        ssl: tls.SSLContext | None,
        delays: tuple[float, float],
    ) -> None:
        self.subscription_uid = place.subscription_uid if place else ""
        self.place = place
        """Where the follower stands: the last event that was handed out. None: nowhere yet."""
        self._address = address
        self._headers = headers
        self._request = request
        self._silence = 2.5 * request["heartbeatSeconds"]
        self._on_state = on_state
        self._ssl = ssl
        self._delays = delays
        self._log_id = place.log_id if place else ""
        self._heard = place.event_id if place else 0
        self._connection: ClientConnection | None = None
        self._ending = False
        self._was_confirmed = False
        self._has_heartbeat = False
        self._notifications = self._follow()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        return await anext(self._notifications)

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
        """Go away. The subscription waits on the server, and `place` returns to it."""
        self._ending = True
        await self._notifications.aclose()

    async def unsubscribe(self) -> None:
        """End the subscription itself; the iteration then ends."""
        self._ending = True
        if self._connection is not None and self.subscription_uid:
            unsubscription = {"reason": "USER_REQUEST", "subscriptionUID": self.subscription_uid}
            try:
                await self._connection.send(json.dumps(unsubscription))
            except ConnectionClosed as closed:
                raise Unreachable("The line broke before the subscription was ended.") from closed

    async def _follow(self) -> AsyncGenerator[Notification, None]:
        attempt = 0
        first, longest = self._delays
        while True:
            began = time.monotonic()
            self._on_state(LineState.CONNECTING, "")
            try:
                async with self._connect() as connection:
                    self._connection = connection
                    if not self.subscription_uid:
                        await connection.send(self._subscription_request())
                    while True:
                        notification = self._take(await self._receive(connection))
                        if notification is not None:
                            yield notification
            except (WebSocketException, OSError, TimeoutError, _ComeBack) as error:
                reason = self._why(error)
            finally:
                self._connection = None
            if self._ending:
                break
            if time.monotonic() - began > longest:
                attempt = 0
            # Full jitter: a thousand clients of a server that restarts do not return at once.
            delay = random.uniform(0, min(longest, first * 2**attempt))  # noqa: S311
            attempt = min(attempt + 1, 16)
            self._on_state(LineState.WAITING, f"{reason}; again in {delay:.1f} s")
            await asyncio.sleep(delay)
        self._on_state(LineState.CLOSED, "")

    def _connect(self) -> connect:
        address = self._address
        if self.subscription_uid:
            query: dict[str, Any] = {"heartbeatSeconds": self._request["heartbeatSeconds"]}
            if self.place is not None:
                query["after"] = self.place.event_id
                if self.place.log_id:
                    query["log"] = self.place.log_id
            address = f"{address}/{self.subscription_uid}?{urlencode(query)}"
        self._has_heartbeat = False
        options: dict[str, Any] = {} if self._ssl is None else {"ssl": self._ssl}
        return connect(
            address,
            additional_headers=self._headers,
            open_timeout=ANSWER_SECONDS,
            close_timeout=CLOSING_SECONDS,
            # Heartbeats tell a dead line from a quiet one; a ping of the library's own would close
            # the line of a reader that takes its time over a notification.
            ping_interval=None,
            max_size=LARGEST_FRAME_BYTES,
            **options,
        )

    def _subscription_request(self) -> str:
        return json.dumps({**self._request, "requestId": str(uuid.uuid4())})

    async def _receive(self, connection: ClientConnection) -> dict[str, Any]:
        """The next frame. A line that has been silent for too long is given up."""
        while True:
            try:
                async with asyncio.timeout(self._silence):
                    text = await connection.recv()
            except TimeoutError:
                if self._has_heartbeat:
                    raise _ComeBack("the heartbeats stopped") from None
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

    def _take(self, frame: dict[str, Any]) -> Notification | None:
        """Note what a frame says about the line; hand on what it says about a workitem."""
        if "eventType" not in frame:
            raise self._error(frame)
        if "subscription" in frame:
            self._confirmed(frame)
        if frame.get("initialStateComplete"):
            self._heard = max(self._heard, frame["eventId"])
            self.place = Place(self.subscription_uid, self._heard, self._log_id)
            self._on_state(LineState.LIVE, "")
            return None
        if frame.get("heartbeat"):
            # All up to its place that concerns this line came before it: a quiet subscription
            # moves along, and never falls behind what the log still holds.
            self._has_heartbeat = True
            if frame.get("logId", self._log_id) == self._log_id:
                self._advance(frame["eventId"])
            return None
        if "subscription" in frame:
            return None
        notification = Notification.of(frame)
        if notification.event_id is not None:
            if notification.event_id <= self._heard:
                return None
            self._advance(notification.event_id)
        return notification

    def _advance(self, event_id: int) -> None:
        self._heard = max(self._heard, event_id)
        if self.place is not None:
            self.place = Place(self.subscription_uid, self._heard, self._log_id)

    def _confirmed(self, frame: Mapping[str, Any]) -> None:
        subscription = frame["subscription"]
        if subscription.get("status") == "DELETED":
            if self._ending:
                raise _ComeBack("unsubscribed")
            reason = subscription.get("reason") or "somebody of the same login asked for it"
            raise SubscriptionEnded(f"The subscription was ended: {reason}.")
        self._was_confirmed = True
        uid, log_id = frame["subscriptionUID"], subscription.get("logId", "")
        resync = bool(subscription.get("resync"))
        another_log = bool(self._log_id) and log_id != self._log_id
        if resync or another_log or uid != self.subscription_uid:
            # Numbers of another log, or of another subscription, say nothing here.
            self._heard, self.place = 0, None
        self.subscription_uid, self._log_id = uid, log_id
        ignored = ", ".join(subscription.get("ignored", ()))
        self._on_state(
            LineState.RESYNC if resync else LineState.SUBSCRIBED,
            f"not understood, so not filtered by: {ignored}" if ignored else "",
        )
        if self.place is not None:
            self._on_state(LineState.LIVE, "")

    def _error(self, frame: Mapping[str, Any]) -> Exception:
        """What an error message of the server amounts to."""
        status, detail = int(frame.get("status", 0)), str(frame.get("detail", "an error"))
        if status >= 500 or status == 429:
            return _ComeBack(detail)
        return refused(status, detail, frame)

    def _why(self, error: Exception) -> str:
        """Why a line ended, if it is worth trying another one; else raise what a person reads."""
        if isinstance(error, InvalidStatus):
            return self._handshake_refused(error.response.status_code)
        if isinstance(error, ConnectionClosed):
            code = error.rcvd.code if error.rcvd else 1006
            reason = (error.rcvd.reason if error.rcvd else "") or CLOSINGS.get(code, "")
            if code == 4404:
                self.subscription_uid, self.place, self._heard = "", None, 0
                self._on_state(LineState.RESYNC, "the subscription is gone; subscribing anew")
            elif code in GIVE_UP:
                raise refused(code, reason) from error
            return f"the line was closed: {reason} ({code})"
        if isinstance(error, tls.SSLCertVerificationError) and not self._was_confirmed:
            raise Unreachable(f"The server's certificate is not trusted: {error}") from error
        return str(error) or "no answer"

    def _handshake_refused(self, status: int) -> str:
        if status in (401, 403):
            raise LoginRequired(status, "The server did not let us in: log in again.")
        waits = status >= 500 or status in (408, 425, 429)
        if not waits and not self._was_confirmed:
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
