"""Memory over time: `tests.bench soak` looks for an hour, this for seconds."""

from __future__ import annotations

import contextlib

import psutil

from tests.bench import kinds
from tests.bench.machine import Load
from tests.bench.writers import UNCOUNTED, Writer
from tests.live.parts import PATIENCE_SECONDS, on_postgres

ROUNDS, AT_ONCE, UPDATES = 16, 60, 1
HEARD = AT_ONCE * (UNCOUNTED + UPDATES)

FIRST = 9
"""What so many rounds take is the server's own."""


@on_postgres
def test_sockets_that_come_and_go_leave_nothing_in_memory(backend, server):
    """Each holds some 35 KiB, with all that belongs to it."""
    env = backend.env | {"BENCH_TOKEN": backend.tokens["alice"]}
    process, sizes = psutil.Process(server.process.pid), []
    writer = Writer(server, env, kinds.LABEL)
    with contextlib.closing(writer.connection), Load() as load:
        for _ in range(ROUNDS):
            load.open(count=AT_ONCE, **kinds.following(server, env))
            load.do("arm", deliveries=HEARD)
            writer.update(UPDATES)
            came = load.do("wait", seconds=PATIENCE_SECONDS)
            assert came["deliveries"] == HEARD
            load.do("cut", count=AT_ONCE)
            sizes.append(process.memory_info().rss)
    kept = (sizes[-1] - sizes[FIRST - 1]) / ((ROUNDS - FIRST) * AT_ONCE)
    assert kept < 20_000, f"{kept:.0f} bytes of each socket: {sizes}"
