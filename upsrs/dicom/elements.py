"""One data element of the DICOM JSON Model: its VR, its form, its values (PS3.18 F.2.2).

Sequences are a matter of datasets, so ``dataset.py`` reads those. What is wrong is a ``ValueError``
that tells the rule; the caller knows the place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydicom.charset import python_encoding

from upsrs.dicom import vrs
from upsrs.dicom.dictionary import FORMER_VRS, Entry

__all__ = [
    "MEMBERS",
    "SPECIFIC_CHARACTER_SET",
    "TRANSACTION_UID",
    "creator_of",
    "read",
    "vr_and_form",
]

SPECIFIC_CHARACTER_SET = "00080005"
TRANSACTION_UID = "00081195"
_TIMEZONE_OFFSET_FROM_UTC = "00080201"

_FORMS = ("Value", "InlineBinary", "BulkDataURI")
MEMBERS = frozenset({"vr", *_FORMS})


def creator_of(attribute: Any) -> str:
    """The creator's name, if the attribute has one; whether it is well-formed is judged apart."""
    named = isinstance(attribute, dict) and attribute.get("Value")
    creator = named[0] if isinstance(named, list) and named else None
    return creator.strip(" \0") if isinstance(creator, str) else ""


def vr_and_form(tag: str, attribute: Any, entry: Entry | None) -> tuple[str, str | None]:
    """The VR, and the member that holds the value, if any; ValueError if they do not fit."""
    if not isinstance(attribute, dict):
        raise ValueError("must be an object with a vr")
    vr = attribute.get("vr")
    if not isinstance(vr, str) or vr not in vrs.KNOWN:
        raise ValueError("must have a vr, one that DICOM knows")
    if entry is not None and vr not in entry.vrs:
        if vr not in FORMER_VRS.get(tag, ()):
            raise ValueError(f"the vr must be {' or '.join(entry.vrs)}")
        vr = entry.vrs[0]
    if not attribute.keys() <= MEMBERS:
        raise ValueError(f"has a member other than vr, {', '.join(_FORMS)}")
    forms = [form for form in _FORMS if form in attribute]
    if len(forms) > 1:
        raise ValueError(f"must have at most one of {', '.join(_FORMS)}")
    if not forms:
        return vr, None
    [form] = forms
    fits = {
        "Value": vr not in vrs.BINARY,
        "InlineBinary": vr in vrs.BINARY,
        "BulkDataURI": vr in vrs.BULK_DATA,
    }
    if not fits[form]:
        raise ValueError(f"{form} is not for {vr}")
    return vr, form


def read(tag: str, vr: str, form: str | None, sent: Any, entry: Entry | None) -> dict[str, Any]:
    """The normal form of an element that is no sequence; empty is the vr alone."""
    if tag == SPECIFIC_CHARACTER_SET:
        if form:
            _values(tag, vr, sent, entry)
        return {"vr": vr, "Value": ["ISO_IR 192"]}  # JSON is Unicode, whatever was sent
    if form is None:
        return {"vr": vr}
    if form == "Value":
        content: Any = _values(tag, vr, sent, entry)
    elif form == "InlineBinary":
        content = vrs.check_inline_binary(vr, sent)
    else:
        content = vrs.CHECKS["UR"](sent)
    return {"vr": vr, form: content} if content else {"vr": vr}


def _values(tag: str, vr: str, sent: Any, entry: Entry | None) -> list[Any]:
    """The values, null where one of several is empty; none at all if all are."""
    if not isinstance(sent, list):
        raise ValueError("Value must be an array")
    check = _CHECKS_OF.get(tag) or vrs.CHECKS[vr]
    checked = [None if value in (None, "") else check(value) for value in sent]
    result = [None if value in ("", {}) else value for value in checked]
    if all(value is None for value in result):
        return []
    most = 1 if vr in vrs.SINGLE else entry.max_values if entry else None
    if most is not None and len(result) > most:
        raise ValueError(f"must have no more than {most} value{'s' if most > 1 else ''}")
    if vr in vrs.NEVER_NULL and None in result:
        raise ValueError(f"values of {vr} cannot be empty")
    return result


def _character_set(value: Any) -> Any:
    if vrs.CHECKS["CS"](value) not in python_encoding:
        raise ValueError("must be a character set that DICOM defines")
    return value


def _timezone_offset(value: Any) -> Any:
    offset = vrs.CHECKS["SH"](value)
    if offset:
        vrs.parse_offset(offset)
    return offset


def _credential(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value.rstrip(" \0")


# Where an attribute asks for more, or less, than its VR does.
_CHECKS_OF: dict[str, Callable[[Any], Any]] = {
    SPECIFIC_CHARACTER_SET: _character_set,
    _TIMEZONE_OFFSET_FROM_UTC: _timezone_offset,
    TRANSACTION_UID: _credential,
}
