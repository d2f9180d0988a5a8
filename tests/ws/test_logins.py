"""Whoever has a socket open and loses login, right or sight: it ends, or hears less, in seconds."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.settings import api_settings

from tests import datasets
from tests.ws.opening import EVENTS, GENERAL, ORIGIN, by_session, by_token, opened
from upsrs import watch, workitems
from upsrs.dicom.matching import Keys
from upsrs.hub import Hub
from upsrs.models import Subscription

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio,
    pytest.mark.usefixtures("soon"),
]


async def watched(logins=1):
    """Those who are watched; a socket that was let in is so a moment later."""
    while len(Hub.running().watch._watched) < logins:
        await asyncio.sleep(0.01)
    return list(Hub.running().watch._watched)


@sync_to_async
def log_out(alice):
    Session.objects.all().delete()


@sync_to_async
def let_expire(alice):
    Session.objects.update(expire_date=timezone.now() - timedelta(days=1))  # noqa: TID251


@sync_to_async
def delete_token(alice):
    Token.objects.all().delete()


@sync_to_async
def deactivate(alice):
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)


@sync_to_async
def delete_user(alice):
    alice.delete()


@sync_to_async
def change_password(alice):
    alice.set_password("another")
    alice.save()


@sync_to_async
def withdraw(alice):
    alice.user_permissions.remove(Permission.objects.get(codename="view_workitem"))


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (log_out, 4401),
        (let_expire, 4401),
        (deactivate, 4401),
        (delete_user, 4401),
        (change_password, 4401),
        (withdraw, 4403),
    ],
)
async def test_what_ends_a_session_ends_its_sockets(alice, happens, code):
    headers = await by_session(alice)
    async with opened(headers) as general, opened(headers, EVENTS) as events:
        await watched(2)
        await happens(alice)
        assert await general.closed() == await events.closed() == code


@pytest.mark.parametrize(
    ("happens", "code"),
    [(delete_token, 4401), (deactivate, 4401), (delete_user, 4401), (withdraw, 4403)],
)
async def test_what_ends_a_token_ends_its_sockets(alice, token, happens, code):
    headers = by_token(token.key)
    async with opened(headers) as general, opened(headers, EVENTS) as events:
        await watched(2)
        await happens(alice)
        assert await general.closed() == await events.closed() == code


@pytest.mark.parametrize("engine", ["cache", "cached_db"])
async def test_sessions_may_be_kept_elsewhere(alice, settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    client = Client()
    await sync_to_async(client.force_login)(alice)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    async with opened({"cookie": cookie, "origin": ORIGIN}) as socket:
        await socket.subscribe()
        [(login, _)] = await watched()
        assert login.kind == "session"
        await sync_to_async(client.logout)()
        assert await socket.closed() == 4401


async def test_the_subscription_of_an_ended_login_waits(alice, token):
    async with opened(by_token(token.key)) as socket:
        uid = await socket.subscribe()
        await delete_token(alice)
        assert await socket.closed() == 4401
    token = await Token.objects.acreate(user=alice)
    async with opened(by_token(token.key), f"{GENERAL}/{uid}") as socket:
        assert (await socket.next())["subscriptionUID"] == uid


async def test_other_logins_of_the_user_and_other_users_go_on(alice, superuser, token):
    roots = await Token.objects.acreate(user=superuser)
    async with (
        opened(await by_session(alice)) as session,
        opened(by_token(token.key)) as other,
        opened(by_token(roots.key)) as root,
    ):
        await log_out(alice)
        assert await session.closed() == 4401
        assert await other.subscribe()
        assert await root.subscribe()


class Gateway(BaseAuthentication):
    """What a portal may have: a header that its gateway signs, for a while."""

    has_expired = False

    def authenticate(self, request):
        name = request.headers.get("X-Signed-User")
        if name is None:
            return None
        if self.has_expired:
            raise AuthenticationFailed("Log in again.")
        from django.contrib.auth.models import User

        return User.objects.get(username=name), None


class ShortLived(TokenAuthentication):
    """DRF's token, with an age: its row stays, and is not let in any more."""

    has_expired = False

    def authenticate_credentials(self, key):
        if self.has_expired:
            raise AuthenticationFailed("Log in again.")
        return super().authenticate_credentials(key)


@pytest.fixture
def portal_with(monkeypatch):
    def use(kind):
        monkeypatch.setattr(api_settings, "DEFAULT_AUTHENTICATION_CLASSES", [kind], raising=False)
        monkeypatch.setattr(kind, "has_expired", False)

    return use


@pytest.mark.parametrize("kind", [Gateway, ShortLived])
async def test_whatever_the_portal_authenticates_by_is_asked_again(
    alice, token, portal_with, monkeypatch, kind
):
    portal_with(kind)
    headers = {"x-signed-user": "alice"} if kind is Gateway else by_token(token.key)
    async with opened(headers) as socket:
        await socket.subscribe()
        monkeypatch.setattr(kind, "has_expired", True)
        assert await socket.closed() == 4401


class Labels:
    """A policy whose answer a test changes."""

    labels = ("AI", "CT")

    def may(self, user, action):
        return True

    def sight(self, user):
        return tuple(Keys({"label": label}, {}) for label in self.labels)

    def acts_for(self, user, ae_title, owner):
        return ae_title.startswith(self.labels)

    def grants_lock(self, user, ae_title):
        return True


async def test_a_withdrawn_sight_is_not_told_any_more(alice, token, settings, monkeypatch):
    settings.UPSRS_POLICY = f"{__name__}.Labels"
    asked = []

    def sight(self, user):
        asked.append(self.labels)
        return tuple(Keys({"label": label}, {}) for label in self.labels)

    monkeypatch.setattr(Labels, "sight", sight)
    create = sync_to_async(workitems.create)
    async with opened(by_token(token.key)) as socket:
        await socket.subscribe()
        await create(None, datasets.dataset(WorklistLabel="CT"))
        assert (await socket.next())["workitem"]["worklistLabel"] == "CT"
        monkeypatch.setattr(Labels, "labels", ("AI",))
        asked.clear()
        # Once a whole round lies behind it, the second begins.
        while asked.count(("AI",)) < 2:
            await asyncio.sleep(0.01)
        await create(None, datasets.dataset(WorklistLabel="CT"))
        await create(None, datasets.dataset(WorklistLabel="AI"))
        assert (await socket.next())["workitem"]["worklistLabel"] == "AI"


async def test_an_ae_title_that_is_taken_from_an_account_closes_its_channel(
    alice, token, settings, monkeypatch
):
    settings.UPSRS_POLICY = f"{__name__}.Labels"
    async with (
        opened(by_token(token.key), "/ups-rs/subscribers/CT1") as ct,
        opened(by_token(token.key), "/ups-rs/subscribers/AI1") as ai,
    ):
        monkeypatch.setattr(Labels, "labels", ("AI",))
        assert await ct.closed() == 4403
        assert await ai.communicator.receive_nothing(0.3)


async def test_what_is_asked_grows_with_logins_and_not_with_sockets(
    alice, token, django_assert_max_num_queries
):
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(opened(by_token(token.key)))
        [login] = await watched()

        def ask():
            with django_assert_max_num_queries(5):
                assert watch.standings([login])[login].may_listen

        await sync_to_async(ask)()


async def test_a_database_that_does_not_answer_ends_nobody(alice, token, monkeypatch, caplog):
    real = watch.standings
    failed = []

    def fail_twice(watched):
        if len(failed) < 2:
            failed.append(1)
            raise RuntimeError
        return real(watched)

    monkeypatch.setattr(watch, "standings", fail_twice)
    async with opened(by_token(token.key)) as socket:
        uid = await socket.subscribe()
        while len(failed) < 2:
            await asyncio.sleep(0.01)
        assert await Subscription.objects.filter(uid=uid, ended_at=None).aexists()
        await delete_token(alice)
        assert await socket.closed() == 4401
    assert "The logins were not looked at" in caplog.text
