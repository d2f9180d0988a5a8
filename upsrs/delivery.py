"""Who was told of an event, when, or why not: computed from the log, the filters and the places.

Nothing is recorded per subscription while events flow, so nothing is looked up here either: what a
subscription has heard follows from what its filter says of the event, what is in its owner's sight,
and the place that its sockets are known to have taken. Rights are today's. A moment at the seam of
an event and a subscription's birth or end is told by the clock: by commit it may be the other way.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from django.db.models import F, Q, QuerySet

from upsrs import access, contract, events, instants, subscribers, subscriptions
from upsrs.access import Sight
from upsrs.conf import conf
from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.changes import Kind
from upsrs.dicom.matching import Keys, Snapshot
from upsrs.dicom.states import State
from upsrs.events import Place
from upsrs.models import Event, Server, Subscription, Workitem, write_alias
from upsrs.subscribers import Hearing, Roster

__all__ = [
    "Attention",
    "Audience",
    "Delivery",
    "FieldAnswer",
    "Follower",
    "Outcome",
    "attention",
    "end_of_log",
    "fields",
    "followers",
    "snapshots",
]


class Outcome(StrEnum):
    """What became of one event for one subscription."""

    TOLD = "told"
    ON_ITS_WAY = "on its way"
    WAITS = "waits for the subscriber"
    EXPIRED = "the subscriber stayed away too long"
    RESYNC = "the state is reported anew on return"
    NOT_MATCHED = "the filter did not match"
    OUT_OF_SIGHT = "not in the owner's sight"
    MADE_LATER = "subscribed later"
    ENDED_BEFORE = "the subscription had ended"
    ENDED_UNTOLD = "the subscription ended first"


class Attention(StrEnum):
    """Why a workitem needs somebody to look at it."""

    LATE = "unclaimed past its start"
    UNHEARD = "nobody was told of it"
    ABANDONED = "its performer's sockets are gone"


@dataclass(frozen=True, slots=True)
class Follower:
    """A subscription, and what is known of its sockets."""

    subscription: Subscription
    keys: Keys
    refused: tuple[str, ...]
    """The names in its filter that have no effect."""
    place: int | None
    """What every socket of it is known to have taken; None until the state was reported once."""
    connected: bool
    since: datetime
    """Since when it is connected, or away."""
    opened_at: datetime | None
    """When its first socket that is still known was opened."""

    @property
    def expired(self) -> bool:
        """Has it waited longer than subscriptions do? Then nobody can take it up again."""
        if self.subscription.ae_title:
            return False  # the standard's subscriptions wait as long as it takes
        lasts = timedelta(seconds=conf.SUBSCRIPTION_TTL_SECONDS)
        return not self.connected and instants.now() - self.since > lasts


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event and one subscription: what became of it."""

    follower: Follower
    outcome: Outcome
    at: datetime | None = None
    """The moment that the outcome speaks of: told at once, away since, ended at, made at.

    None if it was told, but not at once: when the subscriber came back is not recorded.
    """
    uid_only: bool = False
    """The change took the workitem out of the owner's sight: no more than its UID is told."""


@dataclass(frozen=True, slots=True)
class FieldAnswer:
    """One field of a filter, and what it says of a workitem."""

    name: str
    wanted: str
    """The pattern; withheld if it is a patient's."""
    has_effect: bool
    values_before: tuple[str, ...]
    values: tuple[str, ...]
    matched_before: bool
    matches: bool


def snapshots(event: Event) -> tuple[Snapshot | None, Snapshot]:
    """The workitem just before an event, None if it was created by it, and just after it."""
    known = events.logged(event)
    return known.before, known.after


def followers(rows: QuerySet[Subscription]) -> list[Follower]:
    """What is known of these subscriptions, in the order of ``rows``: by key. One query."""
    # Not a prefetch: one row per socket.
    joined: Any = rows.select_related("user").annotate(
        socket_server=F("connections__server"),
        socket_host=F("connections__server__host"),
        socket_pid=F("connections__server__pid"),
        socket_heard_of=subscriptions.heard_of("connections__server"),
        socket_place=F("connections__place"),
        socket_opened=F("connections__opened_at"),
        socket_closed=F("connections__closed_at"),
    )
    known = list(joined)
    servers = {
        row.socket_server: Server(pk=row.socket_server, host=row.socket_host, pid=row.socket_pid)
        for row in known
        if row.socket_heard_of
    }
    live = {pk for pk, server in servers.items() if subscriptions.may_run(server)}
    return [_follower(list(group), live) for _, group in groupby(known, key=lambda row: row.pk)]


def _follower(rows: list[Any], live: set[uuid.UUID]) -> Follower:
    subscription = rows[0]
    sockets = [row for row in rows if row.socket_opened is not None]
    connected = [
        row.socket_opened
        for row in sockets
        if row.socket_closed is None and row.socket_server in live
    ]
    places = [row.socket_place for row in sockets] or [subscription.place]
    left = [row.socket_closed for row in sockets if row.socket_closed]
    away_since = max([*left, subscription.waits_since or subscription.created_at])
    keys, refused = subscriptions.compile_filter(subscription.filter)
    return Follower(
        subscription=subscription,
        keys=keys,
        refused=tuple(refused),
        place=None if None in places else min(places),
        connected=bool(connected) and subscription.ended_at is None,
        since=min(connected) if connected else away_since,
        opened_at=min((row.socket_opened for row in sockets), default=None),
    )


def end_of_log() -> Place:
    """Where the log ends, counting the committed events that have no position yet."""
    now = events.place()
    unnumbered = Event.objects.using(write_alias()).filter(position=None).count()
    return Place(now.log_id, now.position + unnumbered)


class Audience:
    """Some subscriptions, and what became of events for them."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self.followers = followers
        log = events.extent()
        self._log, self._start = log.end, log.start
        self._sights: dict[Any, Sight] = {}
        self._rosters: dict[Any, Roster] = {}

    def deliveries(self, event: Event) -> list[Delivery]:
        """For each subscription what became of this event, in their order."""
        before, after = snapshots(event)
        return [self._delivery(one, event, before, after) for one in self.followers]

    def _delivery(
        self, follower: Follower, event: Event, before: Snapshot | None, after: Snapshot
    ) -> Delivery:
        subscription = follower.subscription
        if subscription.created_at > event.time:
            return Delivery(follower, Outcome.MADE_LATER, subscription.created_at)
        if subscription.ended_at is not None and subscription.ended_at <= event.time:
            return Delivery(follower, Outcome.ENDED_BEFORE, subscription.ended_at)
        matched_before, matched_after = _matched(follower, event, self._rosters)
        if not (matched_before or matched_after):
            return Delivery(follower, Outcome.NOT_MATCHED)
        # As the hub has it: who saw the workitem before, but not after, hears its UID.
        allowed = self._sight(subscription.user)
        visible = access.sees(allowed, after)
        if not ((matched_before and access.sees(allowed, before)) or (matched_after and visible)):
            return Delivery(follower, Outcome.OUT_OF_SIGHT)
        outcome, at = self._progress(follower, event)
        return Delivery(follower, outcome, at, uid_only=not visible)

    def _progress(self, follower: Follower, event: Event) -> tuple[Outcome, datetime | None]:
        """How far an event that concerns a subscription has come on its way to it."""
        subscription = follower.subscription
        in_this_log = subscription.log_id in (None, self._log.log_id)
        if in_this_log and _taken(follower, event):
            at_once = follower.opened_at is not None and follower.opened_at <= event.time
            return Outcome.TOLD, event.time if at_once else None
        if subscription.ended_at is not None:
            return Outcome.ENDED_UNTOLD, subscription.ended_at
        if follower.connected:
            return Outcome.ON_ITS_WAY, follower.since
        if follower.expired:
            return Outcome.EXPIRED, follower.since
        goes_on = in_this_log and follower.place is not None and follower.place >= self._start
        return Outcome.WAITS if goes_on else Outcome.RESYNC, follower.since

    def _sight(self, user: Any) -> Sight:
        if user.pk not in self._sights:
            self._sights[user.pk] = access.sight(user)
        return self._sights[user.pk]


def _matched(follower: Follower, event: Event, rosters: dict[Any, Roster]) -> tuple[bool, bool]:
    """Did the workitem concern this subscription just before the event, and does it just after?

    For an AE both are the same: it is subscribed or it is not. ``rosters`` are those known so far.
    """
    before, after = snapshots(event)
    subscription = follower.subscription
    if event.kind == Kind.SUBSCRIPTION:
        due = event.reports_due and bool(event.subscriber)
        concerned = due and event.subscriber == subscription.ae_title
    elif subscription.ae_title:
        if subscription.pk not in rosters:
            rosters[subscription.pk] = subscribers.roster(subscription.uid)
        concerned = rosters[subscription.pk].hears(events.logged(event)) is not Hearing.NOTHING
    else:
        return before is not None and follower.keys.match(before), follower.keys.match(after)
    return concerned, concerned


def _taken(follower: Follower, event: Event) -> bool:
    return (
        event.position is not None
        and follower.place is not None
        and event.position <= follower.place
    )


def fields(
    wanted: dict[str, str], before: Snapshot | None, after: Snapshot
) -> tuple[FieldAnswer, ...]:
    """What each field of a filter says of a workitem, by itself.

    All may hold and the filter not match: keys below one sequence must hold within one item.
    """
    _, refused = subscriptions.compile_filter(wanted)
    return tuple(_field(name, wanted, name not in refused, before, after) for name in wanted)


def _field(
    name: str, wanted: dict[str, str], has_effect: bool, before: Snapshot | None, after: Snapshot
) -> FieldAnswer:
    one = {name: wanted[name]}
    keys, _ = subscriptions.compile_filter(one)
    return FieldAnswer(
        name=name,
        wanted=contract.shown(one)[name],
        has_effect=has_effect,
        values_before=_values(keys, before) if before else (),
        values=_values(keys, after),
        matched_before=before is not None and keys.match(before),
        matches=keys.match(after),
    )


def _values(keys: Keys, snapshot: Snapshot) -> tuple[str, ...]:
    """What the workitem has where the keys look."""
    found: list[Any] = [value for key, _ in keys.everyday for value in snapshot.everyday(key)]
    for path, _ in keys.attributes:
        found += dicom_json.values(snapshot.dataset, path)
    return tuple(
        "=".join(value.values()) if isinstance(value, dict) else str(value) for value in found
    )


FOLLOWERS = 2_000
"""So many sockets, the newest, are looked at to say whether anybody heard of a workitem."""


def attention(workitems: Iterable[Workitem]) -> dict[int, tuple[Attention, ...]]:
    """Primary key → why these workitems need somebody, if they do. Two queries for all.

    Sight is left out, for speed: whom a filter reaches counts as told. A workitem whose creation
    is no longer in the log is not judged by who heard of it.
    """
    now = instants.now()
    rows = {row.uid: row for row in workitems if row.state in (State.SCHEDULED, State.IN_PROGRESS)}
    if not rows:
        return {}
    begun = Event.objects.using(write_alias()).filter(
        Q(kind=Kind.CREATED) | Q(state_before=State.SCHEDULED, state_after=State.IN_PROGRESS),
        workitem_uid__in=list(rows),
    )
    created = {event.workitem_uid: event for event in begun if event.kind == Kind.CREATED}
    claimed = {event.workitem_uid: event for event in begun if event.kind != Kind.CREATED}
    since = min(row.created_at for row in rows.values())
    known = Subscription.objects.using(write_alias()).filter(
        Q(ended_at=None) | Q(ended_at__gte=since)
    )
    audience = followers(known.order_by("-pk")[:FOLLOWERS])
    rosters: dict[Any, Roster] = {}
    found: dict[int, tuple[Attention, ...]] = {}
    for uid, row in rows.items():
        reasons: list[Attention] = []
        if row.state == State.IN_PROGRESS:
            if uid in claimed and _abandoned(claimed[uid], audience):
                reasons.append(Attention.ABANDONED)
        else:
            if row.starts_at is not None and row.starts_at < now:
                reasons.append(Attention.LATE)
            if uid in created and not _heard(created[uid], audience, rosters):
                reasons.append(Attention.UNHEARD)
        if reasons:
            found[row.pk] = tuple(reasons)
    return found


def _heard(created: Event, audience: Iterable[Follower], rosters: dict[Any, Roster]) -> bool:
    """Was anybody told that this workitem was created, or was it reported to them later?"""
    for follower in audience:
        subscription = follower.subscription
        if subscription.ended_at is not None and subscription.ended_at <= created.time:
            continue
        reported = subscription.created_at > created.time and follower.place is not None
        listens = reported or follower.connected or _taken(follower, created)
        if listens and any(_matched(follower, created, rosters)):
            return True
    return False


def _abandoned(claimed: Event, audience: Iterable[Follower]) -> bool:
    """Did who claimed it follow something then or later, and is connected no more?

    Who never had a socket works without one: nothing can be said of them.
    """
    theirs = [
        one
        for one in audience
        if one.subscription.user.get_username() == claimed.actor
        and (one.subscription.ended_at is None or one.subscription.ended_at > claimed.time)
    ]
    return bool(theirs) and not any(one.connected for one in theirs)
