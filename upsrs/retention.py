"""Retention: what is removed, when, and what keeps it.

====================  ============================================================================
log                   the beginning of it, as far as all of it is old enough
workitems             some time after their end; never while a deletion lock holds, nor while an AE
                      that is subscribed to them by name may yet have to hear of it
tombstones            what is left of those, much later
subscriptions         what ended, and what nobody can come back to; with what is left of sockets
                      and servers long gone
audit                 who did what, from where: much later than all that it is about
====================  ============================================================================

All in short transactions (`_turn`): no writer waits for more than one of them, two runs at once
take turns, and a run that is killed has done what it had done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, models, transaction
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Coalesce

from upsrs import audit, events, instants, subscribers
from upsrs.conf import conf
from upsrs.dicom.states import FINAL
from upsrs.models import (
    AuditRecord,
    Connection,
    Event,
    GlobalSubscription,
    Server,
    Subscription,
    Tombstone,
    Workitem,
    WorkitemSubscription,
    write_alias,
)

__all__ = ["PURGES", "Batch", "Purge"]

AT_ONCE = 500
"""So many rows go in one transaction."""

WORKITEMS_AT_ONCE = 100
"""Fewer of these: each is read whole, to ask whose deletion lock covers it."""

TURN_SECONDS = 0.02
"""Another run removes something just now: ask again after this."""

SQLITE_PAUSE_SECONDS = 0.1
"""Who waits for SQLite's write lock looks again within so long: between two turns it finds it free."""

SLACK_SECONDS = 60
"""So much later than it could last be returned to a subscription goes: no clock decides."""

HELD = "workitems held by a deletion lock"
TOLD = "workitems of which the log still tells their subscribers"


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of one transaction: kind of row → number; and reason → number of those kept."""

    removed: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    @property
    def size(self) -> int:
        return self.removed.total() + self.kept.total()


@dataclass(frozen=True, slots=True)
class Purge:
    """One kind of thing that is removed in time."""

    due: Callable[[], int]
    """About how many rows will be looked at."""
    batches: Callable[[bool], Iterator[Batch]]
    """Remove what may go, batch by batch; with True only say what would."""


def _log(dry_run: bool) -> Iterator[Batch]:
    before, after = _ago(conf.LOG_RETENTION_SECONDS), 0
    while True:
        with nullcontext() if dry_run else _turn():
            old = events.old(before, after=after, limit=AT_ONCE)
            if not old:
                return
            removed = len(old) if dry_run else events.remove(old)
        after = old[-1]
        yield Batch(Counter(events=removed))


def _workitems(dry_run: bool) -> Iterator[Batch]:
    finished = _finished(_ago(conf.WORKITEM_RETENTION_SECONDS))
    for page in _pages(finished, WORKITEMS_AT_ONCE):
        if dry_run:
            yield _sorted(finished.filter(pk__in=page))[1]
            continue
        with _turn():
            # Whoever has one locked is about to subscribe to it: then it stays this time.
            free = finished.filter(pk__in=page).select_for_update(skip_locked=True)
            going, batch = _sorted(free)
            _bury(going)
        yield batch


def _sorted(rows: models.QuerySet[Workitem]) -> tuple[list[Workitem], Batch]:
    """Those of the rows that may go, and how many stay for what reason."""
    workitems = list(rows)
    locked = subscribers.held(workitems)
    told = _told_to_their_subscribers(workitems)
    reasons = {
        it.pk: HELD if it.pk in locked else TOLD for it in workitems if it.pk in locked | told
    }
    going = [it for it in workitems if it.pk not in reasons]
    return going, Batch(Counter(workitems=len(going)), Counter(reasons.values()))


def _told_to_their_subscribers(workitems: Sequence[Workitem]) -> set[int]:
    """Those that the log still tells of, and of which an AE has said something by their UID.

    What it has said goes with the workitem. An AE that was away, or goes back in the log, would
    then not hear of the end; when the log has lost it too, the AE is told to look for itself.
    """
    said = WorkitemSubscription.objects.using(write_alias())
    said = said.filter(workitem__in=workitems, subscriber__ended_at=None)
    named = set(said.values_list("workitem_id", flat=True))
    told = events.told_of(it.uid for it in workitems if it.pk in named)
    return {it.pk for it in workitems if it.pk in named and it.uid in told}


def _bury(workitems: Sequence[Workitem]) -> None:
    alias, now = write_alias(), instants.now()
    Tombstone.objects.using(alias).bulk_create(
        [Tombstone(uid=workitem.uid, removed_at=now) for workitem in workitems],
        update_conflicts=True,
        unique_fields=["uid"],
        update_fields=["removed_at"],
    )
    # Django's own delete(), past ours that refuses: here nobody is to be notified, for the end of
    # these workitems was told long ago, and their removal is no event of the worklist.
    models.QuerySet.delete(Workitem.objects.using(alias).filter(pk__in=[it.pk for it in workitems]))


def _tombstones(dry_run: bool) -> Iterator[Batch]:
    old = _old_tombstones()
    for page in _pages(old, AT_ONCE):
        with nullcontext() if dry_run else _turn():
            rows = old.filter(pk__in=page)
            removed = rows.count() if dry_run else rows.delete()[0]
        yield Batch(Counter(tombstones=removed))


def _audit(dry_run: bool) -> Iterator[Batch]:
    old = _old_audit_records()
    for page in _pages(old, AT_ONCE):
        with nullcontext() if dry_run else _turn():
            rows = old.filter(pk__in=page)
            removed = rows.count() if dry_run else rows.delete()[0]
        yield Batch(Counter({"audit records": removed}))


def _subscriptions(dry_run: bool) -> Iterator[Batch]:
    limit = _ago(conf.SUBSCRIPTION_TTL_SECONDS + SLACK_SECONDS)
    if not dry_run:
        _close_the_lost(limit)
    for page in _pages(_dead_subscriptions(limit), AT_ONCE):
        dead = _dead_subscriptions(limit).filter(pk__in=page)
        if dry_run:
            yield Batch(Counter(subscriptions=dead.count()))
            continue
        with _turn():
            # Whoever has one locked takes it up just now. What the others are is asked by a second
            # statement, which sees who took one up before it was locked here.
            free = Subscription.objects.using(write_alias()).filter(pk__in=page)
            locked = list(free.select_for_update(skip_locked=True).values_list("pk", flat=True))
            removed = dead.filter(pk__in=locked).delete()[1]
        yield Batch(Counter(subscriptions=removed.get(Subscription._meta.label, 0)))
    for page in _pages(_needless_places(limit), AT_ONCE):
        with nullcontext() if dry_run else _turn():
            rows = _needless_places(limit).filter(pk__in=page)
            count = rows.count() if dry_run else rows.delete()[0]
        yield Batch(Counter(places=count))
    yield from _servers(dry_run)


def _servers(dry_run: bool) -> Iterator[Batch]:
    for page in _pages(_lost_servers(), AT_ONCE):
        if dry_run:
            yield Batch(Counter(servers=len(page)))
            continue
        with _turn():
            rows = _lost_servers().filter(pk__in=page).select_for_update(skip_locked=True)
            for server in rows:
                # When its sockets were last heard of must not be forgotten with it.
                open_ = Connection.objects.using(write_alias()).filter(
                    server=server, closed_at=None
                )
                open_.update(closed_at=server.seen_at)
                server.delete()
        yield Batch(Counter(servers=len(rows)))


def _close_the_lost(limit: datetime) -> None:
    """Sockets whose server went without a word about them are gone, and the audit is told so."""
    lost = Connection.objects.using(write_alias()).filter(
        Q(server=None) | Q(server__seen_at__lt=limit), closed_at=None
    )
    for page in _pages(lost, AT_ONCE):
        with _turn():
            rows = list(lost.filter(pk__in=page).select_related("server", "subscription__user"))
            for row in rows:
                row.closed_at = row.server.seen_at if row.server else instants.now()
            Connection.objects.using(write_alias()).bulk_update(rows, ["closed_at"])
        for row in rows:
            of = row.subscription
            audit.lost(row.pk, of.user, of.uid, place=row.place, heard_at=row.closed_at)


def _dead_subscriptions(limit: datetime) -> models.QuerySet[Subscription]:
    """What ended before the limit, or was last heard of before it and cannot be returned to.

    An AE that is subscribed to something waits for ever: that is the standard's.
    """
    sockets = Connection.objects.filter(subscription=OuterRef("pk"))
    heard = sockets.filter(
        Q(closed_at__gte=limit)
        | Q(closed_at=None, server__seen_at__gte=limit)
        | Q(closed_at=None, server=None)
    )
    globals_ = GlobalSubscription.objects.filter(subscriber=OuterRef("pk"))
    specifics = WorkitemSubscription.objects.filter(subscriber=OuterRef("pk"))
    specifics = specifics.exclude(state=WorkitemSubscription.State.NOT_SUBSCRIBED)
    waits_too_long = (
        Q(ended_at=None, created_at__lt=limit)
        & (Q(waits_since=None) | Q(waits_since__lt=limit))
        & ~Exists(heard)
        & (Q(ae_title="") | ~(Exists(globals_) | Exists(specifics)))
    )
    rows = Subscription.objects.using(write_alias())
    return rows.filter(Q(ended_at__lt=limit) | waits_too_long)


def _needless_places(limit: datetime) -> models.QuerySet[Connection]:
    """Of sockets gone since the limit, all but the one of each subscription that took least.

    The others hold no place that anybody goes back to.
    """
    gone = Connection.objects.using(write_alias()).filter(
        Q(closed_at__lt=limit) | Q(closed_at=None, server__seen_at__lt=limit)
    )
    gone = gone.alias(took=Coalesce("place", Value(-1, models.BigIntegerField())))
    same = gone.filter(subscription=OuterRef("subscription"))
    lower = Q(took__lt=OuterRef("took")) | Q(took=OuterRef("took"), pk__lt=OuterRef("pk"))
    return gone.filter(Exists(same.filter(lower)))


def _lost_servers() -> models.QuerySet[Server]:
    keeping = max(conf.LOG_RETENTION_SECONDS, conf.SUBSCRIPTION_TTL_SECONDS) + SLACK_SECONDS
    return Server.objects.using(write_alias()).filter(seen_at__lt=_ago(keeping))


def _old_tombstones() -> models.QuerySet[Tombstone]:
    before = _ago(conf.TOMBSTONE_RETENTION_SECONDS)
    return Tombstone.objects.using(write_alias()).filter(removed_at__lt=before)


def _old_audit_records() -> models.QuerySet[AuditRecord]:
    before = _ago(conf.AUDIT_RETENTION_SECONDS)
    return AuditRecord.objects.using(write_alias()).filter(time__lt=before)


def _finished(before: datetime) -> models.QuerySet[Workitem]:
    rows = Workitem.objects.using(write_alias()).filter(state__in=[state.value for state in FINAL])
    return rows.alias(since=Coalesce("finished_at", "changed_at")).filter(since__lt=before)


def _ago(seconds: float) -> datetime:
    return instants.now() - timedelta(seconds=seconds)


def _pages(rows: models.QuerySet[Any], size: int) -> Iterator[list[Any]]:
    """The primary keys of the rows, page by page; they are read outside any transaction."""
    pks = rows.order_by("pk").values_list("pk", flat=True)
    page = list(pks[:size])
    while page:
        yield page
        page = list(pks.filter(pk__gt=page[-1])[:size])


@contextmanager
def _turn() -> Iterator[None]:
    """One short transaction, in which no other run removes anything and no lock on all begins.

    It waits for no row for long, and so does not stand in the way of who waits for its own: then
    it is given up. A process that freezes in its turn is ended by the database after a few seconds.
    """
    connection = connections[write_alias()]
    with transaction.atomic(using=connection.alias):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                cursor.execute("SET LOCAL lock_timeout = '500ms'")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'")
                # Asked for, not queued for: who covers the worklist must not queue behind us.
                while not _has_turn(cursor):
                    time.sleep(TURN_SECONDS)
        yield
    if connection.vendor == "sqlite":
        time.sleep(SQLITE_PAUSE_SECONDS)


def _has_turn(cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [subscribers.REMOVAL])
    return bool(cursor.fetchone()[0])


def _due_events() -> int:
    before = _ago(conf.LOG_RETENTION_SECONDS)
    rows = Event.objects.using(write_alias()).filter(time__lt=before)
    return rows.exclude(position=None).count()


def _due_workitems() -> int:
    return _finished(_ago(conf.WORKITEM_RETENTION_SECONDS)).count()


def _due_tombstones() -> int:
    return _old_tombstones().count()


def _due_audit_records() -> int:
    return _old_audit_records().count()


def _due_subscriptions() -> int:
    limit = _ago(conf.SUBSCRIPTION_TTL_SECONDS + SLACK_SECONDS)
    due = (_dead_subscriptions(limit), _needless_places(limit), _lost_servers())
    return sum(rows.count() for rows in due)


PURGES: Mapping[str, Purge] = {
    # First: what the log has forgotten keeps no workitem any more.
    "log": Purge(_due_events, _log),
    "workitems": Purge(_due_workitems, _workitems),
    "tombstones": Purge(_due_tombstones, _tombstones),
    "subscriptions": Purge(_due_subscriptions, _subscriptions),
    "audit": Purge(_due_audit_records, _audit),
}
"""By name, in the order in which they are to run."""
