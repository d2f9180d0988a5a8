"""Forms whose fields are DICOM attributes: named by keyword, checked by their VR.

What a form lets through, the rules of `upsrs.dicom` let through: it writes the dataset, and nobody
has to know a tag.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from upsrs import errors, instants
from upsrs.dicom import dataset as dicom_json, vrs
from upsrs.dicom.attributes import DOMAINS
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.dictionary import entry_of, tag_of
from upsrs.dicom.states import State
from upsrs.dicom.uids import check_ae_title, uid_of

__all__ = [
    "CancelForm",
    "ClaimForm",
    "CompleteForm",
    "NewWorkitemForm",
    "PatientForm",
    "PlainForm",
    "PriorityForm",
    "RescheduleForm",
]

SEXES = [("", "unknown"), ("F", "F"), ("M", "M"), ("O", "O")]


class Element:
    """What the fields below have in common: what they clean to becomes the values of an element."""

    def contents(self, value: Any) -> tuple[Any, ...]:
        return (value,)


class TextElement(Element, forms.CharField):
    """Any VR that is written as one line, or as a few."""

    def __init__(self, vr: str, **options: Any) -> None:
        self.vr = vr
        if vr in ("ST", "LT", "UT"):
            options.setdefault("widget", forms.Textarea(attrs={"rows": 3}))
        super().__init__(**options)

    def validate(self, value: str) -> None:
        super().validate(value)
        if value:
            check = vrs.CHECKS[self.vr]
            try:
                check({"Alphabetic": value} if self.vr == "PN" else value)
            except ValueError as rule:
                raise ValidationError(f"It {rule}.") from None


class ChoiceElement(Element, forms.ChoiceField):
    pass


class DateElement(Element, forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def contents(self, value: date) -> tuple[str, ...]:
        return (value.strftime("%Y%m%d"),)


class DateTimeElement(Element, forms.DateTimeField):
    """In the portal's time zone; the offset is written into the value."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def contents(self, value: datetime) -> tuple[str, ...]:
        # With USE_TZ off, the form's moment is the portal's own already.
        at = value if timezone.is_aware(value) else timezone.make_aware(value)
        return (timezone.localtime(at).strftime("%Y%m%d%H%M%S%z"),)


class CodeWidget(forms.MultiWidget):
    def __init__(self) -> None:
        names = ("code", "scheme", "meaning")
        super().__init__(
            {
                name: forms.TextInput(attrs={"placeholder": name, "aria-label": name})
                for name in names
            }
        )

    def decompress(self, value: JSONDataset | None) -> list[str]:
        if value is None:
            return ["", "", ""]
        return [dicom_json.first(value, keyword, "") for keyword in CODE]


CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")


class CodeElement(Element, forms.MultiValueField):
    """A sequence of one coded entry (PS3.3 8): all three parts, or none."""

    widget = CodeWidget

    def __init__(self, **options: Any) -> None:
        parts = tuple(TextElement(vr, required=False) for vr in ("SH", "SH", "LO"))
        super().__init__(fields=parts, require_all_fields=False, **options)

    def compress(self, data_list: list[str]) -> JSONDataset | None:
        if not any(data_list):
            return None
        if not all(data_list):
            raise ValidationError("A code needs its value, its scheme and its meaning.")
        return {
            tag_of(keyword): dicom_json.make(keyword, part)
            for keyword, part in zip(CODE, data_list, strict=True)
        }


def element(keyword: str, **options: Any) -> Any:
    """The field for an attribute; optional unless ``required=True``."""
    options.setdefault("required", False)
    entry = entry_of(tag_of(keyword))
    assert entry is not None, f"{keyword} is no attribute"
    vr = entry.vrs[0]
    if keyword in DOMAINS:
        choices = [(value, value) for value in ("HIGH", "MEDIUM", "LOW")]
        if keyword != "ScheduledProcedureStepPriority":
            choices = [(value, value) for value in sorted(DOMAINS[keyword], reverse=True)]
        return ChoiceElement(choices=choices, **options)
    if keyword == "PatientSex":
        return ChoiceElement(choices=SEXES, **options)
    kinds: dict[str, Any] = {"DA": DateElement, "DT": DateTimeElement, "SQ": CodeElement}
    return kinds[vr](**options) if vr in kinds else TextElement(vr, **options)


class PlainForm(forms.Form):
    """A form that asks nothing but whether it is meant."""

    def element(self, name: str, keyword: str = "") -> JSONDataset:
        """The element that the field ``name`` was filled with; nothing if it was left empty."""
        value = self.cleaned_data.get(name)
        if value in (None, ""):
            return {}
        field: Any = self.fields[name]
        keyword = keyword or name
        return {tag_of(keyword): dicom_json.make(keyword, *field.contents(value))}

    def dataset(self) -> JSONDataset:
        """What was filled in, of the fields that are named by a keyword."""
        ds: JSONDataset = {}
        for name in self.fields:
            if name[0].isupper():
                ds |= self.element(name)
        return ds

    def refuse(self, refusal: errors.UPSError) -> None:
        """Show a refusal beside the field that it names, else above all."""
        name = getattr(refusal, "element", "").partition("[")[0]
        self.add_error(name if name in self.fields else None, refusal.detail)


class ClaimForm(PlainForm):
    requester = forms.CharField(
        label="Performer",
        required=False,
        max_length=16,
        help_text="The AE title that performs it, if it has one.",
    )

    def clean_requester(self) -> str:
        title: str = self.cleaned_data["requester"]
        try:
            return check_ae_title(title, "It") if title else ""
        except errors.InvalidArgument as refusal:
            raise ValidationError(refusal.detail) from None


class CancelForm(PlainForm):
    ReasonForCancellation = element(
        "ReasonForCancellation", label="Reason", help_text="Everybody who follows it reads this."
    )


class RescheduleForm(PlainForm):
    ScheduledProcedureStepStartDateTime = element(
        "ScheduledProcedureStepStartDateTime", label="New start", required=True
    )
    ExpectedCompletionDateTime = element("ExpectedCompletionDateTime", label="Expected completion")


class PriorityForm(PlainForm):
    ScheduledProcedureStepPriority = element(
        "ScheduledProcedureStepPriority", label="Priority", required=True
    )


class CompleteForm(PlainForm):
    PerformedWorkitemCodeSequence = element(
        "PerformedWorkitemCodeSequence",
        label="Work done",
        help_text="Empty: what was scheduled.",
    )
    PerformedStationNameCodeSequence = element(
        "PerformedStationNameCodeSequence",
        label="Station",
        help_text="Empty: the one it was scheduled for.",
    )
    PerformedProcedureStepStartDateTime = element(
        "PerformedProcedureStepStartDateTime", label="Started", help_text="Empty: at the claim."
    )
    PerformedProcedureStepEndDateTime = element(
        "PerformedProcedureStepEndDateTime", label="Ended", help_text="Empty: now."
    )


class PatientForm(PlainForm):
    PatientName = element(
        "PatientName", label="Patient's name", help_text="Family^Given. Empty fields stay as is."
    )
    PatientID = element("PatientID", label="Patient ID")
    IssuerOfPatientID = element("IssuerOfPatientID", label="Issuer of the ID")
    PatientBirthDate = element("PatientBirthDate", label="Birth date")
    PatientSex = element("PatientSex", label="Sex")

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors and not self.dataset():
            raise ValidationError("Nothing was filled in: nothing would be corrected.")
        return self.cleaned_data


def _now() -> datetime:
    return timezone.localtime(instants.now()).replace(second=0, microsecond=0)


class NewWorkitemForm(PlainForm):
    """The attributes of types 1 and 2 that a person can know (PS3.4 Table CC.2.5-3).

    The rest of type 2 is created empty. Inputs are lists of instances: the RIS names those.
    """

    ProcedureStepLabel = element("ProcedureStepLabel", label="Step", required=True)
    WorklistLabel = element("WorklistLabel", label="Worklist", help_text="Empty: the portal's own.")
    ScheduledProcedureStepPriority = element(
        "ScheduledProcedureStepPriority", label="Priority", required=True, initial="MEDIUM"
    )
    ScheduledProcedureStepStartDateTime = element(
        "ScheduledProcedureStepStartDateTime", label="Start", required=True, initial=_now
    )
    ExpectedCompletionDateTime = element("ExpectedCompletionDateTime", label="Expected completion")
    InputReadinessState = element(
        "InputReadinessState", label="Input", required=True, initial="READY"
    )
    ScheduledWorkitemCodeSequence = element("ScheduledWorkitemCodeSequence", label="Work to do")
    CommentsOnTheScheduledProcedureStep = element(
        "CommentsOnTheScheduledProcedureStep", label="Comments"
    )
    SOPInstanceUID = element(
        "SOPInstanceUID", label="Workitem UID", help_text="Empty: the server makes one."
    )

    ScheduledStationNameCodeSequence = element("ScheduledStationNameCodeSequence", label="Station")
    ScheduledStationClassCodeSequence = element(
        "ScheduledStationClassCodeSequence", label="Class of station"
    )
    ScheduledStationGeographicLocationCodeSequence = element(
        "ScheduledStationGeographicLocationCodeSequence", label="Place of station"
    )

    PatientName = element("PatientName", label="Name", help_text="Family^Given")
    PatientID = element("PatientID", label="Patient ID")
    IssuerOfPatientID = element("IssuerOfPatientID", label="Issuer of the ID")
    PatientBirthDate = element("PatientBirthDate", label="Birth date")
    PatientSex = element("PatientSex", label="Sex")
    AdmissionID = element("AdmissionID", label="Admission ID")
    AdmittingDiagnosesDescription = element(
        "AdmittingDiagnosesDescription", label="Admitting diagnosis"
    )

    StudyInstanceUID = element("StudyInstanceUID", label="Study Instance UID")
    accession_number = element("AccessionNumber", label="Accession number")
    requested_procedure_id = element("RequestedProcedureID", label="Requested procedure ID")
    requested_procedure_description = element(
        "RequestedProcedureDescription", label="Requested procedure"
    )

    REQUEST = {
        "accession_number": "AccessionNumber",
        "requested_procedure_id": "RequestedProcedureID",
        "requested_procedure_description": "RequestedProcedureDescription",
    }
    """What belongs to the order: it goes into the Referenced Request Sequence (0040,A370)."""

    fieldsets = (
        (
            "Step",
            {
                "fields": (
                    "ProcedureStepLabel",
                    "WorklistLabel",
                    "ScheduledProcedureStepPriority",
                    "ScheduledProcedureStepStartDateTime",
                    "ExpectedCompletionDateTime",
                    "InputReadinessState",
                    "ScheduledWorkitemCodeSequence",
                    "CommentsOnTheScheduledProcedureStep",
                    "SOPInstanceUID",
                )
            },
        ),
        (
            "Station",
            {
                "fields": (
                    "ScheduledStationNameCodeSequence",
                    "ScheduledStationClassCodeSequence",
                    "ScheduledStationGeographicLocationCodeSequence",
                )
            },
        ),
        (
            "Patient",
            {
                "fields": (
                    "PatientName",
                    "PatientID",
                    "IssuerOfPatientID",
                    "PatientBirthDate",
                    "PatientSex",
                    "AdmissionID",
                    "AdmittingDiagnosesDescription",
                )
            },
        ),
        ("Order", {"fields": ("StudyInstanceUID", *REQUEST)}),
    )

    def clean(self) -> dict[str, Any]:
        super().clean()
        if self._request() and not self.cleaned_data.get("StudyInstanceUID"):
            self.add_error("StudyInstanceUID", "An order names its study.")
        return self.cleaned_data

    def dataset(self) -> JSONDataset:
        ds = super().dataset()
        ds[tag_of("ProcedureStepState")] = dicom_json.make("ProcedureStepState", State.SCHEDULED)
        ds.setdefault(
            tag_of("SOPInstanceUID"), dicom_json.make("SOPInstanceUID", uid_of(uuid.uuid4()))
        )
        request = self._request()
        if request:
            request |= self.element("StudyInstanceUID")
            ds[tag_of("ReferencedRequestSequence")] = {"vr": "SQ", "Value": [request]}
        return ds

    def _request(self) -> JSONDataset:
        found: JSONDataset = {}
        for name, keyword in self.REQUEST.items():
            found |= self.element(name, keyword)
        return found
