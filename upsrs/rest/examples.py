"""The examples of the OpenAPI document: in the order of its operations, the life of one workitem."""

from __future__ import annotations

from typing import Any

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.dataset import JSONDataset

__all__ = [
    "CANCELLATION",
    "CLAIM",
    "NEW",
    "PROGRESS",
    "TICKET",
    "TRANSACTION_UID",
    "UPDATE",
    "WORKITEM_UID",
]


def _elements(**values: Any) -> JSONDataset:
    """A dataset from keywords; a list is the items of a sequence or several values."""
    made = {
        dicom_json.tag_of(keyword): dicom_json.make(
            keyword, *(value if isinstance(value, list) else [value])
        )
        for keyword, value in values.items()
    }
    return dict(sorted(made.items()))


def _code(value: str, scheme: str, meaning: str) -> JSONDataset:
    return _elements(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


WORKITEM_UID = "2.25.329800735698586629295641978511506172918"
TRANSACTION_UID = "2.25.137910485721633901158472205736458120733"

NEW = _elements(
    PatientName={"Alphabetic": "Doe^Jane"},
    PatientID="PID-1",
    ScheduledProcedureStepStartDateTime="20260105090000",
    ScheduledWorkitemCodeSequence=[_code("110004", "DCM", "Computer Aided Detection")],
    InputReadinessState="READY",
    ProcedureStepState="SCHEDULED",
    ScheduledProcedureStepPriority="HIGH",
    WorklistLabel="AI chest",
    ProcedureStepLabel="Triage",
)
CLAIM = _elements(TransactionUID=TRANSACTION_UID, ProcedureStepState="IN PROGRESS")
UPDATE = _elements(
    ProcedureStepProgressInformationSequence=[
        _elements(ProcedureStepProgress=40, ProcedureStepProgressDescription="Segmenting")
    ]
)
CANCELLATION = _elements(ReasonForCancellation="The patient left")
PROGRESS = {"procedureStepProgress": 60, "numberOfRemainingSuboperations": 2}
TICKET = {"path": "/ups-rs/workitems/subscription"}
