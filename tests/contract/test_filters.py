"""What a filter asks for: trimmed, storable, and never the Transaction UID."""

from __future__ import annotations

import json

import pytest

from upsrs import contract
from upsrs.dicom.states import State

SECRET = "Doe^Jane-4711"
UNSTORABLE = ["\0", chr(0xD800), chr(0xDFFF)]


def parse(message):
    return contract.parse(json.dumps(message))


def test_values_are_trimmed_and_empty_ones_mean_any():
    request = parse(
        {
            "filter": {
                "worklistLabel": "  CT ",
                "procedureStepState": "",
                "scheduledStationAETitle": " ",
                "performerAETitle": "A B",
                "PatientSex": "",
            }
        }
    )
    assert request.filter == {"worklistLabel": "CT", "performerAETitle": "A B"}
    assert request.ignored == ()


def test_equal_filters_are_equal_to_the_letter():
    one = parse({"filter": {"worklistLabel": "CT", "procedureStepState": "SCHEDULED"}})
    other = parse(
        {
            "filter": {
                "procedureStepState": "SCHEDULED",
                "performerAETitle": "",
                "worklistLabel": "CT ",
            }
        }
    )
    assert json.dumps(one.filter) == json.dumps(other.filter)


@pytest.mark.parametrize("state", [*State])
def test_every_state_can_be_followed(state):
    assert parse({"filter": {"procedureStepState": state}}).filter == {"procedureStepState": state}


def test_other_names_are_kept_if_their_value_is_a_string():
    request = parse(
        {
            "filter": {
                "PatientID": " 4711 ",
                "00404041": "READY",
                "ScheduledWorkitemCodeSequence.CodeValue": "110003",
                "number": 1,
                "list": ["a"],
                "nothing": None,
                "yes": True,
            }
        }
    )
    assert request.filter == {
        "00404041": "READY",
        "PatientID": "4711",
        "ScheduledWorkitemCodeSequence.CodeValue": "110003",
    }
    assert request.ignored == ("number", "list", "nothing", "yes")


@pytest.mark.parametrize(
    "name", ["TransactionUID", "00081195", "ReferencedRequestSequence.TransactionUID"]
)
@pytest.mark.parametrize("value", ["2.25.1", "", "*"])
def test_a_filter_never_asks_for_the_transaction_uid(name, value):
    request = parse({"filter": {name: value}})
    assert request.filter == {}
    assert request.ignored == (name,)


@pytest.mark.parametrize("bad", UNSTORABLE)
def test_a_character_that_cannot_be_stored_makes_a_contract_field_match_nothing(bad):
    request = parse({"filter": {"worklistLabel": f"C{bad}T"}})
    assert request.filter == {"worklistLabel": "C\ufffdT"}
    assert request.ignored == ()


@pytest.mark.parametrize("bad", UNSTORABLE)
def test_a_character_that_cannot_be_stored_makes_another_name_ignored(bad):
    request = parse({"filter": {"PatientID": f"C{bad}T", f"Pat{bad}": "x"}})
    assert request.filter == {}
    assert request.ignored == ("PatientID", "Pat\ufffd")


def test_a_character_outside_the_basic_plane_is_no_half():
    request = contract.parse('{"filter": {"worklistLabel": "\\ud83e\\ude7b", "PatientID": "🩻"}}')
    assert request.filter == {"PatientID": "🩻", "worklistLabel": "🩻"}


def test_a_long_name_is_repeated_in_part():
    request = parse({"filter": {}, "n" * 5000: 1})
    assert request.ignored == ("n" * 64,)


def test_the_everyday_keys_and_the_attributes_are_told_apart():
    keys = {
        "PatientID": "1",
        "performerAETitle": "P",
        "procedureStepState": "SCHEDULED",
        "scheduledStationAETitle": "S",
        "worklistLabel": "L",
    }
    assert contract.everyday(keys) == {
        "label": "L",
        "state": "SCHEDULED",
        "station": "S",
        "performer": "P",
    }
    assert contract.attributes(keys) == {"PatientID": "1"}
    assert contract.everyday({}) == contract.attributes({}) == {}


@pytest.mark.parametrize(
    ("name", "is_shown"),
    [
        ("worklistLabel", True),
        ("procedureStepState", True),
        ("scheduledStationAETitle", True),
        ("performerAETitle", True),
        ("InputReadinessState", True),
        ("00404041", True),
        ("ScheduledWorkitemCodeSequence.CodeValue", True),
        ("ReferencedRequestSequence.RequestedProcedureID", True),
        ("PatientName", False),
        ("PatientID", False),
        ("00100020", False),
        ("OtherPatientIDsSequence.PatientID", False),
        ("AdmissionID", False),
        ("AdmittingDiagnosesDescription", False),
        ("AdmittingDiagnosesCodeSequence.CodeValue", False),
        ("PregnancyStatus", False),
        ("NoSuchKeyword", False),
    ],
)
def test_values_of_patient_keys_are_not_shown(name, is_shown):
    shown = contract.shown({name: SECRET})
    assert list(shown) == [name]
    assert (shown[name] == SECRET) is is_shown
