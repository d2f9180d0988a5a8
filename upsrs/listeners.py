"""Who hears the log, as the hub sees it: one subscription, followed by one socket.

A listener knows where it stands, which events concern it and what they look like to it. `Follower`
hears the customer's notifications, `Subscriber` the standard's event reports: two renderings of
one log. What all those who hear an event have in common is encoded once (`Encoded`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Protocol

from django.utils import timezone

from upsrs import access, contract, instants
from upsrs.access import Sight
from upsrs.dicom import reports, uids
from upsrs.dicom.changes import Kind
from upsrs.dicom.matching import Keys
from upsrs.dicom.reports import FIRST_MESSAGE_ID, LAST_MESSAGE_ID, Report
from upsrs.errors import InvalidArgument
from upsrs.events import LoggedEvent
from upsrs.index import Index, Matched
from upsrs.logins import Login
from upsrs.models import Workitem
from upsrs.subscribers import Hearing, Roster

__all__ = ["Encoded", "Follower", "Frame", "Listener", "Outlet", "Standing", "Subscriber"]

UNKNOWN_AE = "UNKNOWN"
"""Who asked for a cancellation, if neither the request nor the account tells an AE title."""


Frame = tuple[bytes, bytes]
"""What a socket is told, in UTF-8: a beginning of its own, and the rest that is one for many."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands who was let in before."""

    user: Any
    """None: the login has ended."""
    may_listen: bool = False
    sight: Sight = access.NOTHING


class Outlet(Protocol):
    """One socket, as the hub sees it."""

    login: Login
    """What it was let in with."""
    ae_title: str
    """Whose events it hears; empty on the customer's channels."""

    def stands(self, standing: Standing) -> None:
        """How its user stands now: close, or go on with what may be seen now."""

    def hand(self, frame: Frame) -> None:
        """Take a frame; never blocks."""

    @property
    def has_room(self) -> bool:
        """Has the socket taken most of what it was given?"""

    async def room(self) -> None:
        """Wait until it has."""

    def prove(self, taken: Callable[[], None]) -> None:
        """Call back once everything handed so far is known to have been taken."""

    @property
    def can_prove(self) -> bool:
        """Does a proof come soon, or only long after?"""

    def go_on(self, listener: Listener) -> None:
        """The listener was taken off the live events: let it catch up."""

    def ended(self, listener: Listener, reason: str) -> None:
        """The subscription was ended by somebody else."""

    def come_back(self) -> None:
        """Close; the client may come back at once, and will be told to resync if it has to."""


@dataclass(eq=False, slots=True, kw_only=True)
class Listener:
    """One subscription, followed by one socket."""

    subscription_uid: str
    connection_id: uuid.UUID
    sight: Sight
    outlet: Outlet
    position: int | None = None
    """Handed out up to here; None until the state has been reported. Live ones follow the hub."""
    proven: int | None = None
    """Known to have been taken up to here."""
    live: bool = False
    dirty: bool = False
    """Something was handed out that no proof has been asked for."""
    asked: int = 0
    """So many proofs have been asked for and have not come yet."""
    gone: bool = False
    """Nothing is handed to it any more, and its position stands."""

    def file(self, index: Index[Listener]) -> None:
        """Enter the index, so that the events that concern it find it."""
        raise NotImplementedError

    def unfile(self, index: Index[Listener]) -> None:
        raise NotImplementedError

    def frames(self, encoded: Encoded, matched: Matched | None = None) -> Sequence[Frame]:
        """What the event is to this listener: the frames to hand to it, perhaps none.

        ``matched`` is what the index knows of its filter and the event.
        """
        raise NotImplementedError

    def reported(self, workitem: Workitem) -> Frame:
        """The frame that tells it how a workitem is now."""
        raise NotImplementedError

    def taken(self, position: int | None, *, clean: bool) -> int | None:
        """What its socket is known to have taken of all up to ``position``, now that it goes.

        A client may close while a notification is on its way to it: a close is no proof, as long
        as a better one can be had.
        """
        waits_for_proof = self.dirty or self.asked
        if not waits_for_proof or (clean and not self.outlet.can_prove):
            return position
        return self.proven


@dataclass(eq=False, slots=True, kw_only=True)
class Follower(Listener):
    """One of the customer's subscriptions: a filter."""

    keys: Keys
    beginning: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.beginning = contract.beginning(self.subscription_uid)

    def file(self, index: Index[Listener]) -> None:
        self.keys = index.add(self.keys, self)

    def unfile(self, index: Index[Listener]) -> None:
        index.discard(self.keys, self)

    def frames(self, encoded: Encoded, matched: Matched | None = None) -> Sequence[Frame]:
        """One notification, if the workitem matched just before the event or matches just after.

        Who could see the workitem before the change but not after it hears that there was one,
        with the UID only.
        """
        event = encoded.event
        if event.kind is Kind.SUBSCRIPTION:
            return ()
        before, after = matched or self.keys.matched(event.before, event.after)
        if not (before or after):
            return ()
        saw, visible = encoded.seen(self.sight)
        if not ((before and saw) or (after and visible)):
            return ()
        return ((self.beginning, encoded.notification(visible=visible)),)

    def reported(self, workitem: Workitem) -> Frame:
        message = contract.report(
            workitem.uid, instants.now(), workitem.snapshot(), timezone.get_default_timezone()
        )
        return self.beginning, contract.frame_parts(message)


@dataclass(eq=False, slots=True, kw_only=True)
class Subscriber(Listener):
    """An AE: whatever it is subscribed to."""

    ae_title: str
    roster: Roster
    tells_place: bool = False
    """Do its frames carry the ``eventId``, in our private block?"""
    message_ids: cycle[int] = field(
        default_factory=lambda: cycle(range(FIRST_MESSAGE_ID, LAST_MESSAGE_ID + 1))
    )

    def file(self, index: Index[Listener]) -> None:
        for coverage in self.roster.coverages:
            index.add(coverage.keys, self)
        for workitem_uid in self.roster.specifics:
            index.add_uid(workitem_uid, self)

    def unfile(self, index: Index[Listener]) -> None:
        for coverage in self.roster.coverages:
            index.discard(coverage.keys, self)
        for workitem_uid in self.roster.specifics:
            index.discard_uid(workitem_uid, self)

    def frames(self, encoded: Encoded, matched: Matched | None = None) -> Sequence[Frame]:
        """The event reports of a change, or the initial event that an instruction asks for."""
        event = encoded.event
        if event.kind is Kind.SUBSCRIPTION:
            due = event.subscriber == self.ae_title and event.reports_due
            due = due and bool(event.workitem_pk) and encoded.seen(self.sight)[1]
            return self._framed(encoded, "instructed") if due else ()
        hears = self.roster.hears(event)
        if hears is Hearing.NOTHING:
            return ()
        saw, visible = encoded.seen(self.sight)
        if not visible:
            return ()  # the standard has no report that tells a UID and nothing else
        return self._framed(encoded, hears if saw else Hearing.DISCOVERY)

    def instructed(self, roster: Roster, index: Index[Listener]) -> None:
        """It is subscribed to something else from here on."""
        if self.live:
            self.unfile(index)
        self.roster = roster
        if self.live:
            self.file(index)

    def keep(self, event: LoggedEvent, index: Index[Listener]) -> None:
        """What it is subscribed to by a filter stays so when it stops matching."""
        if self.roster.keep(event) and self.live:
            index.add_uid(event.workitem_uid, self)

    def reported(self, workitem: Workitem) -> Frame:
        return self.frame(reports.initial(workitem.uid, workitem.dataset))

    def frame(self, report: Report) -> Frame:
        """A report that is no event of the log, or one of many: it carries no place."""
        return reports.beginning(next(self.message_ids)), report.end()

    def _framed(self, encoded: Encoded, hears: Hearing | str) -> list[Frame]:
        ends = encoded.reports(hears, tells_place=self.tells_place)
        return [(reports.beginning(next(self.message_ids)), end) for end in ends]


class Encoded:
    """One event, as far as it has been encoded for anybody yet."""

    __slots__ = ("_ends", "_notifications", "_reports", "_seen", "event")

    def __init__(self, event: LoggedEvent) -> None:
        self.event = event
        self._seen: dict[Sight, tuple[bool, bool]] = {}
        self._notifications: dict[bool, bytes] = {}
        self._reports: dict[Hearing | str, list[Report]] = {}
        self._ends: dict[tuple[Hearing | str, bool], list[bytes]] = {}

    def seen(self, sight: Sight) -> tuple[bool, bool]:
        """Was the workitem in this sight just before the event, and is it just after?

        Asked of the keys once, however many sockets of however many users share the sight.
        """
        if sight is access.EVERYTHING:
            return self.event.before is not None, True
        known = self._seen.get(sight)
        if known is None:
            before, after = self.event.before, self.event.after
            known = self._seen[sight] = access.sees(sight, before), access.sees(sight, after)
        return known

    def notification(self, *, visible: bool) -> bytes:
        """The common rest of the notifications: whole, or with the UID only."""
        if visible not in self._notifications:
            event = self.event
            message = contract.notification(
                kind=event.kind if visible else Kind.UPDATED,
                workitem_uid=event.workitem_uid,
                time=event.time,
                position=event.position,
                snapshot=event.after if visible else None,
                cancellation=event.cancellation if visible else None,
                timezone=timezone.get_default_timezone(),
            )
            self._notifications[visible] = contract.frame_parts(message)
        return self._notifications[visible]

    def reports(self, hears: Hearing | str, *, tells_place: bool) -> list[bytes]:
        """The common rest of the event reports, in order."""
        if hears not in self._reports:
            self._reports[hears] = self._made(hears)
        key = (hears, tells_place)
        if key not in self._ends:
            position = self.event.position if tells_place else None
            self._ends[key] = [report.end(position) for report in self._reports[hears]]
        return self._ends[key]

    def _made(self, hears: Hearing | str) -> list[Report]:
        event = self.event
        if event.kind is Kind.SUBSCRIPTION:
            return [reports.initial(event.workitem_uid, event.after.dataset)]
        return reports.reports(
            event.workitem_uid,
            event.before if hears is Hearing.CHANGE else None,
            event.after,
            cancellation=event.cancellation,
            requesting_ae=_requesting_ae(event.actor),
        )


def _requesting_ae(actor: str) -> str:
    try:
        return uids.check_ae_title(actor, "actor")
    except InvalidArgument:
        return UNKNOWN_AE
