"""The bridge to the channel layer: it coalesces, it never makes a writer wait, it heals."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from upsrs import wakeup


class Layer:
    """A channel layer that records, or stands still, or fails."""

    def __init__(self):
        self.sent = 0
        self.last = {}
        self.silent = False
        self.broken = False
        self.arrived = threading.Event()

    async def group_send(self, group, message):
        assert (group, message["type"]) == (wakeup.GROUP, wakeup.TYPE)
        if self.silent:
            await asyncio.sleep(60)
        if self.broken:
            raise ConnectionError
        self.sent += 1
        self.last = message
        self.arrived.set()


@pytest.fixture
def layer(monkeypatch):
    layer = Layer()
    monkeypatch.setattr(wakeup, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(wakeup, "SEND_SECONDS", 0.2)
    return layer


def test_a_burst_of_commits_needs_few_wakeups(layer):
    for _ in range(10_000):
        wakeup.wake()
    wakeup.flush(5)
    assert 1 <= layer.sent < 5_000


def test_the_wakeups_of_a_busy_process_follow_at_a_distance(layer):
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        wakeup.wake()
        time.sleep(0.001)
    wakeup.flush(5)
    assert 2 <= layer.sent <= (time.monotonic() - began) / wakeup.APART_SECONDS + 2


def test_a_silent_layer_holds_up_no_writer_and_is_let_go(layer):
    layer.silent = True
    started = time.monotonic()
    for _ in range(1_000):
        wakeup.wake()
    assert time.monotonic() - started < 1
    layer.silent = False
    deadline = time.monotonic() + 10
    while not layer.arrived.wait(0.1):
        wakeup.wake()
        assert time.monotonic() < deadline


def test_a_broken_layer_is_told_once_and_used_again(layer, caplog):
    layer.broken = True
    for _ in range(3):
        wakeup.wake()
        wakeup.flush(5)
    layer.broken = False
    wakeup.wake()
    wakeup.flush(5)
    assert layer.sent == 1
    said = [record.message for record in caplog.records if record.name == "upsrs.wakeup"]
    assert len(said) == 2
    assert "ConnectionError" in said[0]


def test_a_hub_of_this_process_needs_no_layer(monkeypatch):
    monkeypatch.setattr(wakeup, "get_channel_layer", lambda: None)
    woken = []

    def listen():
        woken.append(1)

    wakeup.listen(listen)
    wakeup.wake()
    wakeup.unlisten(listen)
    wakeup.wake()
    assert woken == [1]


@pytest.fixture
def alone():
    wakeup.expect_others(False)
    yield
    wakeup.expect_others(True)


def test_where_no_other_process_has_a_hub_none_is_woken(layer, alone):
    wakeup.wake()
    wakeup.flush(5)
    assert layer.sent == 0
    wakeup.expect_others(True)
    wakeup.wake()
    wakeup.flush(5)
    assert layer.sent == 1


@pytest.fixture
def arriving(layer, monkeypatch):
    """The messages that are on their way to this process."""
    queue = asyncio.Queue()

    async def new_channel():
        return "here"

    async def group_add(group, channel):
        assert (group, channel) == (wakeup.GROUP, "here")

    monkeypatch.setattr(layer, "new_channel", new_channel, raising=False)
    monkeypatch.setattr(layer, "group_add", group_add, raising=False)
    monkeypatch.setattr(layer, "receive", lambda _: queue.get(), raising=False)
    return queue


async def test_who_hears_of_another_process_wakes_it_from_then_on(layer, alone, arriving):
    woken = asyncio.Queue()
    hearing = asyncio.create_task(wakeup.hear(lambda: woken.put_nowait("woken")))
    try:
        async with asyncio.timeout(10):
            await woken.get()
            await arriving.put({"type": wakeup.TYPE, "sender": "another"})
            await woken.get()
        wakeup.wake()
        await asyncio.to_thread(wakeup.flush, 5)
        assert layer.sent == 1
    finally:
        hearing.cancel()


async def test_a_process_is_woken_by_the_others_and_not_twice_by_itself(layer, arriving):
    woken = asyncio.Queue()
    hearing = asyncio.create_task(wakeup.hear(lambda: woken.put_nowait("woken")))
    try:
        async with asyncio.timeout(10):
            await woken.get()  # on entering the group: what was sent before is in the log
            await asyncio.to_thread(wakeup.wake)
            await asyncio.to_thread(wakeup.flush, 5)
            await arriving.put(layer.last)
            await arriving.put({**layer.last, "sender": "another"})
            await arriving.put({"type": wakeup.TYPE})  # as an older version sends it
            for _ in range(2):
                await woken.get()
        assert woken.empty()
        assert arriving.empty()
    finally:
        hearing.cancel()
