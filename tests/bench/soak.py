"""What the server's memory does in an hour of sockets that hear, go, and come anew.

Ten events a second to all sockets; every ten seconds some of them are cut and as many connect, each
with a new subscription. The resident memory by the tenth part of the time, and how much of it came
after the first: what a server needs once, it has by then.
"""

from __future__ import annotations

import time
from typing import Any

import psutil
from tqdm import tqdm

from tests.bench import kinds
from tests.bench.latency import warm_up
from tests.bench.machine import Load, parser, report, set_up_django, stage

PER_SECOND = 10
CHURN_SECONDS = 10
PARTS = 10


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--sockets", type=int, default=1_000)
    asked = options.parse_args()
    sockets, seconds = (10, 2) if asked.quick else (asked.sockets, int(asked.minutes * 60))
    churned = max(1, sockets // 20)
    rows: list[dict[str, Any]] = []
    with stage() as env:
        set_up_django(env)
        with kinds.OURS["daphne"](env) as kind, Load() as load:
            load.open(count=sockets, **kind.listening)
            warm_up(kind, load, sockets)
            process = psutil.Process(kind.pid)
            replaced = events = 0
            began = time.monotonic()
            for second in tqdm(range(seconds), unit="s"):
                if second % CHURN_SECONDS == 0:
                    load.do("cut", count=churned)
                    load.open(count=churned, **kind.listening)
                    replaced += churned
                load.do("arm", deliveries=PER_SECOND * sockets)
                kind.publish(PER_SECOND)
                came = load.do("wait", seconds=60)
                assert came["deliveries"] == PER_SECOND * sockets, f"lost some: {came}"
                events += PER_SECOND
                time.sleep(max(0.0, began + second + 1 - time.monotonic()))
                if (second + 1) * PARTS // seconds > len(rows):
                    mib = process.memory_info().rss / 1_048_576
                    rows.append(
                        {
                            "minute": (time.monotonic() - began) / 60,
                            "events": events,
                            "sockets replaced": replaced,
                            "MiB": mib,
                            "grown since the first": mib - rows[0]["MiB"] if rows else 0.0,
                        }
                    )
    report("soak", rows, sockets=sockets)


if __name__ == "__main__":
    main()
