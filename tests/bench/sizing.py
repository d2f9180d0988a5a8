"""How many processes a hospital group needs, from measured figures: what saturates first, and why.

A calculation, no measurement: give it the figures of your own machine, each with the benchmark
that measures it, and what your hospitals do. It is re-run in a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tests.bench.machine import parser, report
from upsrs.wakeup import APART_SECONDS

MiB = 1_048_576
DAY = 86_400


@dataclass(frozen=True)
class Figure:
    """One number of the calculation: what it is, and what is taken for it unless told."""

    default: float
    meaning: str


GROUP = {
    "sites": Figure(200, "hospitals"),
    "sockets": Figure(50_000, "open sockets of all of them"),
    "events": Figure(500, "events a second of all of them, at the peak"),
    "receivers": Figure(25, "sockets that one event concerns"),
    "event-bytes": Figure(6_000, "an event in the log, with its indexes"),
    "retention-days": Figure(7, "days that the log is kept"),
    "peak-to-mean": Figure(4, "the peak over the mean of a day"),
    "place-seconds": Figure(30, "UPSRS_PLACE_SECONDS"),
}
"""What the hospitals do."""

MEASURED = {
    "event-ms": Figure(
        1.0, "of a process for an event, when many are read at once (latency, in a burst)"
    ),
    "deliveries": Figure(50_000, "a second, of a process that does nothing else (fan_out)"),
    "kib": Figure(60, "KiB of a socket (memory)"),
    "connects": Figure(250, "sockets a second that connect (storm)"),
    "creates": Figure(1_000, "workitems a second, many at once, of one writing process (ingest)"),
    "rows": Figure(20_000, "rows a second that PostgreSQL updates in batches"),
}
"""What the benchmarks say of the machine."""

ALLOWED = {
    "busy": Figure(0.5, "of a core, so that a burst has room"),
    "process-mib": Figure(2_048, "memory of a process"),
    "return-seconds": Figure(60, "seconds until all have connected again after a restart"),
}
"""What is wanted of it."""


def processes(at: dict[str, float]) -> dict[str, float]:
    """The processes that each limit asks for; infinite where more of them do not help."""
    # Each process reads each event: only what is left of its core is for deliveries.
    left = at["busy"] - at["events"] * at["event_ms"] / 1000
    deliveries = at["events"] * at["receivers"] / at["deliveries"]
    return {
        "deliveries": deliveries / left if left > 0 else math.inf,
        "memory": at["sockets"] * at["kib"] * 1024 / (at["process_mib"] * MiB),
        "all connecting again": at["sockets"] / (at["connects"] * at["return_seconds"]),
    }


def shards(at: dict[str, float]) -> int:
    """Into so many portals, each with a database of its own, so that a process can read its log."""
    reading = at["events"] * at["event_ms"] / 1000
    return max(1, math.ceil(reading / (at["busy"] / 2)))


def database(at: dict[str, float], count: int) -> dict[str, tuple[float, str]]:
    """What PostgreSQL and Redis of one shard have to do."""
    moved = min(at["sockets"] / at["place_seconds"], at["events"] * at["receivers"])
    log = at["events"] / at["peak_to_mean"] * DAY * at["retention_days"] * at["event_bytes"]
    return {
        "events written a second, of what one process can": (
            at["events"] / at["creates"],
            "more writing processes, until the disk of its log is full",
        ),
        "places stored a second, of what it can": (
            moved / at["rows"],
            "a longer UPSRS_PLACE_SECONDS: after a crash more is told twice",
        ),
        "events read a second, by all processes": (at["events"] * count, "fewer, larger processes"),
        "GiB of log": (log / 1024**3, "a shorter UPSRS_LOG_RETENTION_SECONDS"),
        "wake-ups of Redis a second at most, if only these write": (
            min(at["events"], count / APART_SECONDS) * count,
            "nothing: they coalesce",
        ),
    }


def size(at: dict[str, float]) -> list[dict[str, Any]]:
    parts = shards(at)
    one = {**at, **{name: at[name] / parts for name in ("sites", "sockets", "events")}}
    needed = processes(one)
    count = math.ceil(max(needed.values())) + 1  # one may fail, or be restarted
    rows: list[dict[str, Any]] = [
        {"what": "shards", "amount": parts, "if it is too much": "each has a database of its own"},
        {"what": "sites of a shard", "amount": one["sites"]},
        {"what": "processes of a shard", "amount": count},
        {"what": "processes in all", "amount": count * parts},
    ]
    for name, amount in sorted(needed.items(), key=lambda item: -item[1]):
        rows.append({"what": f"processes for {name}", "amount": amount})
    reading = one["events"] * one["event_ms"] / 1000
    rows.append({"what": "of a core, for reading the log alone", "amount": reading})
    for what, (amount, remedy) in database(one, count).items():
        rows.append({"what": what, "amount": amount, "if it is too much": remedy})
    return rows


def main() -> None:
    options = parser(__doc__)
    for name, figure in (GROUP | MEASURED | ALLOWED).items():
        options.add_argument(
            f"--{name}",
            type=float,
            default=figure.default,
            help=f"{figure.meaning} (default: {figure.default:g})",
        )
    at = vars(options.parse_args())
    del at["quick"]
    report("sizing", size(at), given=at)


if __name__ == "__main__":
    main()
