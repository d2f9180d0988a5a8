"""The DICOM JSON Model: read, judged, brought to one form, and looked into (PS3.18 Annex F).

A dataset travels as its JSON object, normalised: tags in upper case and ascending order, the
dictionary's VR, values without padding, an empty attribute as ``{"vr": …}`` alone. So two datasets
say the same exactly if they are equal. The rules of single values are in ``vrs.py``; those of
one element in ``elements.py``; what a workitem must carry is in ``attributes.py``.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, NoReturn

import pydicom

from upsrs.dicom import elements, vrs
from upsrs.dicom.dictionary import (
    FORBIDDEN_GROUPS,
    PRIVATE_BLOCKS,
    PRIVATE_CREATOR,
    TAG,
    Entry,
    entry_of,
    keyword_of,
    tag_of,
)
from upsrs.errors import DatasetTooLarge, InvalidDataset

__all__ = [
    "JSONDataset",
    "Limits",
    "dt_instant",
    "encode",
    "first",
    "from_pydicom",
    "is_empty",
    "items",
    "keyword_of",
    "make",
    "normalise",
    "parse",
    "pop_transaction_uid",
    "tag_of",
    "to_pydicom",
    "values",
]

JSONDataset = dict[str, Any]

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may carry: enough for any real workitem, little enough to be safe."""

    max_bytes: int = 4 * 1_048_576
    max_depth: int = 16
    """Items within items; the workitem itself is level 0."""
    max_elements: int = 60_000
    max_items: int = 20_000
    """Items of all sequences together."""


# Reading


def parse(body: bytes, limits: Limits = Limits()) -> JSONDataset:
    """The one dataset of a request's body, normalised.

    The body is UTF-8, a bare object or an array of one (PS3.18 F.2.1). Whatever JSON parsers let
    pass but DICOM has no meaning for is refused: names given twice, NaN, infinite numbers.
    """
    if len(body) > limits.max_bytes:
        raise DatasetTooLarge(f"The body is longer than {limits.max_bytes} bytes.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidDataset("The body is not UTF-8.") from None
    try:
        parsed = json.loads(
            text,
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except json.JSONDecodeError as error:
        raise InvalidDataset(
            f"The body is not JSON (line {error.lineno}, column {error.colno})."
        ) from None
    except RecursionError:
        raise DatasetTooLarge("The body is nested too deeply.") from None
    except ValueError:  # Python reads no integer of thousands of digits
        raise InvalidDataset("The body has a number that is too long.") from None
    if isinstance(parsed, list):
        if len(parsed) != 1:
            raise InvalidDataset("The body must hold exactly one dataset.")
        parsed = parsed[0]
    return normalise(parsed, limits)


def encode(json_object: Mapping[str, Any]) -> str:
    """Compact JSON that UTF-8 can carry.

    JSON may escape half of a surrogate pair, which no UTF-8 text can hold and for which a browser
    closes the socket: U+FFFD takes its place.
    """
    text = json.dumps(json_object, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text if text.isascii() else LONE_SURROGATE.sub("\ufffd", text)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        known = TAG.fullmatch(twice) or twice in elements.MEMBERS  # anything else may be a value
        raise InvalidDataset("given twice", element=keyword_of(twice) if known else "")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidDataset("The body is not JSON: it has a number that is not finite.")


def _finite_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise InvalidDataset("The body has a number that is too large.")
    return number


def normalise(obj: Any, limits: Limits = Limits()) -> JSONDataset:
    """``obj`` in the one form that is stored and sent, or a refusal that names the element.

    Idempotent. The Transaction UID of the top level is kept as it came, well-formed or not: it is
    a credential and no part of the dataset, so ``pop_transaction_uid`` must take it out.
    """
    return _Reader(limits).dataset(obj, "", 0)


class _Reader:
    """One pass over one dataset: it counts while it judges."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.elements = 0
        self.items = 0

    def dataset(self, obj: Any, where: str, depth: int) -> JSONDataset:
        if not isinstance(obj, dict):
            raise InvalidDataset("a dataset must be an object", element=where.rstrip("."))
        self.elements += len(obj)
        if self.elements > self.limits.max_elements:
            raise DatasetTooLarge(f"More than {self.limits.max_elements} elements.")
        named: dict[str, Any] = {}
        for name, attribute in obj.items():
            tag = _checked_tag(name, where)
            if tag in named:
                raise InvalidDataset("given twice", element=where + keyword_of(tag))
            named[tag] = attribute
        return {
            tag: self.attribute(tag, named[tag], self.entry(tag, named, where), where, depth)
            for tag in sorted(named)
            if not tag.endswith("0000")  # group length
        }

    def entry(self, tag: str, siblings: dict[str, Any], where: str) -> Entry | None:
        """What is known of a tag beforehand; a private one needs its creator (PS3.5 7.8.1)."""
        if int(tag[3], 16) % 2 == 0:
            return entry_of(tag)
        if tag[4:6] == "00" and tag[6:] >= "10":
            return PRIVATE_CREATOR
        creator = (
            elements.creator_of(siblings.get(f"{tag[:4]}00{tag[4:6]}")) if tag[4:6] >= "10" else ""
        )
        if not creator:
            raise InvalidDataset("a private element without its creator", element=where + tag)
        return PRIVATE_BLOCKS.get(creator, {}).get(tag[6:])

    def attribute(
        self, tag: str, attribute: Any, entry: Entry | None, where: str, depth: int
    ) -> dict[str, Any]:
        try:
            vr, form = elements.vr_and_form(tag, attribute, entry)
            if tag == elements.TRANSACTION_UID and depth:
                raise ValueError("a credential, allowed at the top level only")
            sent = attribute.get(form)
            if vr == "SQ" and form:
                return self.sequence(tag, sent, where, depth)
            return elements.read(tag, vr, form, sent, entry)
        except ValueError as error:
            raise InvalidDataset(str(error), element=where + keyword_of(tag)) from None

    def sequence(self, tag: str, sent: Any, where: str, depth: int) -> dict[str, Any]:
        place = where + keyword_of(tag)
        if not isinstance(sent, list):
            raise InvalidDataset("Value must be an array", element=place)
        if not sent or sent in ([None], [""]):
            return {"vr": "SQ"}
        self.items += len(sent)
        if self.items > self.limits.max_items:
            raise DatasetTooLarge(f"more than {self.limits.max_items} items", element=place)
        if depth == self.limits.max_depth:
            raise DatasetTooLarge(
                f"more than {self.limits.max_depth} levels of items", element=place
            )
        return {
            "vr": "SQ",
            "Value": [
                self.dataset(item, f"{place}[{index}].", depth + 1)
                for index, item in enumerate(sent)
            ],
        }


def _checked_tag(name: object, where: str) -> str:
    if not isinstance(name, str) or not TAG.fullmatch(name):
        raise InvalidDataset(
            "every element must be named by its tag, eight hex digits", element=where.rstrip(".")
        )
    tag = name.upper()
    if tag[:4] in ("0000", "0002", "FFFE"):
        raise InvalidDataset(
            "commands, file meta information and delimiters have no place in a dataset",
            element=where + keyword_of(tag),
        )
    if tag[:4] in FORBIDDEN_GROUPS:
        raise InvalidDataset("this group may not be used", element=where + tag)
    return tag


def pop_transaction_uid(ds: JSONDataset) -> str | None:
    """Take the Transaction UID out of ``ds``: a credential is neither stored nor shown.

    None if there is none or it is empty. Whether it is well-formed is for the caller to judge.
    """
    uid: str | None = ds.pop(elements.TRANSACTION_UID, {}).get("Value", [None])[0]
    return uid


# Looking into a normalised dataset


@lru_cache(maxsize=1024)
def _tags_of(path: str) -> tuple[str, ...]:
    return tuple(map(tag_of, path.split(".")))


def values(ds: JSONDataset, path: str) -> list[Any]:
    """All values at a path such as ``ScheduledStationNameCodeSequence.CodeValue``, in all items."""
    *sequences, last = _tags_of(path)
    level = [ds]
    for sequence in sequences:
        level = [item for one in level for item in one.get(sequence, {}).get("Value", ())]
    return [
        value for one in level for value in one.get(last, {}).get("Value", ()) if value is not None
    ]


def first(ds: JSONDataset, path: str, default: Any = None) -> Any:
    return next(iter(values(ds, path)), default)


def items(ds: JSONDataset, keyword: str) -> list[JSONDataset]:
    return values(ds, keyword)


def is_empty(ds: JSONDataset, name: str) -> bool:
    """Whether the element of this tag or keyword is absent or has no value."""
    attribute = ds.get(tag_of(name))
    return attribute is None or len(attribute) == 1  # no more than the vr


def make(keyword: str, *contents: Any) -> dict[str, Any]:
    """The attribute object for these values, with the dictionary's VR; empty if there are none."""
    entry = entry_of(tag_of(keyword))
    if entry is None:
        raise KeyError(keyword)
    vr = entry.vrs[0]
    if not contents or contents in ((None,), ("",)):
        return {"vr": vr}
    if vr in vrs.BINARY:
        return {"vr": vr, "InlineBinary": base64.b64encode(b"".join(contents)).decode("ascii")}
    if vr == "PN":
        contents = tuple({"Alphabetic": one} if isinstance(one, str) else one for one in contents)
    return {"vr": vr, "Value": list(contents)}


def dt_instant(value: str, default_tz: tzinfo, offset: str | None = None) -> datetime:
    """The first instant of a DT, in UTC.

    Its own offset wins, then ``offset``, the value of Timezone Offset From UTC (0008,0201), then
    ``default_tz``. Of a local time that occurs twice it is the first; one that a clock skips is
    told as if the clock had gone on. ValueError if ``value`` is not a DT.
    """
    at = vrs.instant(value, vrs.parse_offset(offset) if offset else default_tz)
    try:
        return at.astimezone(UTC)
    except OverflowError:  # within a day of the first or the last instant that Python knows
        return at.replace(tzinfo=UTC)


# To pydicom and back


def to_pydicom(ds: JSONDataset) -> pydicom.Dataset:
    """The same dataset for pydicom. Bulk data that is elsewhere is refused, never fetched."""
    _refuse_bulk_data(ds, "")
    return pydicom.Dataset.from_json(ds)


def _refuse_bulk_data(ds: JSONDataset, where: str) -> None:
    for tag, attribute in ds.items():
        place = where + keyword_of(tag)
        if "BulkDataURI" in attribute:
            raise InvalidDataset("the value is bulk data stored elsewhere", element=place)
        if attribute["vr"] == "SQ":
            for index, item in enumerate(attribute.get("Value", ())):
                _refuse_bulk_data(item, f"{place}[{index}].")


def from_pydicom(dataset: pydicom.Dataset) -> JSONDataset:
    """The normalised form of a pydicom dataset, bulk data inline."""
    try:
        obj = dataset.to_json_dict()
    except (IndexError, TypeError, ValueError):  # its values are decoded now, in full
        raise InvalidDataset("A value is not one that pydicom can tell in JSON.") from None
    return normalise(obj)
