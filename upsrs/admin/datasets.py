"""A dataset as a person reads it: a table of keyword, tag, VR and value, sequences folded."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.dataset import JSONDataset

__all__ = ["ElementRow", "element_rows", "told"]


@dataclass(frozen=True, slots=True)
class ElementRow:
    keyword: str
    tag: str
    """As it is printed: (0040,A370)."""
    vr: str
    values: tuple[str, ...] = ()
    items: tuple[tuple[ElementRow, ...], ...] = ()


def element_rows(ds: JSONDataset) -> tuple[ElementRow, ...]:
    return tuple(_row(tag, element) for tag, element in ds.items())


def told(element: dict[str, Any] | None) -> str:
    """What one element says, in a line."""
    if element is None:
        return ""
    if element["vr"] == "SQ":
        count = len(element.get("Value", ()))
        return f"{count} item{'' if count == 1 else 's'}"
    return " \\ ".join(_values(element))


def _row(tag: str, element: dict[str, Any]) -> ElementRow:
    keyword = dicom_json.keyword_of(tag)
    row = ElementRow(
        keyword="" if keyword == tag else keyword,
        tag=f"({tag[:4]},{tag[4:]})",
        vr=element["vr"],
        values=() if element["vr"] == "SQ" else _values(element),
        items=tuple(element_rows(item) for item in element.get("Value", ()))
        if element["vr"] == "SQ"
        else (),
    )
    return row


def _values(element: dict[str, Any]) -> tuple[str, ...]:
    if "InlineBinary" in element:
        return (f"{len(base64.b64decode(element['InlineBinary'])):,} bytes",)
    if "BulkDataURI" in element:
        return (element["BulkDataURI"],)
    return tuple(map(_value, element.get("Value", ())))


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):  # a person's name, in up to three ways of writing
        groups = [value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return str(value)
