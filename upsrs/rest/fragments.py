"""What the OpenAPI document is put together from: parameters, bodies, answers and their headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.schemas import AE_TITLE, UID, Schema, ref
from upsrs.rest import media
from upsrs.rest.examples import WORKITEM_UID

__all__ = [
    "ACCEPT",
    "CHANNEL",
    "DATASETS",
    "FLAG",
    "LOCATION",
    "NATURAL",
    "ONE_DATASET",
    "PATH",
    "PROBLEM_JSON",
    "REQUESTER",
    "TEXT",
    "VARY",
    "WADL",
    "Document",
    "answer",
    "bodies",
    "header",
    "linked",
    "one_dataset",
    "query",
    "spellings",
    "warning",
]

Document = dict[str, Any]

PROBLEM_JSON = "application/problem+json"
WADL = "application/vnd.sun.wadl+xml"

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "string", "enum": ["true", "false"]}
NATURAL: Schema = {"type": "integer", "minimum": 0}


def query(name: str, text: str, schema: Schema = TEXT, **more: Any) -> Document:
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


def spellings(names: Sequence[str], text: str, example: str) -> tuple[Document, ...]:
    """All spellings of one UID: the newest first, the others as what they are."""
    newest, *older = names
    also = "It may also stand there bare, as ?2.25.1."
    return (
        query(newest, f"{text} {also}", UID, example=example),
        *(query(name, f"Older spelling of {newest}.", UID, deprecated=True) for name in older),
    )


def bodies(types: Sequence[str], schema: Schema, example: Any) -> Document:
    """The types of a body; what is not JSON is one Native DICOM Model document for each dataset."""
    shown = {} if example is None else {"example": example}
    return {
        name: {"schema": schema, **shown} if name.endswith("json") else {"schema": TEXT}
        for name in types
    }


def one_dataset(name: str, example: JSONDataset, *, required: bool = True) -> Document:
    schema = {
        "anyOf": [
            {"type": "array", "items": ref(name), "minItems": 1, "maxItems": 1},
            ref(name),
        ]
    }
    content = bodies(media.DATASET_TYPES, schema, [example])
    return {"required": required, "content": content}


def answer(
    text: str, content: Mapping[str, Any] | None = None, **headers: Mapping[str, Any]
) -> Document:
    described: Document = {
        "description": text,
        "headers": {
            "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
            **{name.replace("_", "-"): header for name, header in headers.items()},
        },
    }
    if content:
        described["content"] = dict(content)
    return described


def linked(described: Document, parameters: Mapping[str, str], *operations: str) -> Document:
    """The same answer, and what its request gave that those operations go on with."""
    links = {name: {"operationId": name, "parameters": dict(parameters)} for name in operations}
    return {**described, "links": links}


def header(text: str, schema: Schema = TEXT, *, required: bool = True) -> Document:
    return {"description": text, "required": required, "schema": schema}


def warning(*texts: str, required: bool = False) -> Document:
    told = " or ".join(f'"{text}"' for text in texts)
    schema = {"type": "string", "pattern": r"^299 \S+: .+"}
    return header(f"299, the service, and {told} (PS3.18 8.3.4.2).", schema, required=required)


LOCATION = header("Where the workitem is.", {"type": "string", "format": "uri"})
CHANNEL = header(
    "The channel to open by WebSocket: ws: or wss:.", {"type": "string", "format": "uri"}
)
VARY = header("The answer depends on Accept.", {"type": "string", "pattern": r"(^|, )Accept(,|$)"})

DATASETS: Schema = {"type": "array", "items": ref("DICOMDataset")}
ONE_DATASET: Schema = {**DATASETS, "minItems": 1, "maxItems": 1}

PATH: Mapping[str, Document] = {
    "workitem_uid": {
        "description": "The workitem; in subscriptions also one of the two worklist instances.",
        "schema": UID,
        "example": WORKITEM_UID,
    },
    "ae_title": {
        "description": "The subscriber's AE title.",
        "schema": AE_TITLE,
        "example": "AI1",
    },
    "requester": {
        "description": "The AE title of who asks: an older form of ?requester=.",
        "schema": AE_TITLE,
        "example": "AI1",
    },
}
"""What stands in the addresses, by its name in `urls`."""

ACCEPT = query("accept", "A media type, asked before the Accept header, which must cover it.", TEXT)
REQUESTER = query("requester", "The AE title of who asks.", AE_TITLE, example="AI1")
