"""The customer's two channels, as Channels consumers: they translate, and decide nothing.

GeneralChannel      workitems/subscription                      any number of subscriptions
SpecificChannel     workitems/subscription/{subscriptionUID}    the one that the address names
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from upsrs import contract, errors, events, instants, subscriptions
from upsrs.conf import conf
from upsrs.contract import BadMessage, SubscriptionRequest, UnsubscriptionRequest
from upsrs.database import in_database
from upsrs.dicom import uids
from upsrs.listeners import Follower, Listener
from upsrs.ws.channel import UNSUBSCRIBED, Channel

__all__ = ["GeneralChannel", "SpecificChannel", "event_id", "parsed"]

DELETED_BY_FILTER = "DELETED_BY_FILTER"


class GeneralChannel(Channel):
    """``workitems/subscription``: the client asks for subscriptions, and hears them all here."""

    address = "workitems/subscription"

    async def subscribe(self, request: SubscriptionRequest) -> None:
        if request.delete:
            await self._delete(request)
            return
        _, refused = subscriptions.compile_filter(request.filter)
        ignored = [*request.ignored, *refused]
        for uid, followed_filter in self.filters.items():
            if uid in self.listeners and subscriptions.same_filter(followed_filter, request.filter):
                self.confirm(uid, ignored=ignored, request_id=request.request_id)
                self._heed(self.listeners[uid], request)
                return
        most = conf.MAX_SUBSCRIPTIONS_PER_SOCKET
        if most and len(self.listeners) >= most:
            raise errors.LimitReached(
                f"Too many subscriptions on this socket: at most {most} "
                "(UPSRS_MAX_SUBSCRIPTIONS_PER_SOCKET).",
                name="UPSRS_MAX_SUBSCRIPTIONS_PER_SOCKET",
            )
        followed = await in_database(subscriptions.follow)(
            self.user,
            request.filter,
            here=self.hub.places.here(),
            resume=request.resume,
            initial_state=request.initial_state,
        )
        listener = self.listen(followed)
        self._heed(listener, request)
        complete_at = None
        if not request.initial_state:
            if listener.position is None:  # it has waited, but for its state: it begins here
                listener.position = (await in_database(events.numbered_place)()).position
            complete_at = listener.position
        self.confirm(
            followed.subscription_uid,
            ignored=ignored,
            resync=followed.resync,
            request_id=request.request_id,
            complete_at=complete_at,
        )
        self.start(listener, self._begin(listener, initial_state=request.initial_state))

    def _heed(self, listener: Listener, request: SubscriptionRequest) -> None:
        if request.heartbeat_seconds is not None:
            self.beat(listener, request.heartbeat_seconds)

    async def _begin(self, listener: Follower, *, initial_state: bool) -> None:
        """What was missed, then the reports, then what happens from now on."""
        if initial_state:
            if listener.position is not None:
                missed_until = (await in_database(events.numbered_place)()).position
                await self.replay(listener, until=missed_until)
                if listener.live:
                    return
            await self.report(listener)
        else:
            await self.replay(listener)

    async def _delete(self, request: SubscriptionRequest) -> None:
        _, refused = subscriptions.compile_filter(request.filter)
        deleted = await in_database(subscriptions.end_equal)(
            self.user, request.filter, DELETED_BY_FILTER
        )
        for uid in deleted:
            self.hub.end(uid, DELETED_BY_FILTER, asked=self)
        message = contract.confirmation(
            time=instants.now(),
            keys=request.filter,
            log_id=str(self.hub.log_id),
            status="DELETED",
            ignored=[*request.ignored, *refused],
            deleted=deleted,
            reason=DELETED_BY_FILTER,
            request_id=request.request_id,
        )
        self._answer_deletion(deleted, message)

    def _answer_deletion(self, deleted: Iterable[str], message: dict[str, Any]) -> None:
        mine = [uid for uid in deleted if uid in self.listeners]
        for uid in mine:
            self.forget(uid)
        named = next(iter([*mine, *deleted]), uids.uid_of(uuid.uuid4()))
        self.tell(named, message)

    async def unsubscribe(self, request: UnsubscriptionRequest) -> None:
        uid = request.subscription_uid
        if uid is None:
            raise BadMessage(
                "This channel may have several subscriptions: name the one to end.",
                name="subscriptionUID",
            )
        if uid not in self.listeners:
            raise errors.NoSuchSubscription("This socket has no such subscription.")
        self.forget(uid)
        await in_database(subscriptions.end)(self.user, uid, request.reason)
        self.hub.end(uid, request.reason)
        self.confirm(
            uid,
            status="DELETED",
            reason=request.reason,
            deleted=[uid],
            ignored=request.ignored,
            request_id=request.request_id,
        )


class SpecificChannel(Channel):
    """``workitems/subscription/{subscriptionUID}``: a client comes back to its subscription.

    ``?after=<eventId>`` says precisely behind what, ``&log=<logId>`` in which log.
    """

    @property
    def address(self) -> str:
        return f"{GeneralChannel.address}/{self.scope['url_route']['kwargs']['subscription_uid']}"

    async def opened(self) -> None:
        query = dict(
            parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        )
        ignored: list[str] = []
        after = parsed(query, "after", event_id, ignored)
        log_id = parsed(query, "log", uuid.UUID, ignored)
        seconds = parsed(query, "heartbeatSeconds", contract.heartbeat_seconds, ignored)
        uid = self.scope["url_route"]["kwargs"]["subscription_uid"]
        followed = await in_database(subscriptions.return_to)(
            self.user, uid, here=self.hub.places.here(), after=after, log_id=log_id
        )
        listener = self.listen(followed)
        if seconds is not None:
            self.beat(listener, seconds)
        self.confirm(uid, ignored=ignored, resync=followed.resync)
        work = self.report if listener.position is None else self.replay
        self.start(listener, work(listener))

    async def subscribe(self, request: SubscriptionRequest) -> None:
        raise BadMessage(
            "This channel has its subscription already: open the general one for another.",
            name="filter",
        )

    async def unsubscribe(self, request: UnsubscriptionRequest) -> None:
        uid = self.scope["url_route"]["kwargs"]["subscription_uid"]
        if request.subscription_uid not in (None, uid):
            raise BadMessage("It is not the subscription of this channel.", name="subscriptionUID")
        self.forget(uid)
        await in_database(subscriptions.end)(self.user, uid, request.reason)
        self.hub.end(uid, request.reason)
        self.close(UNSUBSCRIBED)

    def ended(self, listener: Listener, reason: str) -> None:
        super().ended(listener, reason)
        self.close(UNSUBSCRIBED)


def event_id(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError("not an eventId")
    return int(text)


def parsed(
    query: dict[str, str], name: str, parse: Callable[[str], Any], ignored: list[str]
) -> Any:
    """A parameter of ours: an unusable value is ignored, and said to be."""
    if name not in query:
        return None
    try:
        return parse(query[name])
    except ValueError:
        ignored.append(name)
        return None
