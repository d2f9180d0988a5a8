"""Catching up: whoever returns is told what it missed, and then steps in among the live ones.

The log is read once for all who stand near the same place, not once for each: after a restart
there are thousands of them. The filters of a few are asked of the database, which sends no more
than what they want. What happens meanwhile stays in the log behind them, so there is neither a gap
nor a double at the seam.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db import Error as DatabaseError
from django.db.models import Q

from upsrs import events, selection
from upsrs.database import in_database
from upsrs.events import LoggedEvent, LogLost, Place
from upsrs.index import Index, Matched
from upsrs.listeners import Encoded, Follower, Listener, Subscriber
from upsrs.traces import trace

__all__ = ["CatchingUp"]

PAGE = 50
"""So many events are read at once: a workitem may have a megabyte."""

SPAN = 20_000
"""Among so many, at most, the wanted ones are looked for at once: no turn takes long."""

AT_ONCE = 500
"""So many listeners are on their way at a time, since each may leave 256 KiB untaken."""

FEW = 20
"""So many filters are asked of the database; of more, too little of the log would be left out."""

STANDSTILL_SECONDS = 2.0
"""A socket that takes nothing for so long gives its turn to another."""

RETRY_SECONDS = 1.0
"""The database is asked again after this."""

BREATH_BYTES = 256 * 1024
"""After so much the loop gets its turn: the other tasks, and the sockets that are to take it."""

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Traveller:
    """A listener on its way, to a position or, with None, to the live ones."""

    listener: Follower
    until: int | None
    arrived: asyncio.Future[bool]
    """True: it is there. False: its socket has no room, and goes on by itself."""

    @property
    def position(self) -> int:
        assert self.listener.position is not None, "it must know where to begin"
        return self.listener.position

    @property
    def is_out(self) -> bool:
        return self.arrived.done() or self.listener.gone

    def wants(self, position: int) -> bool:
        in_time = self.until is None or position <= self.until
        return self.position < position and in_time and not self.is_out

    def move(self, position: int) -> None:
        if self.until is not None:
            position = min(position, self.until)
        self.listener.position = max(self.position, position)


class CatchingUp:
    """Those listeners of one event loop that are behind.

    ``place`` tells how far the live ones are. ``hand`` hands an event to a listener, moves it on,
    and tells how many bytes that was. ``step_in`` makes a listener live, if no more is missing than
    what is at hand. ``instruct`` tells an AE what it is subscribed to from an event on.
    """

    def __init__(
        self,
        *,
        place: Callable[[], Place],
        hand: Callable[[Listener, Encoded, Matched | None], int],
        step_in: Callable[[Listener], bool],
        instruct: Callable[[Subscriber, LoggedEvent], Awaitable[None]],
    ) -> None:
        self._place = place
        self._hand = hand
        self._step_in = step_in
        self._instruct = instruct
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._travellers: dict[Listener, _Traveller] = {}
        self._index: Index[Listener] = Index()
        self._waiting: dict[int, list[_Traveller]] = {}
        """By the page of the log that is theirs next; the page that has waited longest is first."""
        self._driver: asyncio.Task[None] | None = None

    async def catch_up(self, listener: Listener, *, until: int | None = None) -> None:
        """Hand a listener what it missed, as its socket takes it, then let it go live.

        With ``until`` it stops behind that position instead. Raises `LogLost` if the log does not
        hold any more what it missed.
        """
        while not listener.gone:
            await listener.outlet.room()
            # A turn ends in time, whatever the socket does: all get theirs.
            async with self._turns:
                if await self._travel(listener, until):
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(STANDSTILL_SECONDS):
                        await listener.outlet.room()

    async def _travel(self, listener: Listener, until: int | None) -> bool:
        """Go as far as its socket has room. Is it there?"""
        if self._is_there(listener, until):
            return True
        if isinstance(listener, Follower):
            return await self._go_along(listener, until)
        assert isinstance(listener, Subscriber), "there is no other"
        await self._go_alone(listener, until)
        return False

    def _is_there(self, listener: Listener, until: int | None) -> bool:
        if until is None:
            return listener.gone or self._step_in(listener)
        assert listener.position is not None, "it must know where to begin"
        return listener.gone or listener.position >= until

    # Alone

    async def _go_alone(self, listener: Subscriber, until: int | None) -> None:
        """One page for an AE: what it is subscribed to may change on the way."""
        assert listener.position is not None, "it must know where to begin"
        place = self._place()
        page, end = await in_database(events.missed)(
            Place(place.log_id, listener.position),
            until=place.position if until is None else until,
            limit=PAGE,
        )
        for event in page:
            if event.subscriber == listener.ae_title:
                await self._instruct(listener, event)
            if listener.gone:
                return
            self._hand(listener, Encoded(event), None)
            if not listener.outlet.has_room:
                return
        listener.position = max(listener.position, end)

    # Along with others

    async def _go_along(self, listener: Follower, until: int | None) -> bool:
        """Travel with the others until it is there, or until its socket has no room."""
        arrived: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        traveller = _Traveller(listener, until, arrived)
        self._travellers[listener] = traveller
        listener.file(self._index)
        self._wait(traveller)
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive(), name="upsrs-catching-up")
        try:
            return await arrived
        finally:
            del self._travellers[listener]
            listener.unfile(self._index)

    def _wait(self, traveller: _Traveller) -> None:
        self._waiting.setdefault(traveller.position // PAGE, []).append(traveller)

    async def _drive(self) -> None:
        """Carry those of one page after the other, until nobody is left."""
        while self._waiting:
            group = self._waiting.pop(next(iter(self._waiting)))
            group = [traveller for traveller in group if not traveller.is_out]
            try:
                if group:
                    await self._carry(group)
            except DatabaseError as error:
                logger.error("What was missed could not be read, trying again: %s", trace(error))
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:  # it is theirs; the others go on
                for traveller in group:
                    if not traveller.arrived.done():
                        traveller.arrived.set_exception(error)
            for traveller in group:
                if traveller.listener.gone and not traveller.arrived.done():
                    traveller.arrived.set_result(True)
                elif not traveller.is_out:
                    self._wait(traveller)

    async def _carry(self, group: Sequence[_Traveller]) -> None:
        """Hand out one page of the log to those who stand in front of it."""
        begin = min(traveller.position for traveller in group)
        now = self._place()
        # Whoever has an end of its own learnt it from the log: so much is numbered.
        known = max([now.position, *(one.until for one in group if one.until is not None)])
        filters = {traveller.listener.keys for traveller in group}
        wanted = [selection.in_log(keys) for keys in filters] if len(filters) <= FEW else [Q()]
        try:
            page, end = await in_database(events.missed)(
                Place(now.log_id, begin),
                until=min(known, begin + SPAN),
                limit=PAGE,
                # An empty Q is everything by itself, but nothing within an OR.
                wanted=reduce(or_, wanted) if all(wanted) else Q(),
            )
        except LogLost as lost:
            for traveller in group:
                if traveller.position == begin and not traveller.arrived.done():
                    traveller.arrived.set_exception(lost)
            return
        await self._hand_out(page, set(group))
        for traveller in group:
            if not traveller.is_out:
                traveller.move(end)
                if self._is_there(traveller.listener, traveller.until):
                    traveller.arrived.set_result(True)
                    await asyncio.sleep(0)

    async def _hand_out(self, page: Iterable[LoggedEvent], group: set[_Traveller]) -> None:
        handed = 0
        for encoded in map(Encoded, page):
            event = encoded.event
            for matched, listeners in self._index.concerned(event):
                for listener in listeners:
                    traveller = self._travellers.get(listener)
                    if traveller not in group or not traveller.wants(event.position):
                        continue
                    handed += self._hand(listener, encoded, matched)
                    if not (listener.gone or listener.outlet.has_room):
                        traveller.arrived.set_result(False)
                    if handed >= BREATH_BYTES:
                        handed = 0
                        await asyncio.sleep(0)
