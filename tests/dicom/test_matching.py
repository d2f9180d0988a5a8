"""Matching keys: one table per rule of PS3.4 C.2.2.2, and a plain oracle for wildcards."""

from __future__ import annotations

import time
from datetime import UTC, timedelta, timezone
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, strategies as st

from tests.datasets import code, elements
from upsrs.dicom.matching import Keys, LongGlob, glob, glob_pattern, key_path, snapshot

DATASET = elements(
    ProcedureStepState="SCHEDULED",
    WorklistLabel="CT-1",
    PatientName="Müller^Änne",
    PatientID="P1",
    ScheduledStationAETitle="STATION",
    ScheduledStationNameCodeSequence=[code("A", "DCM"), code("B", "LOC")],
    ScheduledProcedureStepStartDateTime="20260105083000+0100",
    PatientBirthDate="19700131",
    ProcedureStepLabel="Head*",
    SOPInstanceUID="1.2.3",
)
WORKITEM = snapshot(DATASET, requester="AI1")


@pytest.mark.parametrize(
    ("keys", "matches"),
    [
        ({}, True),
        ({"state": "SCHEDULED"}, True),
        ({"state": "IN PROGRESS"}, False),
        ({"label": "CT-1"}, True),
        ({"label": "ct-1"}, False),
        ({"label": "CT-?"}, True),
        ({"label": "CT?"}, False),
        ({"label": "*-*"}, True),
        ({"label": "*"}, True),
        ({"station": "STATION"}, True),
        ({"station": "A"}, True),
        ({"station": "B"}, True),
        ({"station": "DCM"}, False),
        ({"performer": "AI1"}, True),
        ({"performer": "AI"}, False),
        ({"label": "CT-1", "station": "B"}, True),
        ({"label": "CT-1", "station": "C"}, False),
    ],
)
def test_keys_of_every_day(keys, matches):
    assert Keys(keys, {}).match(WORKITEM) is matches


@pytest.mark.parametrize(
    ("keys", "matches"),
    [
        ({"PatientID": "P1"}, True),
        ({"00100020": "P?"}, True),
        ({"PatientName": "MÜLLER^*"}, True),
        ({"PatientName": "Meier*"}, False),
        ({"SOPInstanceUID": "9.9,1.2.3"}, True),
        ({"SOPInstanceUID": "1.2.*"}, False),
        ({"ScheduledStationNameCodeSequence.CodeValue": "B"}, True),
        (
            {
                "ScheduledStationNameCodeSequence.CodeValue": "A",
                "00404025.CodingSchemeDesignator": "LOC",
            },
            False,  # no one item has both
        ),
        ({"AdmissionID": "X"}, False),
        ({"AdmissionID": "*"}, True),  # universal
        ({"PatientBirthDate": "19700131"}, True),
        ({"PatientBirthDate": "1970013*"}, None),
        ({"PatientBirthDate": "19700101-19700131"}, True),
        ({"PatientBirthDate": "-19700130"}, False),
        ({"PatientBirthDate": "19700131-"}, True),
        ({"ScheduledProcedureStepStartDateTime": "20260105"}, True),
        ({"ScheduledProcedureStepStartDateTime": "202601"}, True),
        ({"ScheduledProcedureStepStartDateTime": "20260105073000+0000"}, True),
        ({"ScheduledProcedureStepStartDateTime": "20260105083000"}, False),  # in UTC
        ({"ScheduledProcedureStepStartDateTime": "20260105072959-20260105073000"}, True),
        ({"ScheduledProcedureStepStartDateTime": "2026-2027"}, True),
        ({"ScheduledProcedureStepStartDateTime": "tomorrow"}, None),
    ],
)
def test_attributes_match_by_their_vr(keys, matches):
    paths = {key_path(name): value for name, value in keys.items()}
    if matches is None:
        with pytest.raises(ValueError, match="not a"):
            Keys({}, paths)
    else:
        assert Keys({}, paths, UTC).match(WORKITEM) is matches


def test_a_date_time_without_offset_is_of_the_portals_zone():
    keys = {key_path("ScheduledProcedureStepStartDateTime"): "20260105083000"}
    assert Keys({}, keys, timezone(timedelta(hours=1))).match(WORKITEM)


def test_the_offset_of_the_dataset_comes_before_that():
    keys = {key_path("ScheduledProcedureStepStartDateTime"): "20260105083000+0100"}
    told = elements(
        TimezoneOffsetFromUTC="+0100", ScheduledProcedureStepStartDateTime="20260105083000"
    )
    assert Keys({}, keys).match(snapshot(told))


@pytest.mark.parametrize("name", ["TransactionUID", "00081195", "Nonsense", "WorklistLabel.X", ""])
def test_what_is_no_matching_key_is_refused(name):
    with pytest.raises(KeyError):
        key_path(name)


def test_who_claimed_it_else_the_performed_station():
    performed = elements(
        UnifiedProcedureStepPerformedProcedureSequence=[
            elements(PerformedStationNameCodeSequence=[code("WS1")])
        ]
    )
    assert snapshot(performed, requester="AE").performers == ("AE",)
    assert snapshot(performed).performers == ("WS1",)


@given(
    pattern=st.text("ab*?", max_size=12),
    value=st.text("ab\n", max_size=12),
)
def test_wildcards_mean_what_a_shell_means_by_them(pattern, value):
    assert bool(glob_pattern(pattern).match(value)) == fnmatchcase(value, pattern)
    assert LongGlob(pattern)(value) == fnmatchcase(value, pattern)


def test_a_hostile_pattern_costs_no_more_than_an_honest_one():
    started = time.perf_counter()
    assert not glob_pattern("*a" * 500 + "b").match("a" * 64)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("part", ["*a", "?", "x", "a?*", "*"])
def test_a_pattern_as_long_as_a_frame_is_no_more_work_than_a_short_one(part):
    pattern = part * (60_000 // len(part)) + "b*"
    started = time.perf_counter()
    for key in ("label", "station", "performer"):
        assert not Keys({key: pattern}, {}).match(WORKITEM)
    assert not Keys({}, {key_path("PatientName"): pattern}).match(WORKITEM)
    assert not Keys({}, {key_path("PatientID"): pattern}).match(WORKITEM)
    assert not any(glob(pattern)("a" * length) for length in (0, 64, 10_240))
    assert time.perf_counter() - started < 1
