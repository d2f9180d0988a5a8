"""How many deliveries a second one process makes, when each event concerns every socket.

Each socket has a subscription of its own. Beside ours: a plain Channels app with payloads in its
channel layer, and nginx with nchan where it is installed. Medians; the server has a core of its own.
"""

from __future__ import annotations

import contextlib
from typing import Any

from tqdm import tqdm

from tests.bench import kinds
from tests.bench.machine import Load, arguments, report, set_up_django, stage

SIZE = 1_500
"""Bytes of a frame, about: ours are what the contract makes of a workitem."""

DELIVERIES = 200_000


def rate(kind: kinds.Kind, receivers: int, rounds: int, deliveries: int) -> dict[str, Any]:
    """The median of some rounds, after one to warm up."""
    events = max(2, deliveries // receivers)
    found = []
    with Load() as load:
        load.open(count=receivers, **kind.listening)
        for _ in range(rounds + 1):
            load.do("arm", deliveries=events * receivers)
            began = kind.publish(events)
            came = load.do("wait", seconds=180)
            assert came["deliveries"] == events * receivers, f"lost some: {came}"
            found.append((events * receivers / (came["last"] - began), came))
    measured = sorted(found[1:], key=lambda one: one[0])[len(found[1:]) // 2]
    return {
        "per_second": measured[0],
        "bytes": measured[1]["bytes"],
        "cpu": measured[1]["cpu_share"],
    }


def main() -> None:
    quick = arguments(__doc__).quick
    numbers = [20] if quick else [100, 1_000, 5_000]
    rounds, deliveries = (1, 200) if quick else (3, DELIVERIES)
    rows = []
    with stage() as env:
        set_up_django(env)
        servers = ["daphne"] if quick else list(kinds.OURS)
        compared: dict[str, Any] = {name: lambda o=kinds.OURS[name]: o(env) for name in servers}
        compared["Channels"] = lambda: kinds.channels(env, SIZE)
        if kinds.has_nchan():
            compared["nginx with nchan"] = lambda: kinds.nchan(SIZE)
        todo = [(n, name) for n in numbers for name in compared]
        for receivers, name in tqdm(todo, unit="run"):
            slow = name == "Channels"
            with compared[name]() as kind:
                found = rate(kind, receivers, rounds, deliveries // 10 if slow else deliveries)
            rows.append({"what": name, "receivers": receivers, **found})
    for row in rows:
        for other in ("Channels", "nginx with nchan"):
            with contextlib.suppress(StopIteration):
                base = next(
                    r for r in rows if (r["what"], r["receivers"]) == (other, row["receivers"])
                )
                row[f"times {other}"] = row["per_second"] / base["per_second"]
    report("fan_out", rows)


if __name__ == "__main__":
    main()
