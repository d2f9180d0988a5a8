"""What one reader who stops costs the others, and the server's memory.

Two times the same under each server and lane: 200 events a second to 100 sockets; in the second one
more socket does not read any more. How long the others' frames are on their way, as a ratio of
the medians of several runs, since a single collection of garbage is all of one run's p99.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import psutil
from tqdm import tqdm

from tests.bench import kinds
from tests.bench.latency import paced, warm_up
from tests.bench.machine import Load, Peak, arguments, report, set_up_django, stage

AT_ONCE = 10

RECEIVERS = 100

RUNS = 5


def measure(kind: kinds.Kind, receivers: int, times: int) -> tuple[float, float, float]:
    """99 of 100 frames are there after so many ms, without and with one who stops; MiB grown."""
    with Load() as load:
        load.open(count=receivers + 1, **kind.listening)
        warm_up(kind, load, receivers + 1)
        paced(kind, load, receivers + 1, times, AT_ONCE)  # what such a load takes in memory at all
        undisturbed = paced(kind, load, receivers + 1, times, AT_ONCE)
        before = psutil.Process(kind.pid).memory_info().rss
        load.do("stall", count=1)
        peak = Peak(kind.pid)
        disturbed = paced(kind, load, receivers, times, AT_ONCE)
        peak.over.set()
    return undisturbed["p99"], disturbed["p99"], (peak.bytes - before) / 1_048_576


def middle(runs: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """The medians of all runs; of memory the most."""
    undisturbed, disturbed, grown = zip(*runs, strict=True)
    usual, beside = statistics.median(undisturbed), statistics.median(disturbed)
    return {
        "p99 ms": usual,
        "beside a stalled reader": beside,
        "times": beside / usual,
        "grown MiB": max(grown),
    }


def main() -> None:
    quick = arguments(__doc__).quick
    receivers, times, runs = (5, 5, 1) if quick else (RECEIVERS, 160, RUNS)
    compared = dict(list(kinds.OURS.items())[:1]) if quick else kinds.OURS
    rows = []
    with stage() as env:
        set_up_django(env)
        with tqdm(total=len(compared) * runs, unit="run") as progress:
            for name, ours in compared.items():
                with ours(env) as kind:
                    measured = []
                    for _ in range(runs):
                        measured.append(measure(kind, receivers, times))
                        progress.update()
                rows.append({"what": name, "receivers": receivers, **middle(measured)})
    report("stalled", rows, per_second=20 * AT_ONCE, runs=runs)


if __name__ == "__main__":
    main()
