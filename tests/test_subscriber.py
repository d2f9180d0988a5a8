"""The tests' own client must refuse what the contract refuses: else every test with it is blind."""

from __future__ import annotations

import json

import pytest
from jsonschema import ValidationError

from tests.subscriber import FILTERED_GLOBAL, checked

CREATED = {
    "eventType": "CREATED",
    "workitemUID": "2.25.1",
    "subscriptionUID": "2.25.2",
    "procedureStepState": "SCHEDULED",
    "eventId": 7,
    "eventTime": "2026-01-05T08:00:00Z",
    "workitem": {
        "workitemUID": "2.25.1",
        "procedureStepState": "SCHEDULED",
        "scheduledProcedureStepStartDateTime": "2026-01-05T08:00:00+01:00",
        "scheduledWorkitemCodeSequence": {
            "codeValue": "110001",
            "codingSchemeDesignator": "DCM",
            "codeMeaning": "Image Processing",
        },
        "inputInformationSequence": [],
    },
}
CONFIRMATION = {
    "eventType": "STATE_REPORT",
    "workitemUID": FILTERED_GLOBAL,
    "subscriptionUID": "2.25.2",
    "eventTime": "2026-01-05T08:00:00Z",
    "subscription": {
        "status": "ACTIVE",
        "filter": {},
        "ignored": [],
        "deleted": [],
        "resync": False,
        "logId": "8d3f0d8e-4e1c-4b5e-9d34-0a8f7c1f2b11",
    },
}
PROBLEM = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "No filter."}


def change(message, **changes):
    changed = {**message, **changes}
    return json.dumps({name: value for name, value in changed.items() if value is not None})


@pytest.mark.parametrize("message", [CREATED, CONFIRMATION, PROBLEM])
def test_a_good_message_passes(message):
    assert checked(json.dumps(message)) == message


@pytest.mark.parametrize(
    "frame",
    [
        change(CREATED, eventType="DELETED"),
        change(CREATED, workitemUID=None),
        change(CREATED, procedureStepState="IN_PROGRESS"),
        change(CREATED, workitem={**CREATED["workitem"], "inputInformationSequence": None}),
        change(
            CREATED,
            workitem={
                **CREATED["workitem"],
                "scheduledProcedureStepStartDateTime": "2026-01-05T08:00:00",  # no offset
            },
        ),
        change(CREATED, eventTime="yesterday"),
    ],
)
def test_a_message_against_the_schema_fails(frame):
    with pytest.raises(ValidationError):
        checked(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        "[]",
        '{"eventType": NaN}',
        change(CREATED, subscriptionUID=None),
        change(CREATED, eventId="7"),
        change(CREATED, report=True),
        change(CREATED, eventType="STATE_REPORT", report=True),  # with an eventId
        change(CREATED, workitem={**CREATED["workitem"], "workitemUID": "2.25.3"}),
        change(CONFIRMATION, eventId=7),
        change(CONFIRMATION, eventType="UPDATED"),
        change(CONFIRMATION, subscription={"status": "PAUSED"}),
        change(CONFIRMATION, initialStateComplete=True),  # without its place
        change(PROBLEM, detail=None),
        change(PROBLEM, status="400"),
        change(PROBLEM, status=200),
    ],
)
def test_a_message_against_our_decisions_fails(frame):
    with pytest.raises(AssertionError):
        checked(frame)


@pytest.mark.parametrize("name", ["Müller", "M\\u00fcller"])
def test_a_forbidden_text_fails_in_either_spelling(name):
    frame = json.dumps(CREATED).replace("Image Processing", name)
    with pytest.raises(AssertionError, match="forbidden"):
        checked(frame, ["Müller"])
