"""Two server processes on one database and one Redis; and who may open a socket at all."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pydicom
import pytest
from websockets.exceptions import InvalidStatus

from tests.live import making
from tests.live.performing import Performer
from tests.live.server import portal
from tests.subscriber import Subscriber

pytestmark = [pytest.mark.asyncio, pytest.mark.postgres, pytest.mark.redis]

SOON = 10.0
"""Seconds within which one process hears of what another did, with Redis or without."""


@pytest.fixture
def pair(postgres_backend, start):
    return start(postgres_backend), start(postgres_backend)


@pytest.fixture
def alice(postgres_backend):
    return postgres_backend.tokens["alice"]


@contextlib.asynccontextmanager
async def _logged_in(server) -> AsyncIterator[httpx.AsyncClient]:
    """root's browser, through the admin's own form."""
    async with httpx.AsyncClient(base_url=server.url, follow_redirects=True) as browser:
        await browser.get("/admin/login/")
        form = {"username": "root", "password": "root", "next": "/admin/"}
        entered = await browser.post("/admin/login/", data=form | _csrf(browser))
        assert entered.status_code == 200
        assert "sessionid" in browser.cookies
        yield browser


def _csrf(browser: httpx.AsyncClient) -> dict[str, str]:
    return {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}


async def _prioritise_in_admin(backend, server, uid: str, priority: str) -> None:
    """Choose a workitem in the list, the act that changes its priority, and apply it."""
    found = f"print(Workitem.objects.get(uid={uid!r}).pk)"
    pk = (await asyncio.to_thread(making.change, backend, found)).strip()
    async with _logged_in(server) as browser:
        chosen = {"action": "prioritise", "_selected_action": pk, "apply": "1"}
        form = {**chosen, "ScheduledProcedureStepPriority": priority, **_csrf(browser)}
        page = await browser.post("/admin/upsrs/workitem/", data=form)
        assert page.status_code == 200
        assert uid in page.text


async def test_whoever_changes_a_workitem_both_processes_tell_of_it(
    postgres_backend, pair, alice, tmp_path
):
    async with (
        Subscriber(pair[0].general, alice) as here,
        Subscriber(pair[1].general, alice) as there,
        Performer(pair[0], postgres_backend) as at_here,
        Performer(pair[1], postgres_backend) as at_there,
    ):
        for socket in (here, there):
            await socket.subscribe({}, initialState=False)

        async def told(event_type: str, uid: str | None = None) -> dict:
            heard = [await socket.next(SOON) for socket in (here, there)]
            for event in heard:
                assert event["eventType"] == event_type
                assert uid in (None, event["workitemUID"])
            assert heard[0]["eventId"] == heard[1]["eventId"]
            return heard[0]

        by_rest = await at_here.create()
        await told("CREATED", by_rest)
        assert (await at_there.claim(by_rest, "2.25.7", "AI1")).status_code == 200
        claimed = await told("STATE_REPORT", by_rest)
        assert claimed["workitem"]["performerAETitle"] == "AI1"

        by_shell = await asyncio.to_thread(making.create, postgres_backend)
        await told("CREATED", by_shell)

        await _prioritise_in_admin(postgres_backend, pair[1], by_shell, "HIGH")
        urgent = await told("UPDATED", by_shell)
        assert urgent["workitem"]["scheduledProcedureStepPriority"] == "HIGH"

        study = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
        shutil.copy(study, tmp_path)
        command = ("ups_schedule", str(tmp_path / study.name), "--label", "READING")
        await asyncio.to_thread(portal, postgres_backend.env, *command)
        assert (await told("CREATED"))["workitem"]["worklistLabel"] == "READING"


@pytest.mark.parametrize("lost", [False, True], ids=["with Redis", "Redis killed"])
async def test_what_ends_in_one_process_ends_in_the_other(
    postgres_backend, pair, alice, redis, lost
):
    async with (
        Subscriber(pair[0].general, alice) as general,
        Performer(pair[0], postgres_backend) as ris,
    ):
        uid = (await general.subscribe({}, initialState=False))["subscriptionUID"]
        doomed = (await general.subscribe({"worklistLabel": "X"}, initialState=False))[
            "subscriptionUID"
        ]
        async with (
            Subscriber(pair[1].specific(uid), alice) as elsewhere,
            Subscriber(pair[1].specific(doomed), alice) as doomed_elsewhere,
            Subscriber(pair[1].general, alice) as other,
        ):
            for socket in (elsewhere, doomed_elsewhere):
                assert (await socket.next())["subscription"]["status"] == "ACTIVE"
            if lost:
                redis.kill()
            created = await ris.create()
            for socket in (general, elsewhere):
                assert (await socket.next(SOON))["workitemUID"] == created

            await general.send({"reason": "USER_REQUEST", "subscriptionUID": uid})
            began = time.monotonic()
            told = await elsewhere.next(SOON)
            assert told["subscription"]["status"] == "DELETED"
            assert told["subscription"]["reason"] == "USER_REQUEST"
            assert await elsewhere.closed() == 1000
            assert time.monotonic() - began < SOON
            assert (await general.next())["subscription"]["status"] == "DELETED"

            answer = await other.subscribe({"worklistLabel": "X"}, deleteSubscription=True)
            assert answer["subscription"]["deleted"] == [doomed]
            assert (await general.next(SOON))["subscription"]["status"] == "DELETED"
            assert (await doomed_elsewhere.next(SOON))["subscription"]["status"] == "DELETED"
            assert await doomed_elsewhere.closed() == 1000

            await ris.create(WorklistLabel="X")
            assert await general.hears_nothing()


async def test_a_subscription_moves_to_another_process_without_a_gap(postgres_backend, pair, alice):
    """Behind a balancer a client comes back to whichever process it meets."""
    async with Performer(pair[0], postgres_backend) as ris:
        async with Subscriber(pair[0].general, alice) as socket:
            uid = (await socket.subscribe({}, initialState=False))["subscriptionUID"]
            await ris.create()
            assert (await socket.next())["eventId"] == 1
        await ris.create()
        async with Subscriber(pair[1].general, alice) as socket:
            assert (await socket.subscribe({}))["subscriptionUID"] == uid
            # At least once: the first process may not have known yet that the first was taken.
            heard = (await socket.next())["eventId"]
            assert heard == 2 or (heard == 1 and (await socket.next())["eventId"] == 2)
            await socket.initial_state()
            # The process that it left dies; the one that it went to lives.
            await asyncio.to_thread(pair[0].kill)
            await asyncio.to_thread(making.create, postgres_backend)
            assert (await socket.next(SOON))["eventId"] == 3


async def test_a_cookie_opens_a_socket_from_our_own_pages_only(postgres_backend, start, alice):
    server = start(postgres_backend)
    async with _logged_in(server) as browser:
        cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
    foreign = "https://evil.example"
    elsewhere = f"http://127.0.0.1:{server.port + 1}"
    for credentials, origin, accepted in (
        (cookie, server.url, True),
        (cookie, foreign, False),
        (cookie, elsewhere, False),
        (cookie, "null", False),
        (cookie, None, False),
        # A token is no cookie: no foreign page has it, and native clients say no Origin.
        ({"Authorization": f"Token {alice}"}, None, True),
        ({"Authorization": f"Token {alice}"}, server.url, True),
        ({"Authorization": f"Token {alice}"}, foreign, False),
    ):
        opened = Subscriber(server.general, additional_headers=credentials, origin=origin)
        said = f"{sorted(credentials)} from {origin}"
        if accepted:
            async with opened as socket:
                await socket.subscribe({}, resume=False)
        else:
            with pytest.raises(InvalidStatus) as refused:
                async with opened:
                    pytest.fail(said)
            assert refused.value.response.status_code == 403, said
    # A page that has its own name resolve to our address: its Origin equals its Host.
    rebound = server.general.replace("127.0.0.1", "evil.example")
    page = f"http://evil.example:{server.port}"
    address = {"host": "127.0.0.1", "port": server.port}
    with pytest.raises(InvalidStatus) as refused:
        async with Subscriber(rebound, additional_headers=cookie, origin=page, **address):
            pass
    assert refused.value.response.status_code == 403
    assert "Traceback" not in server.log


async def test_a_logged_out_session_opens_no_socket(postgres_backend, start):
    server = start(postgres_backend)
    async with _logged_in(server) as browser:
        cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
        await browser.post("/accounts/logout/", data=_csrf(browser))
    with pytest.raises(InvalidStatus) as refused:
        async with Subscriber(server.general, additional_headers=cookie, origin=server.url):
            pass
    assert refused.value.response.status_code == 403
