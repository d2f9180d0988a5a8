"""A workitem in which every field of the contract is known, and what is said of it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from tests import subscriber
from upsrs import contract
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import make, normalise, tag_of
from upsrs.dicom.matching import snapshot

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 5, 9, 30, 0, 250_000, tzinfo=BERLIN)
UID = "2.25.4711"


def dataset(**attributes):
    """A normalised dataset; an item is a dict of keywords, or of tags as they are."""
    made = {}
    for name, value in attributes.items():
        values = value if isinstance(value, list | tuple) else [value]
        if name.startswith("_"):
            made[name[1:]] = value
        else:
            made[tag_of(name)] = make(
                name, *(dataset(**one) if _is_item(name, one) else one for one in values)
            )
    return normalise(made)


def _is_item(name, value):
    return isinstance(value, dict) and name.endswith("Sequence")


def code(value, scheme="99HOSP", meaning="a meaning", **more):
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning, **more}


def said(value, meaning="a meaning", scheme="99HOSP"):
    return {"codeValue": value, "codingSchemeDesignator": scheme, "codeMeaning": meaning}


START = {"ScheduledProcedureStepStartDateTime": "20260105083000+0100"}

RICH = {
    **START,
    "SOPInstanceUID": UID,
    "ProcedureStepState": "IN PROGRESS",
    "WorklistLabel": "CT chest",
    "ProcedureStepLabel": "Triage",
    "ScheduledProcedureStepPriority": "HIGH",
    "InputReadinessState": "READY",
    "ExpectedCompletionDateTime": "20260105093000+0100",
    "ScheduledStationAETitle": "AI1",
    "ScheduledProcedureStepDescription": "Find a pneumothorax",
    "ScheduledWorkitemCodeSequence": [code("110004", "DCM", "Computer Aided Detection")],
    "ScheduledStationNameCodeSequence": [code("AI2", meaning="Second"), code("AI3")],
    "ScheduledStationClassCodeSequence": [code("GPU")],
    "ScheduledStationGeographicLocationCodeSequence": [code("ROOM1")],
    "ScheduledProtocolCodeSequence": [code("PROT")],
    "ScheduledHumanPerformersSequence": [
        {"HumanPerformerCodeSequence": [code("dr1")], "HumanPerformerName": "Ray^X"},
        {"HumanPerformerCodeSequence": [code("dr2")], "HumanPerformerName": "Bow^Cross"},
    ],
    "InputInformationSequence": [
        {
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": "1.2.3.4",
            "TypeOfInstances": "DICOM",
            "ReferencedSOPSequence": [{"ReferencedSOPInstanceUID": "1.2.3.4.5"}],
        },
        {"StudyInstanceUID": "1.2.9"},
    ],
    "ReferencedRequestSequence": [
        {
            "StudyInstanceUID": "1.2.3",
            "AccessionNumber": "A1",
            "RequestedProcedureID": "RP1",
            "RequestedProcedureDescription": "CT chest plain",
            "RequestingPhysician": "House^Gregory",
        }
    ],
    "ProcedureStepProgressInformationSequence": [
        {
            "ProcedureStepProgress": "42.5",
            "ProcedureStepProgressDescription": "Segmenting",
            "ReasonForCancellation": "No contrast",
            "_00750010": {"vr": "LO", "Value": ["UPSRS"]},
            "_00751020": {"vr": "UL", "Value": [1]},
            "_00751021": {"vr": "UL", "Value": [0]},
            "_00751022": {"vr": "UL", "Value": [2]},
            "_00751023": {"vr": "UL", "Value": [4]},
        }
    ],
}


def rich(**changed):
    return snapshot(dataset(**{**RICH, **changed}), requester="PERF1")


def checked(message, subscription_uid="2.25.1"):
    """What arrives at the client, valid by the customer's schema."""
    frame = contract.beginning(subscription_uid) + contract.frame_parts(message)
    received = subscriber.checked(frame.decode())
    assert received["subscriptionUID"] == subscription_uid
    return received


def notified(known, *, kind=Kind.UPDATED, **more):
    message = {
        "kind": kind,
        "workitem_uid": UID,
        "time": NOW,
        "position": 7,
        "snapshot": known,
        "cancellation": None,
        "timezone": BERLIN,
        **more,
    }
    return checked(contract.notification(**message))


def workitem(**attributes):
    """The member ``workitem`` of a notification about a workitem with these attributes."""
    ds = dataset(**{"ProcedureStepState": "SCHEDULED", **START, **attributes})
    return notified(snapshot(ds)).get("workitem")
