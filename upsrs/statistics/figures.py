"""What one day of the worklist was like, in numbers, counted by the database from the log.

*Claimed* leaves out what nobody claimed and the server canceled: by the standard it passes IN
PROGRESS on the way (PS3.4 CC.2.2). *Waiting* is from the moment when the work could begin, that is
from its scheduled start, or from its creation if that came later, to the claim; *working* is from
the claim to COMPLETED. What the log has lost by retention is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import (
    Avg,
    BigIntegerField,
    Case,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from upsrs.dicom.changes import Kind
from upsrs.dicom.states import State
from upsrs.models import Event, Workitem, write_alias
from upsrs.sight import in_sight, sees_everything

__all__ = ["WITHIN", "Day", "Hour", "Waiting", "day"]

WITHIN = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""How waiting times are sorted: up to the first, up to the second, up to the third, longer."""

Events = QuerySet[Any, Any]
"""Rows of the log, with what was annotated to them."""

LABELS = 20
"""The worklists with the most claims are told of; more than can be read help nobody."""

AT_ONCE = timedelta(seconds=1)
"""A claim and a cancellation by the same account within this are the server's two steps."""


@dataclass(slots=True)
class Hour:
    begins: datetime
    scheduled: int = 0
    claimed: int = 0
    completed: int = 0
    canceled: int = 0
    waiting: timedelta | None = None
    """The mean, of what was completed in this hour."""
    working: timedelta | None = None

    @property
    def finished(self) -> int:
        return self.completed + self.canceled

    @property
    def turnaround(self) -> timedelta | None:
        """From when it could begin to COMPLETED."""
        if self.waiting is None or self.working is None:
            return None
        return self.waiting + self.working


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long the workitems of one worklist waited that were claimed on this day."""

    label: str
    within: tuple[int, ...]
    """How many, by `WITHIN`."""
    mean: timedelta
    longest: timedelta

    @property
    def claimed(self) -> int:
        return sum(self.within)


@dataclass(frozen=True, slots=True)
class Day:
    date: date
    hours: tuple[Hour, ...]
    """Every hour of it: 23 or 25 when the clocks are changed."""
    waiting: tuple[Waiting, ...] = ()

    @property
    def scheduled(self) -> int:
        return sum(hour.scheduled for hour in self.hours)

    @property
    def claimed(self) -> int:
        return sum(hour.claimed for hour in self.hours)

    @property
    def completed(self) -> int:
        return sum(hour.completed for hour in self.hours)

    @property
    def canceled(self) -> int:
        return sum(hour.canceled for hour in self.hours)


def day(user: Any, wanted: date) -> Day:
    """The figures of a day in the portal's time zone, of the workitems in this user's sight."""
    begins, ends = _midnight(wanted), _midnight(wanted + timedelta(days=1))
    hours = [Hour(timezone.localtime(begin)) for begin in _hours(begins, ends)]
    happened = _in_sight(user, _log().filter(time__gte=begins, time__lt=ends))
    claims = _with_waiting(happened.filter(CLAIMED).exclude(_canceled_at_once()))
    for row in _by_hour(happened, begins).annotate(
        scheduled=Count("pk", filter=Q(kind=Kind.CREATED)),
        completed=Count("pk", filter=Q(kind=Kind.COMPLETED)),
        canceled=Count("pk", filter=Q(kind=Kind.CANCELED)),
    ):
        _fill(hours, row)
    for row in _by_hour(claims, begins).annotate(claimed=Count("pk")):
        _fill(hours, row)
    for row in _by_hour(_completed(happened), begins).annotate(
        waiting=Avg("waited"), working=Avg("worked")
    ):
        _fill(hours, row)
    return Day(wanted, tuple(hours), tuple(_waiting(claims)))


CLAIMED = Q(state_before=State.SCHEDULED, state_after=State.IN_PROGRESS)


def _midnight(wanted: date) -> datetime:
    return timezone.make_aware(datetime.combine(wanted, time()))


def _hours(begins: datetime, ends: datetime) -> Iterator[datetime]:
    begin = begins.astimezone(UTC)
    while begin < ends:
        yield begin
        begin += timedelta(hours=1)


def _log() -> Events:
    return Event.objects.using(write_alias()).exclude(kind=Kind.SUBSCRIPTION).order_by()


def _in_sight(user: Any, events: Events) -> Events:
    if sees_everything(user):
        return events
    told_of = Workitem.objects.using(write_alias()).filter(uid__in=events.values("workitem_uid"))
    return events.filter(workitem_uid__in=in_sight(user, told_of).values("uid"))


def _same_workitem() -> Events:
    return _log().filter(workitem_uid=OuterRef("workitem_uid"))


def _canceled_at_once() -> Exists:
    return Exists(
        _same_workitem().filter(
            kind=Kind.CANCELED,
            performers_after="",
            actor=OuterRef("actor"),
            time__lt=OuterRef("time") + AT_ONCE,
        )
    )


def _with_waiting(claims: Events, claimed_at: str = "time") -> Events:
    """Adds ``waited``; null where the log no longer tells of the creation."""
    created = _same_workitem().filter(kind=Kind.CREATED).values("time")[:1]
    workitem = Workitem.objects.using(write_alias()).filter(uid=OuterRef("workitem_uid"))
    starts = workitem.values("starts_at")[:1]
    could_begin = Greatest("created_at", Coalesce(Subquery(starts), "created_at"))
    # Who claims before the scheduled start did not wait.
    waited = F(claimed_at) - Least(F(claimed_at), could_begin)
    is_known = When(created_at__isnull=False, then=ExpressionWrapper(waited, DurationField()))
    known: Events = claims.annotate(created_at=Subquery(created)).annotate(waited=Case(is_known))
    return known


def _completed(happened: Events) -> Events:
    claim = _same_workitem().filter(CLAIMED).values("time")[:1]
    completed = happened.filter(kind=Kind.COMPLETED).annotate(claimed_at=Subquery(claim))
    worked = ExpressionWrapper(F("time") - F("claimed_at"), DurationField())
    known: Events = _with_waiting(completed, "claimed_at").annotate(worked=worked)
    return known


class Epoch(Func):
    """The seconds of a moment since 1970, whole."""

    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        return self.as_sql(compiler, connection, template=template)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint"
        return self.as_sql(compiler, connection, template=template)


def _by_hour(events: Events, begins: datetime) -> Events:
    """Grouped by the hours that have passed since then: a clock on the wall shows one hour twice."""
    nth = (Epoch("time") - Value(int(begins.timestamp()))) / Value(3600)
    rows: Events = events.annotate(nth=nth).values("nth")
    return rows


def _fill(hours: Sequence[Hour], row: dict[str, Any]) -> None:
    hour = hours[row.pop("nth")]
    for name, value in row.items():
        setattr(hour, name, value)


def _waiting(claims: Events) -> Iterable[Waiting]:
    limits = (timedelta(-1), *WITHIN)
    counts = {
        f"within_{number}": Count("pk", filter=Q(waited__gt=above, waited__lte=limit))
        for number, (above, limit) in enumerate(zip(limits, WITHIN, strict=False))
    }
    counts["longer"] = Count("pk", filter=Q(waited__gt=WITHIN[-1]))
    rows = (
        claims.filter(created_at__isnull=False)
        .values("label_after")
        .annotate(all=Count("pk"), mean=Avg("waited"), longest=Max("waited"), **counts)
        .order_by("-all", "label_after")
    )
    for row in rows[:LABELS]:
        within = tuple(row[name] for name in counts)
        yield Waiting(row["label_after"], within, row["mean"], row["longest"])
