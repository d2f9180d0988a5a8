"""What the places of a process cost the database."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from upsrs import subscriptions
from upsrs.places import Places

TOGETHER = 100


@pytest.fixture(autouse=True)
def no_database(monkeypatch):
    """What is asked of the database is answered by the test, a moment later."""

    def in_database(function):
        async def answer(*asked):
            await asyncio.sleep(0.001)
            return function(*asked)

        return answer

    monkeypatch.setattr("upsrs.places.in_database", in_database)


async def go(places: Places) -> uuid.UUID:
    listener = SimpleNamespace(connection_id=uuid.uuid4(), taken=lambda *_, clean: 7)
    places.depart(listener, clean=True)
    with contextlib.suppress(OperationalError):
        await places.store_departures()
    return listener.connection_id


async def test_sockets_that_go_together_are_stored_together_each_once(monkeypatch):
    """As when a proxy restarts: each waits for what it has asked for, and none asks for all again."""
    stored = []
    monkeypatch.setattr(subscriptions, "leave", stored.append)
    places = Places(asyncio.get_running_loop(), listeners=list, position_of=lambda _: 7)

    gone = await asyncio.gather(*(go(places) for _ in range(TOGETHER)))
    assert not places.here().departing
    assert sorted(pk for batch in stored for pk in batch) == sorted(gone)
    assert len(stored) <= 3


async def test_while_the_database_is_away_it_is_not_asked_by_each_and_nothing_is_forgotten(
    monkeypatch, settings
):
    settings.UPSRS_PLACE_SECONDS = 0.2
    asked, stored = [], {}

    def refuse(left):
        asked.append(left)
        raise OperationalError

    monkeypatch.setattr(subscriptions, "leave", refuse)
    places = Places(asyncio.get_running_loop(), listeners=list, position_of=lambda _: 7)
    gone = await asyncio.gather(*(go(places) for _ in range(TOGETHER)))
    assert len(asked) == 1
    assert set(places.here().departing) == set(gone)
    monkeypatch.setattr(subscriptions, "leave", stored.update)
    while places.here().departing:
        await asyncio.sleep(0.05)
        await places.store_departures()
    assert set(stored) == set(gone)
