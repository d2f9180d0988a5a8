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

from django.db import connections, transaction
from django.db.models import Count, F, Max, Q, Subquery
from django.db.models.functions import Coalesce

from upsrs import announcements, audit, instants, wakeup
from upsrs.dicom import changes
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.matching import Snapshot
from upsrs.models import Event, Log, Workitem, write_alias
from upsrs.numbering import LOG, Rows, number_and_read
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

ACTOR_LENGTH = 150
"""A portal's own user model may have longer names: that is no reason to refuse a change."""

NOT_YET = 2**63 - 1
"""Behind every position that will ever be given."""

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


def read_on(
    after: int, limit: int, *, often: bool = False
) -> tuple[Place, bool, list[LoggedEvent]]:
    """Number what has committed, and read the next ``limit`` events behind a position, in order.

    Returns where the log stands, whether all is numbered, and the events. If not all is, and the
    page is not full, another process holds the counter or has just committed more: look again
    after a moment. ``often`` is for who does so again and again, by the same connection.
    """
    using = write_alias()
    reached = -1
    while True:
        counter, rows = number_and_read(using, after=int(after), limit=int(limit), often=often)
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
