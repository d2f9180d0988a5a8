"""Lines on which nothing happens: they stay open, and who asks for it is told that they live."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.live import making
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

SHORTEST = 15
"""The contract's least interval; a shorter one is clamped to it."""


@pytest.mark.postgres
@pytest.mark.redis
async def test_a_heartbeat_comes_at_the_least_interval_and_idle_lines_stay_open(
    sqlite_backend, postgres_backend, start
):
    """Both databases at once, since it takes its time.

    The silent line beside is there for redis-py, whose default time-out of 5 s once closed every
    idle socket of a server.
    """
    await asyncio.gather(*(_idle(backend, start) for backend in (sqlite_backend, postgres_backend)))


async def _idle(backend, start) -> None:
    server = await asyncio.to_thread(start, backend)
    alice = backend.tokens["alice"]
    await asyncio.to_thread(making.create, backend)
    async with (
        Subscriber(server.general, alice) as beating,
        Subscriber(server.general, alice) as silent,
    ):
        confirmation = await beating.subscribe({}, heartbeatSeconds=1)
        assert "heartbeatSeconds" not in confirmation["subscription"]["ignored"]
        asked = time.monotonic()
        await beating.initial_state()
        await silent.subscribe({"worklistLabel": "*"}, initialState=False)
        beat = await beating.next(SHORTEST + 10)
        assert SHORTEST - 1 < time.monotonic() - asked < SHORTEST + 10
        assert beat["heartbeat"] is True
        assert beat["eventId"] == 1
        assert beat["subscriptionUID"] == confirmation["subscriptionUID"]
        assert beat["logId"] == confirmation["subscription"]["logId"]
        assert await silent.hears_nothing(1)
        uid = await asyncio.to_thread(making.create, backend)
        for socket in (beating, silent):
            assert (await socket.next(2))["workitemUID"] == uid
