"""What one REST change takes until the last of many sockets is told, beyond the write itself.

Beside it the same change on a server without a socket: the writer goes from one to the other every
few changes, so that both meet the same machine. Each is by itself, 20 a second; medians. Once on
PostgreSQL with Redis, and once on the embedded default.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from tqdm import tqdm

from tests.bench import kinds
from tests.bench.latency import paces
from tests.bench.machine import Load, embedded, parser, report, serving, stage
from tests.bench.writers import AT_A_TIME, Writer


def take_turns(
    quiet: dict[str, str], heard: dict[str, str], sockets: int, rounds: int
) -> dict[str, float]:
    """Medians in milliseconds: of the write where nobody listens, and of who listens elsewhere."""
    written: list[float] = []
    answered: list[float] = []
    told: list[float] = []
    with serving(quiet) as nobody, serving(heard) as server, Load() as load:
        alone, writer = Writer(nobody, quiet), Writer(server, heard, kinds.LABEL)
        load.open(count=sockets, **kinds.following(server, heard))

        def tell(step: str) -> None:
            load.do("arm", deliveries=sockets)
            began = time.monotonic()
            answered.append(writer.change(step))
            came = load.do("wait", seconds=60)
            assert came["deliveries"] == sockets, f"lost some: {came}"
            told.append((came["last"] - began) * 1000)

        for number in tqdm(range(rounds), unit="round"):
            written += [alone.change(f"{number}.{nth}") for nth in paces(AT_A_TIME)]
            for nth in paces(AT_A_TIME):
                tell(f"{number}.{nth}")
    write, answer, last = map(statistics.median, (written, answered, told))
    return {"write ms": write, "answer ms": answer, "last told ms": last, "beyond": last - write}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sockets", type=int, default=100)
    options.add_argument("--rounds", type=int, default=30, help=f"of {AT_A_TIME} changes each")
    asked = options.parse_args()
    sockets, rounds = (10, 1) if asked.quick else (asked.sockets, asked.rounds)
    rows: list[dict[str, Any]] = []
    for name, where in {"PostgreSQL and Redis": stage, "SQLite, by itself": embedded}.items():
        with where() as quiet, where() as heard:
            rows.append({"what": name, **take_turns(quiet, heard, sockets, rounds)})
    report("told", rows, sockets=sockets)


if __name__ == "__main__":
    main()
