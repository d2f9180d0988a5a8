"""What the places of a process cost the database."""

from __future__ import annotations

import asyncio
import uuid
from types import SimpleNamespace

from upsrs import subscriptions
from upsrs.places import Places

TOGETHER = 100


async def test_sockets_that_go_together_are_stored_together_each_once(monkeypatch):
    """As when a proxy restarts: each waits for what it has asked for, and none asks for all again."""
    stored = []
    monkeypatch.setattr(subscriptions, "leave", stored.append)
    places = Places(asyncio.get_running_loop(), listeners=list, position_of=lambda _: 7)

    async def go() -> uuid.UUID:
        listener = SimpleNamespace(connection_id=uuid.uuid4(), taken=lambda *_, clean: 7)
        places.depart(listener, clean=True)
        await places.store_departures()
        assert listener.connection_id not in places.here().departing
        return listener.connection_id

    gone = await asyncio.gather(*(go() for _ in range(TOGETHER)))
    assert sorted(pk for batch in stored for pk in batch) == sorted(gone)
    assert len(stored) <= 3
