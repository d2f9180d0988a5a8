"""What is deleted while a socket opens, or is at work: it ends with a code that says so, never 1011."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission
from rest_framework.authtoken.models import Token

from tests.ws.opening import EVENTS, GENERAL, by_token, opened
from upsrs.hub import Hub
from upsrs.models import Subscription

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


def user(alice):
    alice.delete()


def permission(alice):
    alice.user_permissions.remove(Permission.objects.get(codename="add_subscription"))


def token_row(alice):
    Token.objects.all().delete()


def row(alice):
    Subscription.objects.all().delete()


@pytest.fixture
def while_it_opens(monkeypatch, alice):
    """Between the accept of the next socket and its opening, this happens."""
    enter = Hub.enter

    def prepare(happens):
        async def enter_late(hub, outlet):
            await sync_to_async(happens)(alice)
            await enter(hub, outlet)

        monkeypatch.setattr(Hub, "enter", enter_late)

    return prepare


@pytest.fixture
def late(settings):
    """The watch comes far too late to be what closes."""
    settings.UPSRS_LOGIN_SECONDS = 600


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("path", ["general", "specific", "events"])
@pytest.mark.parametrize(("happens", "code"), [(user, 4401), (token_row, 4401), (permission, 4403)])
async def test_what_goes_while_a_socket_opens_ends_it(
    alice, token, while_it_opens, path, happens, code
):
    address = {"general": GENERAL, "events": EVENTS}.get(path, "")
    if not address:
        async with opened(by_token(token.key)) as socket:
            address = f"{GENERAL}/{await socket.subscribe()}"
    while_it_opens(happens)
    async with opened(by_token(token.key), address) as socket:
        assert await socket.closed() == code


@pytest.mark.usefixtures("late")
async def test_a_subscription_that_goes_while_its_socket_opens_is_no_such(token, while_it_opens):
    async with opened(by_token(token.key)) as socket:
        uid = await socket.subscribe()
    while_it_opens(row)
    async with opened(by_token(token.key), f"{GENERAL}/{uid}") as socket:
        assert await socket.closed() == 4404


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("superuser_too", [False, True])
async def test_a_request_of_a_user_who_is_gone_ends_the_socket(alice, token, superuser_too):
    if superuser_too:  # whose rights are asked of nobody
        await sync_to_async(type(alice).objects.update)(is_superuser=True)
    async with opened(by_token(token.key)) as socket:
        await socket.subscribe(worklistLabel="A")
        await sync_to_async(user)(alice)
        await socket.send({"filter": {"worklistLabel": "B"}})
        assert await socket.closed() == 4401


@pytest.mark.usefixtures("late")
async def test_a_subscription_that_goes_under_its_socket_ends_nothing(token):
    async with opened(by_token(token.key)) as socket:
        uid = await socket.subscribe()
        await sync_to_async(row)(None)
        await socket.send({"reason": "USER_REQUEST", "subscriptionUID": uid})
        assert (await socket.next())["status"] == 404
        assert await socket.subscribe(worklistLabel="A")
