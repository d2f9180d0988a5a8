"""How long the hub waits for the sockets of its process."""

from __future__ import annotations

import asyncio

import pytest

from upsrs.backlog import SETTLE_SECONDS, Backlog

MUCH = 1_000_000


@pytest.fixture
def backlog(settings):
    settings.UPSRS_PROCESS_BUFFER_BYTES = 4_000
    backlog = Backlog()
    backlog.changed(0, MUCH)
    return backlog


async def test_who_takes_what_it_was_given_is_waited_for(backlog):
    asyncio.get_running_loop().call_later(0.003, backlog.changed, MUCH, 500)
    await backlog.settle()
    assert not backlog.is_much


async def test_who_stands_still_is_not(backlog):
    began = asyncio.get_running_loop().time()
    await backlog.settle()
    assert backlog.is_much
    assert asyncio.get_running_loop().time() - began < 10 * SETTLE_SECONDS


async def test_nor_for_long_who_takes_a_little_at_a_time(backlog):
    async def take_little_by_little():
        while True:
            backlog.changed(1, 0)
            await asyncio.sleep(0)

    taking = asyncio.create_task(take_little_by_little())
    await asyncio.wait_for(backlog.settle(), 60)
    taking.cancel()
    assert backlog.is_much
