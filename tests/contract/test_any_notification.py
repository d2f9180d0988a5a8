"""The golden rule: whatever a dataset holds, what is sent is valid, and tells of no patient."""

from __future__ import annotations

import json
from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import given, settings, strategies as st
from pydicom.datadict import DicomDictionary

from tests.contract.samples import BERLIN, NOW, RICH, UID, checked, dataset, notified, rich
from upsrs import contract
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import tag_of
from upsrs.dicom.matching import snapshot
from upsrs.dicom.states import State

STATES = frozenset(State)
WORDS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\"), min_size=1, max_size=12
)
DIGITS = st.text("0123456789", min_size=1, max_size=2)


@st.composite
def date_times(draw):
    parts = [
        f"{draw(st.integers(1, 9999)):04}",
        f"{draw(st.integers(1, 12)):02}",
        f"{draw(st.integers(1, 28)):02}",
        f"{draw(st.integers(0, 23)):02}",
        f"{draw(st.integers(0, 59)):02}",
        f"{draw(st.integers(0, 60)):02}",
        f".{draw(st.text('0123456789', min_size=1, max_size=6))}",
    ]
    shown = parts[: draw(st.integers(1, len(parts)))]
    return "".join(shown) + draw(st.sampled_from(["", "+0000", "-1200", "+1400", "+0530"]))


def elements(vr, *values):
    """An attribute in any normalised shape: empty, one value, several, some of them null."""
    value = st.one_of(*values)
    return st.just({"vr": vr}) | st.lists(value | st.none(), min_size=1, max_size=3).map(
        lambda several: (
            {"vr": vr, "Value": several} if any(one is not None for one in several) else {"vr": vr}
        )
    )


def items_of(members):
    tags = {name if name[:4] == "0075" else tag_of(name): of for name, of in members.items()}
    return st.fixed_dictionaries({}, optional=tags).map(lambda ds: dict(sorted(ds.items())))


def sequences(members):
    return st.just({"vr": "SQ"}) | st.lists(items_of(members), min_size=1, max_size=3).map(
        lambda several: {"vr": "SQ", "Value": several}
    )


TEXT = elements("LO", WORDS)
DATE_TIME = elements("DT", date_times(), WORDS)
NAME = elements(
    "PN",
    st.dictionaries(
        st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), WORDS, min_size=1, max_size=3
    ),
)
CODES = sequences(
    {
        "CodeValue": TEXT,
        "LongCodeValue": TEXT,
        "URNCodeValue": TEXT,
        "CodingSchemeDesignator": TEXT,
        "CodeMeaning": TEXT,
    }
)
COUNT = elements("UL", st.integers(0, 2**32 - 1))
PROGRESS = {
    "ProcedureStepProgress": elements(
        "DS", st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS, DIGITS
    ),
    "ProcedureStepProgressDescription": TEXT,
    "ReasonForCancellation": TEXT,
    "ProcedureStepDiscontinuationReasonCodeSequence": CODES,
    "00750010": elements("LO", st.sampled_from(["UPSRS", "OTHER"])),
    "00751020": COUNT,
    "00751021": COUNT,
    "00751022": COUNT,
    "00751023": COUNT,
}
STUDY = {
    "StudyInstanceUID": TEXT,
    "SeriesInstanceUID": TEXT,
    "AccessionNumber": TEXT,
    "RequestedProcedureID": TEXT,
    "RequestedProcedureDescription": TEXT,
}
MARK = "¶SECRET¶"
SECRET = elements("LO", st.just(MARK), WORDS.map(lambda word: MARK + word))
SECRET_NAME = elements("PN", st.just({"Alphabetic": MARK, "Phonetic": MARK + "2"}))
PATIENT = {
    "PatientName": SECRET_NAME,
    "PatientID": SECRET,
    "IssuerOfPatientID": SECRET,
    "PatientBirthDate": SECRET,
    "PatientSex": SECRET,
    "OtherPatientIDsSequence": sequences({"PatientID": SECRET}),
    "AdmissionID": SECRET,
    "AdmittingDiagnosesDescription": SECRET,
    "MedicalAlerts": SECRET,
    "SpecialNeeds": SECRET,
}
WORKITEMS = items_of(
    {
        "ScheduledProcedureStepStartDateTime": DATE_TIME,
        "ExpectedCompletionDateTime": DATE_TIME,
        "TimezoneOffsetFromUTC": elements("SH", st.sampled_from(["+0100", "-0930", "CET"])),
        "ProcedureStepState": elements("CS", st.sampled_from([*State, "OTHER"])),
        "WorklistLabel": TEXT,
        "ProcedureStepLabel": TEXT,
        "ScheduledProcedureStepPriority": TEXT,
        "ScheduledProcedureStepDescription": TEXT,
        "InputReadinessState": TEXT,
        "ScheduledStationAETitle": TEXT,
        "ScheduledWorkitemCodeSequence": CODES,
        "ScheduledStationNameCodeSequence": CODES,
        "ScheduledStationClassCodeSequence": CODES,
        "ScheduledStationGeographicLocationCodeSequence": CODES,
        "ScheduledProtocolCodeSequence": CODES,
        "ScheduledHumanPerformersSequence": sequences(
            {"HumanPerformerCodeSequence": CODES, "HumanPerformerName": NAME}
        ),
        "InputInformationSequence": sequences({**STUDY, **PATIENT}),
        "ReferencedRequestSequence": sequences({**STUDY, **PATIENT}),
        "ProcedureStepProgressInformationSequence": sequences({**PROGRESS, "PatientID": SECRET}),
        "UnifiedProcedureStepPerformedProcedureSequence": sequences(
            {"PerformedStationNameCodeSequence": CODES}
        ),
        **PATIENT,
    }
)
ZONES = st.sampled_from(
    [
        UTC,
        BERLIN,
        ZoneInfo("Asia/Kolkata"),
        ZoneInfo("Africa/Monrovia"),
        timezone(timedelta(hours=14)),
    ]
)


@settings(max_examples=300)
@given(
    ds=WORKITEMS,
    kind=st.sampled_from([kind for kind in Kind if kind is not Kind.SUBSCRIPTION]),
    position=st.integers(0),
    cancellation=st.none() | items_of(PROGRESS),
    requester=st.just("") | WORDS,
    zone=ZONES,
)
def test_whatever_the_dataset_the_notification_is_valid_and_tells_nothing_of_the_patient(
    ds, kind, position, cancellation, requester, zone
):
    known = snapshot(ds, requester=requester)
    message = notified(
        known, kind=kind, position=position, cancellation=cancellation, timezone=zone
    )
    assert MARK not in json.dumps(message, ensure_ascii=False)
    assert MARK not in json.dumps(checked(contract.report(UID, NOW, known, zone)))
    if known.state in STATES:
        assert message["procedureStepState"] == known.state


TOLD = {
    *("ScheduledProcedureStepStartDateTime", "ExpectedCompletionDateTime", "WorklistLabel"),
    *("TimezoneOffsetFromUTC", "ScheduledStationAETitle", "ProcedureStepState"),
    *("ProcedureStepLabel", "ScheduledProcedureStepPriority", "InputReadinessState"),
    *("ScheduledProcedureStepDescription", "ProcedureStepProgress", "HumanPerformerName"),
    *("ProcedureStepProgressDescription", "ReasonForCancellation", "CodeValue"),
    *("LongCodeValue", "URNCodeValue", "CodingSchemeDesignator", "CodeMeaning"),
    *("StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber", "RequestedProcedureID"),
    "RequestedProcedureDescription",
}


def test_no_attribute_of_the_whole_dictionary_is_told_but_the_few_that_the_contract_names():
    everything = {
        f"{tag:08X}": {"vr": vr, "Value": [{"Alphabetic": MARK} if vr == "PN" else MARK]}
        for tag, (vr, _vm, _name, _retired, keyword) in DicomDictionary.items()
        if vr != "SQ" and keyword not in TOLD
    }
    assert len(everything) > 3500
    assert everything.keys() > {tag_of("PatientName"), tag_of("TransactionUID")}
    everything |= {
        f"{tag:08X}": {"vr": "SQ", "Value": [everything]}
        for tag, (vr, *_) in DicomDictionary.items()
        if vr == "SQ"
    }

    def secretive(ds):
        told = {
            tag: {**element, "Value": [secretive(item) for item in element["Value"]]}
            if element["vr"] == "SQ"
            else element
            for tag, element in ds.items()
        }
        return {**everything, **told}

    known = snapshot(secretive(dataset(**RICH)), requester="PERF1")
    message = notified(
        known, cancellation=secretive(dataset(ReasonForCancellation="Enough")), kind=Kind.UPDATED
    )
    assert MARK not in json.dumps(message, ensure_ascii=False)
    assert message["workitem"] == notified(rich())["workitem"]
