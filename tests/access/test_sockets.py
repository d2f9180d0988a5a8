"""The sockets of docs/access.md: who is let in, who is told, and who is shown the door meanwhile."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from tests import datasets
from tests.access.callers import AE_TITLES, CALLERS, LABEL, rows, secret_workitem
from tests.core.following import follow
from tests.live.parts import PATIENCE_SECONDS
from tests.ws.opening import GENERAL, HandshakeRefused, by_token, opened
from upsrs import subscribers, tickets, workitems
from upsrs.dicom.uids import GLOBAL_SUBSCRIPTION
from upsrs.logins import Kind, Login

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

TABLE = dict(rows("Sockets"))


@pytest.fixture(autouse=True)
def soon(settings):
    settings.UPSRS_LOGIN_SECONDS = 0.1


@sync_to_async
def prepared(people, door, caller):
    """How this caller opens this door: headers, path, subprotocols."""
    title = people.ae_title(caller)
    token = people.token(caller)
    headers = by_token(token) if token else {}
    if door.startswith("The owner's"):
        # Of who is to lose the account meanwhile, one of theirs.
        user = people.users[caller if caller == "deactivated" else "owner"]
        return headers, f"{GENERAL}/{follow(user).uid}", []
    if door.startswith("The event channel"):
        root = people.users["administrator"]
        title = title if "one's own" in door else "SOMEONE"
        if caller in AE_TITLES or caller == "deactivated":
            subscribers.subscribe(root, title, GLOBAL_SUBSCRIPTION)
        return headers, f"/ups-rs/subscribers/{title}", []
    if door.endswith("by ticket"):
        ticket = "x" * 43
        if caller not in ("nobody", "no rights"):
            # Of who has expired, the token went after the ticket was issued.
            user = people.users[caller]
            ticket = tickets.issue(user, Login(str(user.pk), Kind.TOKEN, token), GENERAL)
        return {}, GENERAL, ["upsrs", f"upsrs.ticket.{ticket}"]
    return headers, GENERAL, []


async def answer(people, door, caller):
    """What this caller gets at this door, in the words of the table."""
    headers, path, subprotocols = await prepared(people, door, caller)
    root = people.users["administrator"]
    try:
        async with opened(headers, path, subprotocols=subprotocols) as socket:
            if path == GENERAL:
                await socket.send({"filter": {}, "initialState": False})
                output = await socket.communicator.receive_output(PATIENCE_SECONDS)
                if output["type"] == "websocket.close":
                    return str(output["code"])
            # Who is shut out in any case is: else either could be the reason.
            if caller == "deactivated" and "another's" not in door:
                await sync_to_async(people.deactivate)(caller)
                return str(await socket.closed())
            uid = (await sync_to_async(secret_workitem)()).uid
            # The last word, which everybody hears who hears anything.
            label = "OTHER" if caller == "other group" else LABEL
            create = sync_to_async(workitems.create)
            last = (await create(root, datasets.dataset(WorklistLabel=label))).workitem_uid
            heard = ""
            while True:
                output = await socket.communicator.receive_output(PATIENCE_SECONDS)
                if output["type"] == "websocket.close":
                    return str(output["code"])
                heard += output["text"]
                if last in output["text"]:
                    return "told" if uid in heard else "silent"
    except HandshakeRefused:
        return "refused"


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("door", TABLE)
async def test_sockets(people, door, caller):
    assert await answer(people, door, caller) == TABLE[door][caller]
