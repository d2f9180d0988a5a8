"""Alive, ready, and what it says to nobody in particular: ok or not ok."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from tests.live.parts import free_port
from upsrs import drain, events
from upsrs.health import checks

pytestmark = pytest.mark.django_db(transaction=True)


def said(answer):
    return answer.status_code, answer.content.decode()


async def test_a_portal_that_is_well_is_alive_and_ready(async_client):
    for address in ("/health/live", "/health/ready"):
        answer = await async_client.get(address)
        assert said(answer) == (200, "ok\n")
        assert "no-store" in answer["Cache-Control"]


async def test_without_its_database_it_is_alive_and_not_ready_and_says_no_more(
    async_client, monkeypatch, caplog
):
    def away():
        raise OperationalError("connection to 10.0.0.5 failed for user upsrs")

    monkeypatch.setattr(events, "extent", away)
    assert said(await async_client.get("/health/live")) == (200, "ok\n")
    assert said(await async_client.get("/health/ready?format=json")) == (503, "not ok\n")
    assert "10.0.0.5" not in caplog.text
    assert "Log" in caplog.text


async def test_who_goes_down_is_alive_and_not_ready(async_client, monkeypatch):
    monkeypatch.setattr(drain, "_going_down", True)
    assert said(await async_client.get("/health/live")) == (200, "ok\n")
    assert said(await async_client.get("/health/ready")) == (503, "not ok\n")


@pytest.mark.parametrize("is_there", [True, False])
async def test_the_layer_can_be_asked_too(settings, is_there):
    if not is_there:
        host = {"address": f"redis://127.0.0.1:{free_port()}", "socket_timeout": None}
        backend = "channels_redis.core.RedisChannelLayer"
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [host]}}}
    result = await checks.Layer().get_result()
    assert (result.error is None) == is_there
