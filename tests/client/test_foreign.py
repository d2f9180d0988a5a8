"""The transactions on a server that knows the standard only: what it says in its own way is met."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.foreign import PAGE, Foreign, first
from upsrs.client import Claim, ClientError, Code, Refused, Unreachable, Worklist

PERFORMED = Code("110001", "DCM", "Image Processing")
STATION = Code("WS1", "99LOCAL", "Workstation 1")
T = "2.25.4711"


@pytest.fixture
async def server():
    async with Foreign() as server:
        server.add("1.2.3")
        yield server


@pytest.fixture
def worklist(server: Foreign) -> Worklist:
    return Worklist(server.url, ae_title="WS1")


async def test_a_workitem_is_claimed_reported_and_completed(server, worklist):
    claim = await worklist.claim("1.2.3", T)
    await claim.report_progress(40, "Segmenting", completed=2)
    await claim.report_progress(60)
    await claim.complete(PERFORMED, STATION)
    workitem = await worklist.retrieve("1.2.3")
    assert first(workitem, "00741000") == "COMPLETED"
    progress = first(workitem, "00741002")
    assert (first(progress, "00741004"), first(progress, "00741006")) == (60, "Segmenting")
    assert first(progress, "00751020") == 2
    assert first(first(workitem, "00741216"), "00404050")
    paths = [path for _, path in server.requests]
    assert {path.removeprefix("/dicom-web/workitems/1.2.3") for path in paths} == {"", "/state"}
    assert server.requests.count(("GET", "/dicom-web/workitems/1.2.3")) == 2, "once for the claim"


async def test_a_claim_that_was_kept_goes_on_where_it_was(server, worklist):
    await (await worklist.claim("1.2.3", T)).report_progress(40, "Segmenting")
    await Claim(worklist, "1.2.3", T).cancel(text="Restarted")
    progress = first(await worklist.retrieve("1.2.3"), "00741002")
    assert first(progress, "00741006") == "Segmenting"
    assert first(progress, "00741238") == "Restarted"


async def test_the_server_may_give_the_uid(server, worklist):
    uid = await worklist.create({})
    assert uid in server.workitems


async def test_all_that_match_are_found_however_few_are_told_at_once(server, worklist):
    for number in range(4):
        server.add(f"1.2.4.{number}", "IN PROGRESS")
    assert PAGE == 2
    assert len(await worklist.search()) == 5
    found = await worklist.search({"ProcedureStepState": "IN PROGRESS"})
    assert [first(it, "00080018") for it in found] == [f"1.2.4.{number}" for number in range(4)]
    assert len(await worklist.search(limit=3)) == 3
    assert len(await worklist.search(limit=1)) == 1
    assert await worklist.search({"ProcedureStepState": "CANCELED"}) == []


async def test_the_warning_says_why_where_nothing_else_does(server, worklist):
    await worklist.claim("1.2.3", T)
    with pytest.raises(Refused, match="Transaction UID is incorrect") as refusal:
        await worklist.claim("1.2.3")
    assert refusal.value.status == 400
    with pytest.raises(Refused, match="Not Found"):
        await worklist.retrieve("1.2.99")


async def test_a_warning_is_no_error(server, worklist):
    await worklist.request_cancellation("1.2.3", "Ordered twice.")
    granted = await worklist.subscribe("1.2.3")
    assert granted.warning == ""
    refused = await worklist.subscribe("1.2.3", deletion_lock=True)
    assert "Deletion Lock not granted." in refused.warning
    assert refused.channel == f"{server.url}/subscribers/WS1".replace("http", "ws", 1)
    await worklist.unsubscribe("1.2.3")
    with pytest.raises(Refused):
        await worklist.unsubscribe("1.2.3")


def losing(worklist: Worklist, monkeypatch: Any, *, arrives: bool) -> None:
    """The first answer is lost; with ``arrives`` the request was not."""
    ask, lost = worklist.blocking._ask, []

    def lose(*request: Any) -> Any:
        if not lost:
            lost.append(request)
            if arrives:
                ask(*request)
            raise Unreachable("cut")
        return ask(*request)

    monkeypatch.setattr(worklist.blocking, "_ask", lose)


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_answer_that_got_lost_does_not_lose_the_claim(
    server, worklist, monkeypatch, arrives
):
    losing(worklist, monkeypatch, arrives=arrives)
    claim = await worklist.claim("1.2.3")
    await claim.complete(PERFORMED, STATION)
    assert first(server.workitems["1.2.3"], "00741000") == "COMPLETED"


async def test_an_answer_that_got_lost_is_no_claim_if_somebody_else_was_quicker(
    server, worklist, monkeypatch
):
    await worklist.claim("1.2.3")
    losing(worklist, monkeypatch, arrives=False)
    with pytest.raises(Refused, match="incorrect"):
        await worklist.claim("1.2.3")


async def test_what_is_no_worklist_is_said_so(monkeypatch):
    async with Foreign() as page:
        monkeypatch.setattr(page, "_answer", lambda *_: (200, {}, b"<h1>Welcome</h1>"))
        with pytest.raises(ClientError, match="does not speak UPS-RS"):
            await Worklist(page.url).search()
