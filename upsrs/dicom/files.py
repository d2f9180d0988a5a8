"""From the headers of DICOM files to the workitems that ask for something to be done with them.

One workitem per study: its series become Input Information (PS3.4 Table CC.2.5-3), its patient and
its order are taken over. What files in the field say is not always valid DICOM. A value that can
be mended safely is; any other is left out, and a word says so: never a guess about who the patient
is. Reading files is somebody else's work.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from upsrs.dicom import attributes, dataset as dicom_json
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.uids import is_uid, uid_of
from upsrs.errors import InvalidDataset

__all__ = ["HEADER", "Order", "Study", "add", "code_item"]

PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientSize",
    "PatientWeight",
    "MedicalAlerts",
    "PregnancyStatus",
    "SpecialNeeds",
    "AdmissionID",
    "AdmittingDiagnosesDescription",
)
"""Taken over as they are."""

REQUEST = (
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "PlacerOrderNumberImagingServiceRequest",
    "OrderPlacerIdentifierSequence",
    "FillerOrderNumberImagingServiceRequest",
    "OrderFillerIdentifierSequence",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "ReasonForTheRequestedProcedure",
    "RequestingPhysician",
    "RequestingService",
    "ReferringPhysicianName",
)
"""The members of an item of Referenced Request Sequence, from Request Attributes Sequence
(0040,0275) or from the file itself."""

REQUEST_TYPE_2 = frozenset(
    {
        "AccessionNumber",
        "IssuerOfAccessionNumberSequence",
        "OrderPlacerIdentifierSequence",
        "OrderFillerIdentifierSequence",
        "RequestedProcedureID",
        "RequestedProcedureDescription",
        "RequestedProcedureCodeSequence",
    }
)

IDENTIFIES_A_REQUEST = ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription")

UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

HEADER = (
    *UIDS,
    *PATIENT,
    *REQUEST,
    "RequestAttributesSequence",
    "Modality",
    "StudyDescription",
)
"""The keywords that are read of a file."""

DESCRIPTIONS = frozenset(
    {"AdmittingDiagnosesDescription", "RequestedProcedureDescription", "RequestingService"}
)
"""Texts for people: shortened they still say what they said. An identifier would be another."""

LO_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for, of every study alike."""

    step_label: str
    code: JSONDataset
    """An item of Scheduled Workitem Code Sequence, see `code_item`."""
    start: str
    """A DT, with its offset."""
    label: str = ""
    station: str = ""
    priority: str = "MEDIUM"
    retrieve_ae: str = ""
    """Where performers get the instances by C-MOVE or C-GET."""
    retrieve_url: str = ""
    """The base of the DICOMweb service where they get them; at least one of the two."""


@dataclass
class Study:
    """What the files of one study say, as far as a workitem needs it."""

    uid: str
    series: dict[str, dict[str, str]] = field(default_factory=dict)
    """Series UID → SOP Instance UID → SOP Class UID, in the order in which they came."""
    headers: list[Dataset] = field(default_factory=list)
    """The first file of each series."""
    patient_ids: set[str] = field(default_factory=set)

    @property
    def instances(self) -> int:
        return sum(map(len, self.series.values()))

    def workitem_uid(self, order: Order) -> str:
        """The same for the same study and step, today and tomorrow (PS3.5 B.2)."""
        return uid_of(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.uid}/{order.step_label}"))

    def workitem(self, order: Order) -> tuple[JSONDataset, list[str]]:
        """The dataset to create, and a word about everything of the files that is not in it.

        Raises `InvalidDataset` if no valid workitem can be made of this study.
        """
        if len(self.patient_ids) > 1:
            raise InvalidDataset("its files name different patients", element="PatientID")
        words: list[str] = []
        ds = _scheduled(order, self._description(order))
        for keyword in PATIENT:
            ds[dicom_json.tag_of(keyword)] = self._taken_over(keyword, words)
        ds[dicom_json.tag_of("InputInformationSequence")] = _sequence(
            _input_information(self.uid, uid, series, order) for uid, series in self.series.items()
        )
        ds[dicom_json.tag_of("ReferencedRequestSequence")] = _sequence(self._requests(words))
        ds = dicom_json.normalise({tag: one for tag, one in ds.items() if one is not None})
        return _without_what_is_refused(ds, words), list(dict.fromkeys(words))

    def _description(self, order: Order) -> str:
        """What is to be done, with what: for people."""
        modalities = [_text(header, "Modality") for header in self.headers]
        described = next(filter(None, (_text(it, "StudyDescription") for it in self.headers)), "")
        subject = " ".join(filter(None, dict.fromkeys([*modalities, described])))
        return _shortened(f"{order.step_label}: {subject}" if subject else order.step_label)

    def _taken_over(self, keyword: str, words: list[str]) -> dict[str, Any] | None:
        """The first value that any series has; None if there is none."""
        for header in self.headers:
            attribute = _attribute(header, keyword, words)
            if attribute is not None:
                return attribute
        return None

    def _requests(self, words: list[str]) -> list[JSONDataset]:
        """The orders behind the study, each once."""
        requests: dict[tuple[str, ...], JSONDataset] = {}
        for header in self.headers:
            for source in _request_attributes(header):
                item = {
                    dicom_json.tag_of(keyword): attribute
                    for keyword in REQUEST
                    if (attribute := _first_attribute(keyword, (source, header), words)) is not None
                }
                known = tuple(dicom_json.first(item, key, "") for key in IDENTIFIES_A_REQUEST)
                if any(known):
                    requests.setdefault(known, self._request(item))
        return list(requests.values())

    def _request(self, item: JSONDataset) -> JSONDataset:
        empty = {dicom_json.tag_of(keyword): dicom_json.make(keyword) for keyword in REQUEST_TYPE_2}
        uid = {dicom_json.tag_of("StudyInstanceUID"): dicom_json.make("StudyInstanceUID", self.uid)}
        return empty | item | uid


def add(studies: dict[str, Study], header: Dataset) -> bool:
    """Put a file where it belongs; False if its instance is there already.

    Raises `InvalidDataset` if it says too little: the four UIDs are what a workitem refers by.
    """
    sop_class, instance, study_uid, series_uid = (_uid(header, keyword) for keyword in UIDS)
    study = studies.setdefault(study_uid, Study(study_uid))
    if series_uid not in study.series:
        study.headers.append(header)
    series = study.series.setdefault(series_uid, {})
    if patient_id := _text(header, "PatientID"):
        study.patient_ids.add(patient_id)
    is_new = instance not in series
    series.setdefault(instance, sop_class)
    return is_new


def code_item(value: str, scheme: str, meaning: str) -> JSONDataset:
    """A code (PS3.3 Table 8.8-1); a value of more than 16 characters is a Long Code Value."""
    keyword = "CodeValue" if len(value) <= 16 else "LongCodeValue"
    return _item({keyword: value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning})


def _scheduled(order: Order, description: str) -> JSONDataset:
    """What the order says: the same for all studies but for the description."""
    ds = _item(
        {
            "ScheduledProcedureStepDescription": description,
            "ScheduledProcedureStepStartDateTime": order.start,
            "InputReadinessState": "READY",
            "ProcedureStepState": "SCHEDULED",
            "ScheduledProcedureStepPriority": order.priority,
            "ProcedureStepLabel": order.step_label,
            "WorklistLabel": order.label,
        }
    )
    stations = [code_item(order.station, "99LOCAL", order.station)] if order.station else []
    ds[dicom_json.tag_of("ScheduledWorkitemCodeSequence")] = _sequence([order.code])
    ds[dicom_json.tag_of("ScheduledStationNameCodeSequence")] = _sequence(stations)
    return ds


def _input_information(
    study_uid: str, series_uid: str, instances: dict[str, str], order: Order
) -> JSONDataset:
    """One series, and where to get it (PS3.4 Table CC.2.5-2c)."""
    item = _item(
        {
            "TypeOfInstances": "DICOM",
            "StudyInstanceUID": study_uid,
            "SeriesInstanceUID": series_uid,
        }
    )
    item[dicom_json.tag_of("ReferencedSOPSequence")] = _sequence(
        _item({"ReferencedSOPClassUID": sop_class, "ReferencedSOPInstanceUID": instance})
        for instance, sop_class in instances.items()
    )
    if order.retrieve_ae:
        item[dicom_json.tag_of("DICOMRetrievalSequence")] = _sequence(
            [_item({"RetrieveAETitle": order.retrieve_ae})]
        )
    if order.retrieve_url:
        url = f"{order.retrieve_url.rstrip('/')}/studies/{study_uid}/series/{series_uid}"
        item[dicom_json.tag_of("WADORSRetrievalSequence")] = _sequence(
            [_item({"RetrieveURL": url})]
        )
    return item


def _without_what_is_refused(ds: JSONDataset, words: list[str]) -> JSONDataset:
    """Leave out what a file says and no workitem may: an item of a sequence without its code."""
    optional = {dicom_json.tag_of(keyword) for keyword in PATIENT}
    optional.add(dicom_json.tag_of("ReferencedRequestSequence"))
    ds = attributes.fill_type_2(ds)
    while True:
        try:
            attributes.check_create(ds)
        except InvalidDataset as refusal:
            name = re.split(r"[.\[]", refusal.element)[0]
            tag = dicom_json.tag_of(name) if name else ""
            if tag not in optional or dicom_json.is_empty(ds, tag):
                raise
            words.append(f"{refusal.detail} Left out.")
            ds = attributes.fill_type_2({key: one for key, one in ds.items() if key != tag})
        else:
            return ds


def _request_attributes(header: Dataset) -> list[Dataset]:
    """The items of Request Attributes Sequence; the file itself if it has none."""
    try:
        items = list(header.get("RequestAttributesSequence") or ())
    except Exception:  # pydicom converts on access, and raises whatever the bytes provoke
        items = []
    return items or [header]


def _first_attribute(
    keyword: str, sources: Iterable[Dataset], words: list[str]
) -> dict[str, Any] | None:
    return next(filter(None, (_attribute(source, keyword, words) for source in sources)), None)


def _attribute(source: Dataset, keyword: str, words: list[str]) -> dict[str, Any] | None:
    """The attribute of a file as DICOM JSON; None if it has no value, or no valid one."""
    if keyword not in source:
        return None
    tag = dicom_json.tag_of(keyword)
    try:
        attribute = source[keyword].to_json_dict(None, 0)
    except Exception as error:  # as above: the bytes are not what their VR says
        words.append(f"{keyword}: cannot be read ({type(error).__name__}). Left out.")
        return None
    for mend in (_as_it_is, _mended):
        try:
            valid = dicom_json.normalise({tag: mend(keyword, attribute)})
        except InvalidDataset as refusal:
            detail = refusal.detail
            continue
        if mend is _mended:
            words.append(f"{detail}. Mended.")
        return None if dicom_json.is_empty(valid, tag) else dict(valid[tag])
    words.append(f"{detail}. Left out.")
    return None


def _as_it_is(_keyword: str, attribute: dict[str, Any]) -> dict[str, Any]:
    return attribute


def _mended(keyword: str, attribute: dict[str, Any]) -> dict[str, Any]:
    """Mend what has only one reading."""
    mend = _shortened if keyword in DESCRIPTIONS else MENDING.get(attribute["vr"])
    values = attribute.get("Value", [])
    if mend is None or not all(isinstance(value, str) for value in values):
        return attribute
    return {**attribute, "Value": [mend(value) for value in values]}


def _shortened(text: str) -> str:
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text.replace("\\", "/")[:LO_LENGTH].rstrip()


MENDING: dict[str, Callable[[str], str]] = {
    # The date of ACR-NEMA 2.0, which DICOM readers were asked to take (PS3.5 6.2, note to DA).
    "DA": lambda value: re.sub(r"\A(\d{4})\.(\d{2})\.(\d{2})\Z", r"\1\2\3", value),
    "CS": str.upper,
}


def _uid(header: Dataset, keyword: str) -> str:
    text = _text(header, keyword)
    if not text:
        raise InvalidDataset("there is none", element=keyword)
    if not is_uid(text):
        raise InvalidDataset("is not a valid UID", element=keyword)
    return text


def _text(header: Dataset, keyword: str) -> str:
    """One text, empty if there is none or it cannot be read."""
    try:
        value = header.get(keyword)
    except Exception:  # as above
        return ""
    values = value if isinstance(value, MultiValue) else [] if value is None else [value]
    return "\\".join(map(str, values)).strip(" \0")


def _item(values: dict[str, str]) -> JSONDataset:
    return {dicom_json.tag_of(name): dicom_json.make(name, value) for name, value in values.items()}


def _sequence(items: Iterable[JSONDataset]) -> dict[str, Any]:
    contents = list(items)
    return {"vr": "SQ", "Value": contents} if contents else {"vr": "SQ"}
