"""The standard's subscribers: AE titles, what they are subscribed to, and what that covers.

PS3.4 CC.2.3 gives each AE a state per workitem. Here a global subscription is one row, whatever it
covers, and what was said of single workitems goes before it; the state is worked out when it is
asked for (`Roster`). Each instruction is an event of the log like any other, so it takes effect at
one place between the changes, in every process, and its initial events reach who was away.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import or_
from typing import Any

from django.db import IntegrityError, connections, transaction
from django.db.models import Case, Exists, Max, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from upsrs import (
    access,
    audit,
    contract,
    errors,
    events,
    instants,
    searching,
    selection,
    subscriptions,
)
from upsrs.access import Sight
from upsrs.audit import Act
from upsrs.conf import conf
from upsrs.dicom import uids
from upsrs.dicom.attributes import MATCHABLE
from upsrs.dicom.changes import Kind
from upsrs.dicom.matching import Keys, Snapshot, key_path
from upsrs.dicom.states import FINAL
from upsrs.dicom.uids import FILTERED_GLOBAL_SUBSCRIPTION, GLOBAL_SUBSCRIPTION
from upsrs.events import LoggedEvent
from upsrs.index import Bucket, bucket_of, buckets_of
from upsrs.models import (
    Event,
    GlobalSubscription,
    Subscription,
    Workitem,
    WorkitemSubscription,
    write_alias,
)
from upsrs.subscriptions import Here, TakenUp

__all__ = [
    "REMOVAL",
    "Hearing",
    "OpenedChannel",
    "Roster",
    "held",
    "keep_covered",
    "open_channel",
    "release_locks",
    "roster",
    "subscribe",
    "suspend",
    "to_report",
    "unsubscribe",
]

State = WorkitemSubscription.State

STARTED_AT = instants.now()
"""When this process started: an AE that was last told before has not heard of the restart."""

NOTHING = Snapshot(state="", label="", stations=(), performers=(), dataset={})
"""What an instruction about the whole worklist says of a workitem."""


class Hearing(Enum):
    """What an event is to a subscriber."""

    NOTHING = "none of its business"
    CHANGE = "a change of a workitem that it is subscribed to"
    DISCOVERY = "a workitem that it is subscribed to from here on"


@dataclass(frozen=True, slots=True)
class Specific:
    """What holds for one workitem, behind a position of the log."""

    state: str
    since: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """One global subscription: what it covers, behind a position of the log."""

    keys: Keys
    deletion_lock: bool
    since: int
    since_workitem: int
    until_workitem: int | None

    def reaches(self, workitem_pk: int) -> bool:
        """Was the workitem created in time?"""
        return self.until_workitem is None or workitem_pk <= self.until_workitem


class Roster:
    """All that one AE is subscribed to, at one moment."""

    def __init__(self, specifics: dict[str, Specific], coverages: Sequence[Coverage]) -> None:
        self.specifics = specifics
        self.coverages = coverages

    def __bool__(self) -> bool:
        return bool(self.specifics or self.coverages)

    def copy(self) -> Roster:
        """For another socket of the same AE: each keeps what it has heard of."""
        return Roster(dict(self.specifics), self.coverages)

    def hears(self, event: LoggedEvent) -> Hearing:
        """What a change is to this AE (PS3.4 CC.2.4.3)."""
        said = self.specifics.get(event.workitem_uid)
        if said and event.position > said.since:
            return Hearing.NOTHING if said.state == State.NOT_SUBSCRIBED else Hearing.CHANGE
        hears = Hearing.NOTHING
        for coverage in self.coverages:
            if event.position > coverage.since and coverage.reaches(event.workitem_pk):
                if event.before is not None and coverage.keys.match(event.before):
                    return Hearing.CHANGE
                if coverage.keys.match(event.after):
                    hears = Hearing.DISCOVERY
        return hears

    def decided(self, workitem: Workitem) -> Specific:
        """The state of this AE for a workitem as it is now (PS3.4 Table CC.2.3-2), and its cause."""
        said = self.specifics.get(workitem.uid)
        return said or self.covered(workitem.pk, workitem.snapshot())

    def covered(self, workitem_pk: int, snapshot: Snapshot) -> Specific:
        """The state that the global subscriptions alone give.

        What exists stays with the first subscription that covered it; what is created under
        several is locked if any of them wants so.
        """
        covering = [
            coverage
            for coverage in self.coverages
            if coverage.reaches(workitem_pk) and coverage.keys.match(snapshot)
        ]
        if not covering:
            return Specific(State.NOT_SUBSCRIBED, 0)
        locked = covering[0].deletion_lock or any(
            it.deletion_lock and workitem_pk > it.since_workitem for it in covering
        )
        return Specific(State.WITH_LOCK if locked else State.WITHOUT_LOCK, covering[0].since)

    def keep(self, event: LoggedEvent) -> bool:
        """Does a covered workitem stop matching by this event? Then it stays, by its UID."""
        if self.hears(event) is not Hearing.CHANGE:
            return False
        reaching = (it.keys for it in self.coverages if it.reaches(event.workitem_pk))
        if event.workitem_uid in self.specifics or any(it.match(event.after) for it in reaching):
            return False
        self.specifics[event.workitem_uid] = Specific(State.WITHOUT_LOCK, event.position)
        return True


def subscribe(
    user: Any,
    ae_title: str,
    target: str,
    *,
    deletion_lock: bool = False,
    filter: Sequence[tuple[str, str]] = (),  # noqa: A002  (the standard's name)
) -> bool:
    """Subscribe an AE to a workitem, or to the worklist (PS3.4 CC.2.3, PS3.18 11.10).

    ``target`` is the UID of a workitem or one of the two well-known ones; ``filter`` is pairs of
    attribute and value, for the filtered one. Returns False if a deletion
    lock was asked for and not granted: the subscription stands without it.
    """
    access.require(user, "view_workitem", "add_subscription")
    lock = deletion_lock and access.grants_lock(user, ae_title)
    with transaction.atomic(using=write_alias()):
        subscriber = _subscriber(user, ae_title)
        if target == FILTERED_GLOBAL_SUBSCRIPTION:
            _subscribe_globally(user, subscriber, target, _wanted(filter), lock)
        elif target == GLOBAL_SUBSCRIPTION:
            _refuse_filter(filter)
            _subscribe_globally(user, subscriber, target, Keys({}, {}), lock)
        else:
            _subscribe_to(user, subscriber, target, lock)
    return lock == deletion_lock


def unsubscribe(user: Any, ae_title: str, target: str) -> None:
    """End what an AE is subscribed to (PS3.4 CC.2.3, PS3.18 11.11).

    By a well-known UID, either of them, that is everything, with all its deletion locks. Raises
    ``NoSuchSubscription`` if there was nothing to end.
    """
    access.require(user, "view_workitem", "add_subscription")
    with transaction.atomic(using=write_alias()):
        subscriber = _subscriber(user, ae_title)
        if target in (GLOBAL_SUBSCRIPTION, FILTERED_GLOBAL_SUBSCRIPTION):
            ended = subscriber.specifics.all().delete()[0] + subscriber.globals.all().delete()[0]
            if not ended:
                raise errors.NoSuchSubscription
            _instruct(user, subscriber, target, Act.UNSUBSCRIBE)
            return
        workitem = access.workitem(user, target, for_update=True)
        if _load(subscriber).decided(workitem).state == State.NOT_SUBSCRIBED:
            raise errors.NoSuchSubscription
        event = _instruct(user, subscriber, target, Act.UNSUBSCRIBE, workitem)
        _say(subscriber, workitem, State.NOT_SUBSCRIBED, event)


def suspend(user: Any, ae_title: str, target: str) -> None:
    """What is created from now on is not covered; all else stays (PS3.4 CC.2.3, PS3.18 11.12).

    Raises ``NoSuchSubscription`` if there is nothing to suspend.
    """
    access.require(user, "view_workitem", "add_subscription")
    with transaction.atomic(using=write_alias()):
        subscriber = _subscriber(user, ae_title)
        active = subscriber.globals.filter(until_workitem=None)
        unfiltered = target == GLOBAL_SUBSCRIPTION
        suspended = [row for row in active if (not row.filter) == unfiltered]
        if target not in (GLOBAL_SUBSCRIPTION, FILTERED_GLOBAL_SUBSCRIPTION) or not suspended:
            raise errors.NoSuchSubscription
        for row in suspended:
            _close(row)
        _instruct(user, subscriber, target, Act.SUSPEND)


@dataclass(frozen=True, slots=True)
class OpenedChannel:
    """One socket that hears the events of an AE from now on."""

    ae_title: str
    taken_up: TakenUp
    roster: Roster
    restarted: bool
    """The AE is to be told that the server was restarted (PS3.4 CC.2.4.3, event 4)."""


def open_channel(
    user: Any, ae_title: str, *, here: Here, after: int | None = None
) -> OpenedChannel:
    """Hear the events of an AE, behind its place or behind ``after``, which the client knows.

    Opening subscribes to nothing. Raises ``NotAuthorized``, ``InvalidArgument``.
    """
    access.require(user, "view_workitem", "add_subscription")
    with transaction.atomic(using=write_alias()):
        subscriber = _subscriber(user, ae_title)
        known = _load(subscriber)
        is_due = bool(known) or subscriber.ae_title in conf.FALLBACK_AE_TITLES
        restarted = is_due and subscriber.told_restart_at < STARTED_AT
        if restarted:
            subscriber.told_restart_at = instants.now()
            subscriber.save(using=write_alias(), update_fields=["told_restart_at"])
        taken_up = subscriptions.take_up(user, subscriber, here, after=after)
    return OpenedChannel(subscriber.ae_title, taken_up, known, restarted)


def owners(ae_titles: Collection[str]) -> dict[str, Any]:
    """AE title → the account that it belongs to."""
    rows = Subscription.objects.using(write_alias()).filter(ae_title__in=ae_titles, ended_at=None)
    return {row.ae_title: row.user for row in rows.select_related("user")} if ae_titles else {}


def roster(subscription_uid: str) -> Roster:
    """What an AE is subscribed to, as the database knows it."""
    return _load(Subscription.objects.using(write_alias()).get(uid=subscription_uid))


def to_report(
    known: Roster, sight: Sight, *, since: int | None, after: int, limit: int
) -> tuple[list[Workitem], int | None]:
    """One page of the workitems of which an AE gets an initial event, in order of creation.

    Those that it was subscribed to by the instruction at the position ``since``; with None, all
    that it is subscribed to and that are not final: for who has missed what nobody knows.
    ``after`` is the primary key that the last page ended with; returns the page, and where the
    next one starts.
    """
    covering = [it for it in known.coverages if since in (None, it.since)]
    said = [uid for uid, it in known.specifics.items() if since in (None, it.since)]
    reached = [selection.condition(it.keys) for it in covering]
    if since is not None:
        # What was created since is an event of its own.
        there = zip(reached, covering, strict=True)
        reached = [which & Q(pk__lte=it.since_workitem) for which, it in there]
    # An empty Q is everything by itself, but nothing within an OR.
    wanted = reduce(or_, reached, Q(uid__in=said)) if all(reached) else Q()
    if since is None:
        wanted &= ~Q(state__in=[state.value for state in FINAL])
    rows = Workitem.objects.using(write_alias()).filter(wanted, pk__gt=after).order_by("pk")
    read = list(rows[:limit])
    page = [
        row
        for row in read
        if _is_due(known.decided(row), since) and access.sees(sight, row.snapshot())
    ]
    return page, (read[-1].pk if len(read) == limit else None)


def _is_due(decided: Specific, since: int | None) -> bool:
    return decided.state != State.NOT_SUBSCRIBED and since in (None, decided.since)


def held(workitems: Sequence[Workitem]) -> set[int]:
    """The primary keys of those that a deletion lock holds (PS3.4 CC.2.1.3)."""
    alias = write_alias()
    alive = WorkitemSubscription.objects.using(alias).filter(
        subscriber__ended_at=None, state=State.WITH_LOCK
    )
    found = set(alive.filter(workitem__in=workitems).values_list("workitem_id", flat=True))
    locking = Subscription.objects.using(alias).filter(ended_at=None, globals__deletion_lock=True)
    rosters = [_load(subscriber) for subscriber in locking.distinct()]
    for workitem in workitems:
        if any(it.decided(workitem).state == State.WITH_LOCK for it in rosters):
            found.add(workitem.pk)
    return found


REMOVAL = 0x55505300
"""The key of PostgreSQL's advisory lock between retention and what covers many workitems."""


def _exclude_removal() -> None:
    """Until the caller's transaction ends, retention removes no workitem.

    What begins to cover the worklist locks no row of it: else a workitem could be found without a
    deletion lock and be removed when it has one. SQLite has one writer at a time.
    """
    connection = connections[write_alias()]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [REMOVAL])


def release_locks(user: Any, ae_title: str) -> None:
    """Let go of all that an AE holds; it stays subscribed, without locks.

    For an AE that is gone for good: the standard lets the server remove locks by itself. Raises
    ``NotAuthorized``, and ``NoSuchSubscription`` if this AE holds nothing.
    """
    access.require(user, "repair_workitem")
    with transaction.atomic(using=write_alias()):
        alive = Subscription.objects.using(write_alias()).filter(ended_at=None)
        subscriber = alive.select_for_update(no_key=True).filter(ae_title=ae_title).first()
        if subscriber is None or not ae_title:
            raise errors.NoSuchSubscription
        released = subscriber.specifics.filter(state=State.WITH_LOCK).update(
            state=State.WITHOUT_LOCK
        ) + subscriber.globals.filter(deletion_lock=True).update(deletion_lock=False)
        if not released:
            raise errors.NoSuchSubscription
        _instruct(user, subscriber, GLOBAL_SUBSCRIPTION, Act.RELEASE_LOCKS)


def keep_covered(workitem_pk: int, before: Snapshot | None, after: Snapshot, *, using: str) -> None:
    """Who was subscribed to a workitem by a filter stays so, as it was, whatever matches it now.

    The state was decided when the workitem came to be covered (PS3.4 Table CC.2.3-2): a change into
    or out of a filter neither ends it nor takes or gives a deletion lock. Called in the transaction
    of the change.
    """
    if before is None or not _keys_differ(before, after):
        return
    filed = {"", *map(_filed_under, {*buckets_of(before), *buckets_of(after)})}
    globals_ = GlobalSubscription.objects.using(using)
    concerned = globals_.filter(filed_under__in=filed, subscriber__ended_at=None)
    concerned = concerned.exclude(filter={})
    moved = {
        row.subscriber
        for row in concerned.select_related("subscriber")
        if _keys(row).match(before) != _keys(row).match(after)
    }
    for subscriber in moved:
        covering = Roster({}, _coverages(globals_.filter(subscriber=subscriber)))
        state = covering.covered(workitem_pk, before).state
        if state not in (State.NOT_SUBSCRIBED, covering.covered(workitem_pk, after).state):
            WorkitemSubscription.objects.using(using).bulk_create(
                [WorkitemSubscription(subscriber=subscriber, workitem_id=workitem_pk, state=state)],
                ignore_conflicts=True,  # what was said of this workitem goes before
            )


def _keys_differ(before: Snapshot, after: Snapshot) -> bool:
    return before.performers != after.performers or any(
        before.dataset.get(tag) != after.dataset.get(tag) for tag in _MATCHABLE_TAGS
    )


_MATCHABLE_TAGS = frozenset(path.split(".")[0] for path in MATCHABLE)


def _subscriber(user: Any, ae_title: str) -> Subscription:
    """The row of an AE, locked; made when it is first used.

    ``FOR NO KEY UPDATE``: who saves a workitem may refer to it meanwhile (`keep_covered`).
    """
    title = uids.check_ae_title(ae_title, "aetitle")
    alive = Subscription.objects.using(write_alias()).filter(ae_title=title, ended_at=None)
    locked = alive.select_for_update(no_key=True, of=("self",)).select_related("user")
    row = locked.first()
    access.require_acts_for(user, title, row.user if row else None)
    if row is None:
        if user is not None:
            subscriptions.require_room(user)
        place = events.place()
        try:
            with transaction.atomic(using=write_alias()):
                return Subscription.objects.using(write_alias()).create(
                    uid=subscriptions.new_uid(),
                    user=user,
                    ae_title=title,
                    log_id=place.log_id,
                    place=place.position,
                )
        except IntegrityError:
            row = locked.get()  # somebody was faster
            access.require_acts_for(user, title, row.user)
    if row.user != user and not user.is_superuser:
        row.user = user
        row.save(using=write_alias(), update_fields=["user"])
    return row


def _refuse_filter(filter_: Sequence[tuple[str, str]]) -> None:
    """Who sends a filter to the unfiltered subscription does not mean the whole worklist."""
    for name, _ in filter_:
        with suppress(KeyError):  # what is no key may be any parameter, and is ignored
            key_path(name)
            raise errors.InvalidArgument(
                "A filter belongs to the Filtered Global Subscription.", name="filter"
            )


def _wanted(filter_: Sequence[tuple[str, str]]) -> Keys:
    if not filter_:
        raise errors.InvalidArgument(
            "The Filtered Global Subscription needs a filter.", name="filter"
        )
    return searching.keys_of(filter_, strict=True)


def _subscribe_to(user: Any, subscriber: Subscription, workitem_uid: str, lock: bool) -> None:
    # Locked, so that no change commits between this state and its place in the log.
    workitem = access.workitem(user, workitem_uid, for_update=True)
    event = _instruct(user, subscriber, workitem_uid, Act.SUBSCRIBE, workitem, reports_due=True)
    _say(subscriber, workitem, State.WITH_LOCK if lock else State.WITHOUT_LOCK, event)


def _say(subscriber: Subscription, workitem: Workitem, state: str, event: int) -> None:
    rows = subscriber.specifics
    row = rows.filter(workitem=workitem).first()
    if row is None:
        rows.create(workitem=workitem, state=state, since_event=event)
        return
    if State.NOT_SUBSCRIBED in (row.state, state):
        row.since_event = event
    row.state = state
    row.save(using=write_alias())


def _subscribe_globally(
    user: Any, subscriber: Subscription, target: str, keys: Keys, lock: bool
) -> None:
    _exclude_removal()
    event = _instruct(
        user, subscriber, target, Act.SUBSCRIBE, reports_due=lock, wanted=dict(keys.attributes)
    )
    refused = subscriber.specifics.filter(state=State.NOT_SUBSCRIBED).select_related("workitem")
    for one in refused:
        if keys.match(one.workitem.snapshot()):
            _say(subscriber, one.workitem, State.WITH_LOCK if lock else State.WITHOUT_LOCK, event)
    wanted = dict(keys.attributes)
    for row in subscriber.globals.filter(until_workitem=None):
        if row.filter == wanted:
            if row.deletion_lock == lock:
                return
            _close(row)
    subscriber.globals.create(
        filter=wanted,
        deletion_lock=lock,
        since_event=event,
        since_workitem=_last_workitem(),
        filed_under=_filed_under(bucket_of(keys)),
    )


def _close(row: GlobalSubscription) -> None:
    row.until_workitem = _last_workitem()
    row.save(using=write_alias(), update_fields=["until_workitem"])


def _last_workitem() -> int:
    return Workitem.objects.using(write_alias()).aggregate(last=Max("pk"))["last"] or 0


def _instruct(
    user: Any,
    subscriber: Subscription,
    target: str,
    act: Act,
    workitem: Workitem | None = None,
    *,
    reports_due: bool = False,
    wanted: Mapping[str, str] | None = None,
) -> int:
    audit.done(
        act,
        user,
        workitem_uid=target,
        subscription_uid=subscriber.uid,
        detail={"aeTitle": subscriber.ae_title, "filter": contract.shown(wanted or {})},
    )
    now = workitem.snapshot() if workitem else NOTHING
    return events.append(
        workitem_uid=target,
        before=now,
        after=now,
        kind=Kind.SUBSCRIPTION,
        actor=user.get_username(),
        workitem_pk=workitem.pk if workitem else 0,
        subscriber=subscriber.ae_title,
        reports_due=reports_due,
        using=write_alias(),
    )


def _load(subscriber: Subscription) -> Roster:
    specifics = {
        uid: Specific(state, since)
        for uid, state, since in subscriber.specifics.annotate(since=_POSITION).values_list(
            "workitem__uid", "state", "since"
        )
    }
    return Roster(specifics, _coverages(subscriber.globals.all()))


def _coverages(rows: QuerySet[GlobalSubscription]) -> list[Coverage]:
    return [
        Coverage(_keys(row), row.deletion_lock, row.since, row.since_workitem, row.until_workitem)
        for row in rows.annotate(since=_POSITION).order_by("pk")
    ]


_BEGAN = Event.objects.filter(pk=OuterRef("since_event"))
_POSITION = Coalesce(
    Subquery(_BEGAN.values("position")),
    # Not numbered yet: behind all that is. Purged, or none: before all that is left.
    Case(When(Exists(_BEGAN), then=Value(events.NOT_YET)), default=Value(0)),
)


def _keys(row: GlobalSubscription) -> Keys:
    return Keys({}, row.filter, timezone.get_default_timezone())


def _filed_under(bucket: Bucket) -> str:
    """As much as the column holds: no value of a workitem is longer."""
    return "\\".join(bucket)[:80] if bucket else ""
