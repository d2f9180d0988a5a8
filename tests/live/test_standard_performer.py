"""Clients that know the standard only, or one of its dialects: whole lives of workitems.

Nothing here knows the customer's JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests import datasets
from tests.live.event_channel import AE, FILTERED, GLOBAL, told, value
from tests.live.parts import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio

T = "2.25.4711471147114711471147114711"
JSON = "application/dicom+json"


async def test_a_performer_written_from_the_standard_alone(server, backend):
    """Search, subscribe, channel, claim, progress, complete; a second one sees every event."""
    uid = datasets.new_uid()
    stations = [datasets.code("AI1")]
    new = datasets.dataset(
        SOPInstanceUID=uid, WorklistLabel="AI", ScheduledStationNameCodeSequence=stations
    )
    async with (
        AE(server, backend, "AI1") as performer,
        AE(server, backend, "BOARD", user="root") as board,
        client(backend) as http,
    ):
        rest = server.rest
        assert (await board.subscribe(GLOBAL)).status_code == 201
        created = await http.post(f"{rest}?workitem={uid}", content=json.dumps([new]))
        assert created.status_code == 201
        assert await board.next_told(2) == [(1, uid, "SCHEDULED"), (5, uid)]

        found = await http.get(
            rest,
            params={
                "ProcedureStepState": "SCHEDULED",
                "ScheduledStationNameCodeSequence.CodeValue": "AI1",
                "limit": "10",
            },
        )
        assert found.status_code == 200
        (work,) = found.json()
        assert value(work, "00080018") == uid

        subscribed = await performer.subscribe(uid, "?deletionlock=true")
        assert subscribed.headers["Content-Location"] == performer.channel
        assert told(await performer.next()) == (1, uid, "SCHEDULED")

        claim = datasets.elements(ProcedureStepState="IN PROGRESS", TransactionUID=T)
        claimed = await http.put(f"{rest}/{uid}/state?requester=AI1", content=json.dumps([claim]))
        assert (claimed.status_code, claimed.content) == (200, b"")
        item = datasets.elements(ProcedureStepProgress=50)
        progress = datasets.elements(ProcedureStepProgressInformationSequence=[item])
        for update in (progress, datasets.performed()):
            updated = await http.post(
                f"{rest}/{uid}?transaction-uid={T}", content=json.dumps([update])
            )
            assert updated.status_code == 200, updated.text
        complete = datasets.elements(ProcedureStepState="COMPLETED", TransactionUID=T)
        completed = await http.put(f"{rest}/{uid}/state", content=json.dumps([complete]))
        assert completed.status_code == 200, completed.text

        for ae in (performer, board):
            assert await ae.next_told(3) == [
                (1, uid, "IN PROGRESS"),
                (3, uid),
                (1, uid, "COMPLETED"),
            ]
            assert await ae.hears_nothing()
        assert (await performer.unsubscribe(uid)).status_code == 200
        done = await http.get(f"{rest}/{uid}")
        assert value(done.json()[0], "00741000") == "COMPLETED"


@dataclass(frozen=True)
class Dialect:
    """How one client spells what the standard leaves open, or once had otherwise."""

    name: str
    create: str
    """Query of Create, with the UID."""
    update: str
    """Query of Update, with the Transaction UID; empty if that is in the body."""
    state: str
    cancel: str
    subscribe: str
    """Query of a filtered subscription to the label AI."""
    channel: str = "subscribers"
    media_type: str = JSON
    as_array: bool = True


DIALECTS = [
    Dialect(
        "2026a",
        create="?workitem={uid}",
        update="?transaction-uid={transaction_uid}",
        state="state?requester=AI%20ROOM",
        cancel="cancelrequest?requester=RIS",
        subscribe="?filter=WorklistLabel=AI,ProcedureStepState=SCHEDULED&deletionlock=true",
    ),
    Dialect(
        "Microsoft",  # the bare UIDs of the templates
        create="?{uid}",
        update="?{transaction_uid}",
        state="state",
        cancel="cancelrequest",
        subscribe="?filter=WorklistLabel%3DAI",
    ),
    Dialect(
        "dcm4chee",
        create="?workitem={uid}",
        update="?Transaction-uid={transaction_uid}",
        state="state/AI1",
        cancel="cancelrequest/RIS",
        subscribe="?WorklistLabel=AI&deletionlock=true",
        channel="ws/subscribers",
    ),
    Dialect(
        "Weasis",
        create="?workitem={uid}",
        update="?TransactionUid={transaction_uid}",
        state="state?requester=WEASIS",
        cancel="cancelrequest?requester=WEASIS",
        subscribe="?00741202=AI",
        channel="ws/subscribers",
    ),
    Dialect(
        "Frappe",
        create="?AffectedSOPInstanceUID={uid}",
        update="",
        state="state",
        cancel="cancelrequest",
        subscribe="?filter=00741202%3DAI",
        media_type="application/json",
        as_array=False,
    ),
    Dialect(
        "2014c",
        create="?AffectedSOPInstanceUID={uid}",
        update="?transaction={transaction_uid}",
        state="state",
        cancel="cancelrequest",
        subscribe="?WorklistLabel=AI",
        media_type="application/json",
    ),
]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
async def test_a_dialect_lives_whole_lives(server, backend, dialect):
    """One workitem is completed, another canceled by its performer when the RIS asks for it."""

    def body(dataset: Any) -> str:
        return json.dumps([dataset] if dialect.as_array else dataset)

    async with (
        AE(server, backend, f"AE {dialect.name}", path=dialect.channel) as ae,
        client(backend, dialect.media_type) as http,
    ):
        subscribed = await ae.subscribe(FILTERED, dialect.subscribe)
        assert subscribed.status_code == 201, subscribed.text
        for ending in ("COMPLETED", "CANCELED"):
            uid, rest = datasets.new_uid(), server.rest
            new = datasets.dataset(WorklistLabel="AI", SOPInstanceUID=None)
            created = await http.post(rest + dialect.create.format(uid=uid), content=body(new))
            assert created.status_code == 201, created.text
            assert created.headers["Location"] == f"{rest}/{uid}"
            assert told(await ae.next()) == (1, uid, "SCHEDULED")

            async def move(state, uid=uid, rest=rest):
                change = datasets.elements(ProcedureStepState=state, TransactionUID=T)
                moved = await http.put(f"{rest}/{uid}/{dialect.state}", content=body(change))
                assert moved.status_code == 200, moved.text
                assert told(await ae.next()) == (1, uid, state)

            await move("IN PROGRESS")
            if ending == "CANCELED":
                reason = datasets.elements(ReasonForCancellation="moved")
                asked = await http.post(f"{rest}/{uid}/{dialect.cancel}", content=body(reason))
                assert asked.status_code == 202, asked.text
                assert told(await ae.next()) == (2, uid)
                last = datasets.discontinued()
            else:
                last = datasets.performed()
            if not dialect.update:
                last = {**last, **datasets.elements(TransactionUID=T)}
            query = dialect.update.format(transaction_uid=T)
            updated = await http.post(f"{rest}/{uid}{query}", content=body(last))
            assert updated.status_code == 200, updated.text
            await move(ending)
            assert await ae.hears_nothing()


def client(backend, media_type: str = JSON) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers={
            "Authorization": f"Token {backend.tokens['alice']}",
            "Accept": media_type,
            "Content-Type": media_type,
        },
        timeout=PATIENCE_SECONDS,
    )
