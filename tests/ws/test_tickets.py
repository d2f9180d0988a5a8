"""One-time tickets: how a page on another origin, or without cookies of ours, opens a socket."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from rest_framework.authtoken.models import Token

from tests.ws.opening import EVENTS, GENERAL, HandshakeRefused, by_session, by_token, opened
from upsrs import instants
from upsrs.models import Ticket

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio,
    pytest.mark.usefixtures("soon"),
]

FOREIGN = {"origin": "https://viewer.example"}


@sync_to_async
def asked(token, path=GENERAL, **body):
    return Client().post(
        "/ups-rs/tickets",
        json.dumps(body or {"path": path}),
        content_type="application/json",
        headers={"Authorization": f"Token {token.key}"},
    )


async def ticket_for(token, path=GENERAL):
    response = await asked(token, path)
    assert response.status_code == 201, response.content
    assert response["Cache-Control"] == "no-store"
    answer = response.json()
    assert answer["expiresInSeconds"] == 30
    return answer["ticket"]


def with_ticket(ticket, path=GENERAL, headers=FOREIGN):
    return opened(headers, path, subprotocols=["upsrs", f"upsrs.ticket.{ticket}"])


async def refused(ticket, path=GENERAL, headers=FOREIGN):
    with pytest.raises(HandshakeRefused):
        async with with_ticket(ticket, path, headers):
            pass


@pytest.mark.parametrize("path", [GENERAL, EVENTS])
async def test_a_ticket_opens_one_socket_from_a_foreign_page(token, path):
    ticket = await ticket_for(token, path)
    async with with_ticket(ticket, path) as socket:
        assert socket.subprotocol == "upsrs", "the ticket is not echoed"
    await refused(ticket, path)


async def test_a_ticket_brings_back_to_a_subscription_under_any_prefix(token):
    async with opened(by_token(token.key)) as socket:
        uid = await socket.subscribe()
    ticket = await ticket_for(token, f"/hospital/ris{GENERAL}/{uid}")
    async with with_ticket(ticket, f"{GENERAL}/{uid}") as socket:
        assert (await socket.next())["subscriptionUID"] == uid


async def test_a_ticket_is_for_one_path_and_used_up_on_another(token):
    ticket = await ticket_for(token, EVENTS)
    await refused(ticket, GENERAL)
    await refused(ticket, EVENTS)


async def test_a_ticket_lasts_for_half_a_minute(token):
    ticket = await ticket_for(token)
    await Ticket.objects.aupdate(expires_at=instants.now() - timedelta(milliseconds=1))
    await refused(ticket)
    for _ in range(2):
        await ticket_for(token)
        await Ticket.objects.aupdate(expires_at=instants.now() - timedelta(milliseconds=1))
    assert await sync_to_async(Ticket.objects.count)() == 1, "what nobody used goes with the next"


async def test_a_wrong_ticket_is_not_made_good_by_a_cookie(alice):
    await refused("x" * 43, headers=await by_session(alice))


async def test_a_cookie_alone_opens_nothing_from_a_foreign_page(alice):
    with pytest.raises(HandshakeRefused):
        async with opened({**await by_session(alice), **FOREIGN}):
            pass


async def test_what_is_stored_opens_nothing_and_tells_no_login(token):
    ticket = await ticket_for(token)
    row = await Ticket.objects.aget()
    kept = f"{row.digest} {bytes(row.login)!r} {row.channel}"
    assert ticket not in kept
    assert token.key not in kept
    await refused(row.digest)


async def test_the_socket_ends_with_the_login_that_asked(token):
    async with with_ticket(await ticket_for(token)) as socket:
        await token.adelete()
        assert await socket.closed() == 4401


async def test_a_ticket_is_worth_nothing_once_its_login_ended(token):
    ticket = await ticket_for(token)
    await token.adelete()
    await refused(ticket)


async def test_who_may_not_subscribe_gets_none(bob):
    response = await asked(await Token.objects.acreate(user=bob))
    assert response.status_code == 403
    response = await sync_to_async(Client().post)("/ups-rs/tickets")
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["", "/", "/admin/", "/ups-rs/workitems", GENERAL + "/1/2", 5])
async def test_only_channels_have_tickets(token, path):
    response = await asked(token, path)
    assert response.status_code == 400
    assert "path" in response.json()["detail"]


async def test_tickets_are_limited(token, settings):
    settings.UPSRS_MAX_TICKETS_PER_MINUTE = 2
    await ticket_for(token)
    await ticket_for(token)
    response = await asked(token)
    assert response.status_code == 429
    assert "UPSRS_MAX_TICKETS_PER_MINUTE" in response.json()["detail"]
    assert 1 <= int(response["Retry-After"]) <= 60


async def test_a_session_behind_a_ticket_ends_the_socket_too(alice):
    client = Client()
    await sync_to_async(client.force_login)(alice)
    response = await sync_to_async(client.post)(
        "/ups-rs/tickets", json.dumps({"path": GENERAL}), content_type="application/json"
    )
    async with with_ticket(response.json()["ticket"]) as socket:
        await sync_to_async(client.logout)()
        assert await socket.closed() == 4401
