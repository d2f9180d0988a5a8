"""A reader that stands still: it costs the server little, the others nothing, and itself no event.

Pacing knows no database: each test runs on one of the two.
"""

from __future__ import annotations

import asyncio
import json
import socket as sockets

import psutil
import pytest

from tests import datasets
from tests.live import making
from tests.live.parts import on_postgres, on_sqlite
from tests.live.performing import Performer
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

MiB = 1_048_576

LARGE = {
    "ScheduledHumanPerformersSequence": [
        datasets.elements(
            HumanPerformerCodeSequence=[datasets.code(f"P{number}", meaning="Radiologist " * 5)],
            HumanPerformerName=f"Reader of images number {number}".ljust(60, "."),
        )
        for number in range(80)
    ]
}
"""So many performers make a notification of some 20 kB."""

MANY = """
import json
template = datasets.dataset(WorklistLabel={label!r}, **{large!r})
uids = [datasets.new_uid() for _ in range({count})]
for first in range(0, len(uids), {at_once}):
    workitems.create_many(None, [
        template | datasets.elements(SOPInstanceUID=uid) for uid in uids[first:first + {at_once}]
    ])
print(json.dumps(uids))
"""


async def make(backend, label: str, count: int, *, at_once: int = 50) -> list[str]:
    """Large workitems, by one process, committed in bursts; their UIDs."""
    code = MANY.format(label=label, large=LARGE, count=count, at_once=at_once)
    return json.loads(await asyncio.to_thread(making.change, backend, code))


def narrow(url: str, port: int, token: str) -> Subscriber:
    """A subscriber whose kernel takes little on its behalf while it does not read."""
    sock = sockets.socket()
    sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 65_536)
    sock.connect(("127.0.0.1", port))
    return Subscriber(url, token, sock=sock)


def memory(server) -> int:
    return psutil.Process(server.process.pid).memory_info().rss


@on_postgres
async def test_reports_wait_for_their_reader_and_hold_up_nobody(backend, server):
    alice = backend.tokens["alice"]
    uids = await make(backend, "LARGE", 700)
    async with (
        Performer(server, backend) as ris,
        Subscriber(server.general, alice) as lively,
        Subscriber(server.general, alice) as warming_up,
        narrow(server.general, server.port, alice) as slow,
    ):
        # What a whole set of reports costs a server for the first time is no reader's fault.
        await warming_up.subscribe({"worklistLabel": "L*"})
        reports = await warming_up.initial_state()
        assert [report["workitemUID"] for report in reports] == uids
        assert 15_000 < len(json.dumps(reports[0])) < 25_000
        await lively.subscribe({"worklistLabel": "SMALL"})
        await lively.initial_state()
        # What a server needs for its first requests is no reader's fault either.
        for _ in range(10):
            await ris.create(WorklistLabel="SMALL")
            await lively.next()

        before = memory(server)
        slow.pause()
        await slow.send({"filter": {"worklistLabel": "LARGE"}})
        grown = []
        for _ in range(10):
            uid = await ris.create(WorklistLabel="SMALL")
            assert (await lively.next())["workitemUID"] == uid
            grown.append(memory(server) - before)
            await asyncio.sleep(0.2)
        # All reports together are as much; threads that decode rows for the first time take some too.
        assert max(grown) < 14 * MiB, f"{max(grown) / MiB:.0f} MiB"
        assert len(slow.messages) < len(uids)

        slow.resume()
        confirmation = await slow.next()
        assert confirmation["subscription"]["status"] == "ACTIVE"
        reports = await slow.initial_state()
        assert [report["workitemUID"] for report in reports] == uids
        fresh = await ris.create(WorklistLabel="LARGE")
        assert (await slow.next())["workitemUID"] == fresh


@on_sqlite
async def test_what_was_missed_waits_for_its_reader_too(backend, server):
    alice = backend.tokens["alice"]
    async with Subscriber(server.general, alice) as socket:
        uid = (await socket.subscribe({}, initialState=False))["subscriptionUID"]
    uids = await make(backend, "LARGE", 100)
    async with narrow(f"{server.specific(uid)}?after=0", server.port, alice) as slow:
        slow.pause()
        await asyncio.sleep(2)
        assert len(slow.messages) < len(uids)
        slow.resume()
        await slow.next()
        heard = [await slow.next() for _ in uids]
        assert [message["workitemUID"] for message in heard] == uids
        assert [message["eventId"] for message in heard] == list(range(1, 101))
        assert await slow.hears_nothing()


@on_postgres
async def test_a_burst_does_not_close_who_reads(backend, server):
    """150 workitems in one transaction: some 3 MB that are due at one moment."""
    alice = backend.tokens["alice"]
    async with Subscriber(server.general, alice) as socket:
        await socket.subscribe({}, initialState=False)
        uids = await make(backend, "LARGE", 150, at_once=150)
        heard = [await socket.next() for _ in uids]
        assert [message["workitemUID"] for message in heard] == uids
