"""The lanes, each under its server: the same promises, whatever carries the frames."""

from __future__ import annotations

import asyncio

import pytest

from tests.live.performing import Performer
from tests.live.server import DAPHNE, UVICORN, with_settings
from tests.live.test_pacing import make, memory, narrow
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

MiB = 1_048_576

LANES = {
    "daphne": (DAPHNE, True, "DaphneLane"),
    "daphne, portable": (DAPHNE, False, "PortableLane"),
    "uvicorn": (UVICORN, True, "UvicornLane"),
    "uvicorn, portable": (UVICORN, False, "PortableLane"),
}


@pytest.fixture(params=LANES)
def lane(request):
    return LANES[request.param]


@pytest.fixture
def server(sqlite_backend, start, lane):
    program, is_fast, _ = lane
    return start(sqlite_backend, program=program, env=with_settings(UPSRS_FAST_LANE=is_fast))


async def test_frames_come_whole_and_in_order_and_a_stalled_reader_costs_nobody_else(
    sqlite_backend, server, lane
):
    backend, alice = sqlite_backend, sqlite_backend.tokens["alice"]
    async with (
        Performer(server, backend) as ris,
        Subscriber(server.general, alice) as reader,
        Subscriber(server.general, alice) as other,
        narrow(server.general, server.port, alice) as stalled,
    ):
        await reader.subscribe({"worklistLabel": "LARGE"}, initialState=False)
        await other.subscribe({"worklistLabel": "SMALL"}, initialState=False)
        followed = await stalled.subscribe({"worklistLabel": "LARGE"}, initialState=False)
        assert lane[-1] in server.log
        for _ in range(3):
            uid = await ris.create(WorklistLabel="SMALL")
            assert (await other.next())["workitemUID"] == uid

        # What such a burst costs a server for the first time is no reader's fault.
        early = await make(backend, "LARGE", 150, at_once=50)
        assert [(await reader.next())["workitemUID"] for _ in early] == early
        assert [(await stalled.next())["workitemUID"] for _ in early] == early
        stalled.pause()
        before = memory(server)
        uids = await make(backend, "LARGE", 150, at_once=50)
        heard = [await reader.next() for _ in uids]
        assert [message["workitemUID"] for message in heard] == uids
        grown = memory(server) - before
        assert grown < 4 * MiB, f"{grown / MiB:.1f} MiB"
        await asyncio.sleep(3)  # longer than a burst may take to be read
        assert await stalled.closed() in (4013, 1006)

    taken = sum("workitem" in message for message in stalled.messages) - len(early)
    assert taken < len(uids)
    async with Subscriber(server.specific(followed["subscriptionUID"]), alice) as again:
        assert (await again.next())["subscription"]["resync"] is False
        first = await again.next()
        position = uids.index(first["workitemUID"])
        assert position <= taken, "a gap"
        rest = [(await again.next())["workitemUID"] for _ in uids[position + 1 :]]
        assert rest == uids[position + 1 :]
        assert await again.hears_nothing()


async def test_a_server_that_goes_down_says_so_and_remembers_what_was_taken(
    sqlite_backend, server, lane
):
    backend, alice = sqlite_backend, sqlite_backend.tokens["alice"]
    async with Performer(server, backend) as ris, Subscriber(server.general, alice) as socket:
        uid = (await socket.subscribe(initialState=False))["subscriptionUID"]
        for number in range(3):
            await ris.create()
            assert (await socket.next())["eventId"] == number + 1
        assert await socket.hears_nothing()  # time for a proof
        server.terminate()
        assert await socket.closed() == 4001
    server.start()
    async with Performer(server, backend) as ris, Subscriber(server.specific(uid), alice) as again:
        assert (await again.next())["subscription"]["resync"] is False
        await ris.create()
        assert (await again.next())["eventId"] == 4
