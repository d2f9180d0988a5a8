"""The customer's channel: one subscription, kept alive over as many connections as it takes.

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

import json
import ssl as tls
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from upsrs.client.addresses import credentials, socket_address
from upsrs.client.errors import SubscriptionEnded, Unreachable, refused
from upsrs.client.lines import (
    ClientConnection,
    ComeBack,
    ConnectionClosed,
    Line,
    LineState,
    may_pass,
)
from upsrs.client.notifications import Notification, Place

__all__ = ["Following", "follow"]


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
        on_state=on_state,
        ssl=ssl,
        delays=(first_delay_seconds, longest_delay_seconds),
    )


class Following(Line[Notification]):
    """A subscription that is being followed."""

    def __init__(
        self, *, address: str, request: Mapping[str, Any], place: Place | None, **line: Any
    ) -> None:
        super().__init__(silence_seconds=2.5 * request["heartbeatSeconds"], place=place, **line)
        self.subscription_uid = place.subscription_uid if place else ""
        self._base = address
        self._request = request
        self._log_id = place.log_id if place else ""
        self._last = place.event_id if place else 0

    async def unsubscribe(self) -> None:
        """End the subscription itself; the iteration then ends."""
        self._ending.set()
        if not self.subscription_uid:
            return
        unsubscription = {"reason": "USER_REQUEST", "subscriptionUID": self.subscription_uid}
        broken = Unreachable("The line broke before the subscription was ended.")
        if self._connection is None:
            raise broken
        try:
            await self._connection.send(json.dumps(unsubscription))
        except ConnectionClosed:
            raise broken from None

    async def _address(self) -> str:
        if not self.subscription_uid:
            return self._base
        query: dict[str, Any] = {"heartbeatSeconds": self._request["heartbeatSeconds"]}
        if self.place is not None:
            query["after"] = self.place.event_id
            if self.place.log_id:
                query["log"] = self.place.log_id
        return f"{self._base}/{self.subscription_uid}?{urlencode(query)}"

    async def _opened(self, connection: ClientConnection) -> None:
        if not self.subscription_uid:
            await connection.send(json.dumps({**self._request, "requestId": str(uuid.uuid4())}))

    def _take(self, frame: dict[str, Any]) -> Notification | None:
        """Note what a frame says about the line; hand on what it says about a workitem."""
        if "eventType" not in frame:
            raise self._error(frame)
        if "subscription" in frame:
            self._confirmed(frame)
        if frame.get("initialStateComplete"):
            self._last = max(self._last, frame["eventId"])
            self.place = Place(self.subscription_uid, self._last, self._log_id)
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
            if notification.event_id <= self._last:
                return None
            self._advance(notification.event_id)
        return notification

    def _advance(self, event_id: int) -> None:
        self._last = max(self._last, event_id)
        if self.place is not None:
            self.place = Place(self.subscription_uid, self._last, self._log_id)

    def _confirmed(self, frame: Mapping[str, Any]) -> None:
        subscription = frame["subscription"]
        if subscription.get("status") == "DELETED":
            if self._ending.is_set():
                raise ComeBack("unsubscribed")
            reason = subscription.get("reason") or "somebody of the same login asked for it"
            raise SubscriptionEnded(f"The subscription was ended: {reason}.")
        self._was_confirmed = True
        uid, log_id = frame["subscriptionUID"], subscription.get("logId", "")
        resync = bool(subscription.get("resync"))
        another_log = bool(self._log_id) and log_id != self._log_id
        if resync or another_log or uid != self.subscription_uid:
            # Numbers of another log, or of another subscription, say nothing here.
            self._last, self.place = 0, None
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
        if may_pass(status):
            return ComeBack(detail)
        return refused(status, detail, frame)

    def _why(self, error: Exception) -> str:
        if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code == 4404:
            self.subscription_uid, self.place, self._last = "", None, 0
            self._on_state(LineState.RESYNC, "the subscription is gone; subscribing anew")
        return super()._why(error)
