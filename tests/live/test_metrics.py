"""Metrics tell the truth: known traffic, and the same numbers read back."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from tests import datasets
from tests.live.making import PRELUDE
from tests.live.parts import PATIENCE_SECONDS
from tests.live.server import shell
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

DELAY_SECONDS = 1.5

LOST = "upsrs_wakeups_lost_total"

COMMITTED_LATE = f"""
import time
from django.db import transaction
with transaction.atomic():
    workitems.create(None, datasets.dataset(WorklistLabel="LATE"))
    time.sleep({DELAY_SECONDS})
"""


async def scrape(backend, server) -> dict[str, float]:
    """Sample → value: ``upsrs_events_total{kind="CREATED"}``."""
    token = {"Authorization": f"Token {backend.tokens['root']}"}
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}/ups-rs/metrics", headers=token)
    assert answer.status_code == 200, answer.text
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def create(backend, server, label: str) -> None:
    token = {"Authorization": f"Token {backend.tokens['alice']}"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            server.rest,
            json=[datasets.dataset(WorklistLabel=label)],
            headers={**token, "Content-Type": "application/dicom+json"},
        )
    assert answer.status_code == 201, answer.text


async def numbers(backend, server, expected: dict[str, float]) -> dict[str, float]:
    """The metrics, once they are what is expected; what is counted comes a moment after it is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await scrape(backend, server)
            if {name: found.get(name, 0) for name in expected} == expected:
                return found
            await asyncio.sleep(0.05)


async def test_known_traffic_is_read_back(backend, server):
    alice = backend.tokens["alice"]
    with pytest.raises(InvalidStatus):
        await Subscriber(server.general).__aenter__()
    async with (
        Subscriber(server.general, alice) as ai,
        Subscriber(server.general, alice) as everything,
    ):
        for socket, keys in ((ai, {"worklistLabel": "AI"}), (everything, {})):
            await socket.subscribe(keys)
            await socket.initial_state()
        await _traffic(backend, server, alice, ai)


async def _traffic(backend, server, alice, ai):
    for label in ("AI", "AI", "MR", "AI", "MR"):
        await create(backend, server, label)
    traffic = {
        "upsrs_sockets": 2,
        "upsrs_subscriptions": 2,
        'upsrs_events_total{kind="CREATED"}': 5,
        'upsrs_deliveries_total{when="live"}': 8,
        'upsrs_deliveries_total{when="catching_up"}': 0,
        "upsrs_delivery_lag_seconds_count": 5,
        'upsrs_log_events{state="retained"}': 5,
        'upsrs_log_events{state="unnumbered"}': 0,
        "upsrs_log_position": 5,
        'upsrs_handshakes_refused_total{reason="not_logged_in"}': 1,
        "upsrs_resumes_total": 0,
        "upsrs_resyncs_total": 0,
    }
    await numbers(backend, server, traffic)

    uid = ai.messages[0]["subscriptionUID"]
    await ai.close()
    await numbers(backend, server, {'upsrs_closes_total{code="1000"}': 1, "upsrs_sockets": 1})
    await create(backend, server, "AI")
    await numbers(backend, server, {'upsrs_events_total{kind="CREATED"}': 6})
    async with Subscriber(server.specific(uid), alice) as returned:
        await returned.until(lambda message: message.get("eventId") == 6)
        await numbers(
            backend,
            server,
            {"upsrs_resumes_total": 1, 'upsrs_deliveries_total{when="catching_up"}': 1},
        )
        await returned.send(b"binary")
        assert await returned.closed() == 4003
    async with Subscriber(f"{server.specific(uid)}?after=999", alice) as lost:
        await lost.until(lambda message: "initialStateComplete" in message)
    await numbers(
        backend,
        server,
        {
            "upsrs_resyncs_total": 1,
            "upsrs_resumes_total": 1,
            'upsrs_closes_total{code="4003"}': 1,
            "upsrs_sockets": 1,
        },
    )

    before = await scrape(backend, server)
    # Nobody wakes the server through Redis: that process knows none.
    database = {"DATABASE_URL": backend.env["DATABASE_URL"]}
    await asyncio.to_thread(shell, database, PRELUDE + COMMITTED_LATE)
    unwoken = float(backend.name != "sqlite")  # a look at SQLite's file is as good as a wake-up
    after = await numbers(backend, server, {"upsrs_delivery_lag_seconds_count": 7})
    # At least: on a busy machine a look at the log may be faster than a wake-up on its way.
    assert after.get(LOST, 0) - before.get(LOST, 0) >= unwoken
    assert longer_than_a_second(after) == longer_than_a_second(before) + 1
    grew = after["upsrs_delivery_lag_seconds_sum"] - before["upsrs_delivery_lag_seconds_sum"]
    assert grew >= DELAY_SECONDS


def longer_than_a_second(metrics: dict[str, float]) -> float:
    within = metrics['upsrs_delivery_lag_seconds_bucket{le="1.0"}']
    return metrics["upsrs_delivery_lag_seconds_count"] - within
