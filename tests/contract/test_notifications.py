"""What a client is sent: every field of the customer's notification, filled as decided."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC

import pytest

from tests.contract.samples import (
    BERLIN,
    NOW,
    RICH,
    START,
    UID,
    code,
    dataset,
    notified,
    rich,
    said,
    workitem,
)
from tests.subscriber import NOTIFICATION
from upsrs import contract
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import make, tag_of
from upsrs.dicom.matching import Snapshot, snapshot
from upsrs.dicom.states import State


def test_the_schema_checks_the_format_of_date_times():
    message = contract.notification(
        kind="CREATED", workitem_uid=UID, time=NOW, position=1, snapshot=rich(), timezone=UTC
    )
    assert NOTIFICATION.is_valid(message)
    message["workitem"]["scheduledProcedureStepStartDateTime"] = "20260105083000+0100"
    assert not NOTIFICATION.is_valid(message)


# --- the whole message --------------------------------------------------------------------------


def test_every_field_of_the_contract_is_filled_from_the_dataset():
    assert notified(rich(), kind=Kind.STATE_REPORT) == {
        "subscriptionUID": "2.25.1",
        "eventType": "STATE_REPORT",
        "workitemUID": UID,
        "eventId": 7,
        "eventTime": "2026-01-05T08:30:00.250000Z",
        "procedureStepState": "IN PROGRESS",
        "progressInformation": {
            "procedureStepProgress": 42.5,
            "procedureStepProgressDescription": "Segmenting",
            "numberOfCompletedSuboperations": 1,
            "numberOfFailedSuboperations": 0,
            "numberOfWarningSuboperations": 2,
            "numberOfRemainingSuboperations": 4,
        },
        "cancellationReason": "No contrast",
        "workitem": {
            "workitemUID": UID,
            "procedureStepState": "IN PROGRESS",
            "scheduledProcedureStepStartDateTime": "2026-01-05T08:30:00+01:00",
            "scheduledWorkitemCodeSequence": said("110004", "Computer Aided Detection", "DCM"),
            "inputInformationSequence": [
                {"studyInstanceUID": "1.2.3", "seriesInstanceUID": "1.2.3.4"},
                {"studyInstanceUID": "1.2.9"},
            ],
            "scheduledStationNameCodeSequence": said("AI2", "Second"),
            "scheduledStationClassCodeSequence": said("GPU"),
            "scheduledStationGeographicLocationCodeSequence": said("ROOM1"),
            "scheduledProtocolCodeSequence": said("PROT"),
            "scheduledHumanPerformersSequence": [
                {"humanPerformerCodeSequence": said("dr1"), "humanPerformerName": "Ray^X"},
                {"humanPerformerCodeSequence": said("dr2"), "humanPerformerName": "Bow^Cross"},
            ],
            "scheduledProcedureStepDescription": "Find a pneumothorax",
            "referencedRequestSequence": [
                {
                    "studyInstanceUID": "1.2.3",
                    "accessionNumber": "A1",
                    "requestedProcedureID": "RP1",
                    "requestedProcedureDescription": "CT chest plain",
                }
            ],
            "worklistLabel": "CT chest",
            "scheduledStationAETitle": "AI1\\AI2\\AI3",
            "performerAETitle": "PERF1",
            "procedureStepLabel": "Triage",
            "scheduledProcedureStepPriority": "HIGH",
            "expectedCompletionDateTime": "2026-01-05T09:30:00+01:00",
            "inputReadinessState": "READY",
        },
    }


def test_every_field_that_the_schema_knows_is_in_the_rich_notification():
    def names(schema, path=""):
        for name, inner in schema.get("properties", {}).items():
            yield f"{path}{name}"
            yield from names(inner, f"{path}{name}.")
            yield from names(inner.get("items", {}), f"{path}{name}.")

    def present(value, path=""):
        if isinstance(value, list):
            for one in value:
                yield from present(one, path)
        elif isinstance(value, dict):
            for name, inner in value.items():
                yield f"{path}{name}"
                yield from present(inner, f"{path}{name}.")

    missing = set(names(NOTIFICATION.schema)) - set(present(notified(rich())))
    assert missing == set()


def test_only_what_the_contract_requires_is_there_if_nothing_else_is_known():
    assert workitem() == {
        "workitemUID": UID,
        "procedureStepState": "SCHEDULED",
        "scheduledProcedureStepStartDateTime": "2026-01-05T08:30:00+01:00",
        "scheduledWorkitemCodeSequence": said("", "", ""),
        "inputInformationSequence": [],
    }


CHANGES = [kind for kind in Kind if kind is not Kind.SUBSCRIPTION]


@pytest.mark.parametrize("kind", [*CHANGES, *(kind.value for kind in CHANGES)])
def test_every_kind_of_event_has_its_event_type(kind):
    message = notified(rich(), kind=kind)
    assert message["eventType"] == (kind.value if isinstance(kind, Kind) else kind)


def test_there_is_no_other_kind_of_event():
    with pytest.raises(ValueError, match="DELETED"):
        notified(rich(), kind="DELETED")


def test_an_event_without_a_position_has_no_event_id():
    unnumbered = contract.notification(
        kind=Kind.UPDATED, workitem_uid=UID, time=NOW, position=None, snapshot=rich()
    )
    assert "eventId" not in unnumbered
    assert notified(rich(), position=0)["eventId"] == 0


def test_the_time_of_an_event_is_told_in_utc():
    assert notified(rich())["eventTime"] == "2026-01-05T08:30:00.250000Z"


def test_who_no_longer_sees_a_workitem_hears_its_uid_only():
    assert notified(None, cancellation=dataset(ReasonForCancellation="secret")) == {
        "subscriptionUID": "2.25.1",
        "eventType": "UPDATED",
        "workitemUID": UID,
        "eventId": 7,
        "eventTime": "2026-01-05T08:30:00.250000Z",
    }


# --- the workitem -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (code("SHORT"), said("SHORT")),
        (code("", LongCodeValue="a value of more than sixteen"), "a value of more than sixteen"),
        (code("", scheme="", URNCodeValue="urn:oid:1.2.3"), said("urn:oid:1.2.3", scheme="")),
        (code("SHORT", LongCodeValue="longer", URNCodeValue="urn:x"), said("SHORT")),
        (code("", LongCodeValue="longer", URNCodeValue="urn:x"), said("longer")),
        ({"CodeMeaning": "only this"}, said("", "only this", "")),
        ({"CodeValue": "V"}, said("V", "", "")),
    ],
)
@pytest.mark.parametrize(
    ("keyword", "member"),
    [
        ("ScheduledWorkitemCodeSequence", "scheduledWorkitemCodeSequence"),
        ("ScheduledStationNameCodeSequence", "scheduledStationNameCodeSequence"),
        ("ScheduledStationClassCodeSequence", "scheduledStationClassCodeSequence"),
        (
            "ScheduledStationGeographicLocationCodeSequence",
            "scheduledStationGeographicLocationCodeSequence",
        ),
        ("ScheduledProtocolCodeSequence", "scheduledProtocolCodeSequence"),
    ],
)
def test_a_code_is_that_of_the_first_item_short_or_long_or_urn(keyword, member, item, expected):
    expected = said(expected) if isinstance(expected, str) else expected
    assert workitem(**{keyword: [item, code("SECOND")]})[member] == expected


@pytest.mark.parametrize("empty", [[], [{}], [{"CodeMeaning": ""}]])
def test_an_empty_code_sequence_is_empty_strings_if_required_and_else_left_out(empty):
    made = workitem(
        ScheduledWorkitemCodeSequence=empty,
        ScheduledStationNameCodeSequence=empty,
        ScheduledStationClassCodeSequence=empty,
        ScheduledStationGeographicLocationCodeSequence=empty,
        ScheduledProtocolCodeSequence=empty,
        ScheduledHumanPerformersSequence=[{"HumanPerformerCodeSequence": empty}],
    )
    assert made["scheduledWorkitemCodeSequence"] == said("", "", "")
    assert made["scheduledHumanPerformersSequence"] == [{}]
    assert not [name for name in made if name.startswith("scheduledStation")]
    assert "scheduledProtocolCodeSequence" not in made


@pytest.mark.parametrize(
    ("start", "offset", "expected"),
    [
        ("20260105083000+0100", None, "2026-01-05T08:30:00+01:00"),
        ("20260105083000.123456-0330", None, "2026-01-05T08:30:00.123456-03:30"),
        ("20260105083000+0000", None, "2026-01-05T08:30:00+00:00"),
        ("20260105083000", None, "2026-01-05T08:30:00+01:00"),
        ("20260705083000", None, "2026-07-05T08:30:00+02:00"),
        ("20260105083000", "-0500", "2026-01-05T08:30:00-05:00"),
        ("20260105083000+0900", "-0500", "2026-01-05T08:30:00+09:00"),
        ("2026", None, "2026-01-01T00:00:00+01:00"),
        ("202607", None, "2026-07-01T00:00:00+02:00"),
        ("20260705", None, "2026-07-05T00:00:00+02:00"),
        ("2026070508", "+0530", "2026-07-05T08:00:00+05:30"),
        ("202607050830", None, "2026-07-05T08:30:00+02:00"),
        ("2026+0100", None, "2026-01-01T00:00:00+01:00"),
        ("20261231235960+0000", None, "2026-12-31T23:59:59+00:00"),
        # Berlin kept its local mean time, 53 minutes and 28 seconds ahead, until April 1893.
        ("18900101000000", None, "1889-12-31T23:06:32+00:00"),
    ],
)
def test_a_date_time_is_told_by_rfc_3339_with_its_offset(start, offset, expected):
    made = workitem(
        ScheduledProcedureStepStartDateTime=start,
        ExpectedCompletionDateTime=start,
        TimezoneOffsetFromUTC=offset or "",
    )
    assert made["scheduledProcedureStepStartDateTime"] == expected
    assert made["expectedCompletionDateTime"] == expected


@pytest.mark.parametrize("start", ["", "soon", "20261301", "20260105083000+9900", "00010101"])
def test_without_a_start_there_is_no_workitem_but_still_a_valid_notification(start):
    ds = dataset(**RICH)
    ds[tag_of("ScheduledProcedureStepStartDateTime")] = {"vr": "DT", "Value": [start]}
    message = notified(snapshot(ds), timezone=BERLIN)
    assert "workitem" not in message
    assert message["procedureStepState"] == "IN PROGRESS"
    assert message["progressInformation"]["numberOfRemainingSuboperations"] == 4


def test_with_an_offset_that_is_none_the_time_is_not_guessed():
    ds = dataset(**RICH)
    ds[tag_of("ScheduledProcedureStepStartDateTime")] = make(
        "ScheduledProcedureStepStartDateTime", "20260105083000"
    )
    ds[tag_of("TimezoneOffsetFromUTC")] = make("TimezoneOffsetFromUTC", "CET")
    assert "workitem" not in notified(snapshot(ds))


@pytest.mark.parametrize("state", ["", "DONE"])
def test_a_state_that_the_contract_does_not_know_is_not_told(state):
    message = notified(replace(rich(), state=state))
    assert "procedureStepState" not in message
    assert "workitem" not in message


@pytest.mark.parametrize("state", [*State])
def test_the_state_is_told_in_the_message_and_in_the_workitem(state):
    message = notified(replace(rich(), state=state))
    assert message["procedureStepState"] == message["workitem"]["procedureStepState"] == state


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ({"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, "Yamada^Tarou"),
        ({"Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}, "山田^太郎"),
        ({"Phonetic": "やまだ^たろう"}, "やまだ^たろう"),
    ],
)
def test_a_performers_name_is_its_alphabetic_group_else_the_ideographic_else_the_phonetic(
    name, expected
):
    made = workitem(ScheduledHumanPerformersSequence=[{"HumanPerformerName": name}])
    assert made["scheduledHumanPerformersSequence"] == [{"humanPerformerName": expected}]


def test_a_performer_may_have_a_code_and_no_name():
    made = workitem(
        ScheduledHumanPerformersSequence=[
            {"HumanPerformerCodeSequence": [code("dr1")], "HumanPerformerName": ""}
        ]
    )
    assert made["scheduledHumanPerformersSequence"] == [{"humanPerformerCodeSequence": said("dr1")}]


def test_the_description_is_the_label_if_there_is_none():
    described = workitem(ScheduledProcedureStepDescription="D", ProcedureStepLabel="L")
    assert described["scheduledProcedureStepDescription"] == "D"
    assert described["procedureStepLabel"] == "L"
    assert workitem(ProcedureStepLabel="L")["scheduledProcedureStepDescription"] == "L"
    assert "scheduledProcedureStepDescription" not in workitem(WorklistLabel="W")


def test_what_should_be_text_and_is_not_is_left_out():
    ds = dataset(**RICH)
    for keyword in ("ProcedureStepLabel", "InputReadinessState"):
        ds[tag_of(keyword)] = {**make(keyword), "Value": [7]}
    ds[tag_of("ScheduledWorkitemCodeSequence")]["Value"][0][tag_of("CodeMeaning")]["Value"] = [{}]
    made = notified(snapshot(ds))["workitem"]
    assert "procedureStepLabel" not in made
    assert "inputReadinessState" not in made
    assert made["scheduledWorkitemCodeSequence"] == said("110004", "", "DCM")


def test_of_input_information_only_study_and_series_are_told():
    made = workitem(
        InputInformationSequence=[
            {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "", "TypeOfInstances": "DICOM"},
            {"TypeOfInstances": "CDA"},
        ]
    )
    assert made["inputInformationSequence"] == [{"studyInstanceUID": "1.2"}, {}]


def test_stations_and_performers_are_joined_as_dicom_joins_values():
    ds = dataset(ProcedureStepState="SCHEDULED", **START)
    message = notified(Snapshot("SCHEDULED", "", ("A", "B"), ("P", "Q", "R"), ds))
    assert message["workitem"]["scheduledStationAETitle"] == "A\\B"
    assert message["workitem"]["performerAETitle"] == "P\\Q\\R"


def test_the_performer_is_read_from_the_performed_station_if_nobody_was_named():
    performed = [{"PerformedStationNameCodeSequence": [code("AI7"), code("AI8")]}]
    made = workitem(UnifiedProcedureStepPerformedProcedureSequence=performed)
    assert made["performerAETitle"] == "AI7\\AI8"


# --- progress -----------------------------------------------------------------------------------


def progress_of(**item):
    ds = dataset(**START, ProcedureStepProgressInformationSequence=[item])
    return notified(snapshot(ds)).get("progressInformation")


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        ("42.5", 42.5),
        ("50", 50),
        ("50.0", 50),
        (" 7 ", 7),
        ("1E1", 10),
        (".5", 0.5),
        ("-3.", -3),
        (0, 0),
        (99.5, 99.5),
        (100, 100),
    ],
)
def test_progress_is_told_as_a_number(progress, expected):
    told = progress_of(ProcedureStepProgress=progress)
    assert told == {"procedureStepProgress": expected}
    assert isinstance(told["procedureStepProgress"], int) is (expected == int(expected))


@pytest.mark.parametrize(
    "progress",
    ["half", "", "1_0", chr(0x0665), "NaN", "inf", "1e999", float("inf"), True, {}, "5%"],
)
def test_progress_that_is_no_number_is_not_told(progress):
    ds = dataset(**START)
    item = {
        "00741004": {"vr": "DS", "Value": [progress]},
        "00741006": {"vr": "ST", "Value": ["working"]},
    }
    ds["00741002"] = {"vr": "SQ", "Value": [item]}
    told = notified(snapshot(ds))["progressInformation"]
    assert told == {"procedureStepProgressDescription": "working"}


def test_the_four_counts_are_those_of_our_private_block():
    counts = {f"_0075102{i}": {"vr": "UL", "Value": [10 + i]} for i in range(4)}
    assert progress_of(_00750010={"vr": "LO", "Value": ["UPSRS"]}, **counts) == {
        "numberOfCompletedSuboperations": 10,
        "numberOfFailedSuboperations": 11,
        "numberOfWarningSuboperations": 12,
        "numberOfRemainingSuboperations": 13,
    }
    assert progress_of(_00750010={"vr": "LO", "Value": ["SOMEBODY ELSE"]}, **counts) is None


def test_a_count_that_is_not_known_is_left_out():
    ours = {"vr": "LO", "Value": ["UPSRS"]}
    known = {"vr": "UL", "Value": [0]}
    assert progress_of(_00750010=ours, _00751020=known, _00751021={"vr": "UL"}) == {
        "numberOfCompletedSuboperations": 0
    }


@pytest.mark.parametrize("count", ["3", 2.5, True, None])
def test_a_count_that_is_no_integer_is_left_out(count):
    ds = dataset(**START)
    item = {
        "00750010": {"vr": "LO", "Value": ["UPSRS"]},
        "00751020": {"vr": "UL", "Value": [count]},
    }
    ds["00741002"] = {"vr": "SQ", "Value": [item]}
    assert "progressInformation" not in notified(snapshot(ds))


@pytest.mark.parametrize("item", [{}, {"ProcedureStepProgressDescription": ""}])
def test_without_progress_there_is_no_progress_information(item):
    assert progress_of(**item) is None


# --- cancellation -------------------------------------------------------------------------------

REASON = {"ReasonForCancellation": "Doctor said so"}
CODED = {"ProcedureStepDiscontinuationReasonCodeSequence": [code("110501", "DCM", "Broken")]}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (REASON, "Doctor said so"),
        (CODED, "Broken"),
        ({**REASON, **CODED}, "Doctor said so"),
        ({**CODED, "ReasonForCancellation": ""}, "Broken"),
    ],
)
def test_the_reason_of_a_cancellation_is_its_text_else_the_meaning_of_its_code(item, expected):
    item = {**item, "ContactDisplayName": "Ward 7", "ContactURI": "tel:7"}
    requested = notified(rich(), cancellation=dataset(**item))
    assert requested["cancellationReason"] == expected
    assert "Ward 7" not in json.dumps(requested)
    item = {name: item[name] for name in item if not name.startswith("Contact")}
    reached = rich(ProcedureStepState="CANCELED", ProcedureStepProgressInformationSequence=[item])
    assert notified(reached, kind=Kind.CANCELED)["cancellationReason"] == expected


def test_a_request_to_cancel_can_be_told_from_other_updates_even_without_a_reason():
    assert notified(rich(), cancellation={})["cancellationReason"] == ""
    no_progress = rich(ProcedureStepProgressInformationSequence=[])
    assert "cancellationReason" not in notified(no_progress)
