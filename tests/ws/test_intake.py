"""What comes in under daphne: bounded in size and in number, before the application hears of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.live.parts import PATIENCE_SECONDS
from upsrs.conf import conf
from upsrs.ws.lanes.daphne import MOST_WAITING, Intake

pytestmark = pytest.mark.asyncio

MOST = conf.MAX_FRAME_BYTES


class Transport:
    """The network, as far as it is told to wait."""

    producerPaused = False  # noqa: N815  (Twisted's name)

    def __init__(self) -> None:
        self.reads = True
        self.news = asyncio.Event()

    def pauseProducing(self) -> None:  # noqa: N802
        self.reads = False

    def resumeProducing(self) -> None:  # noqa: N802
        self.reads = True
        self.news.set()


class Protocol:
    """What of daphne's an intake knows."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.application_queue: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        self.failedByMe = False
        self.message_is_binary = False
        self.message_data_total_length = 0

    def onMessageFrameBegin(self, length: int) -> None:  # noqa: N802
        self.message_data_total_length += length

    def onMessage(self, payload: bytes, is_binary: bool) -> None:  # noqa: N802
        self.application_queue.put_nowait((payload, is_binary))


@pytest.fixture
def protocol():
    made = Protocol()
    Intake(made)
    return made


@pytest.mark.parametrize("frames", [[MOST + 1], [2**62], [MOST, 1, 1], [1] * (MOST + 9)])
async def test_of_a_message_that_is_too_large_the_application_is_told_once(protocol, frames):
    for length in frames:
        protocol.onMessageFrameBegin(length)
    assert protocol.failedByMe, "nothing of it is kept"
    payload, _ = protocol.application_queue.get_nowait()
    assert len(payload) == MOST + 1
    assert protocol.application_queue.empty()


async def test_a_message_as_large_as_may_be_is_none_of_its_business(protocol):
    protocol.onMessageFrameBegin(MOST)
    assert not protocol.failedByMe
    assert protocol.application_queue.empty()


async def test_who_sends_more_than_is_taken_has_to_wait(protocol):
    transport, queue = protocol.transport, protocol.application_queue
    for number in range(MOST_WAITING):
        assert transport.reads
        protocol.onMessage(b"%d" % number, False)
    assert not transport.reads
    while not queue.empty():
        queue.get_nowait()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await transport.news.wait()
    assert transport.reads


async def test_a_line_that_waits_for_its_reader_is_not_read_for_the_intake(protocol):
    transport, queue = protocol.transport, protocol.application_queue
    for _ in range(MOST_WAITING):
        protocol.onMessage(b"", False)
    transport.producerPaused = True
    while not queue.empty():
        queue.get_nowait()
    await asyncio.sleep(0.1)
    assert not transport.reads
