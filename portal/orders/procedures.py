"""What can be ordered, and the workitem that an order becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydicom import Dataset

if TYPE_CHECKING:
    from portal.orders.models import Order

__all__ = ["PROCEDURES", "Procedure", "workitem_for"]


class Procedure(NamedTuple):
    step: str
    label: str
    """The worklist that it is filed under."""
    station: str
    """Who is to do it; empty: whoever takes it."""
    code: tuple[str, str, str]
    """Value, scheme and meaning."""


PROCEDURES = {
    "triage": Procedure(
        "AI triage", "TRIAGE", "AI_TRIAGE", ("110003", "DCM", "Computer Aided Diagnosis")
    ),
    "model": Procedure("3D model", "3D LAB", "AI_3D", ("110001", "DCM", "Image Processing")),
    "quality": Procedure(
        "Image quality check", "QUALITY", "AI_QC", ("110002", "DCM", "Quality Control")
    ),
    "reading": Procedure("Reading", "READING", "", ("110005", "DCM", "Interpretation")),
}


def workitem_for(order: Order) -> dict[str, Any]:
    """The order as DICOM JSON, ready for `upsrs.workitems.create`, which fills in the rest."""
    procedure = PROCEDURES[order.procedure]
    ds = Dataset()
    ds.ProcedureStepState = "SCHEDULED"
    ds.ProcedureStepLabel = procedure.step
    ds.WorklistLabel = procedure.label
    ds.ScheduledProcedureStepPriority = order.priority
    ds.ScheduledProcedureStepStartDateTime = f"{order.start:%Y%m%d%H%M%S%z}"
    ds.ScheduledWorkitemCodeSequence = [_code(*procedure.code)]
    ds.InputReadinessState = "READY"
    if procedure.station:
        station = _code(procedure.station, "99PORTAL", procedure.station)
        ds.ScheduledStationNameCodeSequence = [station]
    ds.PatientName = f"{order.family_name}^{order.given_name}"
    ds.PatientID = order.patient_id
    ds.StudyInstanceUID = order.study_uid
    request = Dataset()
    request.StudyInstanceUID = order.study_uid
    request.AccessionNumber = order.accession_number
    request.RequestedProcedureID = order.accession_number
    request.RequestedProcedureDescription = procedure.step
    ds.ReferencedRequestSequence = [request]
    return ds.to_json_dict()


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
