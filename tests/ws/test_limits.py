"""Limits: who has enough is told so and by which setting, and the others never notice."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from asgiref.sync import sync_to_async
from rest_framework.authtoken.models import Token

from tests import datasets
from tests.ws.opening import GENERAL, HandshakeRefused, by_token, opened
from upsrs import limits, workitems

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


@pytest.fixture
def alices(alice):
    return by_token(Token.objects.create(user=alice).key)


@pytest.fixture
def roots(superuser):
    return by_token(Token.objects.create(user=superuser).key)


async def turned_away(headers, setting, **options):
    async with opened(headers, **options) as socket:
        problem = await socket.next()
        assert problem["status"] == 429
        assert setting in problem["detail"]
        assert await socket.closed() == 4013


async def test_of_a_hundred_sockets_ten_come_in_and_others_are_unharmed(alices, roots, settings):
    settings.UPSRS_MAX_SOCKETS_PER_USER = 10
    async with AsyncExitStack() as stack, opened(roots) as root:
        await root.subscribe()
        sockets = [await stack.enter_async_context(opened(alices)) for _ in range(10)]
        await sockets[0].subscribe()
        for _ in range(90):
            await turned_away(alices, "UPSRS_MAX_SOCKETS_PER_USER")
        await sync_to_async(workitems.create)(None, datasets.dataset(WorklistLabel="AI"))
        for socket in (root, sockets[0]):
            assert (await socket.next())["eventType"] == "CREATED"
    async with opened(alices) as socket:
        assert await socket.subscribe(), "those that are gone count no more"
    assert not limits.SOCKETS._open


async def test_an_address_has_a_limit_of_its_own(alices, roots, settings):
    settings.UPSRS_MAX_SOCKETS_PER_ADDRESS = 1
    async with opened(alices, address="10.0.0.1"):
        await turned_away(roots, "UPSRS_MAX_SOCKETS_PER_ADDRESS", address="10.0.0.1")
        async with opened(roots, address="10.0.0.2") as other:
            assert await other.subscribe()


async def test_the_standards_channel_says_it_by_the_close_alone(alices, settings):
    settings.UPSRS_MAX_SOCKETS_PER_USER = 1
    async with opened(alices), opened(alices, "/ups-rs/subscribers/AI1") as second:
        output = await second.communicator.receive_output()
        assert (output["type"], output["code"]) == ("websocket.close", 4013)


async def refused(socket, setting, **wanted):
    await socket.send({"filter": wanted, "initialState": False, "requestId": "one-more"})
    problem = await socket.next()
    assert (problem["status"], problem["requestId"]) == (429, "one-more")
    assert setting in problem["detail"]


async def test_the_subscriptions_of_a_user_and_of_a_socket_are_limited(alices, settings):
    settings.UPSRS_MAX_SUBSCRIPTIONS_PER_USER = 3
    settings.UPSRS_MAX_SUBSCRIPTIONS_PER_SOCKET = 2
    async with opened(alices) as one, opened(alices) as other:
        uid = await one.subscribe(worklistLabel="A")
        await one.subscribe(worklistLabel="B")
        await refused(one, "UPSRS_MAX_SUBSCRIPTIONS_PER_SOCKET", worklistLabel="C")
        assert await one.subscribe(worklistLabel="A") == uid, "it is there already"
        await other.subscribe(worklistLabel="C")
        await refused(other, "UPSRS_MAX_SUBSCRIPTIONS_PER_USER", worklistLabel="D")
        await one.send({"reason": "USER_REQUEST", "subscriptionUID": uid})
        assert (await one.next())["subscription"]["status"] == "DELETED"
        await other.subscribe(worklistLabel="D")


async def test_messages_are_limited_for_a_user_over_all_sockets(alices, roots, settings):
    settings.UPSRS_MAX_MESSAGES_PER_MINUTE = 3
    elsewhere = opened(roots, address="10.0.0.1")
    async with opened(alices) as one, opened(alices) as other, elsewhere as root:
        await one.subscribe(worklistLabel="A")
        await one.subscribe(worklistLabel="B")
        await other.subscribe(worklistLabel="C")
        await refused(other, "UPSRS_MAX_MESSAGES_PER_MINUTE", worklistLabel="D")
        await root.subscribe()


async def test_who_fails_to_log_in_too_often_waits_and_who_is_known_does_not(alices, settings):
    settings.UPSRS_MAX_FAILED_LOGINS_PER_MINUTE = 3
    async with opened(alices):
        pass
    wrong = by_token("0" * 40)
    for _ in range(3):
        with pytest.raises(HandshakeRefused):
            async with opened(wrong):
                pass
    assert limits.FAILED_LOGINS.wait("127.0.0.1") > 0
    async with opened(alices, path=GENERAL) as socket:
        await socket.subscribe()
    async with opened(alices, address="10.0.0.1") as socket:
        await socket.subscribe()
