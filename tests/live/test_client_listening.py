"""The Python client on the standard's channel of a real server that is killed: exactly once."""

from __future__ import annotations

import asyncio

import pytest

from tests import datasets
from tests.live.parts import PATIENCE_SECONDS, on_sqlite
from upsrs.client import EventType, Worklist, listen

pytestmark = [pytest.mark.asyncio, on_sqlite]

STATE, ASSIGNED = EventType.STATE_REPORT, EventType.ASSIGNED


async def test_a_server_that_is_killed_costs_no_report_and_doubles_none(server, backend):
    service = f"{server.url}/ups-rs"
    ris = Worklist(service, token=backend.tokens["alice"], ae_title="RIS")

    async def order() -> str:
        stations = [datasets.code("AI1")]
        return await ris.create(datasets.dataset(ScheduledStationNameCodeSequence=stations))

    live = asyncio.Event()
    async with (
        asyncio.timeout(4 * PATIENCE_SECONDS),
        listen(
            service,
            token=backend.tokens["alice"],
            ae_title="AI1",
            on_state=lambda state, _: live.set() if state == "live" else None,
            longest_delay_seconds=0.2,
        ) as reports,
    ):
        first = asyncio.ensure_future(anext(reports))
        await live.wait()
        ordered = [await order()]
        await first
        await asyncio.to_thread(server.restart, kill=True)  # amid an event of two reports
        ordered += [await order(), await order()]
        told = [await first, *[await anext(reports) for _ in range(6)]]
    restarted = [report for report in told if report.event_type is EventType.SERVER_STATUS]
    assert [report.server_status for report in restarted] == ["RESTARTED"]
    assert [(it.event_type, it.workitem_uid) for it in told if it not in restarted] == [
        (kind, uid) for uid in ordered for kind in (STATE, ASSIGNED)
    ]
