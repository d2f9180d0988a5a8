"""The hub: from the log to the open sockets of this event loop.

It starts with the first socket and ends with the last. A thread reads the log (``upsrs.reader``),
an index says whom an event concerns (``upsrs.index``), and here it is handed out: one encoding per
event, one place per listener. A listener that comes late steps in when it has caught up
(``upsrs.catching_up``).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

from upsrs import access, events, handouts, metrics, subscribers, subscriptions, wakeup
from upsrs.backlog import backlog
from upsrs.catching_up import CatchingUp
from upsrs.conf import conf
from upsrs.database import in_database
from upsrs.dicom.changes import Kind
from upsrs.events import LoggedEvent, Place
from upsrs.index import Index, Matched
from upsrs.listeners import Encoded, Follower, Listener, Outlet, Subscriber
from upsrs.models import Workitem
from upsrs.places import Places
from upsrs.reader import Reader
from upsrs.traces import trace
from upsrs.turns import Turn
from upsrs.watch import Watch

__all__ = ["Hub"]

RECENT = 32
"""So many of the last events are kept at hand: who is that close behind steps in at once."""

PAGE = 50
"""So many workitems are read at once for the reports of one listener."""

BATCH_EVENTS = 8
"""After so many the loop gets its turn; what they are to one socket leaves in one write."""

AT_ONCE = 32
"""An event that is alone leaves for so many sockets before it is handed to the next."""

BATCH_BYTES = 256 * 1024
"""Nor is more than this given to one socket before it gets its turn."""

STOP_SECONDS = 2.0
"""So long the last socket waits for the reader to end; it is a daemon thread in any case."""

logger = logging.getLogger(__name__)

Member = TypeVar("Member")


class Hub:
    """One per event loop; see the module."""

    _hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

    @classmethod
    def running(cls) -> Hub:
        """The hub of the running loop."""
        loop = asyncio.get_running_loop()
        return cls._hubs.setdefault(loop, cls(loop))

    @classmethod
    def all(cls) -> list[Hub]:
        """The hubs of this process."""
        return list(cls._hubs.values())

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.position = 0
        """Everything up to here has been handed to the live listeners."""
        self.log_id = uuid.UUID(int=0)
        self.outlets: set[Outlet] = set()
        self._listeners: dict[str, set[Listener]] = {}
        self._by_ae_title: dict[str, set[Subscriber]] = {}
        self._index: Index[Listener] = Index()
        self._recent: deque[Encoded] = deque(maxlen=RECENT)
        self._reader: Reader | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._turn = Turn.running()
        self.watch = Watch()
        self.places = Places(loop, listeners=self._all, position_of=self.position_of)
        self.catching_up = CatchingUp(
            place=lambda: Place(self.log_id, self.position),
            hand=self._hand_missed,
            step_in=self._step_in,
            instruct=self._catch_up_instruction,
        )

    # Its life

    async def enter(self, outlet: Outlet) -> None:
        """A socket opens; the first one starts the hub."""
        async with self._starting:
            if self._reader is None:
                await self._start()
            self.outlets.add(outlet)

    async def leave(self, outlet: Outlet) -> None:
        """A socket is gone; the last one ends the hub."""
        async with self._starting:
            self.outlets.discard(outlet)
            self.watch.discard(outlet)
            if not self.outlets and self._reader is not None:
                await self._stop()

    async def _start(self) -> None:
        self.places.server_id = await in_database(subscriptions.register_server)()
        place = await in_database(events.numbered_place)()
        self.position, self.log_id = place.position, place.log_id
        self._recent.clear()
        self._reader = Reader(place, hand_on=self._take_page, lost=self._log_lost)
        wakeup.listen(self._reader.wake)
        self._reader.start()
        wakeup.wake()  # the other processes hear that there is one more to wake
        self._tasks = [
            self.loop.create_task(wakeup.hear(self._reader.wake), name="upsrs-hear-wakeups"),
            self.loop.create_task(self.places.keep(), name="upsrs-keep-places"),
            self.loop.create_task(self._look_around(), name="upsrs-look-around"),
            self.loop.create_task(self.watch.keep(), name="upsrs-watch-logins"),
        ]

    async def _stop(self) -> None:
        assert self._reader is not None, "a hub that runs has a reader"
        wakeup.unlisten(self._reader.wake)
        self._reader.stop()
        await asyncio.to_thread(self._reader.join, STOP_SECONDS)
        self._reader = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        wakeup.expect_others(True)  # nobody looks around any more
        await in_database(subscriptions.unregister_server)(self.places.server_id)

    # Handing out

    def _take_page(self, page: list[LoggedEvent]) -> None:
        """Called from the reader's thread; returns when the page is handed out."""
        asyncio.run_coroutine_threadsafe(self._hand_out(page), self.loop).result()

    async def _hand_out(self, page: list[LoggedEvent]) -> None:
        batch = size = 0
        for event in page:
            if event.position <= self.position:
                continue  # After an error the page is read again: this much has been handed out.
            if event.kind is Kind.SUBSCRIPTION:
                await self._instruct(event)
            encoded = Encoded(event)
            # Nothing is awaited within one event: place and frames move together.
            batch += 1
            size += self._hand_out_event(encoded, alone=len(page) == 1)
            self._recent.append(encoded)
            self.position = event.position
            if batch >= BATCH_EVENTS or size >= BATCH_BYTES:
                batch = size = 0
                await asyncio.sleep(0)
                await backlog.settle()

    def _hand_out_event(self, encoded: Encoded, *, alone: bool) -> int:
        """Hand one event to all whom it concerns; the most bytes that one of them got.

        If it is alone it leaves for the first while the last have yet to be handed it: sooner, and
        while what is known of a socket is still in the processor's cache.
        """
        event = encoded.event
        most = deliveries = 0
        for listener, matched in self._concerned(event).items():
            # Who was closed by an earlier frame of this event hears nothing more.
            if listener.live and event.position > (listener.position or 0):
                handed = self._hand(listener, encoded, matched)
                most = max(most, handed)
                deliveries += bool(handed)
                if alone and handed and not deliveries % AT_ONCE:
                    self._turn.flush()
        handouts.note(event, deliveries)
        return most

    def _concerned(self, event: LoggedEvent) -> dict[Listener, Matched | None]:
        if event.kind is Kind.SUBSCRIPTION:
            return dict.fromkeys(self._subscribers_of(event))
        # Each once: an AE may have several subscriptions that match.
        found: dict[Listener, Matched | None] = dict.fromkeys(
            self._index.following(event.workitem_uid)
        )
        for matched, group in self._index.concerned(event):
            found.update(dict.fromkeys(group, matched))
        return found

    def _hand(self, listener: Listener, encoded: Encoded, matched: Matched | None = None) -> int:
        """Hand one event to one listener, if it is any of its business. The bytes handed."""
        event = encoded.event
        try:
            handed = 0
            for frame in listener.frames(encoded, matched):
                listener.outlet.hand(frame)
                handed += len(frame[0]) + len(frame[1])
            if handed:
                self.places.handed(listener)
            if isinstance(listener, Subscriber) and event.kind is not Kind.SUBSCRIPTION:
                listener.keep(event, self._index)
        except Exception as error:  # the change is safe in the log; the next one must not suffer
            logger.error("Event %d could not be handed out: %s", event.position, trace(error))
            return 0
        return handed

    async def _instruct(self, event: LoggedEvent) -> None:
        """An AE's subscriptions have changed: those of its sockets that are live go by the new ones.

        Where initial events of the whole worklist are due, they catch up: that takes its time.
        """
        if not self._subscribers_of(event):
            return
        uid = self._subscribers_of(event)[0].subscription_uid
        roster = await in_database(subscribers.roster)(uid)
        for listener in self._subscribers_of(event):
            if not listener.live or event.position <= (listener.position or 0):
                continue
            listener.instructed(roster.copy(), self._index)
            if _is_about_many(event):
                self.suspend(listener)
                listener.outlet.go_on(listener)

    def _subscribers_of(self, event: LoggedEvent) -> list[Subscriber]:
        return list(self._by_ae_title.get(event.subscriber, ()))

    # Listeners

    def add(self, listener: Listener) -> None:
        """Known from now on, but it hears nothing until it has caught up (`catching_up`)."""
        self._listeners.setdefault(listener.subscription_uid, set()).add(listener)
        if isinstance(listener, Subscriber):
            self._by_ae_title.setdefault(listener.ae_title, set()).add(listener)

    def discard(self, listener: Listener) -> None:
        self.suspend(listener)
        listener.gone = True
        _drop(self._listeners, listener.subscription_uid, listener)
        if isinstance(listener, Subscriber):
            _drop(self._by_ae_title, listener.ae_title, listener)

    def position_of(self, listener: Listener) -> int | None:
        """Everything up to here that concerns the listener was handed to its socket."""
        if listener.live and listener.position is not None:
            return max(listener.position, self.position)
        return listener.position

    def suspend(self, listener: Listener) -> None:
        """Take a listener off the live events; it catches up again from where it is."""
        listener.position = self.position_of(listener)
        listener.live = False
        listener.unfile(self._index)

    def _step_in(self, listener: Listener) -> bool:
        """Go live, if no more is missing than what is at hand. Nothing is awaited in here."""
        assert listener.position is not None, "it must know where to begin"
        if listener.position < self.position - len(self._recent):
            return False
        missed = [recent for recent in self._recent if recent.event.position > listener.position]
        if any(_instructs(recent.event, listener) for recent in missed):
            return False
        for encoded in missed:
            self._hand_missed(listener, encoded)
        if not listener.gone:
            listener.live = True
            listener.file(self._index)
        return True

    def _hand_missed(
        self, listener: Listener, encoded: Encoded, matched: Matched | None = None
    ) -> int:
        if listener.gone:
            return 0
        handed = self._hand(listener, encoded, matched)
        if handed:
            metrics.DELIVERED_LATE.inc()
        if not listener.gone:
            listener.position = encoded.event.position
        return handed

    async def _catch_up_instruction(self, listener: Subscriber, event: LoggedEvent) -> None:
        roster = await in_database(subscribers.roster)(listener.subscription_uid)
        listener.instructed(roster, self._index)
        if _is_about_many(event):
            await self.report_subscribed(listener, since=event.position)

    async def report(self, listener: Follower) -> int:
        """Report what matches now; the position behind which events tell the rest.

        It is known before the rows are read: what changes meanwhile is also an event behind it,
        so the state that the client ends with is the true one. Who has a place goes on from there.
        """
        position = listener.position
        if position is None:
            position = (await in_database(events.numbered_place)()).position
        after: int | None = 0
        while after is not None:
            rows, after = await in_database(access.current)(
                listener.keys, listener.sight, after=after, limit=PAGE
            )
            await self._hand_reports(listener, rows)
        return position

    async def report_subscribed(self, listener: Subscriber, *, since: int | None) -> None:
        """Give an AE the initial events that are due by the instruction at a position.

        With None, those of all that it is subscribed to and that is not final.
        """
        after: int | None = 0
        while after is not None:
            rows, after = await in_database(subscribers.to_report)(
                listener.roster, listener.sight, since=since, after=after, limit=PAGE
            )
            await self._hand_reports(listener, rows)

    async def _hand_reports(self, listener: Listener, rows: Iterable[Workitem]) -> None:
        for row in rows:
            listener.outlet.hand(listener.reported(row))
            self.places.handed(listener)
            await listener.outlet.room()

    def end(self, subscription_uid: str, reason: str, *, asked: Outlet | None = None) -> None:
        """A subscription was ended: tell its other sockets here, and forget it."""
        for listener in tuple(self._listeners.get(subscription_uid, ())):
            self.discard(listener)
            if listener.outlet is not asked:
                listener.outlet.ended(listener, reason)

    # The tasks beside

    async def _look_around(self) -> None:
        """As often as we poll: what have other processes ended, and are there any to be woken?"""
        while True:
            await asyncio.sleep(conf.POLL_SECONDS)
            try:
                ended = await in_database(subscriptions.beat)(self.places.server_id)
                for subscription_uid, reason in ended.items():
                    self.end(subscription_uid, reason)
                wakeup.expect_others(not await in_database(subscriptions.is_alone)())
            except Exception as error:
                wakeup.expect_others(True)
                logger.error("What other processes do was not read: %s", trace(error))

    def followed(self) -> int:
        """How many subscriptions its sockets follow; asked from any thread."""
        return sum(map(len, tuple(self._listeners.values())))

    def _all(self) -> list[Listener]:
        return [listener for group in self._listeners.values() for listener in group]

    def _log_lost(self) -> None:
        """Called from the reader's thread: every socket is asked to come back, to another hub."""
        logger.error("The log is not the one that was read so far: all sockets must resync.")

        def close_all() -> None:
            self._hubs.pop(self.loop, None)
            for outlet in tuple(self.outlets):
                outlet.come_back()

        self.loop.call_soon_threadsafe(close_all)


def _instructs(event: LoggedEvent, listener: Listener) -> bool:
    """Does this event change what the listener is subscribed to?"""
    return isinstance(listener, Subscriber) and event.subscriber == listener.ae_title


def _is_about_many(event: LoggedEvent) -> bool:
    """Are initial events due for more than the workitem of this event?"""
    return event.reports_due and not event.workitem_pk


def _drop(groups: dict[str, set[Member]], name: str, member: Member) -> None:
    group = groups.get(name, set())
    group.discard(member)
    if not group:
        groups.pop(name, None)
