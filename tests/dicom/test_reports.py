"""What a change is reported as to the standard's subscribers (PS3.4 CC.2.4)."""

from __future__ import annotations

import json

import pytest

from tests.datasets import code, dataset, elements
from upsrs.dicom.matching import snapshot
from upsrs.dicom.reports import EventType, Report, beginning, initial, reports, restarted

UID = "2.25.1"
STATION = {"ScheduledStationNameCodeSequence": [code("CT1")]}
ALICE = elements(HumanPerformerCodeSequence=[code("ALICE")], HumanPerformerName="A")
BOB = elements(HumanPerformerOrganization="Radiology")


def progress(**item):
    return {"ProcedureStepProgressInformationSequence": [elements(**item)]}


CHANGES = [
    ("nothing", {}, {}, []),
    ("the label", {}, {"WorklistLabel": "AI"}, []),
    ("the state", {}, {"ProcedureStepState": "IN PROGRESS"}, [1]),
    ("the readiness", {}, {"InputReadinessState": "INCOMPLETE"}, [1]),
    ("the progress", {}, progress(ProcedureStepProgress=5), [3]),
    (
        "its description",
        progress(ProcedureStepProgress=5),
        progress(ProcedureStepProgress=5, ProcedureStepProgressDescription="so"),
        [3],
    ),
    ("no progress any more", progress(ProcedureStepProgress=5), {}, [3]),
    ("the reason of an end to come", {}, progress(ReasonForCancellation="so"), []),
    ("the stations", {}, STATION, [5]),
    ("no stations any more", STATION, {}, [5]),
    ("the people", {}, {"ScheduledHumanPerformersSequence": [ALICE, BOB]}, [5, 5]),
    (
        "all at once",
        {},
        {"InputReadinessState": "UNAVAILABLE", **progress(ProcedureStepProgress=5), **STATION},
        [1, 3, 5],
    ),
]


@pytest.mark.parametrize(
    ("before", "after", "types"), [it[1:] for it in CHANGES], ids=[it[0] for it in CHANGES]
)
def test_a_change_triggers_its_reports(before, after, types):
    uid = {"SOPInstanceUID": UID}
    old, new = (snapshot(dataset(**uid, **its)) for its in (before, after))
    found = reports(UID, old, new)
    assert [report.event_type for report in found] == types
    assert {report.instance_uid for report in found} <= {UID}


@pytest.mark.parametrize(
    ("more", "types"),
    [({}, [1]), (STATION, [1, 5]), ({"ScheduledHumanPerformersSequence": [BOB]}, [1, 5])],
)
def test_a_creation_reports_the_state_and_who_is_meant(more, types):
    found = reports(UID, None, snapshot(dataset(**more)))
    assert [report.event_type for report in found] == types


def test_an_assignment_tells_each_performer_with_the_stations():
    humans = {"ScheduledHumanPerformersSequence": [ALICE, BOB]}
    _, one, other = reports(UID, None, snapshot(dataset(**STATION, **humans)))
    stations = elements(**STATION)
    assert one.attributes == {**stations, **elements(HumanPerformerCodeSequence=[code("ALICE")])}
    assert other.attributes == {**stations, **BOB}


def test_a_cancel_request_tells_who_asks_and_what_was_given():
    now = snapshot(dataset())
    (bare,) = reports(UID, now, now, cancellation={}, requesting_ae="alice")
    assert bare.event_type == EventType.CANCEL_REQUESTED
    assert bare.attributes == elements(RequestingAE="alice")
    given = elements(RequestingAE="RIS", ReasonForCancellation="so")
    (told,) = reports(UID, now, now, cancellation=given, requesting_ae="alice")
    assert told.attributes == given


def test_the_state_is_told_with_the_reason_of_its_end():
    reasons = {
        "ReasonForCancellation": "so",
        "ProcedureStepDiscontinuationReasonCodeSequence": [code("110513", "DCM")],
    }
    canceled = dataset(
        ProcedureStepState="CANCELED", **progress(**reasons, ProcedureStepProgress=5)
    )
    assert initial(UID, canceled).attributes == elements(
        ProcedureStepState="CANCELED", InputReadinessState="READY", **reasons
    )


def test_a_workitem_without_readiness_is_told_as_incomplete():
    for unknown in (None, ""):
        told = initial(UID, dataset(InputReadinessState=unknown)).attributes
        assert told["00404041"] == {"vr": "CS", "Value": ["INCOMPLETE"]}


def test_a_restart_is_told_of_the_whole_worklist():
    report = restarted()
    assert report.event_type == EventType.SCP_STATUS_CHANGE
    assert report.instance_uid == "1.2.840.10008.5.1.4.34.5"
    assert [el["Value"] for el in report.attributes.values()] == [
        *(["RESTARTED"], ["WARM START"], ["WARM START"])
    ]


def test_a_frame_is_one_dataset_in_ascending_order():
    report = Report(EventType.STATE_REPORT, UID, elements(ReasonForCancellation="Größe \ud800"))
    plain = json.loads(beginning(7) + report.end())
    placed = json.loads(beginning(8) + report.end(99))
    assert list(plain) == ["00000002", "00000110", "00001000", "00001002", "00741238"]
    assert plain["00000002"]["Value"] == ["1.2.840.10008.5.1.4.34.6.1"]
    assert plain["00000110"] == {"vr": "US", "Value": [7]}
    assert plain["00001000"] == {"vr": "UI", "Value": [UID]}
    assert plain["00001002"] == {"vr": "US", "Value": [1]}
    assert plain["00741238"]["Value"] == ["Größe \ufffd"]
    assert list(placed) == sorted(placed)
    assert placed["00090010"] == {"vr": "LO", "Value": ["UPSRS"]}
    assert placed["00091001"] == {"vr": "UV", "Value": [99]}
