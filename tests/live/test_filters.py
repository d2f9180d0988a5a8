"""One filter, one answer: in the reports of what is, and in the events of what happens."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.datasets import code
from tests.live.performing import Performer
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

TRANSACTION_UID = "2.25.271828182845904523536"

WORKITEMS = {
    "urgent": {
        "ScheduledProcedureStepPriority": "HIGH",
        "ProcedureStepLabel": "CT Chest",
        "WorklistLabel": "AI-LUNG",
        "ScheduledStationNameCodeSequence": [code("X"), code("CT1")],
        "PatientName": "Privatova^Ludmila",
        "PatientID": "PRIV-0815",
        "ScheduledProcedureStepStartDateTime": "20260105080000",
    },
    "routine": {
        "ScheduledProcedureStepPriority": "MEDIUM",
        "ProcedureStepLabel": "MR Head",
        "WorklistLabel": "ai-lung",
        "ScheduledStationNameCodeSequence": [code("x"), code("CT11")],
        "PatientName": "Otherova^Ludmila",
        "PatientID": "PRIV-0816",
        "ScheduledProcedureStepStartDateTime": "20260106080000",
    },
    "bare": {
        "ScheduledProcedureStepPriority": "LOW",
        "ProcedureStepLabel": "CT*",
        "WorklistLabel": "A[I]",
        "PatientName": "",
        "PatientID": "",
        "ScheduledProcedureStepStartDateTime": "20260107080000",
    },
}
EVERY = set(WORKITEMS)

FILTERS = [
    # What is asked, whom it means, and which names have no effect.
    ({}, EVERY, []),
    ({"worklistLabel": "*"}, EVERY, []),
    ({"worklistLabel": "", "procedureStepState": ""}, EVERY, []),
    ({"worklistLabel": "AI*"}, {"urgent"}, []),
    ({"worklistLabel": "??-lung"}, {"routine"}, []),
    ({"worklistLabel": "A[I]"}, {"bare"}, []),
    ({"worklistLabel": "A[I]*"}, {"bare"}, []),
    ({"worklistLabel": "LUNG"}, set(), []),
    ({"scheduledStationAETitle": "CT1"}, {"urgent"}, []),
    ({"scheduledStationAETitle": "CT1*"}, {"urgent", "routine"}, []),
    ({"scheduledStationAETitle": "CT1?"}, {"routine"}, []),
    ({"scheduledStationAETitle": "CT1*", "worklistLabel": "ai*"}, {"routine"}, []),
    ({"performerAETitle": "AI*"}, set(), []),
    ({"procedureStepState": "SCHEDULED"}, EVERY, []),
    ({"procedureStepState": "IN PROGRESS"}, set(), []),
    ({"ScheduledProcedureStepPriority": "HIGH"}, {"urgent"}, []),
    ({"00741200": "HIGH"}, {"urgent"}, []),
    ({"00741204": "CT*"}, {"urgent", "bare"}, []),
    ({"ProcedureStepLabel": "CT ?????"}, {"urgent"}, []),
    ({"ScheduledStationNameCodeSequence.CodeValue": "X"}, {"urgent"}, []),
    ({"00404025.00080100": "X"}, {"urgent"}, []),
    ({"ScheduledStationNameCodeSequence.00080100": "?"}, {"urgent", "routine"}, []),
    ({"ScheduledProcedureStepStartDateTime": "20260106-"}, {"routine", "bare"}, []),
    ({"ProcedureStepState": "SCHEDULED", "00741204": "MR*"}, {"routine"}, []),
    ({"PatientID": "PRIV-0815"}, {"urgent"}, []),
    ({"00100020": "PRIV-*"}, {"urgent", "routine"}, []),
    ({"PatientName": "privatova^*"}, {"urgent"}, []),
    ({"PatientName": "Privatova^*", "worklistLabel": "ai*"}, set(), []),
    ({"TransactionUID": TRANSACTION_UID}, EVERY, ["TransactionUID"]),
    ({"00081195": TRANSACTION_UID, "worklistLabel": "AI*"}, {"urgent"}, ["00081195"]),
    ({"unheardOf": "x"}, EVERY, ["unheardOf"]),
    ({"ScheduledProcedureStepPriority": ["HIGH"]}, EVERY, ["ScheduledProcedureStepPriority"]),
    ({"PixelData": "x", "00741204": "MR*"}, {"routine"}, ["PixelData"]),
    (
        {"ScheduledProcedureStepStartDateTime": "soon"},
        EVERY,
        ["ScheduledProcedureStepStartDateTime"],
    ),
]
WITHHELD = {"PatientID", "00100020", "PatientName", "unheardOf"}
"""Whose values are not repeated: the patient's, and what nobody knows."""

SECRETS = ("PRIV-", "Privatova", "privatova", "Otherova", TRANSACTION_UID)


def _listener(server, alice):
    return Subscriber(server.general, alice, forbidden=SECRETS)


async def test_a_filter_means_the_same_in_reports_and_in_events(backend, server):
    """Each filter on a socket of its own that is there before, and on one that comes after."""
    alice = backend.tokens["alice"]
    async with AsyncExitStack() as stack:
        ris = await stack.enter_async_context(Performer(server, backend))
        sockets = []
        for keys, _, ignored in FILTERS:
            socket = await stack.enter_async_context(_listener(server, alice))
            said = (await socket.subscribe(keys, resume=False))["subscription"]
            assert said["ignored"] == ignored, keys
            for name, value in said["filter"].items():
                assert value == ("(withheld)" if name in WITHHELD else keys[name]), name
            assert await socket.initial_state() == []
            sockets.append(socket)
        names = {await ris.create(**workitem): name for name, workitem in WORKITEMS.items()}
        for socket, (keys, meant, _) in zip(sockets, FILTERS, strict=True):
            heard = [await socket.next() for _ in meant]
            assert {event["eventType"] for event in heard} <= {"CREATED"}
            assert {names[event["workitemUID"]] for event in heard} == meant, keys
        # All at once: silence takes its time.
        assert all(await asyncio.gather(*(socket.hears_nothing() for socket in sockets)))
        for keys, meant, _ in FILTERS:
            async with _listener(server, alice) as socket:
                await socket.subscribe(keys, resume=False)
                reports = await socket.initial_state()
                assert len(reports) == len(meant), keys
                assert {names[report["workitemUID"]] for report in reports} == meant, keys


async def test_final_states_are_reported_to_those_who_name_them(backend, server):
    alice = backend.tokens["alice"]
    async with Performer(server, backend) as ris, Subscriber(server.general, alice) as socket:
        finished = await ris.create(ProcedureStepLabel="CT Chest")
        await ris.request_cancel(finished)
        open_ = await ris.create(ProcedureStepLabel="CT Chest")
        for keys, meant in (
            ({"00741204": "CT*"}, [open_]),
            ({"procedureStepState": "CANCELED"}, [finished]),
            ({"ProcedureStepState": "CANCELED", "00741204": "CT*"}, [finished]),
            ({"procedureStepState": "COMPLETED"}, []),
        ):
            await socket.subscribe(keys)
            reports = await socket.initial_state()
            assert [report["workitemUID"] for report in reports] == meant, keys


async def test_a_workitem_enters_and_leaves_a_filter_by_attribute(backend, server):
    alice = backend.tokens["alice"]
    async with (
        Performer(server, backend) as ris,
        Subscriber(server.general, alice) as urgent,
        Subscriber(server.general, alice) as at_x,
    ):
        await urgent.subscribe({"ScheduledProcedureStepPriority": "HIGH"}, initialState=False)
        await at_x.subscribe(
            {"ScheduledStationNameCodeSequence.CodeValue": "X"}, initialState=False
        )
        uid = await ris.create(ScheduledStationNameCodeSequence=[code("Y")])
        assert await urgent.hears_nothing()
        for priority in ("HIGH", "LOW"):
            await ris.update(uid, ScheduledProcedureStepPriority=priority)
            heard = await urgent.next()
            assert heard["eventType"] == "UPDATED"
            assert heard["workitem"]["scheduledProcedureStepPriority"] == priority
        await ris.update(uid, ScheduledProcedureStepPriority="MEDIUM")
        for station in ("X", "Y", "Z"):
            await ris.update(uid, ScheduledStationNameCodeSequence=[code(station)])
        heard = [(await at_x.next())["workitem"]["scheduledStationAETitle"] for _ in range(2)]
        assert heard == ["X", "Y"]
        silent = await asyncio.gather(urgent.hears_nothing(), at_x.hears_nothing())
        assert silent == [True, True]
