"""Every door leaves who, what, about which workitem, from where, and whether it was allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.management import call_command
from django.test import Client
from rest_framework.authtoken.models import Token

from tests import datasets
from tests.ws.opening import EVENTS, GENERAL, HandshakeRefused, by_token, opened
from upsrs import audit, workitems
from upsrs.models import AuditRecord, Event, Subscription, Workitem

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "10.1.2.3"
T = "2.25.4711471147114711471147114711"
DICOM_JSON = "application/dicom+json"
CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"

Row = tuple[str, str, str, str, str, str]
"""Act, user, refusal, workitem, door, address."""


@dataclass(frozen=True)
class Try:
    """What somebody does at a door, and as which acts it is recorded."""

    door: str
    ask: Callable[[Client, Workitem], Any]
    acts: tuple[str, ...]
    refused: str = ""
    """As which act, if that is another."""
    about: bool = True
    """Is it about the workitem?"""


def dicom(http: Client, method: str, path: str, **attributes: Any) -> Any:
    body = json.dumps([datasets.elements(**attributes)])
    return http.generic(method, f"/ups-rs/{path}", body, content_type=DICOM_JSON)


def in_admin(http: Client, row: Workitem, action: str, **form: str) -> Any:
    chosen = {"action": action, ACTION_CHECKBOX_NAME: row.pk, "apply": "yes", **form}
    return http.post("/admin/upsrs/workitem/", chosen)


def ended(http: Client, row: Workitem) -> Any:
    """Somebody else's subscription."""
    owner = Token.objects.get(key="alices").user
    pk = Subscription.objects.create(uid=f"2.25.{row.pk}", user=owner, filter_digest="x").pk
    chosen = {"action": "end", ACTION_CHECKBOX_NAME: pk, "apply": "yes"}
    return http.post("/admin/upsrs/subscription/", chosen)


TICKET = json.dumps({"path": GENERAL})
EVENT = "/admin/upsrs/event/{}/change/"
PAGE = "/admin/upsrs/workitem/{}/change/"
MATCH = "/admin/upsrs/subscription/match/?workitem={}"

TRIES = {
    "REST, create": Try(
        "rest",
        lambda http, row: http.generic(
            "POST",
            "/ups-rs/workitems?2.25.7",
            json.dumps([datasets.dataset(SOPInstanceUID=None)]),
            content_type=DICOM_JSON,
        ),
        ("create",),
        about=False,
    ),
    "REST, retrieve": Try(
        "rest", lambda http, row: http.get(f"/ups-rs/workitems/{row.uid}"), ("read",)
    ),
    "REST, search": Try(
        "rest", lambda http, row: http.get("/ups-rs/workitems"), ("search",), about=False
    ),
    "REST, update": Try(
        "rest",
        lambda http, row: dicom(http, "POST", f"workitems/{row.uid}", ProcedureStepLabel="New"),
        ("update",),
    ),
    "REST, claim": Try(
        "rest",
        lambda http, row: dicom(
            http,
            "PUT",
            f"workitems/{row.uid}/state",
            ProcedureStepState="IN PROGRESS",
            TransactionUID=T,
        ),
        ("claim",),
        "change state",
    ),
    "REST, cancel": Try(
        "rest",
        lambda http, row: dicom(http, "POST", f"workitems/{row.uid}/cancelrequest"),
        ("claim", "cancel"),
        "request cancel",
    ),
    "REST, subscribe": Try(
        "rest",
        lambda http, row: http.post(f"/ups-rs/workitems/{row.uid}/subscribers/AI1"),
        ("subscribe",),
    ),
    "a ticket": Try(
        "rest",
        lambda http, row: http.post("/ups-rs/tickets", TICKET, content_type="application/json"),
        ("issue ticket",),
        about=False,
    ),
    "board, page": Try("board", lambda http, row: http.get("/"), (), "search", about=False),
    "board, finished": Try(
        "board", lambda http, row: http.get("/finished/"), ("search",), about=False
    ),
    "board, asked": Try("board", lambda http, row: http.get("/asked/"), ("search",), about=False),
    "board, drawer": Try("board", lambda http, row: http.get(f"/workitems/{row.uid}/"), ("read",)),
    "board, claim": Try(
        "board", lambda http, row: http.post(f"/workitems/{row.uid}/claim/"), ("claim",), "update"
    ),
    "board, cancel": Try(
        "board",
        lambda http, row: http.post(f"/workitems/{row.uid}/withdraw/", {"reason": "No"}),
        ("claim", "cancel"),
        "update",
    ),
    "admin, list": Try(
        "admin",
        lambda http, row: http.get("/admin/upsrs/workitem/?q=PID-1"),
        ("search",),
        "other",
        about=False,
    ),
    "admin, page": Try(
        "admin", lambda http, row: http.get(PAGE.format(row.pk)), ("read",), "other"
    ),
    "admin, event": Try(
        "admin",
        lambda http, row: http.get(EVENT.format(Event.objects.get().pk)),
        ("read",),
        "other",
    ),
    "admin, would it match": Try(
        "admin", lambda http, row: http.get(MATCH.format(row.uid)), ("read",), "other"
    ),
    "admin, claim": Try(
        "admin",
        lambda http, row: in_admin(http, row, "claim", requester="AI1"),
        ("claim",),
        "other",
    ),
    "admin, end a subscription": Try("admin", ended, ("unsubscribe",), "other", about=False),
    "admin, audit": Try(
        "admin",
        lambda http, row: http.get("/admin/upsrs/auditrecord/"),
        ("read audit",),
        "other",
        about=False,
    ),
}


@pytest.fixture
def row(alice, bob):
    """A workitem that nobody has touched yet; both may enter the admin."""
    for user in (alice, bob):
        user.is_staff = True
        user.save()
        Token.objects.create(user=user, key=f"{user}s")
    created = workitems.create(None, datasets.dataset(ReferencedRequestSequence=None))
    audit.flush()
    AuditRecord.objects.all().delete()
    return Workitem.objects.get(uid=created.workitem_uid)


def asking(door: str, user: Any) -> Client:
    token = {"HTTP_AUTHORIZATION": f"Token {user}s"} if user and door == "rest" else {}
    http = Client(REMOTE_ADDR=ADDRESS, **token)
    if user and not token:
        http.force_login(user)
    return http


def recorded() -> list[Row]:
    assert audit.flush()
    rows = AuditRecord.objects.order_by("id")
    return list(
        rows.values_list("act", "user", "refusal", "workitem_uid", "door", "address")  # as in Row
    )


@pytest.mark.parametrize("name", TRIES)
def test_what_was_allowed(row, alice, name):
    tried = TRIES[name]
    answer = tried.ask(asking(tried.door, alice), row)
    assert answer.status_code < 400
    about = row.uid if tried.about else "2.25.7" if name == "REST, create" else ""
    assert recorded() == [(act, "alice", "", about, tried.door, ADDRESS) for act in tried.acts]


@pytest.mark.parametrize("name", TRIES)
def test_what_was_refused(row, bob, name):
    tried = TRIES[name]
    answer = tried.ask(asking(tried.door, bob), row)
    assert answer.status_code == 403
    act = tried.refused or tried.acts[0]
    about = row.uid if tried.about and act != "other" else ""
    assert recorded() == [(act, "bob", "NotAuthorized", about, tried.door, ADDRESS)]


@pytest.mark.parametrize("name", TRIES)
def test_who_did_not_even_log_in(row, name):
    tried = TRIES[name]
    tried.ask(asking(tried.door, None), row)
    assert recorded() == [("log in", "", "NotAuthenticated", "", tried.door, ADDRESS)]


@pytest.mark.parametrize(
    ("ask", "act", "door"),
    [
        (lambda http, row: http.get("/workitems/2.25.404/"), "read", "board"),
        (lambda http, row: http.post("/workitems/2.25.404/claim/"), "claim", "board"),
        (lambda http, row: http.get(PAGE.format(404)), "read", "admin"),
        (lambda http, row: http.get(EVENT.format("x")), "read", "admin"),
    ],
)
def test_what_is_not_there_is_as_refused_as_what_is_out_of_sight(row, alice, ask, act, door):
    ask(asking(door, alice), row)
    about = "2.25.404" if door == "board" else ""
    assert recorded() == [(act, "alice", "NoSuchWorkitem", about, door, ADDRESS)]


@pytest.mark.parametrize(
    ("ask", "door", "act"),
    [
        (lambda http, row: http.post(f"/workitems/{row.uid}/claim/"), "board", "claim"),
        (lambda http, row: in_admin(http, row, "claim", requester="AI1"), "admin", "claim"),
    ],
)
def test_what_the_rules_refuse(row, alice, ask, door, act):
    workitems.change_state(alice, row.uid, "IN PROGRESS", transaction_uid=T)
    audit.flush()
    AuditRecord.objects.all().delete()
    ask(asking(door, alice), row)
    assert recorded() == [(act, "alice", "TransactionUIDIncorrect", row.uid, door, ADDRESS)]


def test_who_ends_anothers_subscription_is_named(row, superuser):
    ended(asking("admin", superuser), row)
    assert recorded() == [("unsubscribe", "root", "", "", "admin", ADDRESS)]


def test_the_values_of_a_search_in_the_admin_are_not_kept(row, alice):
    asking("admin", alice).get("/admin/upsrs/workitem/?q=PID-1")
    assert recorded()
    assert AuditRecord.objects.get().detail == {"filter": {"q": "(withheld)"}}


SOCKETS = {
    "customer's": (GENERAL, ["subscribe", "open", "close"]),
    "standard's": (EVENTS, ["open", "close"]),
}


@pytest.mark.parametrize("kind", SOCKETS)
@pytest.mark.parametrize("caller", ["alice", "bob", "nobody"])
async def test_sockets(row, kind, caller):
    path, acts = SOCKETS[kind]
    headers = {} if caller == "nobody" else by_token(f"{caller}s")
    try:
        async with opened(headers, path, address=ADDRESS) as socket:
            if caller == "bob":
                assert await socket.closed() == 4403
            elif path == GENERAL:
                await socket.subscribe()
    except HandshakeRefused:
        assert caller == "nobody"
    rows = await sync_to_async(recorded)()
    if caller == "nobody":
        assert rows == [("log in", "", "NotAuthenticated", "", "socket", ADDRESS)]
    elif caller == "bob":
        assert rows == [("subscribe", "bob", "NotAuthorized", "", "socket", ADDRESS)]
    else:
        assert rows == [(act, "alice", "", "", "socket", ADDRESS) for act in acts]
    if path == EVENTS and caller != "nobody":
        [title] = {one.detail["aeTitle"] async for one in AuditRecord.objects.all()}
        assert title == "AI1"


async def test_a_ticket_that_is_none(row):
    with pytest.raises(HandshakeRefused):
        async with opened({}, subprotocols=["upsrs.ticket." + "x" * 43], address=ADDRESS):
            pass
    rows = await sync_to_async(recorded)()
    assert rows == [("log in", "", "NotAuthenticated", "", "socket", ADDRESS)]


async def test_what_a_socket_is_refused_is_recorded_as_what_it_was(row):
    async with opened(by_token("alices"), address=ADDRESS) as socket:
        await socket.send({"subscriptionUID": "2.25.404", "reason": "USER_REQUEST"})
        assert (await socket.next())["status"] == 404
    rows = await sync_to_async(recorded)()
    assert rows == [("unsubscribe", "alice", "NoSuchSubscription", "", "socket", ADDRESS)]


def test_a_command_is_named_with_the_account_that_ran_it(row, capsys):
    call_command("ups_schedule", str(CT))
    made = Workitem.objects.exclude(pk=row.pk).get()
    assert recorded() == [("create", "", "", made.uid, "command", "")]
    assert "@" in AuditRecord.objects.get().detail["account"]


def test_a_shell_is_the_portals_own_code(row):
    row.dataset = {**row.dataset, **datasets.elements(ProcedureStepLabel="New")}
    row.save()
    assert recorded() == [("update", "", "", row.uid, "", "")]
