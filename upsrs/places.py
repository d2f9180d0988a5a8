"""The places: what each socket is known to have taken, proven by the line and stored for its return.

Handing a frame over proves nothing: the place of a listener moves when its socket has answered for
what it was given. Proofs are asked for at once while that is cheap, and the places that moved are
stored every few seconds, which is the one write per subscription while events flow.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable

from upsrs import subscriptions
from upsrs.conf import conf
from upsrs.database import in_database
from upsrs.listeners import Listener
from upsrs.subscriptions import Here
from upsrs.traces import trace
from upsrs.turns import Turn

__all__ = ["Places"]

PROOFS_PER_SECOND = 25
"""Each proof is a ping and a pong, some 0.2 ms: so many are asked for as soon as the frames have been
written, a two-hundredth of the process, the rest every few seconds."""

PROOFS_SAVED = 50
"""So many of those that a quiet time did not need may be asked for later. Where more sockets were told
than that, a few of them would gain nothing."""

PROOFS_AT_A_TIME = 10
"""Of the rest: an event that comes meanwhile waits for two milliseconds, not for all of them."""

PAUSE_SECONDS = 0.04
"""Between so many and the next, which is a twentieth of the process; of very many, more at a time."""

PROOFS_AT_ONCE = 4
"""So many pings of one socket may wait for their answer: its last frame is soon proven as well."""

logger = logging.getLogger(__name__)


class Places:
    """The places of the listeners of one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        listeners: Callable[[], Iterable[Listener]],
        position_of: Callable[[Listener], int | None],
    ) -> None:
        self.server_id = uuid.UUID(int=0)
        self._loop = loop
        self._listeners = listeners
        self._position_of = position_of
        self._unproven: dict[Listener, None] = {}
        self._proofs = float(PROOFS_SAVED)
        self._proofs_counted_at = loop.time()
        self._departing: dict[uuid.UUID, int | None] = {}
        self._storing = asyncio.Lock()
        self._rest_until = 0.0

    def here(self) -> Here:
        """The sockets of this process, better known here than in the database."""
        return Here(self.server_id, dict(self._departing))

    # Proofs

    def handed(self, listener: Listener) -> None:
        """Something was handed out that is not known to have been taken."""
        listener.dirty = True
        if listener.gone:
            return
        if not self._unproven:
            # The ping leaves with what it proves: a client that reads its message and closes then has
            # answered by then, and its place is exact. Of very many who are told, `keep` asks later.
            Turn.running().before_end(self._prove_soon)
        self._unproven[listener] = None

    def _prove_soon(self) -> None:
        """Ask all who were told at once, while that is cheap; else they wait for `keep`."""
        now = self._loop.time()
        self._proofs += (now - self._proofs_counted_at) * PROOFS_PER_SECOND
        self._proofs = min(self._proofs, PROOFS_SAVED)
        self._proofs_counted_at = now
        unproven = tuple(self._unproven)
        self._unproven.clear()
        if len(unproven) > self._proofs:
            return
        for listener in unproven:
            if listener.outlet.can_prove and not listener.gone and self._prove(listener):
                self._proofs -= 1

    def _prove(self, listener: Listener) -> bool:
        """Ask for a proof, if one is due; was it?"""
        position = self._position_of(listener)

        def taken() -> None:
            listener.proven = position
            listener.asked -= 1
            if listener.dirty:
                self.handed(listener)

        if not (listener.dirty or listener.asked):
            listener.proven = position  # what came since concerned it not
        due = listener.dirty and listener.asked < PROOFS_AT_ONCE
        if due:
            listener.dirty = False
            listener.asked += 1
            listener.outlet.prove(taken)
        return due

    async def _prove_all(self) -> None:
        """Ask every listener, a few at a time, within half of the time until the next round."""
        listeners = list(self._listeners())
        began, within = self._loop.time(), conf.PLACE_SECONDS / 2
        proven = 0
        while proven < len(listeners):
            # As many as are due by now: a turn of a busy loop is longer than the pause.
            spent = (self._loop.time() - began) / within
            due = max(proven + PROOFS_AT_A_TIME, int(spent * len(listeners)))
            for listener in listeners[proven:due]:
                if not listener.gone:
                    self._prove(listener)
            proven = due
            if proven < len(listeners):
                await asyncio.sleep(PAUSE_SECONDS)

    # Storing

    async def keep(self) -> None:
        """Every few seconds, without end: prove what was taken, and store the places that moved."""
        stored: dict[uuid.UUID, int] = {}
        while True:
            await asyncio.sleep(conf.PLACE_SECONDS)
            try:
                await self._prove_all()
                moved = {
                    listener.connection_id: listener.proven
                    for listener in self._listeners()
                    if listener.proven is not None
                }
                changed = {pk: at for pk, at in moved.items() if stored.get(pk) != at}
                async with self._storing:  # two who store many rows would wait for each other's
                    await in_database(subscriptions.store_places)(self.server_id, changed)
                stored = moved
                await self.store_departures()
            except Exception as error:
                logger.error("Places were not stored: %s", trace(error))

    def depart(self, listener: Listener, *, clean: bool) -> None:
        """The listener's socket is gone; `store_departures` says so to the database.

        Whoever takes the subscription up meanwhile must not wait for the database to know.
        """
        self._departing[listener.connection_id] = self._taken(listener, clean=clean)

    async def store_departures(self) -> None:
        """What cannot be stored now stays known here, and is tried again every few seconds.

        Of a thousand that go at once, those that wait for the first are stored together.
        """
        async with self._storing:
            departed = dict(self._departing)
            if not departed or self._loop.time() < self._rest_until:
                return
            try:
                await in_database(subscriptions.leave)(departed)
            except Exception:
                # A thousand that go while the database is away must not ask it one by one.
                self._rest_until = self._loop.time() + conf.PLACE_SECONDS / 2
                raise
            for connection_id in departed:
                self._departing.pop(connection_id, None)

    async def farewell(self) -> None:
        """The server goes down: all places are stored, so that who comes back at once is known."""
        left = {
            listener.connection_id: self._taken(listener, clean=False)
            for listener in self._listeners()
        }
        if left:
            async with self._storing:
                await in_database(subscriptions.leave)(left)

    def _taken(self, listener: Listener, *, clean: bool) -> int | None:
        return listener.taken(self._position_of(listener), clean=clean)
