"""Datasets to create workitems from, by keyword. Knows no Django: the live tests use it too."""

from __future__ import annotations

import copy
import uuid
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

JSONDataset = dict[str, Any]


def new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def code(value: str, scheme: str = "99TEST", meaning: str = "") -> JSONDataset:
    """One item of a code sequence."""
    return elements(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning or value)


def elements(**values: Any) -> JSONDataset:
    """DICOM JSON from keywords: ``elements(WorklistLabel="AI")``.

    A list is several values or items, ``""`` or ``[]`` an element that is present and empty.
    """
    found: JSONDataset = {}
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None, f"{keyword} is no keyword of the dictionary"
        vr = dictionary_VR(tag)
        members = value if isinstance(value, list) else [value]
        if vr == "PN":
            members = [{"Alphabetic": m} if isinstance(m, str) and m else m for m in members]
        found[f"{tag:08X}"] = {"vr": vr} if members in ([], [""]) else {"vr": vr, "Value": members}
    return found


# PS3.4 Table CC.2.5-3: type 1 with a value, type 2 present, most of it empty.
MINIMAL = elements(
    SpecificCharacterSet="ISO_IR 192",
    AdmittingDiagnosesDescription="",
    AdmittingDiagnosesCodeSequence=[],
    PatientName="Doe^Jane",
    PatientID="PID-1",
    IssuerOfPatientID="HOSP",
    IssuerOfPatientIDQualifiersSequence=[],
    PatientBirthDate="19700101",
    PatientSex="F",
    OtherPatientIDsSequence=[],
    AdmissionID="",
    IssuerOfAdmissionIDSequence=[],
    CommentsOnTheScheduledProcedureStep="",
    ScheduledProcedureStepStartDateTime="20260105080000",
    ScheduledWorkitemCodeSequence=[code("110001", "DCM", "Image Processing")],
    InputInformationSequence=[],
    ScheduledStationNameCodeSequence=[],
    ScheduledStationClassCodeSequence=[],
    ScheduledStationGeographicLocationCodeSequence=[],
    InputReadinessState="READY",
    ReferencedRequestSequence=[],
    ProcedureStepState="SCHEDULED",
    ProcedureStepProgressInformationSequence=[],
    ScheduledProcedureStepPriority="MEDIUM",
    WorklistLabel="",
    ProcedureStepLabel="3D reconstruction",
    ScheduledProcessingParametersSequence=[],
    UnifiedProcedureStepPerformedProcedureSequence=[],
)
MINIMAL["00081195"] = {"vr": "UI"}  # the Transaction UID: present and empty, as type 2 has it

PATIENT_VALUES = ("Doe^Jane", "PID-1", "19700101")
"""What of ``MINIMAL`` must never be in a notification, a log line or an error."""


def dataset(**changes: Any) -> JSONDataset:
    """The minimal valid create payload with a UID of its own; ``None`` leaves an element out."""
    found = copy.deepcopy(MINIMAL)
    for keyword, value in {"SOPInstanceUID": new_uid(), **changes}.items():
        if value is None:
            found.pop(f"{tag_for_keyword(keyword):08X}", None)
        else:
            found |= elements(**{keyword: value})
    return dict(sorted(found.items()))


def performed() -> JSONDataset:
    """The least update after which a claimed workitem may become COMPLETED."""
    return elements(
        UnifiedProcedureStepPerformedProcedureSequence=[
            elements(
                PerformedWorkitemCodeSequence=[code("110001", "DCM", "Image Processing")],
                PerformedStationNameCodeSequence=[code("WS1", "99LOCAL", "Workstation 1")],
                PerformedProcedureStepStartDateTime="20260105081500",
                PerformedProcedureStepEndDateTime="20260105082210",
                OutputInformationSequence=[],
            )
        ]
    )


def discontinued(text: str = "Operator request") -> JSONDataset:
    """The least update after which a claimed workitem may become CANCELED."""
    return elements(
        ProcedureStepProgressInformationSequence=[
            elements(
                ProcedureStepDiscontinuationReasonCodeSequence=[code("110513", "DCM", "Unknown")],
                ReasonForCancellation=text,
            )
        ]
    )
