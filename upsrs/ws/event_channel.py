"""The standard's channel: the event reports of one AE (PS3.18 8.10, 11.13).

``subscribers/{aetitle}``. Opening subscribes to nothing and closing ends nothing; what the AE is
subscribed to is said on REST. Ours are ``?after=<eventId>``, which says precisely behind what to go
on, and ``?place=1``: with either, the frames tell their place in the log.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from upsrs import events, subscribers
from upsrs.database import in_database
from upsrs.dicom import reports
from upsrs.errors import UPSError
from upsrs.listeners import Listener, Subscriber
from upsrs.ws.channel import UNSUBSCRIBED, Channel
from upsrs.ws.consumers import event_id, parsed

__all__ = ["EventChannel"]


class EventChannel(Channel):
    """One socket of an AE; it may have several, and each hears every event."""

    @property
    def address(self) -> str:
        return f"subscribers/{self.scope['url_route']['kwargs']['ae_title']}"

    async def opened(self) -> None:
        query = dict(parse_qsl(self.scope["query_string"].decode("latin-1")))
        after = parsed(query, "after", event_id, ignored=[])
        ae_title = self.scope["url_route"]["kwargs"]["ae_title"]
        opened = await in_database(subscribers.open_channel)(
            self.user, ae_title, here=self.hub.places.here(), after=after
        )
        taken_up = opened.taken_up
        self.ae_title = opened.ae_title
        listener = Subscriber(
            subscription_uid=taken_up.subscription_uid,
            connection_id=taken_up.connection_id,
            sight=taken_up.sight,
            outlet=self,
            position=taken_up.position,
            proven=taken_up.position,
            ae_title=opened.ae_title,
            roster=opened.roster,
            tells_place=after is not None or query.get("place") == "1",
        )
        self.add(listener)
        if opened.restarted:
            self._tell_restart(listener)
        self.start(listener, self._begin(listener))

    async def _take(self, text: str) -> None:
        """The client has nothing to say here (PS3.18 8.10.5)."""

    def tell_problem(self, refusal: UPSError, request_id: str | None) -> None:
        """Nor is it told anything but event reports."""

    async def _begin(self, listener: Subscriber) -> None:
        if listener.position is None:
            await self.start_afresh(listener)
        else:
            await self.replay(listener)

    async def start_afresh(self, listener: Listener) -> None:
        """As after a restart: the AE is told to look for itself, and how everything is now."""
        assert isinstance(listener, Subscriber), "nobody else hears on this channel"
        self._tell_restart(listener)
        position = (await in_database(events.numbered_place)()).position
        await self.hub.report_subscribed(listener, since=None)
        listener.position = position
        self.hub.places.handed(listener)
        await self.replay(listener)

    def _tell_restart(self, listener: Subscriber) -> None:
        self.hand(listener.frame(reports.restarted()))
        self.hub.places.handed(listener)

    def ended(self, listener: Listener, reason: str) -> None:
        """By an administrator: nothing else ends a subscriber."""
        self.forget(listener.subscription_uid)
        self.close(UNSUBSCRIBED)
