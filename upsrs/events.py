"""The log: append in the caller's transaction, number after commit, read from a place.

The log is the truth that notifications are made of. An event commits with the change it tells of,
or not at all. Its position (the ``eventId``) is given after commit, because the numbers of a
database sequence are not in commit order: who reads "id > my last" skips a row that commits late.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from django.db import connections, transaction
from django.db.models import Count, F, Max, Q, Subquery
from django.db.models.functions import Coalesce

from upsrs import announcements, audit, instants, wakeup
from upsrs.dicom import changes
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.matching import Snapshot
from upsrs.models import Event, Log, Workitem, write_alias
from upsrs.origin import origin

__all__ = [
    "Depth",
    "Extent",
    "LogLost",
    "LoggedEvent",
    "Place",
    "append",
    "append_created",
    "depth",
    "extent",
    "logged",
    "missed",
    "number",
    "numbered_place",
    "old",
    "place",
    "read_on",
    "remove",
    "told_of",
]

LOG = 1
"""The primary key of the counter row."""

ACTOR_LENGTH = 150
"""A portal's own user model may have longer names: that is no reason to refuse a change."""

NOT_YET = 2**63 - 1
"""Behind every position that will ever be given."""

NUMBER_AT_ONCE = 1_000
"""So many events are numbered in one transaction, so that the counter is never held for long."""

AT_ONCE = 500
"""So many events are written by one statement."""

EVERY_ONE = Q()

logger = logging.getLogger(__name__)

_unknown_kinds: set[str] = set()
"""Those that this process has complained of."""


class LogLost(Exception):
    """The log cannot be read on from this place: whoever stood there needs a fresh start."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One numbered event, as plain values."""

    position: int
    time: datetime
    kind: Kind
    workitem_uid: str
    before: Snapshot | None
    after: Snapshot
    cancellation: JSONDataset | None
    actor: str = ""
    workitem_pk: int = 0
    """0 in events that an older version logged."""
    subscriber: str = ""
    """The AE title whose subscriptions changed; empty for all that happens to workitems."""
    reports_due: bool = False
    correlation_id: str = ""
    """Of the request that it came of."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in one particular log."""

    log_id: uuid.UUID
    position: int


def append(
    *,
    workitem_uid: str,
    before: Snapshot | None,
    after: Snapshot,
    kind: Kind,
    actor: str = "",
    cancellation: JSONDataset | None = None,
    workitem_pk: int,
    subscriber: str = "",
    reports_due: bool = False,
    using: str,
) -> int:
    """Append an event in the caller's transaction; the hubs wake once it has committed.

    SQLite has one writer at a time: there the order of writing is the order of commit, and the
    position is given at once. Elsewhere `number` gives it. Returns the primary key.
    """
    event = _event(
        workitem_uid=workitem_uid,
        before=before,
        after=after,
        kind=kind,
        actor=actor,
        cancellation=cancellation,
        workitem_pk=workitem_pk,
        subscriber=subscriber,
        reports_due=reports_due,
    )
    _append([event], using)
    return int(event.pk)


def append_created(workitems: Sequence[Workitem], *, using: str) -> None:
    """Append that these workitems are new, in order, as `append` would, by few statements."""
    _append(
        [
            _event(
                workitem_uid=workitem.uid,
                before=None,
                after=workitem.snapshot(),
                kind=Kind.CREATED,
                actor=workitem.changed_by,
                workitem_pk=workitem.pk,
            )
            for workitem in workitems
        ],
        using,
    )


def _event(
    *,
    workitem_uid: str,
    before: Snapshot | None,
    after: Snapshot,
    kind: Kind,
    actor: str,
    cancellation: JSONDataset | None = None,
    workitem_pk: int,
    subscriber: str = "",
    reports_due: bool = False,
) -> Event:
    return Event(
        time=instants.now(),
        workitem_uid=workitem_uid,
        kind=kind.value,
        actor=actor[:ACTOR_LENGTH],
        state_before=before.state if before else "",
        state_after=after.state,
        label_before=before.label if before else "",
        label_after=after.label,
        stations_before=_joined(before.stations) if before else "",
        stations_after=_joined(after.stations),
        performers_before=_joined(before.performers) if before else "",
        performers_after=_joined(after.performers),
        dataset=after.dataset,
        differed=changes.differences(before.dataset, after.dataset) if before else None,
        cancellation=cancellation,
        workitem_pk=workitem_pk,
        subscriber=subscriber,
        reports_due=reports_due,
        correlation_id=origin().correlation_id,
    )


def _append(rows: Sequence[Event], using: str) -> None:
    if connections[using].vendor == "sqlite":
        last = _take_positions(len(rows), using)
        for position, row in enumerate(rows, last - len(rows) + 1):
            row.position = position
    Event.objects.using(using).bulk_create(rows, batch_size=AT_ONCE)
    # At every event, not once per transaction: a savepoint that rolls back takes its callbacks
    # with it. Robust: a callback of the portal that raises must not keep ours from running.
    transaction.on_commit(wakeup.wake, using=using, robust=True)
    told = [row for row in rows if row.kind != Kind.SUBSCRIPTION]
    for row in told:
        announcements.announce(row, using=using)
    audit.changed(told, using=using)


def _joined(values: tuple[str, ...]) -> str:
    return "\\" + "\\".join(values) + "\\" if values else ""


def _split(joined: str) -> tuple[str, ...]:
    return tuple(joined.strip("\\").split("\\")) if joined else ()


def _log(using: str) -> Log:
    """The counter row. Made again if somebody emptied the table: then it is another log."""
    log = Log.objects.using(using).filter(pk=LOG).first()
    if log is None:
        last = Event.objects.using(using).aggregate(last=Max("position"))["last"]
        log, _ = Log.objects.using(using).get_or_create(pk=LOG, defaults={"position": last or 0})
    return log


def _take_positions(count: int, using: str) -> int:
    """Give the next so many positions, on SQLite; the last of them."""
    counter = Log.objects.using(using).filter(pk=LOG)
    if not counter.update(position=F("position") + count):
        _log(using)
        counter.update(position=F("position") + count)
    return int(counter.values_list("position", flat=True)[0])


def read_on(after: int, limit: int) -> tuple[Place, bool, list[LoggedEvent]]:
    """Number what has committed, and read the next ``limit`` events behind a position, in order.

    Returns where the log stands, whether all is numbered, and the events. If not all is, and the
    page is not full, another process holds the counter or has just committed more: look again
    after a moment.

    In SQL of our own, and in few words to the database: it is what each event costs each process,
    and to write the same statements anew takes Django several times as long as all the rest.
    """
    using = write_alias()
    reached = -1
    while True:
        counter, rows = _number_and_look(using, after=int(after), limit=int(limit))
        if not counter:
            _log(using)
            continue
        [(log_id, position, unnumbered)] = counter
        if not unnumbered or position <= reached or 0 < limit <= len(rows):
            now = Place(uuid.UUID(str(log_id)), position)
            return now, not unnumbered, [logged(row) for row in _events(rows)]
        reached = position


def number() -> tuple[Place, bool]:
    """Give the committed events that have none their position: where the log stands, and is it all?

    As `read_on`, which see.
    """
    now, all_numbered, _ = read_on(NOT_YET, 0)
    return now, all_numbered


UNNUMBERED = f"""
SELECT id FROM upsrs_event WHERE position IS NULL ORDER BY id LIMIT {NUMBER_AT_ONCE}"""  # noqa: S608 - of constants

NUMBER = "UPDATE upsrs_event SET position = last WHERE id = fresh"

NUMBER_IF_NOBODY_ELSE_DOES = f"""
DO $$
DECLARE
    last bigint;
    fresh bigint;
BEGIN
    SELECT position INTO last FROM upsrs_log WHERE id = {LOG} FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        FOR fresh IN {UNNUMBERED} LOOP
            last := last + 1;
            {NUMBER};
        END LOOP;
        IF FOUND THEN -- at least one
            UPDATE upsrs_log SET position = last WHERE id = {LOG};
        END IF;
    END IF;
END $$"""  # noqa: S608 - of constants
"""Said at once, so that a process cannot freeze with the counter in its hand.

1. Lock the counter row, or leave it to who has it.
2. In a *second* statement, whose snapshot is younger than the lock, see what is unnumbered, and
   number it in order of id. For one workitem that is its order of commit: the lock on its row
   lets the next event be written only after the last one has committed.

One by one: to plan a statement that numbers all costs more than to number a few, and of many it
saves nothing.

Above READ COMMITTED, which a portal may have set, there is one snapshot for both. It misses no
change of the counter, since then the lock is refused (40001), and so the order holds all the same.
"""

LOOK = f"SELECT log_id, position, 0 FROM upsrs_log WHERE id = {LOG}"  # noqa: S608 - of constants
"""On SQLite all are numbered as they are written."""

COLUMNS = tuple(str(field.column) for field in Event._meta.concrete_fields)

NEXT = f"""
SELECT {", ".join(COLUMNS)} FROM upsrs_event
WHERE position > {{after}} ORDER BY position LIMIT {{limit}}"""  # noqa: S608 - of constants

LOOK_AND_READ = f"""
SELECT log.log_id, log.position, EXISTS (SELECT 1 FROM upsrs_event WHERE position IS NULL), event.*
FROM upsrs_log AS log LEFT JOIN ({NEXT}) AS event ON TRUE
WHERE log.id = {LOG} ORDER BY event.position"""  # noqa: S608 - of constants
"""Both in one message: one row without an event, if there is none."""

SERIALIZATION_FAILURE = "40001"

Rows = list[tuple[Any, ...]]


def _number_and_look(using: str, *, after: int, limit: int) -> tuple[Rows, Rows]:
    """The counter row, and the `COLUMNS` of the next events, once all is numbered that may be."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # it would write the datasets down to join and sort them
            cursor.execute(LOOK)
            counter = cursor.fetchall()
            cursor.execute(NEXT.format(after=after, limit=limit))
            return counter, cursor.fetchall()
        look = LOOK_AND_READ.format(after=after, limit=limit)
        _number_some(connection, cursor, then=look)
        joined = cursor.fetchall()
        read = -len(COLUMNS)
        return [row[:read] for row in joined[:1]], [row[read:] for row in joined if row[read]]


def _number_some(connection: Any, cursor: Any, *, then: str) -> None:
    """Number some, and ask for what comes ``then``, in one message to the database.

    Unless in a transaction of the caller's, what is numbered has committed before that is answered:
    who freezes while it is sent a page holds no counter.
    """
    by_itself = connection.get_autocommit()
    if by_itself:
        begin, end = "BEGIN", "COMMIT"
    else:
        # The caller's transaction has the counter until it ends: not if it freezes.
        begin, end = "SET LOCAL idle_in_transaction_session_timeout = '5s'", ""
    try:
        cursor.execute(f"{begin}; {NUMBER_IF_NOBODY_ELSE_DOES}; {end}; {then}")
        while cursor.description is None and cursor.nextset():
            pass  # what numbers has no rows
    except BaseException as error:
        if not by_itself:
            raise  # the database has given up the caller's transaction
        if getattr(error.__cause__, "sqlstate", "") != SERIALIZATION_FAILURE:
            connection.close()  # its transaction may be open
            raise
        # Another process has just numbered, which is as good.
        connection.rollback()
        cursor.execute(then)


def _events(rows: Rows) -> Iterator[Event]:
    """The events whose `COLUMNS` were selected, as Django would have read them."""
    connection = connections[write_alias()]
    fields = Event._meta.concrete_fields
    names = [field.attname for field in fields]
    convert = [
        (nth, converter, field.cached_col)
        for nth, field in enumerate(fields)
        for converter in (
            *connection.ops.get_db_converters(field.cached_col),
            *field.get_db_converters(connection),
        )
    ]
    for row in rows:
        values = list(row)
        for nth, converter, column in convert:
            values[nth] = converter(values[nth], column, connection)
        yield Event.from_db(connection.alias, names, values)


def place() -> Place:
    """Where the log stands: which log, and the last position given."""
    log = _log(write_alias())
    return Place(log.log_id, log.position)


def begin_new_log() -> Place:
    """Give the log another identity: every place that anybody knows of it is void.

    For a database that is not the one that was served, a restored backup or a replica that lost
    the last commits: whoever follows is sent back, and starts from the present state.
    """
    _log(write_alias())
    Log.objects.using(write_alias()).filter(pk=LOG).update(log_id=uuid.uuid4())
    return place()


def numbered_place() -> Place:
    """Where the log stands, with everything numbered that has committed until now."""
    now, _ = number()
    return now


@dataclass(frozen=True, slots=True)
class Extent:
    """What of the log there is to read."""

    end: Place
    start: int
    """The lowest position that a reader can go on from: nothing behind it has been purged."""
    unnumbered: int
    """So many events have committed and will be given the next positions."""

    @property
    def last(self) -> int:
        """The position that the last of the committed events has, or will be given."""
        return self.end.position + self.unnumbered

    def holds(self, after: Place) -> bool:
        """Can a reader go on from here: same log, not ahead of it, and nothing purged behind it?"""
        same_log = after.log_id == self.end.log_id
        return same_log and self.start <= after.position <= self.end.position


def extent() -> Extent:
    """From where to where the log can be read now. One query."""
    numbered = Event.objects.filter(position__isnull=False).order_by("position")
    first = Subquery(numbered.values("position")[:1])
    fresh = Event.objects.filter(position=None).order_by().values("position")
    unnumbered = Coalesce(Subquery(fresh.annotate(number=Count("*")).values("number")), 0)
    known = Log.objects.using(write_alias()).annotate(first=first, unnumbered=unnumbered)
    log = known.filter(pk=LOG).first()
    if log is None:
        _log(write_alias())
        return extent()
    start = log.position if log.first is None else log.first - 1
    return Extent(Place(log.log_id, log.position), start, log.unnumbered)


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is in the log."""

    position: int
    """The last one that was given."""
    retained: int
    """Events that can still be read."""
    unnumbered: int
    """Committed, and not given a position yet."""


def depth() -> Depth:
    now = extent()
    return Depth(now.end.position, now.end.position - now.start, now.unnumbered)


def missed(
    after: Place, *, until: int, limit: int, wanted: Q = EVERY_ONE
) -> tuple[list[LoggedEvent], int]:
    """The next ``limit`` of the ``wanted`` events behind a place, up to a position, in order.

    Returns them, and the position up to which nothing that is wanted is left out. Raises `LogLost`
    if the log does not hold all that is behind the place.
    """
    rows = Event.objects.using(write_alias()).filter(
        wanted, position__gt=after.position, position__lte=until
    )
    page = [logged(row) for row in rows.order_by("position")[:limit]]
    # Only now: what a purge removed while it was read is missing from it.
    if not extent().holds(after):
        raise LogLost
    return page, page[-1].position if len(page) == limit else until


def old(before: datetime, *, after: int, limit: int) -> list[int]:
    """The next positions that may be removed: of the log's beginning, and from before that time.

    The first event that is younger ends it, whatever comes behind: only a prefix of the log is
    ever removed, so a reader that it overtakes sees that its next event is not there. ``after`` is
    what this removal has come to.
    """
    rows = Event.objects.using(write_alias()).filter(position__gt=after).order_by("position")
    times = rows.values_list("position", "time")[:limit]
    early = takewhile(lambda row: row[1] < before, times)
    return [position for position, _ in early if position is not None]


def remove(positions: Sequence[int]) -> int:
    """Remove what `old` named, in the caller's transaction; how many were still there.

    Callers take turns: two at once could leave a gap behind events that still stand, and nobody
    looks for one there.
    """
    rows = Event.objects.using(write_alias())
    return rows.filter(position__range=(positions[0], positions[-1])).delete()[0]


def told_of(workitem_uids: Iterable[str]) -> set[str]:
    """Those whose changes the log still tells of."""
    told = Event.objects.using(write_alias()).filter(workitem_uid__in=set(workitem_uids))
    told = told.exclude(kind=Kind.SUBSCRIPTION.value)
    return set(told.values_list("workitem_uid", flat=True))


def logged(row: Event) -> LoggedEvent:
    """The event as plain values; one that is not numbered yet stands behind all that are."""
    before = None
    if row.differed is not None:
        before = Snapshot(
            state=row.state_before,
            label=row.label_before,
            stations=_split(row.stations_before),
            performers=_split(row.performers_before),
            dataset=changes.restore(row.dataset, row.differed),
        )
    after = Snapshot(
        state=row.state_after,
        label=row.label_after,
        stations=_split(row.stations_after),
        performers=_split(row.performers_after),
        dataset=row.dataset,
    )
    return LoggedEvent(
        position=NOT_YET if row.position is None else row.position,
        time=row.time,
        kind=_kind(row),
        workitem_uid=row.workitem_uid,
        before=before,
        after=after,
        cancellation=row.cancellation,
        actor=row.actor,
        workitem_pk=row.workitem_pk or 0,
        subscriber=row.subscriber,
        reports_due=row.reports_due,
        correlation_id=row.correlation_id,
    )


def _kind(row: Event) -> Kind:
    """What happened. Of a kind that only a newer version knows, as during an upgrade: an update."""
    try:
        return Kind(row.kind)
    except ValueError:
        if row.kind not in _unknown_kinds:
            _unknown_kinds.add(row.kind)
            logger.warning(
                "The log has events of the kind %s, which this version does not know: they are "
                "told as updates.",
                row.kind,
            )
        return Kind.UPDATED
