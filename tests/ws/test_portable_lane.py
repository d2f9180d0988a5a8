"""The lane for any server: what it takes for outstanding, many sockets together."""

from __future__ import annotations

import asyncio

import pytest

from upsrs.ws.lanes.portable import PortableLane

LANES, BATCHES, FRAMES = 50, 20, 8
FRAME = (b"", b"x" * 1024)
ALL_AT_ONCE = LANES * FRAMES * 1024


class Reader:
    """Takes all that it is sent, and answers each ping; or stands still, and answers none."""

    def __init__(self, *, stalled=False):
        self.stalled = stalled
        self.taken = 0
        self.full = []
        self.lane = PortableLane(self.send, self.is_full, self)

    async def send(self, message):
        self.taken += len(message["text"])

    def is_full(self, *, everywhere):
        self.full.append(everywhere)
        self.lane.drop()

    def hear_pongs(self, proofs):
        self.proofs = proofs

    def ping(self, payload):
        if not self.stalled:
            asyncio.get_running_loop().call_soon(self.proofs.answered, payload)


async def hand_batches(readers):
    for _ in range(BATCHES):
        for reader in readers:
            for _ in range(0 if reader.full else FRAMES):
                reader.lane.write(FRAME)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def little_room(settings):
    settings.UPSRS_PROCESS_BUFFER_BYTES = 3 * ALL_AT_ONCE


async def test_many_who_read_well_are_not_taken_for_slow_together():
    """Each is sent too little for a ping to go along with it: together it is much."""
    readers = [Reader() for _ in range(LANES)]
    await hand_batches(readers)
    assert not any(reader.full for reader in readers)
    assert {reader.taken for reader in readers} == {BATCHES * FRAMES * 1024}


async def test_those_who_take_nothing_are_told_apart():
    readers = [Reader(stalled=nth % 5 == 0) for nth in range(LANES)]
    await hand_batches(readers)
    full = [reader for reader in readers if reader.full]
    assert full
    assert all(reader.stalled and reader.full[0] for reader in full)
    for reader in readers:
        reader.lane.drop()
