"""The figures as tables: what each picture shows, for who cannot see it or wants it exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from upsrs.statistics.figures import WITHIN, Day

__all__ = ["TABLES", "Table"]

Row = tuple[str | int, ...]
"""The first member names it."""


@dataclass(frozen=True, slots=True)
class Table:
    heads: tuple[str, ...]
    rows: list[Row]


def _throughput(day: Day) -> Table:
    heads = ("Hour", "Scheduled", "Claimed", "Completed", "Canceled")
    rows: list[Row] = [
        (f"{hour.begins:%H:%M}", hour.scheduled, hour.claimed, hour.completed, hour.canceled)
        for hour in day.hours
    ]
    return Table(heads, rows)


def _turnaround(day: Day) -> Table:
    heads = ("Hour", "Completed", "Waiting, mean", "Working, mean", "Turnaround, mean")
    rows: list[Row] = [
        (
            f"{hour.begins:%H:%M}",
            hour.completed,
            in_words(hour.waiting),
            in_words(hour.working),
            in_words(hour.turnaround),
        )
        for hour in day.hours
        if hour.completed
    ]
    return Table(heads, rows)


def _waiting(day: Day) -> Table:
    limits = [f"Up to {in_words(limit)}" for limit in WITHIN]
    heads = ("Worklist", "Claimed", *limits, "Longer", "Mean", "Longest")
    rows: list[Row] = [
        (
            row.label or "no label",
            row.claimed,
            *row.within,
            in_words(row.mean),
            in_words(row.longest),
        )
        for row in day.waiting
    ]
    return Table(heads, rows)


TABLES: dict[str, Callable[[Day], Table]] = {
    "throughput": _throughput,
    "turnaround": _turnaround,
    "waiting": _waiting,
}
"""By the name of the picture."""


def in_words(length: timedelta | None) -> str:
    """As short as it can be read: 40 s, 12 min, 3 h 5 min, 2 d 4 h."""
    if length is None:
        return "—"
    seconds = round(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if not hours:
        return f"{minutes} min"
    if not days:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
