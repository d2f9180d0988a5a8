"""How long an event is on its way to N receivers, at 20 events a second, and what it costs the server.

Beside ours: a plain Channels app, and nginx with nchan where it is installed. Milliseconds from
before the writer's commit until the frame is read, over all frames; the server has a core of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from tests.bench import kinds
from tests.bench.fan_out import SIZE
from tests.bench.machine import Load, arguments, report, set_up_django, stage

PER_SECOND = 20

IN_A_BURST = 20_000
"""So many deliveries, at most: what an event costs when many are read at once."""


def warm_up(kind: kinds.Kind, load: Load, receivers: int) -> None:
    """What a server does for the first time is no event's fault."""
    for _ in range(3):
        load.do("arm", deliveries=receivers)
        kind.publish(1)
        load.do("wait", seconds=60)


def paces(times: int) -> Iterator[int]:
    """So many numbers, 20 a second, each after its share of it."""
    began = time.monotonic()
    for number in range(times):
        time.sleep(max(0.0, began + (number + 1) / PER_SECOND - time.monotonic()))
        yield number


def paced(
    kind: kinds.Kind, load: Load, receivers: int, times: int, at_once: int = 1
) -> dict[str, float]:
    """Milliseconds on the way (p50, p99, max) of so many events each time, 20 times a second."""
    deliveries = times * at_once * receivers
    load.do("arm", deliveries=deliveries, times=True)
    published: list[float] = []
    for _ in paces(times):
        published += [kind.publish(at_once)] * at_once
    came = load.do("wait", seconds=60)
    assert came["deliveries"] == deliveries, f"lost some: {came}"
    return load.do("latencies", published=published)


def measure(kind: kinds.Kind, receivers: int, events: int) -> dict[str, Any]:
    with Load() as load:
        load.open(count=receivers, **kind.listening)
        warm_up(kind, load, receivers)
        spent = kind.cpu_seconds()
        waited = paced(kind, load, receivers, events)
        spent = kind.cpu_seconds() - spent
        at_once = max(2, min(events, IN_A_BURST // receivers))
        load.do("arm", deliveries=at_once * receivers)
        in_burst = kind.cpu_seconds()
        kind.publish(at_once)
        load.do("wait", seconds=60)
        in_burst = kind.cpu_seconds() - in_burst
    return {
        **{f"{name} ms": ms for name, ms in waited.items()},
        "server ms": spent / events * 1000,
        "in a burst": in_burst / at_once * 1000,
    }


def main() -> None:
    quick = arguments(__doc__).quick
    numbers = [10] if quick else [1, 100, 1_000]
    events = 5 if quick else 200
    rows = []
    with stage() as env:
        set_up_django(env)
        servers = ["daphne"] if quick else ["daphne", "uvicorn"]
        compared: dict[str, Any] = {name: lambda o=kinds.OURS[name]: o(env) for name in servers}
        compared["Channels"] = lambda: kinds.channels(env, SIZE)
        if kinds.has_nchan():
            compared["nginx with nchan"] = lambda: kinds.nchan(SIZE)
        todo = [(n, name) for n in numbers for name in compared]
        for receivers, name in tqdm(todo, unit="run"):
            with compared[name]() as kind:
                found = measure(kind, receivers, events)
            rows.append({"what": name, "receivers": receivers, **found})
    report("latency", rows, per_second=PER_SECOND)


if __name__ == "__main__":
    main()
