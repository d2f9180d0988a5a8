"""The customer's two channels, on real sockets of a real server."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from tests import datasets
from tests.live import making
from tests.subscriber import Gone, Refused, Subscriber

pytestmark = pytest.mark.asyncio


@pytest.fixture
def backend(sqlite_backend):
    """What is said on a channel knows no database: `test_places` and `test_delivery` meet both."""
    return sqlite_backend


@pytest.fixture
def alice(backend):
    return backend.tokens["alice"]


def in_thread(function, *args, **kwargs):
    return asyncio.to_thread(function, *args, **kwargs)


async def test_a_change_by_another_process_is_heard(backend, server, alice):
    async with Subscriber(server.general, alice, forbidden=datasets.PATIENT_VALUES) as socket:
        confirmation = await socket.subscribe({"worklistLabel": "AI*"})
        assert confirmation["subscription"]["status"] == "ACTIVE"
        assert await socket.initial_state() == []
        uid = await in_thread(making.create, backend, WorklistLabel="AI-1")
        heard = await socket.next()
        assert (heard["eventType"], heard["workitemUID"]) == ("CREATED", uid)
        assert heard["subscriptionUID"] == confirmation["subscriptionUID"]
        assert heard["workitem"]["worklistLabel"] == "AI-1"
        await in_thread(making.create, backend, WorklistLabel="CT")
        assert await socket.hears_nothing()


async def test_who_subscribes_is_told_what_matches_now(backend, server, alice):
    uids = [await in_thread(making.create, backend, WorklistLabel=label) for label in ("A", "B")]
    async with Subscriber(server.general, alice) as socket:
        await socket.subscribe({"worklistLabel": "A"})
        assert [report["workitemUID"] for report in await socket.initial_state()] == uids[:1]


async def test_who_comes_back_hears_what_was_missed(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        confirmation = await socket.subscribe({})
        await socket.initial_state()
        first = await in_thread(making.create, backend)
        last = (await socket.next())["eventId"]
    uid = confirmation["subscriptionUID"]
    second = await in_thread(making.create, backend)
    async with Subscriber(server.specific(uid), alice) as socket:
        assert (await socket.next())["subscription"]["resync"] is False
        heard = await socket.next()
        assert (heard["workitemUID"], heard["eventId"]) == (second, last + 1)
        assert await socket.hears_nothing()
    async with Subscriber(f"{server.specific(uid)}?after=0", alice) as socket:
        await socket.next()
        assert [(await socket.next())["workitemUID"] for _ in range(2)] == [first, second]
    async with Subscriber(f"{server.specific(uid)}?after={last}", alice) as socket:
        await socket.next()
        assert (await socket.next())["workitemUID"] == second
    async with Subscriber(f"{server.specific(uid)}?after={last + 1000}", alice) as socket:
        assert (await socket.next())["subscription"]["resync"] is True
        assert len(await socket.initial_state()) == 2


async def test_a_cut_line_loses_nothing(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        uid = (await socket.subscribe({}))["subscriptionUID"]
        await socket.initial_state()
        await socket.drop()
        missed = await in_thread(making.create, backend)
    async with Subscriber(server.general, alice) as socket:
        again = await socket.subscribe({}, request_id=False)
        assert again["subscriptionUID"] == uid, "the one that waits is taken up"
        heard = await socket.until(lambda message: "initialStateComplete" in message)
        assert [message["workitemUID"] for message in heard[:-1]] == [missed, missed]
        assert [message["eventType"] for message in heard[:-1]] == ["CREATED", "STATE_REPORT"]


async def test_the_same_filter_twice_is_one_subscription(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        first = await socket.subscribe({"worklistLabel": " X "})
        await socket.initial_state()
        second = await socket.subscribe({"worklistLabel": "X", "performerAETitle": ""})
        assert first["subscriptionUID"] == second["subscriptionUID"]
        await in_thread(making.create, backend, WorklistLabel="X")
        assert (await socket.next())["eventType"] == "CREATED"
        assert await socket.hears_nothing()


async def test_several_subscriptions_hear_one_notification_each(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        uids = set()
        for keys in ({}, {"worklistLabel": "X"}, {"procedureStepState": "SCHEDULED"}):
            uids.add((await socket.subscribe(keys))["subscriptionUID"])
            await socket.initial_state()
        await in_thread(making.create, backend, WorklistLabel="X")
        assert {(await socket.next())["subscriptionUID"] for _ in range(3)} == uids
        assert await socket.hears_nothing()


async def test_a_workitem_enters_and_leaves_a_filter(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        await socket.subscribe({"procedureStepState": "SCHEDULED"})
        await socket.initial_state()
        uid = await in_thread(making.create, backend)
        assert (await socket.next())["eventType"] == "CREATED"
        code = f"workitems.change_state(None, {uid!r}, 'IN PROGRESS', transaction_uid='2.25.1')"
        await in_thread(making.change, backend, code)
        left = await socket.next()
        assert (left["eventType"], left["procedureStepState"]) == ("STATE_REPORT", "IN PROGRESS")
        code = f"workitems.report_progress(None, {uid!r}, transaction_uid='2.25.1', progress=5)"
        await in_thread(making.change, backend, code)
        assert await socket.hears_nothing()


@pytest.mark.parametrize("reason", ["USER_REQUEST", "CONNECTION_CLOSURE"])
async def test_unsubscribing_ends_the_subscription(backend, server, alice, reason):
    async with Subscriber(server.general, alice) as socket:
        uid = (await socket.subscribe({}))["subscriptionUID"]
        await socket.initial_state()
    async with Subscriber(server.specific(uid), alice) as socket:
        await socket.next()
        await socket.send({"reason": reason, "subscriptionUID": "2.25.404"})
        assert (await socket.next())["status"] == 400
        assert await socket.unsubscribe(reason) == 1000
    async with Subscriber(server.specific(uid), alice) as socket:
        assert await socket.closed() == 4404
    kept = "print(Subscription.objects.values_list('end_reason', flat=True).get())"
    assert (await in_thread(making.change, backend, kept)).strip() == reason


async def test_deletion_by_filter_ends_equal_ones_only_and_tells_each_socket(
    backend, server, alice
):
    async with (
        Subscriber(server.general, alice) as general,
        Subscriber(server.general, alice) as other,
    ):
        doomed = (await general.subscribe({"worklistLabel": "X"}))["subscriptionUID"]
        await general.initial_state()
        kept = (await general.subscribe({}))["subscriptionUID"]
        await general.initial_state()
        async with Subscriber(server.specific(doomed), alice) as specific:
            await specific.next()
            answer = await other.subscribe({"worklistLabel": "X "}, deleteSubscription=True)
            assert answer["subscription"]["status"] == "DELETED"
            assert answer["subscription"]["deleted"] == [doomed]
            told = (await specific.until(lambda message: "subscription" in message))[-1]
            assert told["subscription"]["status"] == "DELETED"
            assert told["subscription"]["reason"]
            assert await specific.closed() == 1000
        assert (await general.next())["subscription"]["status"] == "DELETED"
        await in_thread(making.create, backend, WorklistLabel="X")
        assert (await general.next())["subscriptionUID"] == kept
        assert await general.hears_nothing()


async def test_errors_are_answered_and_cost_nothing(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        await socket.subscribe({})
        await socket.initial_state()
        for bad in ("{", "[]", "{}", '{"filter": 5}', {"filter": {"procedureStepState": "X"}}):
            await socket.send(bad)
            assert (await socket.next())["status"] == 400
        with pytest.raises(Refused, match="worklistLabel"):
            await socket.subscribe({"worklistLabel": 5})
        await in_thread(making.create, backend)
        assert (await socket.next())["eventType"] == "CREATED"


async def test_twenty_bad_messages_in_a_row_close_the_socket(server, alice):
    async with Subscriber(server.general, alice) as socket:
        for _ in range(20):
            await socket.send("nonsense")
        assert await socket.closed() == 4008


@pytest.mark.parametrize(("frame", "code"), [(b"{}", 4003), ("x" * 65_537, 4009)])
async def test_frames_that_are_not_taken(server, alice, frame, code):
    async with Subscriber(server.general, alice) as socket:
        await socket.send(frame)
        assert await socket.closed() == code


async def test_a_user_with_too_many_sockets_is_told_and_others_are_unharmed(sqlite_backend, start):
    server = start(sqlite_backend, env={"UPSRS_MAX_SOCKETS_PER_USER": "10"})
    alice, root = (sqlite_backend.tokens[name] for name in ("alice", "root"))
    answers = []

    async def open_one():
        async with Subscriber(server.general, alice) as socket:
            try:
                answers.append(bool(await socket.subscribe({}, request_id=False)))
                await full.wait()
            except (Refused, Gone, ConnectionClosed):
                answers.append(await socket.closed())

    full = asyncio.Event()
    async with Subscriber(server.general, root) as other:
        await other.subscribe({})
        await other.initial_state()
        sockets = [asyncio.create_task(open_one()) for _ in range(100)]
        while len(answers) < 100:
            await asyncio.wait(sockets, timeout=0.05)
            failed = [it.exception() for it in sockets if it.done() and it.exception()]
            assert not failed
        assert (answers.count(True), answers.count(4013)) == (10, 90)
        await in_thread(making.create, sqlite_backend)
        assert (await other.next())["eventType"] == "CREATED"
        full.set()
        await asyncio.gather(*sockets)


async def test_sigterm_tells_the_sockets_4001(server, alice):
    async with Subscriber(server.general, alice) as socket:
        await socket.subscribe({})
        await socket.initial_state()
        await in_thread(server.terminate)
        assert await socket.closed() == 4001


async def test_no_credentials_are_refused_and_no_rights_are_told(backend, server):
    from websockets.exceptions import InvalidStatus

    for token in (None, "0" * 40):
        with pytest.raises(InvalidStatus) as refused:
            async with Subscriber(server.general, token):
                pass
        assert refused.value.response.status_code == 403
    async with Subscriber(server.general, backend.tokens["bob"]) as socket:
        assert await socket.closed() == 4403


async def test_an_ended_login_and_a_withdrawn_right_end_open_sockets(backend, server, alice):
    root = backend.tokens["root"]
    async with (
        Subscriber(server.general, alice) as hers,
        Subscriber(server.general, root) as roots,
    ):
        await hers.subscribe({})
        await roots.subscribe({})
        code = """
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
Token.objects.get(user__username="root").delete()
User.objects.get(username="alice").user_permissions.clear()
"""
        await in_thread(making.change, backend, code)
        assert await hers.closed() == 4403
        assert await roots.closed() == 4401


async def test_somebody_elses_subscription_looks_like_none(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        uid = (await socket.subscribe({}))["subscriptionUID"]
    async with Subscriber(server.specific(uid), backend.tokens["root"]) as socket:
        assert await socket.closed() == 4404
    with pytest.raises(Gone):
        async with Subscriber(server.specific("2.25.1"), alice) as socket:
            await socket.next()


async def test_without_the_initial_state_the_confirmation_tells_the_place(backend, server, alice):
    await in_thread(making.create, backend)
    async with Subscriber(server.general, alice) as socket:
        confirmation = await socket.subscribe({}, initialState=False)
        assert confirmation["initialStateComplete"] is True
        assert confirmation["eventId"] == 1
        assert await socket.hears_nothing()
        await in_thread(making.create, backend)
        assert (await socket.next())["eventId"] == 2


async def test_a_rollback_is_never_heard_of(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        await socket.subscribe({})
        await socket.initial_state()
        code = """
from django.db import transaction
try:
    with transaction.atomic():
        workitems.create(None, datasets.dataset())
        raise RuntimeError
except RuntimeError:
    workitems.create(None, datasets.dataset(ProcedureStepLabel="Kept"))
"""
        await in_thread(making.change, backend, code)
        assert (await socket.next())["workitem"]["procedureStepLabel"] == "Kept"
        assert await socket.hears_nothing()
