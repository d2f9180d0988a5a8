"""An answer outlives the order to stop, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from upsrs import drain
from upsrs.drain import Drain


class Slow:
    """An application that answers when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.done = self.canceled = False

    async def __call__(self, scope, receive, send):
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.canceled = True
            raise
        self.done = True


async def asked(slow):
    request = asyncio.ensure_future(Drain(slow)({"type": "http"}, None, None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return request


async def told_to_stop(request):
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_it_is_finished_although_the_server_cancels_it(monkeypatch):
    slow = Slow()
    request = await asked(slow)
    monkeypatch.setattr(drain, "_going_down", True)
    await told_to_stop(request)
    finished = asyncio.ensure_future(drain._finish())
    await asyncio.sleep(0)
    assert not finished.done()
    assert not slow.done
    slow.may.set()
    await finished
    assert slow.done


async def test_what_takes_too_long_is_not_waited_for(monkeypatch):
    slow = Slow()
    request = await asked(slow)
    monkeypatch.setattr(drain, "_going_down", True)
    monkeypatch.setattr(drain, "DRAIN_SECONDS", 0.01)
    await told_to_stop(request)
    await drain._finish()
    assert not slow.done
    slow.may.set()


async def test_who_leaves_takes_the_request_along():
    slow = Slow()
    await told_to_stop(await asked(slow))
    await asyncio.sleep(0)
    assert slow.canceled
    await drain._finish()


async def test_what_fails_fails_and_sockets_pass_by():
    async def broken(scope, receive, send):
        raise RuntimeError(scope["type"])

    for kind in ("http", "websocket"):
        with pytest.raises(RuntimeError, match=kind):
            await Drain(broken)({"type": kind}, None, None)
    assert not drain._answers
