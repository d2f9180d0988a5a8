"""A matcher as plain as can be: what PS3.4 C.2.2.2 says, one item after the other.

It shares no line with the app's own, so that the two can be held against each other.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from tests.datasets import JSONDataset

RANGES = ("DA", "TM", "DT")


def tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"


def matches(
    dataset: JSONDataset, pairs: Iterable[tuple[str, str]], *, empty: bool, several: bool
) -> bool:
    """Does a workitem match all pairs of keyword path and value? UTC is where the portal is."""
    wanted = dict(pairs)
    asked_in = zone_of(wanted.pop("TimezoneOffsetFromUTC", "")) or UTC
    [own_zone] = values(dataset, "TimezoneOffsetFromUTC") or [""]
    zones = (asked_in, zone_of(own_zone) or UTC)
    paths = [(path.split("."), value) for path, value in wanted.items() if value.strip("*")]
    return item_matches(dataset, paths, zones, empty, several)


def item_matches(
    item: JSONDataset, paths: list[tuple[list[str], str]], zones: Any, empty: bool, several: bool
) -> bool:
    here = {path[0]: value for path, value in paths if len(path) == 1}
    date, time = "IssueDateOfImagingServiceRequest", "IssueTimeOfImagingServiceRequest"
    if '""' not in (here.get(date, '""'), here.get(time, '""')):
        days, hours = ends(here.pop(date)), ends(here.pop(time))
        low = days[0] and days[0] + hours[0]
        high = days[1] and days[1] + hours[1]
        both = [d + t for d in values(item, date) for t in values(item, time)]
        if not any(within("DT", value, low, high, zones) for value in both):
            return False
    if not all(
        leaf_matches(item, key, value, zones, empty, several) for key, value in here.items()
    ):
        return False
    for sequence in {path[0] for path, _ in paths if len(path) > 1}:
        inner = [(path[1:], value) for path, value in paths if path[0] == sequence]
        items = item.get(tag(sequence), {}).get("Value") or [{}]
        if not any(item_matches(each, inner, zones, empty, several) for each in items):
            return False
    return True


def leaf_matches(
    item: JSONDataset, keyword: str, wanted: str, zones: Any, empty: bool, several: bool
) -> bool:
    vr, found = dictionary_VR(keyword), values(item, keyword)
    if empty and wanted == '""':
        return not found
    if several and "," in wanted and vr != "UI" and dictionary_VM(keyword) != "1":
        return wanted in found or all(part in found for part in wanted.split(","))
    if several and "\\" in wanted and vr != "UI":
        return all(part in found for part in wanted.split("\\"))
    return any(value_matches(vr, value, wanted, zones) for value in found)


def value_matches(vr: str, value: Any, wanted: str, zones: Any) -> bool:
    if vr == "UI":
        return value in wanted.split(",")
    if vr == "US":
        return value == int(wanted)
    if vr in RANGES:
        return within(vr, value, *ends(wanted), zones)
    if vr == "PN":
        groups = [group.casefold() for group in value.values()]
        return any(
            wild(wanted.casefold(), group) or wild(wanted.casefold(), group.rstrip("^"))
            for group in groups
        )
    return wild(wanted, value)


def wild(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(wild(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and wild(pattern[1:], text[1:])


def values(item: JSONDataset, keyword: str) -> list[Any]:
    return item.get(tag(keyword), {}).get("Value", [])


def zone_of(offset: str) -> timezone | None:
    if not offset:
        return None
    sign = -1 if offset[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:])))


def ends(wanted: str) -> tuple[str, str]:
    """Of a value or a range; offsets are positive here, so a hyphen is always a range's."""
    low, hyphen, high = wanted.partition("-")
    return (low, high) if hyphen else (wanted, wanted)


def within(vr: str, value: str, low: str, high: str, zones: Any) -> bool:
    if vr == "TM":
        value, low, high = (moment and f"20000101{moment}" for moment in (value, low, high))
    asked_in, own = zones if vr == "DT" else (UTC, UTC)
    start = instant(value, own)
    return (not low or instant(low, asked_in) <= start) and (
        not high or start <= instant(high, asked_in, last=True)
    )


def instant(text: str, zone: Any, *, last: bool = False) -> datetime:
    digits, plus, offset = text.partition("+")
    zone = zone_of(plus + offset) or zone
    year, month = int(digits[:4]), int(digits[4:6] or (12 if last else 1))
    rest = [int(digits[start : start + 2] or -1) for start in (6, 8, 10, 12)]
    most = [calendar.monthrange(year, month)[1], 23, 59, 59] if last else [1, 0, 0, 0]
    day, hour, minute, second = (
        least if given < 0 else given for given, least in zip(rest, most, strict=True)
    )
    return datetime(year, month, day, hour, minute, second, 999_999 if last else 0, tzinfo=zone)
