"""JSON Schemas of what DICOM defines, for the documents that describe the two doors.

They are written in what draft 7 (AsyncAPI) and draft 2020-12 (OpenAPI 3.1) have in common. A schema
is referred to by its name in `COMPONENTS`, which both documents keep under the same address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydicom.datadict import dictionary_VR

from upsrs.dicom import vrs
from upsrs.dicom.dataset import tag_of
from upsrs.dicom.iod import UPS, Row
from upsrs.dicom.states import State
from upsrs.dicom.uids import GLOBAL_SUBSCRIPTION, UPS_PUSH

__all__ = ["AE_TITLE", "COMPONENTS", "EVENT_REPORTS", "REQUIRED_KEYS", "UID", "Schema", "ref"]

Schema = Mapping[str, Any]

_A_UID = r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*"
UID = {
    "type": "string",
    "pattern": f"^{_A_UID}$",
    "maxLength": 64,
    "description": "A UID: digits and dots (PS3.5 9.1).",
}

AE_TITLE = {
    "type": "string",
    "pattern": r"^ *[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])? *$",
    "description": "An AE title: up to 16 ASCII characters without backslash; outer spaces do not "
    "count (PS3.5 6.2).",
}


def ref(name: str) -> Schema:
    """The schema of this name, in either document."""
    return {"$ref": f"#/components/schemas/{name}"}


# The DICOM JSON Model (PS3.18 Annex F)

NUMBERS = ("FD", "FL", "SL", "SS", "UL", "US")
NUMBERS_OR_TEXTS = ("DS", "IS", "SV", "UV")
"""A number, or its text where JSON would lose digits (PS3.18 F.2.3)."""

PERSON_NAME = {
    "type": "object",
    "properties": {
        group: {"type": "string"} for group in ("Alphabetic", "Ideographic", "Phonetic")
    },
    "additionalProperties": False,
}

VALUES: Mapping[str, Schema] = {
    **{vr: {"type": ["string", "null"]} for vr in vrs.CHECKS},
    **{vr: {"type": "number"} for vr in NUMBERS},
    **{vr: {"type": ["number", "string", "null"]} for vr in NUMBERS_OR_TEXTS},
    "PN": {"anyOf": [PERSON_NAME, {"type": "null"}]},
    "SQ": ref("DICOMDataset"),
}
"""What one value of each VR is; a null stands for an empty one among several."""


def _one_of(vr_names: Iterable[str]) -> Schema:
    """A pattern: tools like to make one enumeration of all that are told of one name."""
    return {"type": "string", "pattern": f"^({'|'.join(sorted(vr_names))})$"}


def _element(vr_names: Iterable[str], value: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["vr"],
        "properties": {
            "vr": _one_of(vr_names),
            "Value": {"type": "array", "minItems": 1, "items": value},
        },
        "additionalProperties": False,
    }


def _elements() -> Iterator[Schema]:
    values: list[Schema] = []
    for value in VALUES.values():
        if value not in values:
            values.append(value)
    for value in values:
        yield _element((vr for vr, it in VALUES.items() if it == value), value)
    yield {
        "type": "object",
        "required": ["vr"],
        "properties": {
            "vr": _one_of(vrs.BINARY),
            "InlineBinary": {"type": "string", "contentEncoding": "base64"},
        },
        "additionalProperties": False,
    }


def _named(keyword: str, vr: str, *, value: Schema | None = None) -> Schema:
    """An attribute that has a value, and only one unless it is a sequence."""
    element: dict[str, Any] = {
        "type": "object",
        "title": keyword,
        "required": ["vr", "Value"],
        "properties": {
            "vr": {"const": vr},
            "Value": {"type": "array", "minItems": 1, "items": value or VALUES[vr]},
        },
        "additionalProperties": False,
    }
    if vr != "SQ":
        element["properties"]["Value"]["maxItems"] = 1
    return element


# What the transactions carry (PS3.4 CC.2)

CREATED_STATE = _named("ProcedureStepState", "CS", value={"const": State.SCHEDULED.value})
REQUESTED_STATE = _named(
    "ProcedureStepState",
    "CS",
    value={"enum": [it.value for it in State if it is not State.SCHEDULED]},
)


def _dataset(
    needed: Mapping[str, Schema], known: Mapping[str, Schema] | None = None, *, text: str
) -> Schema:
    """A dataset that has these attributes; both by keyword."""
    return {
        "description": text,
        "allOf": [
            ref("DICOMDataset"),
            {
                "type": "object",
                "required": [tag_of(keyword) for keyword in needed],
                "properties": {
                    tag_of(keyword): element
                    for keyword, element in {**needed, **(known or {})}.items()
                },
            },
        ],
    }


NEEDED_AT_CREATION: Mapping[str, Schema] = {
    row.keyword: {"type": "object", "title": row.keyword, "required": ["vr", "Value"]}
    for row in UPS
    if row.create == "1/1"
}


def _required_keys(rows: Iterable[Row], path: str = "", around: str = "O") -> Iterator[str]:
    for row in rows:
        match = around if row.match == "*" else row.match
        if row.rows:
            yield from _required_keys(row.rows, f"{path}{row.keyword}.", match)
        elif match in "RU":
            yield path + row.keyword


_A_DT = r"\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-]\d{4})?"
_PATTERNS = {
    "DA": r"^(\d{8})?(-(\d{8})?)?$",
    "DT": rf"^({_A_DT})?(-({_A_DT})?)?$",
    "UI": rf"^({_A_UID}(,{_A_UID})*)?$",
}
"""What a value to match by looks like, of the VRs in which not every text is one."""


def _key(path: str) -> Schema:
    pattern = _PATTERNS.get(dictionary_VR(path.split(".")[-1]))
    return {"type": "string", **({"pattern": pattern} if pattern else {})}


REQUIRED_KEYS = {path: _key(path) for path in _required_keys(UPS)}
"""The matching keys that a search must know, by keyword, and their values (PS3.4 Table CC.2.5-3)."""


# What the standard's subscribers are told (PS3.4 Table CC.2.4-1, PS3.18 8.10.5)

STATE = _named("ProcedureStepState", "CS", value={"enum": [it.value for it in State]})
TEXT = {"type": "string"}

COMMAND: Mapping[str, Schema] = {
    "00000002": _named("AffectedSOPClassUID", "UI", value={"const": UPS_PUSH}),
    "00000110": _named(
        "MessageID", "US", value={"type": "integer", "minimum": 1, "maximum": 65_535}
    ),
    "00001000": _named("AffectedSOPInstanceUID", "UI", value=UID),
}
"""What every report begins with; group 0000 belongs to the message and is in no dictionary."""

PLACE: Mapping[str, Schema] = {
    "00090010": _named("the creator of the private block", "LO", value={"const": "UPSRS"}),
    "00091001": _named("eventId", "UV", value={"type": "integer", "minimum": 0}),
}
"""Ours: the place in the log, told on a channel that was opened with ``after`` or ``place``."""


def _report(
    number: int,
    text: str,
    needed: Mapping[str, Schema] | None = None,
    optional: Mapping[str, Schema] | None = None,
) -> Schema:
    """One type of report: which attributes it has, which it may have, and no other."""
    elements: dict[str, Schema] = {
        **COMMAND,
        "00001002": _named("EventTypeID", "US", value={"const": number}),
        **PLACE,
        **{tag_of(keyword): it for keyword, it in {**(needed or {}), **(optional or {})}.items()},
    }
    return {
        "type": "object",
        "description": text,
        "required": [*COMMAND, "00001002", *(tag_of(keyword) for keyword in needed or {})],
        "properties": elements,
        "additionalProperties": False,
        "dependencies": {tag: [other] for tag, other in (tuple(PLACE), tuple(PLACE)[::-1])},
    }


REASONS: Mapping[str, Schema] = {
    "ReasonForCancellation": _named("ReasonForCancellation", "LT", value=TEXT),
    "ProcedureStepDiscontinuationReasonCodeSequence": _named(
        "ProcedureStepDiscontinuationReasonCodeSequence", "SQ"
    ),
}

EVENT_REPORTS: Mapping[str, Schema] = {
    "UPSStateReport": _report(
        1,
        "The state or the input readiness changed, the workitem was created, or it is reported to "
        "a new subscription.",
        {
            "ProcedureStepState": STATE,
            "InputReadinessState": _named("InputReadinessState", "CS", value=TEXT),
        },
        REASONS,
    ),
    "UPSCancelRequested": _report(
        2,
        "Somebody asks the performer to cancel.",
        {"RequestingAE": _named("RequestingAE", "AE", value=AE_TITLE)},
        {
            **REASONS,
            "ContactURI": _named("ContactURI", "UR", value=TEXT),
            "ContactDisplayName": _named("ContactDisplayName", "LO", value=TEXT),
        },
    ),
    "UPSProgressReport": _report(
        3,
        "The progress changed; the sequence is what it is now.",
        {
            "ProcedureStepProgressInformationSequence": _element(["SQ"], ref("DICOMDataset")),
        },
    ),
    "SCPStatusChange": _report(
        4,
        f"The server was restarted and has kept both lists; it concerns {GLOBAL_SUBSCRIPTION}.",
        {
            "SCPStatus": _named("SCPStatus", "CS", value={"enum": ["RESTARTED", "GOING DOWN"]}),
            "SubscriptionListStatus": _named(
                "SubscriptionListStatus", "CS", value={"enum": ["WARM START", "COLD STARTED"]}
            ),
            "UnifiedProcedureStepListStatus": _named(
                "UnifiedProcedureStepListStatus", "CS", value={"enum": ["WARM START", "COLD START"]}
            ),
        },
    ),
    "UPSAssigned": _report(
        5,
        "Stations or human performers were scheduled: one report for each human performer, or one "
        "for the stations alone.",
        None,
        {
            "ScheduledStationNameCodeSequence": _named("ScheduledStationNameCodeSequence", "SQ"),
            "HumanPerformerCodeSequence": _named("HumanPerformerCodeSequence", "SQ"),
            "HumanPerformerOrganization": _named("HumanPerformerOrganization", "LO", value=TEXT),
        },
    ),
}
"""Name → schema of the five event reports. In none is there anything of the patient."""


COMPONENTS: Mapping[str, Schema] = {
    "DICOMElement": {
        "description": "One attribute (PS3.18 Annex F); empty, it has its VR alone.",
        "anyOf": list(_elements()),
    },
    "DICOMDataset": {
        "description": "A dataset in the DICOM JSON Model: attributes by tag (PS3.18 Annex F).",
        "type": "object",
        "propertyNames": {"pattern": "^[0-9A-F]{8}$"},
        "additionalProperties": ref("DICOMElement"),
    },
    "WorkitemToCreate": _dataset(
        {**NEEDED_AT_CREATION, "ProcedureStepState": CREATED_STATE},
        text="A new workitem, as the N-CREATE column of PS3.4 Table CC.2.5-3 has it.",
    ),
    "StateChange": _dataset(
        {"ProcedureStepState": REQUESTED_STATE},
        {"TransactionUID": _named("TransactionUID", "UI", value=UID)},
        text="The state to change to, and the performer's Transaction UID (PS3.18 11.7.1.4).",
    ),
}
"""The schemas that others refer to by name."""
