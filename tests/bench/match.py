"""What it costs to find the ten subscriptions that an event concerns, of 1,000 to 100,000.

In the process, by shape of filter. What matches is the same ten; what grows is all the others.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import django
from tqdm import tqdm

from tests import datasets
from tests.bench.machine import arguments, report

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from upsrs.dicom.changes import Kind  # noqa: E402
from upsrs.dicom.matching import Keys, snapshot  # noqa: E402
from upsrs.events import LoggedEvent  # noqa: E402
from upsrs.index import Index  # noqa: E402

MATCHES = 10
ROUNDS = 9
EVENTS = 200

PATIENT = "00100020"

SHAPES: dict[str, Callable[[int], Keys]] = {
    "own label": lambda n: Keys({"label": f"L{n}"}, {}),
    "own station, SCHEDULED": lambda n: Keys({"station": f"S{n}", "state": "SCHEDULED"}, {}),
    "own patient, SCHEDULED": lambda n: Keys({"state": "SCHEDULED"}, {PATIENT: f"P{n}"}),
    "own label, one station": lambda n: Keys({"station": "CT1", "label": f"L{n}"}, {}),
    "own label*, SCHEDULED": lambda n: Keys({"state": "SCHEDULED", "label": f"L{n}-*"}, {}),
    "*own label": lambda n: Keys({"label": f"*-L{n}"}, {}),
}
"""Subscription → what it wants; each event is of one of the first few."""


def event(number: int, shape: str) -> LoggedEvent:
    label = {"own label*, SCHEDULED": f"L{number}-x", "*own label": f"x-L{number}"}
    after = snapshot(
        datasets.dataset(
            ProcedureStepState="SCHEDULED",
            WorklistLabel=label.get(shape, f"L{number}"),
            PatientID=f"P{number}",
            ScheduledStationNameCodeSequence=[
                datasets.code("CT1"),
                datasets.code(f"S{number}"),
            ],
        )
    )
    return LoggedEvent(1, datetime.now(UTC), Kind.CREATED, "2.25.1", None, after, None)


def measure(shape: str, subscriptions: int, rounds: int) -> float:
    """Microseconds an event: the median of some rounds, after one to warm up."""
    index: Index[int] = Index()
    # Ten who follow the same make the ten matches; an event is one of theirs.
    for number in range(subscriptions):
        index.add(SHAPES[shape](number // MATCHES), number)
    happened = [event(number, shape) for number in range(subscriptions // MATCHES)[:EVENTS]]
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        for one in happened:
            found = sum(len(group) for _, group in index.concerned(one))
            assert found == MATCHES, f"{shape}: {found} matches"
        times.append((time.perf_counter() - began) / len(happened) * 1e6)
    return statistics.median(times[1:])


def main() -> None:
    quick = arguments(__doc__).quick
    numbers = [100, 1_000] if quick else [1_000, 10_000, 100_000]
    rows = []
    for shape in tqdm(SHAPES, unit="shape"):
        row: dict[str, object] = {"filter": shape}
        found = {number: measure(shape, number, 1 if quick else ROUNDS) for number in numbers}
        row |= {f"{number:,}, µs": microseconds for number, microseconds in found.items()}
        rows.append(row | {"ratio": found[numbers[-1]] / found[numbers[0]]})
    report("match", rows, matches=MATCHES)


if __name__ == "__main__":
    main()
