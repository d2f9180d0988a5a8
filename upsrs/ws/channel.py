"""One open socket: what the customer's channels and the standard's have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from rest_framework.exceptions import NotAuthenticated

from upsrs import access, audit, contract, errors, instants, limits, logins, metrics
from upsrs.conf import conf
from upsrs.contract import BadMessage, SubscriptionRequest, UnsubscriptionRequest
from upsrs.database import in_database
from upsrs.events import LogLost
from upsrs.hub import Hub
from upsrs.listeners import Follower, Frame, Listener, Standing
from upsrs.logins import Login
from upsrs.origin import coming_from, meta_of, origin
from upsrs.subscriptions import Followed
from upsrs.traces import trace
from upsrs.ws import refusals
from upsrs.ws.authentication import authenticate, subprotocol
from upsrs.ws.lanes import Lane, before_goodbye, lane_for

__all__ = ["UNSUBSCRIBED", "Channel"]

UNSUBSCRIBED = 1000
BINARY_FRAME = 4003
BAD_MESSAGES = 4008
FRAME_TOO_LARGE = 4009
COME_BACK = 4013
LOGIN_ENDED = 4401
NOT_ALLOWED = 4403
NO_SUCH_SUBSCRIPTION = 4404

ABNORMAL = 1006
UNCLEAN = frozenset({1005, ABNORMAL, 1012, 4001})
"""What servers report of a line that was cut, or that they closed to go down: no client said it."""

GRACE_SECONDS = 2.0
"""A reader with too much before it has so long to get below the pace of its lane."""

logger = logging.getLogger(__name__)


class SocketFailed(Exception):
    """What went wrong is in the log: by its place, and without its words."""


class Channel(AsyncConsumer):
    """One open socket, whatever is spoken on it. It is the hub's `Outlet`."""

    # Channels would give each consumer a channel of the layer; the hub has the one that is needed.
    channel_layer_alias = "upsrs-has-its-own"

    scope: Any
    base_send: Any
    user: Any = None
    """Who this is; None until the handshake is accepted."""
    login: Login
    ae_title = ""
    closing = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            with coming_from("socket", meta_of(scope)):
                await super().__call__(scope, receive, send)
        except Exception as error:
            # The server closes with 1011; what was followed waits for the client to come back.
            logger.error("A socket failed: %s", trace(error))
            await self._gone(clean=False)
            # Servers log what is raised, and a database quotes the row in its messages.
            raise SocketFailed from None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does, without its trip to the database thread for each message."""
        handler = getattr(self, message["type"].replace(".", "_"))
        try:
            await handler(message)
        except StopConsumer:
            raise
        except Exception:
            # For a user who was deleted a moment ago no database writes anything.
            if not await self._login_is_over():
                raise
            self._end_login()

    # Opening

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        known = await in_database(authenticate)(self.scope, self.address)
        if known is None:
            metrics.HANDSHAKES_REFUSED.labels("not_logged_in").inc()
            audit.refused(audit.Act.LOG_IN, None, NotAuthenticated())
            await self.base_send({"type": "websocket.close"})
            return
        chosen = subprotocol(self.scope)
        await self.base_send({"type": "websocket.accept", "subprotocol": chosen})
        self.lane: Lane = lane_for(self.base_send, self._full)
        self.bad_messages = 0
        self.slow = False
        self.lagging = False
        self.listeners: dict[str, Listener] = {}
        self.filters: dict[str, dict[str, str]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.heartbeats: dict[str, asyncio.TimerHandle] = {}
        self.hub = Hub.running()
        before_goodbye(self.hub.places.farewell)
        user, self.login = known
        try:
            self.leave = limits.SOCKETS.enter(self.login.user_pk, origin().address)
        except errors.LimitReached as refusal:
            self._turn_away(refusal)
            return
        self.user = user
        self.context = copy_context()
        try:
            await in_database(access.require)(self.user, "view_workitem", "add_subscription")
            await self.hub.enter(self)
            await self.opened()
            self.hub.watch.add(self)
        except (
            errors.NotAuthorized,
            errors.NoSuchSubscription,
            errors.InvalidArgument,
        ) as refusal:
            if await self._login_is_over():
                self._end_login()
                return
            self._audit(refusal)
            is_right = isinstance(refusal, errors.NotAuthorized)
            self.close(NOT_ALLOWED if is_right else NO_SUCH_SUBSCRIPTION)

    async def _login_is_over(self) -> bool:
        """Since the handshake. The watch would find it too, in a moment."""
        if self.user is None:
            return False
        return self.login not in await in_database(logins.holding)([self.login])

    def _end_login(self) -> None:
        audit.refused(audit.Act.LOG_IN, self.user, NotAuthenticated())
        self.close(LOGIN_ENDED)

    def _turn_away(self, refusal: errors.LimitReached) -> None:
        """The server has enough of this client, which is told so, and may come back."""
        metrics.HANDSHAKES_REFUSED.labels("limit").inc()
        self.tell_problem(refusal, None)
        self.come_back()

    @property
    def address(self) -> str:
        """Which channel of the service this is, wherever that is mounted."""
        raise NotImplementedError

    async def opened(self) -> None:
        """The socket is open, and the user may be here."""

    # Listening

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if self.user is None or self.closing:
            return
        text = message.get("text")
        if text is None:
            self.close(BINARY_FRAME)
        elif len(text) > conf.MAX_FRAME_BYTES or len(text.encode()) > conf.MAX_FRAME_BYTES:
            self.close(FRAME_TOO_LARGE)
        else:
            await self._take(text)

    async def _take(self, text: str) -> None:
        request_id, act = None, audit.Act.SUBSCRIBE
        try:
            request = contract.parse(text)
            request_id = request.request_id
            limits.MESSAGES.take(self.login.user_pk, origin().address)
            if isinstance(request, SubscriptionRequest):
                await self.subscribe(request)
            else:
                act = audit.Act.UNSUBSCRIBE
                await self.unsubscribe(request)
        except errors.UPSError as refusal:
            if isinstance(refusal, BadMessage):
                request_id = refusal.request_id
            self.refuse(refusal, request_id, act)
        else:
            self.bad_messages = 0

    async def subscribe(self, request: SubscriptionRequest) -> None:
        raise NotImplementedError

    async def unsubscribe(self, request: UnsubscriptionRequest) -> None:
        raise NotImplementedError

    def _audit(self, refusal: errors.UPSError, act: audit.Act = audit.Act.SUBSCRIBE) -> None:
        named = self.scope["url_route"]["kwargs"]
        audit.refused(
            act,
            self.user,
            refusal,
            subscription_uid=named.get("subscription_uid", ""),
            ae_title=named.get("ae_title", ""),
        )

    def refuse(self, refusal: errors.UPSError, request_id: str | None, act: audit.Act) -> None:
        """Say what was wrong; the socket and its subscriptions go on. Too many in a row end it."""
        self._audit(refusal, act)
        self.tell_problem(refusal, request_id)
        self.bad_messages += 1
        if self.bad_messages >= conf.MAX_BAD_MESSAGES:
            self.close(BAD_MESSAGES)

    def tell_problem(self, refusal: errors.UPSError, request_id: str | None) -> None:
        problem = contract.encode(refusals.problem(refusal, request_id))
        self.lane.write((problem.encode(), b""))

    # Following

    def listen(self, followed: Followed) -> Follower:
        listener = Follower(
            subscription_uid=followed.subscription_uid,
            connection_id=followed.connection_id,
            keys=followed.keys,
            sight=followed.sight,
            outlet=self,
            position=followed.position,
            proven=followed.position,
        )
        self.filters[followed.subscription_uid] = followed.filter
        self.add(listener)
        return listener

    def add(self, listener: Listener) -> None:
        self.listeners[listener.subscription_uid] = listener
        self.hub.add(listener)

    def confirm(self, subscription_uid: str, **said: Any) -> None:
        message = contract.confirmation(
            time=instants.now(),
            keys=self.filters[subscription_uid],
            log_id=str(self.hub.log_id),
            **said,
        )
        self.tell(subscription_uid, message)

    def tell(self, subscription_uid: str, message: dict[str, Any]) -> None:
        self.hand((contract.beginning(subscription_uid), contract.frame_parts(message)))

    def start(self, listener: Listener, work: Coroutine[Any, Any, None]) -> None:
        """Replays and reports run beside the socket, which goes on listening meanwhile."""
        self._start(listener.subscription_uid, work)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.tasks[name] = asyncio.get_running_loop().create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # nothing is lost: the place stands, the client may come back
            logger.error("A subscription could not catch up: %s", trace(error))
            self.come_back()

    async def replay(self, listener: Listener, *, until: int | None = None) -> None:
        """Hand out what was missed; a log that was purged meanwhile makes it a fresh start."""
        try:
            await self.hub.catching_up.catch_up(listener, until=until)
        except LogLost:
            metrics.RESYNCS.inc()
            listener.position = None
            await self.start_afresh(listener)

    async def start_afresh(self, listener: Listener) -> None:
        """What was missed is not known any more: say so, and how things are now."""
        assert isinstance(listener, Follower), "the standard's channel does it in its own words"
        self.confirm(listener.subscription_uid, resync=True)
        await self.report(listener)

    async def report(self, listener: Follower) -> None:
        """Report the state, say that it is complete, then go on with what happens behind it."""
        position = await self.hub.report(listener)
        self.tell(
            listener.subscription_uid,
            contract.initial_state_complete(time=instants.now(), position=position),
        )
        listener.position = position
        self.hub.places.handed(listener)
        await self.replay(listener)

    def beat(self, listener: Listener, seconds: float) -> None:
        """Tell at each interval that the line lives, and where it stands."""

        def tick() -> None:
            position = self.hub.position_of(listener)
            if position is not None:
                message = contract.heartbeat(
                    time=instants.now(), position=position, log_id=str(self.hub.log_id)
                )
                self.tell(listener.subscription_uid, message)
            self.beat(listener, seconds)

        loop = asyncio.get_running_loop()
        previous = self.heartbeats.pop(listener.subscription_uid, None)
        if previous is not None:
            previous.cancel()
        self.heartbeats[listener.subscription_uid] = loop.call_later(seconds, tick)

    def forget(self, subscription_uid: str) -> Listener:
        """This socket follows the subscription no more."""
        task = self.tasks.pop(subscription_uid, None)
        if task is not None:
            task.cancel()
        heartbeat = self.heartbeats.pop(subscription_uid, None)
        if heartbeat is not None:
            heartbeat.cancel()
        listener = self.listeners.pop(subscription_uid)
        self.hub.discard(listener)
        return listener

    # As the hub sees it

    def hand(self, frame: Frame) -> None:
        if not self.closing:
            self.lane.write(frame)

    def _full(self, *, everywhere: bool) -> None:
        """More waits for the reader than may: what else happens stays in the log behind it."""
        if everywhere:
            self.slow = True
            self.come_back()
        elif not self.lagging:
            self.lagging = True
            behind = [listener for listener in self.listeners.values() if listener.live]
            for listener in behind:
                self.hub.suspend(listener)
            self._start("lagging", self._catch_up(behind))

    async def _catch_up(self, behind: list[Listener]) -> None:
        """A burst is taken in a moment, and then it goes on; who stands still is closed."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self.room()
        except TimeoutError:
            self.slow = True
            self.come_back()
            return
        self.lagging = False
        for listener in behind:
            if not listener.gone:
                self.go_on(listener)

    @property
    def has_room(self) -> bool:
        return self.lane.has_room

    async def room(self) -> None:
        await self.lane.room()

    def prove(self, taken: Callable[[], None]) -> None:
        self.lane.prove(taken)

    @property
    def can_prove(self) -> bool:
        return self.lane.can_prove

    def go_on(self, listener: Listener) -> None:
        self.start(listener, self.replay(listener))

    def ended(self, listener: Listener, reason: str) -> None:
        uid = listener.subscription_uid
        if uid in self.listeners:
            self.confirm(uid, status="DELETED", reason=reason, deleted=[uid])
            self.forget(uid)

    def come_back(self) -> None:
        self.close(COME_BACK)

    def stands(self, standing: Standing) -> None:
        # The call comes from a task of the hub's: what is audited belongs to this socket.
        self.context.run(self._stands, standing)

    def _stands(self, standing: Standing) -> None:
        if self.closing:
            return
        if standing.user is None:
            self._end_login()
        elif not standing.may_listen:
            self._audit(errors.NotAuthorized())
            self.close(NOT_ALLOWED)
        else:
            self.user = standing.user
            for listener in self.listeners.values():
                if listener.sight != standing.sight:
                    audit.sees_now(
                        listener.connection_id,
                        access.noted(standing.sight),
                        place=self.hub.position_of(listener),
                    )
                listener.sight = standing.sight

    # Closing

    def close(self, code: int) -> None:
        if not self.closing:
            self.closing = True
            metrics.closed(code, by_us=True)
            for listener in self.listeners.values():
                # Nothing is handed to it from here on: its place must not move with the hub.
                self.hub.discard(listener)
            for task in self.tasks.values():
                task.cancel()
            self.lane.close(code, at_once=self.slow)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        code = message.get("code", ABNORMAL)
        if self.user is not None and not self.closing:
            metrics.closed(code, by_us=False)
        await self._gone(clean=code not in UNCLEAN)
        raise StopConsumer

    async def _gone(self, *, clean: bool) -> None:
        """The subscriptions wait, each at what is known to have been taken."""
        if self.user is None:
            if self.closing:  # accepted, and turned away
                self.lane.drop()
            return
        self.closing = True
        self.leave()
        self.lane.drop()
        for task in self.tasks.values():
            task.cancel()
        for uid in tuple(self.listeners):
            self.hub.places.depart(self.forget(uid), clean=clean and not self.slow)
        try:
            await self.hub.places.store_departures()
        except Exception as error:  # the hub tries again; a socket that is gone must not stay in it
            logger.error("Places were not stored: %s", trace(error))
        finally:
            await self.hub.leave(self)
