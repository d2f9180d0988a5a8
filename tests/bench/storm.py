"""How long it takes until thousands who connect at once, with a token each, are connected.

Beside it the least that a socket with a token costs: one look-up under uvicorn, and accepted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm

from tests.bench.machine import DAPHNE, UVICORN, Load, parser, report, serving, stage, token
from tests.live.server import Server


def seconds(server: Server, url: str, count: int, headers: dict[str, str]) -> tuple[float, int]:
    """Until all are connected, and how many were not."""
    with Load() as load:
        opened = load.do("open", url=url, count=count, headers=headers, at_once=count)
    return opened["seconds"], opened["failed"]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sockets", type=int, default=5_000)
    asked = options.parse_args()
    count, rounds = (50, 1) if asked.quick else (asked.sockets, 3)
    rows: list[dict[str, Any]] = []
    with stage() as env:
        bare = "tests.bench.baseline:application"
        compared: dict[str, tuple[Callable[[], AbstractContextManager[Server]], str]] = {
            "bare, uvicorn": (lambda: serving(env, UVICORN, bare), "/bare"),
            "upsrs, daphne": (lambda: serving(env, DAPHNE), ""),
        }
        if not asked.quick:
            compared["upsrs, uvicorn"] = (lambda: serving(env, UVICORN), "")
        for name, (serve, path) in tqdm(compared.items(), unit="run"):
            with serve() as server:
                url = f"ws://127.0.0.1:{server.port}{path}" if path else server.general
                found = [seconds(server, url, count, token(env)) for _ in range(rounds)]
            rows.append(
                {
                    "what": name,
                    "sockets": count,
                    "seconds": statistics.median(took for took, _ in found),
                    "refused": sum(refused for _, refused in found),
                }
            )
    for row in rows:
        row["times bare"] = row["seconds"] / rows[0]["seconds"]
    report("storm", rows)


if __name__ == "__main__":
    main()
