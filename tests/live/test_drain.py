"""SIGTERM on a real daphne: what was begun is finished, what was done is recorded, and it ends."""

from __future__ import annotations

import asyncio

import httpx
import psycopg
import pytest

from tests.live.parts import PATIENCE_SECONDS, wait_until
from tests.live.performing import Performer
from tests.subscriber import Subscriber

pytestmark = [pytest.mark.asyncio, pytest.mark.postgres, pytest.mark.redis]

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
RECORDED = "SELECT act FROM upsrs_auditrecord ORDER BY id"


async def test_a_server_that_is_told_to_stop_finishes_what_it_has_begun(postgres_backend, start):
    server, alice = start(postgres_backend), postgres_backend.tokens["alice"]
    url = postgres_backend.env["DATABASE_URL"]
    async with (
        Performer(server, postgres_backend) as ris,
        Subscriber(server.general, alice) as socket,
        httpx.AsyncClient(timeout=PATIENCE_SECONDS) as balancer,
    ):
        uid = await ris.create()
        await socket.subscribe(initialState=False)
        ready = f"{server.url}/health/ready"
        assert (await balancer.get(ready)).status_code == 200
        with psycopg.connect(url) as holding, psycopg.connect(url, autocommit=True) as looking:
            holding.execute("SELECT id FROM upsrs_workitem FOR UPDATE")
            answer = asyncio.create_task(ris.update(uid, ProcedureStepLabel="Late"))

            def waits() -> bool:
                return bool(looking.execute(WAITS, [looking.info.dbname]).fetchone()[0])

            await asyncio.to_thread(wait_until, waits, "the request is being carried out")
            stopped = asyncio.create_task(asyncio.to_thread(server.terminate))
            assert await socket.closed() == 4001
            assert (await balancer.get(ready)).status_code == 503
            assert not answer.done()
            holding.rollback()
            assert (await answer).status_code == 200
            assert await stopped == 0
            acts = [act for (act,) in looking.execute(RECORDED)]
            assert sorted(acts) == ["close", "create", "open", "subscribe", "update"]
    assert "Traceback" not in server.log
