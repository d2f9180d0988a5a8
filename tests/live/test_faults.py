"""Whatever fails, nothing is lost, nothing is skipped, and all is told at least once.

UPSRS_TESTS_SOAK makes them longer: so many times the changes, the cuts and the seconds. What a
reader that stands still costs is in ``test_pacing``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.live.parts import PATIENCE_SECONDS, on_postgres, on_sqlite
from tests.live.server import Backend, Server
from tests.live.soak import Listener, Writer, verdict

SOAK = int(os.environ.get("UPSRS_TESTS_SOAK", "1"))

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def listening(
    backend: Backend, servers: Sequence[Server], keys: Sequence[dict[str, str]] = ({},)
) -> AsyncIterator[list[Listener]]:
    """For each filter one that remembers its place, and one that leaves it to the server."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Listener(servers, backend.tokens["alice"], wanted, knows_its_place=knows, seed=seed)
            )
            for seed, (wanted, knows) in enumerate(
                (wanted, knows) for wanted in keys for knows in (True, False)
            )
        ]


async def heard_by(listeners: Sequence[Listener], count: int) -> None:
    """Wait until those who follow everything have heard of so many events."""

    def heard(listener: Listener) -> int:
        return len({message["eventId"] for line in listener.heard() for message in line})

    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while any(heard(listener) < count for listener in listeners if not listener.keys):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("backend", "kill"),
    [
        pytest.param("sqlite", True, id="sqlite-kill -9"),
        *(
            pytest.param(
                "postgres+redis",
                kill,
                marks=[pytest.mark.postgres, pytest.mark.redis],
                id=f"postgres+redis-{name}",
            )
            for name, kill in {"kill -9": True, "SIGTERM": False}.items()
        ),
    ],
    indirect=["backend"],
)
async def test_a_server_that_dies_in_a_burst_loses_nothing(backend, server, kill):
    chance = random.Random(4)
    async with (
        listening(backend, [server], [{}, {"worklistLabel": "AI"}]) as listeners,
        Writer(backend) as writer,
    ):
        for seed in range(SOAK):
            burst = asyncio.create_task(writer.do("burst", count=200, seed=seed))
            await heard_by(listeners, seed * 200 + chance.randrange(5, 60))
            await asyncio.to_thread(server.restart, kill=kill)
            await burst
        assert await verdict(listeners, [writer]) == 200 * SOAK


@on_postgres
async def test_whatever_becomes_of_redis_costs_latency_only(backend, server, redis):
    async with listening(backend, [server]) as listeners, Writer(backend) as writer:
        for seed, befalls in enumerate(
            (redis.flush, redis.kill, redis.start, redis.restart, redis.silent)
        ):
            burst = asyncio.create_task(writer.do("burst", count=40 * SOAK, seed=seed))
            await asyncio.to_thread(befalls)
            # Writers never wait for Redis: silent, it answers nothing any more.
            await asyncio.wait_for(burst, PATIENCE_SECONDS)
        assert await verdict(listeners, [writer]) == 200 * SOAK


@on_postgres
async def test_a_restart_of_postgresql_in_a_burst_loses_nothing(backend, server, postgres):
    async with listening(backend, [server]) as listeners, Writer(backend) as writer:
        for seed in range(2 * SOAK):
            burst = asyncio.create_task(writer.do("burst", count=100, seed=seed, pause=0.005))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(postgres.restart)
            await burst
        assert await verdict(listeners, [writer]) == 200 * SOAK


@on_postgres
async def test_who_holds_a_transaction_or_rolls_back_stops_nobody(backend, server):
    """Rolled back changes leave holes in the sequence of the database; a held one comes late."""
    async with (
        listening(backend, [server]) as listeners,
        Writer(backend) as slow,
        Writer(backend) as quick,
    ):
        held = "2.25.4711"
        await slow.do("hold", uid=held)
        holding = asyncio.create_task(asyncio.sleep(3 * SOAK))
        await quick.do("burst", count=50, seed=3, undone=4)
        await heard_by(listeners, 50)
        await holding
        await slow.do("let_go")
        assert await verdict(listeners, [quick, slow]) == 51
        for listener in listeners:
            assert listener.heard()[0][-1]["workitemUID"] == held


async def test_a_line_cut_a_hundred_times_at_random_moments_loses_nothing(backend, server):
    chance = random.Random(5)
    async with listening(backend, [server]) as listeners, Writer(backend) as writer:
        burst = asyncio.create_task(writer.do("burst", count=200 * SOAK, seed=4, pause=0.01))
        for _ in range(100 * SOAK):
            await asyncio.sleep(chance.uniform(0, 0.06))
            await chance.choice(listeners).cut()
        await burst
        assert await verdict(listeners, [writer]) == 200 * SOAK
        assert sum(len(listener.lines) for listener in listeners) > 20, "they came back"


@on_sqlite
async def test_a_clock_that_is_set_back_changes_nothing(backend, start):
    server = start(backend, application="tests.live.clock:application")
    async with listening(backend, [server]) as listeners, Writer(backend) as writer:
        await writer.do("burst", count=50, seed=5)
        server.send_signal(signal.SIGUSR1)
        await writer.do("set_clock_back", hours=1)
        await writer.do("burst", count=50, seed=6)
        for listener in listeners:
            await listener.cut()
        await writer.do("burst", count=50, seed=7)
        assert await verdict(listeners, [writer]) == 150


@on_postgres
async def test_a_frozen_process_holds_up_no_other(backend, start):
    """A server that is stopped, then one that is stopped with the log's counter in its hand."""
    servers = [start(backend), start(backend)]
    async with (
        listening(backend, servers[:1]) as stopped,
        listening(backend, servers[1:]) as others,
        Writer(backend) as writer,
        Writer(backend) as numberer,
    ):
        servers[0].send_signal(signal.SIGSTOP)
        await writer.do("burst", count=100 * SOAK, seed=8)
        await verdict(others, [writer])
        servers[0].send_signal(signal.SIGCONT)
        await verdict([*stopped, *others], [writer])

        # It numbers what another has just committed: the servers must not be quicker.
        for server in servers:
            server.send_signal(signal.SIGSTOP)
        await writer.do("burst", count=5, seed=9)
        assert await numberer.do("freeze_while_numbering") == "freezing"
        await asyncio.to_thread(os.waitpid, numberer.process.pid, os.WUNTRACED)
        for server in servers:
            server.send_signal(signal.SIGCONT)
        await writer.do("burst", count=5, seed=10)
        await verdict([*stopped, *others], [writer])
        numberer.process.send_signal(signal.SIGCONT)
        await numberer.said()
        await writer.do("burst", count=5, seed=11)
        assert await verdict([*stopped, *others], [writer]) == 100 * SOAK + 15
