"""Nothing about the patient and no Transaction UID leaves: not in notifications, errors or logs."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests import datasets
from tests.live import making
from tests.live.parts import PATIENCE_SECONDS
from tests.live.performing import DICOM_JSON, Performer
from tests.subscriber import SILENCE_SECONDS, Subscriber

pytestmark = pytest.mark.asyncio

KEY = "2.25.31415926535897932384626433832795"
WRONG_KEY = "2.25.27182818284590452353602874713526"
NAME = "Privatova^Ludmila"

PATIENT = {
    "PatientName": NAME,
    "PatientID": "PRIV-0815",
    "IssuerOfPatientID": "GEHEIM-SPITAL",
    "PatientBirthDate": "19031107",
    "AdmissionID": "ADM-470011",
    "AdmittingDiagnosesDescription": "Morbus secretus",
    "OtherPatientIDsSequence": [
        datasets.elements(PatientID="OTHER-0816", TypeOfPatientID="TEXT"),
    ],
    "AdmittingDiagnosesCodeSequence": [datasets.code("D-SECRET", meaning="Secret of the house")],
    "MedicalAlerts": "Latex-Geheim",
}
SECRETS = (
    *("Privatova", "Ludmila", "PRIV-0815", "GEHEIM-SPITAL", "19031107", "ADM-470011"),
    *("Morbus", "OTHER-0816", "D-SECRET", "Secret of the house", "Latex-Geheim"),
    *(KEY, WRONG_KEY),
)
QUERY = f"?transaction-uid={KEY}&PatientName={quote(NAME)}&PatientID=PRIV-0815&{WRONG_KEY}"

LEVELS = [pytest.param("", id="default"), pytest.param("DEBUG", id="DEBUG")]


def leaked(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


async def kept(answer: httpx.Response) -> httpx.Response:
    """The answer, after neither its head nor its body was found to tell a secret.

    Only Retrieve may: who asks for a workitem and may see it gets its patient, but never a key.
    """
    assert leaked(str(answer.headers)) == []
    body = answer.text
    if answer.request.method == "GET" and answer.status_code == 200:
        assert KEY not in body
        assert WRONG_KEY not in body
    else:
        assert leaked(body) == [], f"{answer.request.method} {answer.status_code}"
    return answer


async def test_a_whole_life_tells_nobody_who_it_was_about(backend, start):
    server = start(backend, env={"LOG_LEVEL": "DEBUG"})
    alice = backend.tokens["alice"]
    async with (
        Performer(server, backend) as performer,
        Subscriber(server.general, alice, forbidden=SECRETS) as everything,
        Subscriber(server.general + QUERY, alice, forbidden=SECRETS) as by_patient,
    ):
        await everything.subscribe({})
        await everything.initial_state()
        await _follow_the_patient(by_patient)
        uids = await _live(performer)
        due = int(await asyncio.to_thread(making.change, backend, "print(Event.objects.count())"))
        heard = [event["eventType"] for event in await _all_events(everything, due)]
        assert len(heard) == due
        assert set(heard) == {"CREATED", "UPDATED", "STATE_REPORT", "COMPLETED", "CANCELED"}
        assert len(await _all_events(by_patient, due)) == due, "the patient's own filter matched"
        await _misbehave_over_rest(performer, server, uids[0])
        await _misbehave_on_sockets(server, alice)
        subscription_uid = everything.messages[0]["subscriptionUID"]
        address = f"{server.specific(subscription_uid)}{QUERY}&after=0"
        async with Subscriber(address, alice, forbidden=SECRETS) as replayed:
            await replayed.next()
            assert len(await _all_events(replayed, due)) == due
    server.terminate()
    assert "SOCKET /ups-rs/workitems/subscription" in server.log, "there is a log to look at"
    assert leaked(server.log) == []
    for user, token in backend.tokens.items():
        assert token not in server.log, f"the token of {user}"


def _events(socket: Subscriber) -> list[dict]:
    return [message for message in socket.messages if "workitem" in message]


async def _all_events(socket: Subscriber, due: int) -> list[dict]:
    """What came about workitems, once as much came as is due, and no more comes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(_events(socket)) < due:
            await asyncio.sleep(0.05)
    await asyncio.sleep(SILENCE_SECONDS)
    return _events(socket)


async def _follow_the_patient(socket: Subscriber) -> None:
    keys = {"PatientName": NAME, "00100020": "PRIV-0815", "PatientBirthDate": "19031107"}
    confirmation = await socket.subscribe({**keys, "AdmissionID": "ADM-470011"})
    shown = confirmation["subscription"]["filter"]
    assert shown == dict.fromkeys([*keys, "AdmissionID"], "(withheld)")
    assert confirmation["subscription"]["ignored"] == []
    await socket.initial_state()


async def _live(performer: Performer) -> list[str]:
    """Two workitems through every transaction there is, one to each end."""
    completed = await performer.create(**PATIENT)
    canceled = await performer.create(**PATIENT)
    answers = [
        await performer.update(completed, ProcedureStepLabel="Read again"),
        await performer.claim(completed, KEY, "AI1"),
        await performer.claim(completed, KEY, "AI1"),
        await performer.claim(completed, WRONG_KEY, "AI2"),
        await performer.progress(completed, WRONG_KEY, 10),
        await performer.progress(completed, KEY, 10),
        await performer.update(completed, WRONG_KEY, ProcedureStepLabel="x"),
        await performer.request_cancel(completed, ReasonForCancellation="No longer needed"),
        await performer.move(completed, "COMPLETED", KEY),
        await performer.send("POST", f"/{completed}", datasets.performed(), **{KEY: ""}),
        await performer.move(completed, "COMPLETED", WRONG_KEY),
        await performer.move(completed, "COMPLETED", KEY),
        await performer.move(completed, "COMPLETED", KEY),
        await performer.update(completed, KEY, PatientName=NAME),
        await performer.request_cancel(completed),
        await performer.request_cancel(canceled, ReasonForCancellation="Wrong study"),
        await performer.request_cancel(canceled),
        await performer.retrieve(completed),
        await performer.http.get(f"{performer.url}/{canceled}{QUERY}"),
    ]
    statuses = [(await kept(answer)).status_code for answer in answers]
    assert statuses == [
        *(200, 200, 409, 400, 400, 200, 400, 202, 409, 200),
        *(400, 200, 200, 400, 409, 202, 202, 200, 200),
    ]
    assert NAME in answers[-1].text, "who may know retrieves it"
    return [completed, canceled]


async def _misbehave_over_rest(performer: Performer, server, uid: str) -> None:
    person = json.dumps(datasets.dataset(**PATIENT))
    wrong_vr = json.dumps({"00100010": {"vr": "DS", "Value": [NAME]}})
    long_key = datasets.elements(ProcedureStepState="IN PROGRESS", TransactionUID=KEY * 3)
    bodies = [
        f'{{"PatientName": "{NAME}"',
        f"{NAME} {KEY}",
        f'"{NAME}"',
        f"[{person}, {person}]",
        person.replace('"PN"', '"LO"'),
        person.replace("19031107", "the 19031107th"),
        person.replace('"vr": "UI"', f'"vr": "{NAME}"'),
        wrong_vr,
        wrong_vr.replace('"DS"', '"XX"'),
        json.dumps({NAME: {"vr": "LO", "Value": ["PRIV-0815"]}}),
        json.dumps({"00100010": {"vr": "PN", "Value": [{NAME: NAME}]}}),
        json.dumps({"00100010": {"vr": "PN", "Value": [NAME], NAME: KEY}}),
        json.dumps({"00081195": {"vr": "UI", "Value": [KEY, WRONG_KEY]}}),
        json.dumps(long_key),
        json.dumps(datasets.elements(ProcedureStepState=NAME, TransactionUID=KEY)),
        json.dumps(datasets.dataset(SOPInstanceUID=KEY, **PATIENT, ProcedureStepState="COMPLETED")),
        json.dumps([datasets.dataset(PatientID=["PRIV-0815"] * 2)]),
        json.dumps([datasets.dataset(ScheduledProcedureStepPriority="PRIV-0815")]),
        f'{{"procedureStepProgress": "{NAME}"}}',
        f'{{"{NAME}": 5}}',
    ]
    for method, path in (
        ("POST", ""),
        ("POST", f"/{uid}"),
        ("PUT", f"/{uid}/state"),
        ("POST", f"/{uid}/cancelrequest"),
        ("POST", f"/{uid}/progress"),
        ("DELETE", f"/{uid}"),
        ("PUT", ""),
        ("POST", "/2.25.404/state"),
    ):
        for body in bodies:
            answer = await performer.http.request(
                method, f"{performer.url}{path}{QUERY}", content=body, headers=DICOM_JSON
            )
            assert 400 <= (await kept(answer)).status_code < 500
    for query in (QUERY, f"?{KEY}x", f"?transaction-uid={KEY}&{WRONG_KEY}", f"?workitem={NAME}"):
        for path in ("/ups-rs/workitems", f"/ups-rs/workitems/{uid}/state", "/nowhere"):
            async with httpx.AsyncClient(base_url=server.url) as stranger:
                await kept(await stranger.get(path + query))
                await kept(await stranger.post(path + query, content=person.encode()))
    await kept(
        await performer.http.post(
            performer.url, content=f"--{NAME}".encode(), headers={"Content-Type": f"text/{NAME}"}
        )
    )
    for line in (
        f"GET /ups-rs/workitems{QUERY} HTTP/9.9",
        f"GET /ups-rs/workitems?{NAME} {KEY} HTTP/1.1",
        f"GET http://[{QUERY} HTTP/1.1",
        f"GET /ups-rs/workitems?\xff{NAME}\x01{KEY} HTTP/1.1\r\nHost: 127.0.0.1",
        f"GET /ups-rs/workitems{QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \xff\x01{KEY}",
        f"GET /ups-rs/workitems/subscription{QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 1",
        f"GET /ups-rs/workitems/subscription{QUERY} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: short",
    ):
        assert leaked(await _raw(server.port, line)) == [], line


async def _raw(port: int, request: str) -> str:
    """What a server answers to bytes that no well-behaved client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1") + b"\r\n\r\n")
    try:
        async with asyncio.timeout(1):
            return (await reader.read(65_536)).decode("latin-1")
    except TimeoutError:
        return ""
    finally:
        writer.close()


async def _misbehave_on_sockets(server, alice: str) -> None:
    async with Subscriber(server.general + QUERY, alice, forbidden=SECRETS) as socket:
        for message in (
            f'{{"filter": {{"PatientName": "{NAME}"',
            f"{NAME} {KEY}",
            f'["{NAME}"]',
            {"filter": NAME},
            {"filter": {"procedureStepState": NAME}},
            {"filter": {"worklistLabel": [NAME, KEY]}},
            {"filter": {"PatientID": "PRIV-0815"}, "deleteSubscription": NAME},
            {"reason": NAME},
            {"reason": "USER_REQUEST", "subscriptionUID": KEY},
            {"reason": "USER_REQUEST", "subscriptionUID": [NAME]},
        ):
            await socket.send(message)
            assert 400 <= (await socket.next())["status"] < 500
        answer = await socket.subscribe(
            {
                "TransactionUID": KEY,
                "00081195": [WRONG_KEY],
                "PatientBirthDate": "19031107-soon",
                "PatientName": {"Alphabetic": NAME},
                "unheardOf": "PRIV-0815",
            },
            heartbeatSeconds=NAME,
            initialState=KEY,
            resume=NAME,
        )
        assert set(answer["subscription"]["ignored"]) == {
            *("TransactionUID", "00081195", "PatientBirthDate", "PatientName", "unheardOf"),
            *("heartbeatSeconds", "initialState", "resume"),
        }
        # A frame that is no text: closed, and not a word of it.
        await socket.connection.send(NAME.encode() + b"\xff", text=True)
        await socket.closed()
    for path in ("", "/2.25.404", f"/{quote('2.25.4 04')}"):
        with pytest.raises(InvalidStatus) as refused:
            async with Subscriber(f"{server.general}{path}{QUERY}"):
                pass
        response = refused.value.response
        assert leaked(f"{response.reason_phrase}{response.headers}{response.body!r}") == []


# What fails inside of the server quotes what it was doing: a database quotes the row.
BROKEN = {
    "sqlite": """
from django.db import connection
for table in ("upsrs_event", "upsrs_subscription"):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_gone")
""",
    "postgres+redis": """
from django.db import connection
with connection.cursor() as cursor:
    for table in ("upsrs_event", "upsrs_subscription"):
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT broken CHECK (id < 0) NOT VALID")
""",
}


@pytest.mark.parametrize("level", LEVELS)
async def test_a_fault_of_the_server_quotes_nothing_either(backend, start, level):
    server = start(backend, env={"LOG_LEVEL": level})
    await asyncio.to_thread(making.change, backend, BROKEN[backend.name])
    async with Performer(server, backend) as performer:
        answer = await performer.send("POST", QUERY, datasets.dataset(**PATIENT))
        assert (await kept(answer)).status_code == 500
    async with Subscriber(server.general, backend.tokens["alice"], forbidden=SECRETS) as socket:
        await socket.send({"filter": {"PatientName": NAME, "PatientID": "PRIV-0815"}})
        assert await socket.closed() == 1011
        assert socket.messages == []
    server.terminate()
    assert "failed" in server.log, "a fault is logged"
    assert leaked(server.log) == []
