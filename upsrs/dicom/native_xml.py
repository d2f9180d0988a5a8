"""The Native DICOM Model in XML, to and from the DICOM JSON Model (PS3.19 A.1, PS3.18 F.2).

The two say the same things, one to one. What is read is a dataset as JSON would have brought it:
`dataset.normalise` judges both alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree.ElementTree import (
    Element,
    ParseError,
    SubElement,
    tostring,
)

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.dataset import JSONDataset, Limits
from upsrs.dicom.dictionary import TAG, keyword_of
from upsrs.errors import DatasetTooLarge, InvalidDataset

__all__ = ["parse", "render"]

NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
"""Some writers put the elements into it, the standard's schema does not: it is accepted."""

GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")

INTEGERS = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
DECIMALS = frozenset({"DS", "FD", "FL"})
INTEGER = re.compile("[+-]?[0-9]+")
DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

STRINGS_TOO = frozenset({"DS", "IS", "SV", "UV"})
"""Numbers or strings in JSON: what is written unlike a number keeps its digits as a string."""

TAGS_PER_ELEMENT = 8
"""More than any element of one or two values needs: what has more is refused before it is built."""

LIMITS = Limits()

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
"""What DICOM text may have (a form feed) and XML 1.0 may not: U+FFFD takes its place."""


# Reading


def parse(body: bytes, limits: Limits = LIMITS) -> JSONDataset:
    """The dataset of one Native DICOM Model document, normalised.

    Entities and document types are refused: nothing is ever fetched or expanded.
    """
    if len(body) > limits.max_bytes:
        raise DatasetTooLarge(f"The body is longer than {limits.max_bytes} bytes.")
    if body.count(b"<") > TAGS_PER_ELEMENT * limits.max_elements:
        raise DatasetTooLarge(f"More than {limits.max_elements} elements.")
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        raise InvalidDataset(f"The body is not XML (line {line}, column {column}).") from None
    except DefusedXmlException:
        raise InvalidDataset("The body has a document type or entities.") from None
    except (LookupError, ValueError):  # an encoding that nobody knows
        raise InvalidDataset("The body is not XML in an encoding that is known.") from None
    if _name(root) != "NativeDicomModel":
        raise InvalidDataset("The root of the document must be NativeDicomModel.")
    return dicom_json.normalise(_dataset(root, "", limits, 0), limits)


def _name(element: Element) -> str:
    return element.tag.removeprefix(NAMESPACE)


def _dataset(parent: Element, where: str, limits: Limits, depth: int) -> dict[str, Any]:
    if depth > limits.max_depth + 1:
        raise DatasetTooLarge(f"more than {limits.max_depth} levels of items", element=where)
    _refuse_text(parent, where)
    members: dict[str, Any] = {}
    creators: dict[str, str] = {}
    for element in parent:
        if _name(element) != "DicomAttribute":
            raise InvalidDataset("holds something else than DicomAttribute", element=where)
        tag = element.get("tag", "").upper()
        place = _place(where, tag) if TAG.fullmatch(tag) else where
        if tag in members:
            raise InvalidDataset("given twice", element=place)
        members[tag] = _attribute(element, place, limits, depth)
        creator = element.get("privateCreator", "").strip()
        if creator and (named_by := _creator_tag(tag)):
            _add_creator(creators, named_by, creator, where)
    for tag, creator in creators.items():
        told = members.setdefault(tag, {"vr": "LO", "Value": [creator]}).get("Value", [""])
        _add_creator(creators, tag, str(told[0]).strip(), where)
    return members


def _creator_tag(tag: str) -> str:
    """Where the creator of a private element stands; empty if the element is none."""
    is_private = TAG.fullmatch(tag) and int(tag[3], 16) % 2 and tag[4:6] >= "10"
    return f"{tag[:4]}00{tag[4:6]}" if is_private else ""


def _place(where: str, tag: str) -> str:
    return f"{where}.{keyword_of(tag)}".lstrip(".")


def _add_creator(creators: dict[str, str], tag: str, creator: str, where: str) -> None:
    """XML may name the creator on the private element itself; JSON has it as an element."""
    if creators.setdefault(tag, creator) != creator:
        raise InvalidDataset("two creators for one private block", element=_place(where, tag))


def _attribute(element: Element, place: str, limits: Limits, depth: int) -> dict[str, Any]:
    vr = element.get("vr", "")
    _refuse_text(element, place)
    children = list(element)
    if not children:
        return {"vr": vr}
    kinds = {_name(child) for child in children}
    if len(kinds) > 1:
        raise InvalidDataset("holds more than one kind of content", element=place)
    [kind] = kinds
    if kind in ("InlineBinary", "BulkData"):
        [content] = _once(children, place).values()
        if kind == "BulkData":
            return {"vr": vr, "BulkDataURI": _bulk_data_uri(content, place)}
        return {"vr": vr, "InlineBinary": "".join(_text_of(content, place).split())}
    readers: dict[str, Callable[[Element, int], Any]] = {
        "Value": lambda child, _: _value(_text_of(child, place), vr, place),
        "PersonName": lambda child, _: _person_name(child, place),
        "Item": lambda child, n: _dataset(child, f"{place}[{n}]", limits, depth + 1),
    }
    if (
        kind not in readers
        or (kind == "Item") != (vr == "SQ")
        or (kind == "PersonName") != (vr == "PN")
    ):
        raise InvalidDataset("holds content that its vr has not", element=place)
    values: dict[int, Any] = {}
    for child in children:
        number = _number(child, place, limits)
        if number in values:
            raise InvalidDataset("has the same number twice", element=place)
        values[number] = readers[kind](child, number - 1)
    return {"vr": vr, "Value": [values.get(number) for number in range(1, max(values) + 1)]}


def _refuse_text(element: Element, place: str) -> None:
    """Between the elements of a document there is white space and nothing else."""
    texts = [element.text, *(child.tail for child in element)]
    if any(text and text.strip() for text in texts):
        raise InvalidDataset("holds text outside of its values", element=place)


def _text_of(element: Element, place: str) -> str:
    if len(element):
        raise InvalidDataset("holds elements within a value", element=place)
    return element.text or ""


def _once(elements: Iterable[Element], place: str) -> dict[str, Element]:
    """The elements by name, each of which there is once."""
    found: dict[str, Element] = {}
    for element in elements:
        if _name(element) in found:
            raise InvalidDataset("holds a part more than once", element=place)
        found[_name(element)] = element
    return found


def _bulk_data_uri(element: Element, place: str) -> str:
    _text_of(element, place)
    uri = element.get("uri", "")
    if "uuid" in element.attrib:
        raise InvalidDataset("bulk data named by a UUID cannot be kept", element=place)
    if not uri:
        raise InvalidDataset("bulk data without a URI", element=place)
    return uri


def _number(child: Element, place: str, limits: Limits) -> int:
    text = child.get("number", "")
    if not re.fullmatch("[1-9][0-9]{0,6}", text) or int(text) > limits.max_items:
        raise InvalidDataset("values and items are numbered from 1", element=place)
    return int(text)


def _value(text: str, vr: str, place: str) -> Any:
    digits = text.strip()
    if not digits or vr not in INTEGERS | DECIMALS:
        return text or None
    if not (INTEGER if vr in INTEGERS else DECIMAL).fullmatch(digits):
        raise InvalidDataset("must be a number", element=place)
    try:
        number = int(digits) if INTEGER.fullmatch(digits) else float(digits)
    except ValueError:  # Python reads no integer of thousands of digits
        raise InvalidDataset("the number is too long", element=place) from None
    return digits if vr in STRINGS_TOO and str(number) != digits else number


def _person_name(element: Element, place: str) -> dict[str, str]:
    _refuse_text(element, place)
    groups: dict[str, str] = {}
    for name, group in _once(element, place).items():
        _refuse_text(group, place)
        parts = {part: _text_of(it, place) for part, it in _once(group, place).items()}
        if name not in GROUPS or parts.keys() - set(COMPONENTS):
            raise InvalidDataset("has a part that person names have not", element=place)
        # What a writer found behind the fifth component stands in it.
        if any("^" in text and part != COMPONENTS[-1] for part, text in parts.items()) or any(
            text.endswith("^") for text in parts.values()
        ):
            raise InvalidDataset("has a ^ within a component", element=place)
        joined = "^".join(parts.get(part, "") for part in COMPONENTS).rstrip("^")
        if joined:
            groups[name] = joined
    return groups


# Writing


def render(ds: JSONDataset) -> bytes:
    """One Native DICOM Model document in UTF-8, for a dataset in its normal form."""
    root = Element("NativeDicomModel", {"xml:space": "preserve"})
    _write(root, ds)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    # A parser reads a bare carriage return as a line feed.
    return DECLARATION + text.replace(b"\r", b"&#13;")


def _write(parent: Element, ds: JSONDataset) -> None:
    for tag, attribute in ds.items():
        element = SubElement(parent, "DicomAttribute", _names(tag, attribute["vr"], ds))
        if "InlineBinary" in attribute:
            SubElement(element, "InlineBinary").text = attribute["InlineBinary"]
        elif "BulkDataURI" in attribute:
            SubElement(element, "BulkData", {"uri": _text(attribute["BulkDataURI"])})
        for number, value in enumerate(attribute.get("Value", ()), start=1):
            _write_value(element, attribute["vr"], {"number": str(number)}, value)


def _names(tag: str, vr: str, ds: JSONDataset) -> dict[str, str]:
    names = {"tag": tag, "vr": vr}
    if (keyword := keyword_of(tag)) != tag:
        names["keyword"] = keyword
    if (named_by := _creator_tag(tag)) and (creator := dicom_json.first(ds, named_by)):
        names["privateCreator"] = _text(creator)
    return names


def _write_value(element: Element, vr: str, number: dict[str, str], value: Any) -> None:
    if vr == "SQ":
        _write(SubElement(element, "Item", number), value)
    elif vr == "PN":
        name = SubElement(element, "PersonName", number)
        for group in filter((value or {}).get, GROUPS):
            _write_components(SubElement(name, group), value[group])
    else:
        SubElement(element, "Value", number).text = None if value is None else _text(str(value))


def _write_components(group: Element, name: str) -> None:
    # Whatever stands behind the fifth component stays with it.
    components = name.rstrip("^").split("^", len(COMPONENTS) - 1)
    for component, text in zip(COMPONENTS, components, strict=False):
        if text:
            SubElement(group, component).text = _text(text)


def _text(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
