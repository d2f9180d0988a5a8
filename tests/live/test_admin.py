"""The administrator at a real server: what is done in the admin is heard on the sockets."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.live import making
from tests.live.parts import wait_until
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

WORKITEMS = "/admin/upsrs/workitem/"
SUBSCRIPTIONS = "/admin/upsrs/subscription/"

STATION = {
    "PerformedStationNameCodeSequence_code": "WS1",
    "PerformedStationNameCodeSequence_scheme": "99LOCAL",
    "PerformedStationNameCodeSequence_meaning": "Workstation 1",
    "PerformedWorkitemCodeSequence_code": "110001",
    "PerformedWorkitemCodeSequence_scheme": "DCM",
    "PerformedWorkitemCodeSequence_meaning": "Image Processing",
}


@pytest.fixture
def administrator(server):
    with httpx.Client(base_url=server.url, follow_redirects=True, timeout=20) as browser:
        browser.get("/admin/login/")
        form = {"username": "root", "password": "root", "next": "/admin/"}
        page = browser.post("/admin/login/", data=_with_token(browser, form))
        assert "Site administration" in page.text
        yield browser


def _with_token(browser, form):
    return {"csrfmiddlewaretoken": browser.cookies["csrftoken"], **form}


def _post(browser, address, form):
    page = browser.post(address, data=_with_token(browser, form))
    assert page.status_code == 200
    return page.text


def _act(browser, name, key, **form):
    data = {"action": name, "_selected_action": key, "apply": "1", **form}
    return _post(browser, WORKITEMS, data)


async def test_what_an_administrator_does_is_heard(backend, server, administrator):
    async with Subscriber(server.general, backend.tokens["alice"]) as socket:
        await socket.subscribe({"worklistLabel": "AI"})
        await socket.initial_state()
        creation = {
            "ProcedureStepLabel": "CT chest triage",
            "WorklistLabel": "AI",
            "ScheduledProcedureStepPriority": "LOW",
            "ScheduledProcedureStepStartDateTime": "2031-05-09T08:30",
            "InputReadinessState": "READY",
        }
        page = await asyncio.to_thread(_post, administrator, f"{WORKITEMS}add/", creation)
        created = await socket.next()
        uid = created["workitemUID"]
        assert created["eventType"] == "CREATED"
        key = page.partition('name="_selected_action" value="')[2].partition('"')[0]
        for name, form, kinds in (
            ("prioritise", {"ScheduledProcedureStepPriority": "HIGH"}, ["UPDATED"]),
            ("claim", {"requester": "ADM1"}, ["STATE_REPORT"]),
            ("correct_patient", {"PatientID": "PID-2"}, ["UPDATED"]),
            ("complete", STATION, ["UPDATED", "COMPLETED"]),
        ):
            await asyncio.to_thread(_act, administrator, name, key, **form)
            heard = [await socket.next() for _ in kinds]
            assert [one["eventType"] for one in heard] == kinds
            assert {one["workitemUID"] for one in heard} == {uid}
        assert await socket.hears_nothing()


async def test_a_refused_act_is_not_heard(backend, server, administrator):
    async with Subscriber(server.general, backend.tokens["alice"]) as socket:
        await socket.subscribe({})
        await socket.initial_state()
        creation = {
            "ProcedureStepLabel": "CT chest triage",
            "ScheduledProcedureStepPriority": "LOW",
            "ScheduledProcedureStepStartDateTime": "2031-05-09T08:30",
            "InputReadinessState": "READY",
        }
        page = await asyncio.to_thread(_post, administrator, f"{WORKITEMS}add/", creation)
        assert (await socket.next())["eventType"] == "CREATED"
        key = page.partition('name="_selected_action" value="')[2].partition('"')[0]
        page = await asyncio.to_thread(_act, administrator, "complete", key)
        assert "claim it first" in page
        assert await socket.hears_nothing()


async def test_a_subscription_that_is_ended_here_is_told_so(backend, server, administrator):
    async with Subscriber(server.general, backend.tokens["alice"]) as socket:
        confirmation = await socket.subscribe({"worklistLabel": "AI"})
        await socket.initial_state()
        shown = await asyncio.to_thread(administrator.get, SUBSCRIPTIONS)
        assert "connected" in shown.text
        key = shown.text.partition('name="_selected_action" value="')[2].partition('"')[0]
        form = {"action": "end", "_selected_action": key, "apply": "1"}
        page = await asyncio.to_thread(_post, administrator, SUBSCRIPTIONS, form)
        assert f"{confirmation['subscriptionUID']}: ended." in page
        ended = await socket.next()
        assert ended["subscription"]["status"] == "DELETED"
        assert ended["subscription"]["reason"] == "ADMINISTRATOR"


async def test_the_admin_knows_what_the_sockets_have_taken(backend, server, administrator):
    """The facts that the hub leaves behind are those that the timeline is made of."""
    async with Subscriber(server.general, backend.tokens["alice"]) as socket:
        await socket.subscribe({"worklistLabel": "AI"})
        await socket.initial_state()
        uid = await asyncio.to_thread(making.create, backend, WorklistLabel="AI")
        assert (await socket.next())["workitemUID"] == uid
        shown = await asyncio.to_thread(administrator.get, f"{WORKITEMS}?q={uid}")
        key = shown.text.partition('name="_selected_action" value="')[2].partition('"')[0]

        def said(sentence):
            return sentence in administrator.get(f"{WORKITEMS}{key}/change/").text

        await asyncio.to_thread(wait_until, lambda: said("Told at once."), "the place is stored")
    # Gone: what happens now waits.
    code = f"workitems.request_cancel(None, {uid!r})"
    await asyncio.to_thread(making.change, backend, code)
    away = "Waits: the subscriber is away since"
    await asyncio.to_thread(wait_until, lambda: said(away), "the subscriber is away")
    assert await asyncio.to_thread(said, "Told at once.")
