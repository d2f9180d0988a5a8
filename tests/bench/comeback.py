"""Thousands return at once after their server was killed, each having missed some events.

How long until all have heard all of it, and what came meanwhile; and the memory that it took.
"""

from __future__ import annotations

import time
from typing import Any

from tests.bench import kinds
from tests.bench.machine import (
    DAPHNE,
    UVICORN,
    Load,
    Peak,
    parser,
    report,
    serving,
    set_up_django,
    stage,
    token,
)
from tests.live.server import Server

MEANWHILE = 10
"""So many events happen while they catch up."""


def measure(env: dict[str, str], server: Server, sockets: int, missed: int) -> dict[str, Any]:
    with Load() as load:
        load.open(count=sockets, **kinds.following(server, env))
        server.kill()
        for _ in range(missed):
            kinds.publish(1)
        server.start()
        assert server.process is not None
        peak = Peak(server.process.pid)
        load.do("arm", deliveries=sockets * (missed + MEANWHILE))
        began = time.monotonic()
        back = load.do("come_back", url=server.general, headers=token(env))
        for _ in range(MEANWHILE):
            kinds.publish(1)
        came = load.do("wait", seconds=300)
        peak.over.set()
        return {
            "refused": back["failed"],
            "connected s": back["seconds"],
            "caught up s": came["last"] - began,
            "deliveries/s": came["deliveries"] / (came["last"] - began),
            "lost": max(0, sockets * (missed + MEANWHILE) - came["deliveries"]),
            "peak MiB": peak.bytes / 1_048_576,
        }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sockets", type=int, default=5_000)
    options.add_argument("--missed", type=int, default=200)
    asked = options.parse_args()
    sockets, missed = (20, 5) if asked.quick else (asked.sockets, asked.missed)
    rows = []
    with stage() as env:
        set_up_django(env)
        programs = {"daphne": DAPHNE} if asked.quick else {"daphne": DAPHNE, "uvicorn": UVICORN}
        for name, program in programs.items():
            with serving(env, program) as server:
                found = measure(env, server, sockets, missed)
            rows.append({"what": name, "sockets": sockets, "missed": missed, **found})
    report("comeback", rows)
    assert not any(row["lost"] or row["refused"] for row in rows), "some were lost"


if __name__ == "__main__":
    main()
