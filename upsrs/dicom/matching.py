"""Matching keys: which workitems a filter means (PS3.4 C.2.2.2).

A filter becomes `Keys`: conditions that must all hold. The four keys of every day (state, label,
station, performer) are read once per workitem into a `Snapshot`; any other key is a dotted path of
attributes, and the keys below one sequence must hold within one of its items. `Keys` answers in
memory; ``upsrs.selection`` makes SQL of the very same object.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.attributes import MATCHABLE
from upsrs.dicom.dataset import JSONDataset

__all__ = [
    "EVERYDAY",
    "Keys",
    "Snapshot",
    "date_range",
    "glob",
    "glob_pattern",
    "is_wild",
    "key_path",
    "performed_stations",
    "shortest_match",
    "snapshot",
    "takes_several",
]

EVERYDAY = ("state", "label", "station", "performer")
"""The keys that a worklist is followed by every day; each is a member of `Snapshot`."""

WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
RANGE_VRS = frozenset({"DA", "DT", "TM"})
NUMBER_VRS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a workitem at one moment: all that matching and rendering need."""

    state: str
    label: str
    stations: tuple[str, ...]
    performers: tuple[str, ...]
    dataset: JSONDataset

    def everyday(self, key: str) -> tuple[str, ...]:
        """The values of one of the `EVERYDAY` keys."""
        if key == "station":
            return self.stations
        if key == "performer":
            return self.performers
        return (self.state,) if key == "state" else (self.label,)


def snapshot(ds: JSONDataset, *, requester: str = "") -> Snapshot:
    """Read the keys of every day from a workitem.

    ``requester`` is the AE title that claimed it, if it was named; else the performer is read from
    Performed Station Name Code Sequence (0040,4028). A station is known by Scheduled Station AE
    Title (0040,0001) and by each Code Value of Scheduled Station Name Code Sequence (0040,4025).
    """
    stations = dicom_json.values(ds, "ScheduledStationAETitle")
    stations += dicom_json.values(ds, "ScheduledStationNameCodeSequence.CodeValue")
    performers = [requester] if requester else performed_stations(ds)
    return Snapshot(
        state=dicom_json.first(ds, "ProcedureStepState", ""),
        label=dicom_json.first(ds, "WorklistLabel", ""),
        stations=tuple(dict.fromkeys(stations)),
        performers=tuple(dict.fromkeys(performers)),
        dataset=ds,
    )


def performed_stations(ds: JSONDataset) -> list[str]:
    """The Code Values of Performed Station Name Code Sequence (0040,4028)."""
    return dicom_json.values(
        ds,
        "UnifiedProcedureStepPerformedProcedureSequence.PerformedStationNameCodeSequence.CodeValue",
    )


def is_wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


@lru_cache(maxsize=4096)
def glob_pattern(pattern: str) -> re.Pattern[str]:
    """``*`` is any run of characters, ``?`` exactly one (PS3.4 C.2.2.2.4).

    Between two stars the first place that fits is always good enough, so each run is an atomic
    group: a hostile pattern costs no more than pattern times value.
    """
    parts = [
        "".join("." if character == "?" else re.escape(character) for character in part)
        for part in pattern.split("*")
    ]
    if len(parts) == 1:
        return re.compile(rf"(?s)\A{parts[0]}\Z")
    middle = "".join(f"(?>.*?{part})" for part in parts[1:-1] if part)
    # The last part is anchored at the end, so it may not be searched for lazily.
    return re.compile(rf"(?s)\A{parts[0]}{middle}.*{parts[-1]}\Z")


LONG_PATTERN = 128
"""A regular expression of this length is made in a moment; of 64 KiB, the most a client may send,
in a second, in which nobody else is served."""


def glob(pattern: str) -> Callable[[str], Any]:
    """The same as a test of one value, of patterns of any length."""
    return LongGlob(pattern) if len(pattern) > LONG_PATTERN else glob_pattern(pattern).match


class LongGlob:
    """A pattern that is taken apart, and no regular expression. Costs nothing where none can match."""

    __slots__ = ("_first", "_last", "_middle", "_shortest")

    def __init__(self, pattern: str) -> None:
        first, *rest = pattern.split("*")
        self._first, self._last = first, rest.pop() if rest else None
        self._middle = [part for part in rest if part]
        self._shortest = shortest_match(pattern)

    def __call__(self, value: str) -> bool:
        if len(value) < self._shortest or not _fits(self._first, value, 0):
            return False
        if self._last is None:
            return len(value) == self._shortest
        at, end = len(self._first), len(value) - len(self._last)
        for part in self._middle:
            at = _find(part, value, at, end)
            if at < 0:
                return False
            at += len(part)
        return _fits(self._last, value, end)


def shortest_match(pattern: str) -> int:
    """The length that a value has at least, if it matches."""
    return len(pattern) - pattern.count("*")


def _find(part: str, value: str, start: int, end: int) -> int:
    if "?" not in part:
        return value.find(part, start, end)
    places = range(start, end - len(part) + 1)
    return next((at for at in places if _fits(part, value, at)), -1)


def _fits(part: str, value: str, at: int) -> bool:
    if "?" not in part:
        return value.startswith(part, at)
    return all(
        wanted in ("?", found)
        for wanted, found in zip(part, value[at : at + len(part)], strict=True)
    )


def key_path(name: str) -> str:
    """The dotted tag path of an attribute given by keyword or tag, mixed as one likes.

    Raises ``KeyError`` if it is no matching key of a workitem (PS3.4 Table CC.2.5-3).
    """
    path = ".".join(dicom_json.tag_of(part) for part in name.split("."))
    if path not in MATCHABLE:
        raise KeyError(name)
    return path


Test = Callable[[Any, str | None], bool]
"""Does one value match, given the dataset's Timezone Offset From UTC (0008,0201)?"""

ItemTest = Callable[[JSONDataset, str | None], bool]
"""Does one item, or the workitem itself, match?"""

Tree = dict[str, "ItemTest | Tree"]
"""Tag → what the item it is in must satisfy, or the tree that one of its own items must satisfy."""

DATES_WITH_TIMES = {"00402004": "00402005"}
"""A date and its time are one instant: a range of both is one range (PS3.4 C.2.2.2.5)."""

EMPTY = '""'
"""The value that Empty Value Matching is asked for by (PS3.18 8.3.4.5)."""

EMPTY_VRS = frozenset({*WILDCARD_VRS, *RANGE_VRS})
SEVERAL_VRS = frozenset({"AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"})


def _asks_for_none(path: str, pattern: str) -> bool:
    return pattern == EMPTY and dictionary_VR(_leaf(path)) in EMPTY_VRS


def _asks_for_several(path: str, pattern: str) -> bool:
    return ("," in pattern or "\\" in pattern) and takes_several(path)


def takes_several(path: str) -> bool:
    """May the attribute have several values, each to be matched by its own (PS3.18 8.3.4.6)?"""
    leaf = _leaf(path)
    return dictionary_VR(leaf) in SEVERAL_VRS and dictionary_VM(leaf) != "1"


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]


class Keys:
    """Conditions over a workitem, all of which must hold. Immutable, hashable, comparable."""

    __slots__ = (
        *("_globs", "_hash", "_options", "_tree"),
        *("asked_in", "attributes", "by_option", "everyday"),
    )

    def __init__(
        self,
        everyday: Mapping[str, str],
        attributes: Mapping[str, str],
        timezone: tzinfo = UTC,
        *,
        asked_in: tzinfo | None = None,
        empty_values: bool = False,
        several_values: bool = False,
    ) -> None:
        """``everyday`` by name of `EVERYDAY`, ``attributes`` by `key_path`; values are patterns.

        ``timezone`` is the one of a date-time without offset, ``asked_in`` that of such a pattern
        if it is another. Empty and ``*`` mean any (universal matching, PS3.4 C.2.2.2.3). With
        ``empty_values``, ``""`` means none (PS3.18 8.3.4.5), with ``several_values`` a backslash
        parts values that are all there (PS3.18 8.3.4.6); a comma may do so too, or be part of the
        value. Raises ``ValueError`` for a value that its VR cannot be matched by.
        """
        self.everyday = tuple(sorted((k, v) for k, v in everyday.items() if v.strip("*")))
        self.attributes = tuple(sorted((k, v) for k, v in attributes.items() if v.strip("*")))
        self._globs = {key: glob(pattern) for key, pattern in self.everyday if is_wild(pattern)}
        self.asked_in = asked_in or timezone
        self.by_option = frozenset(
            path
            for path, pattern in self.attributes
            if (empty_values and _asks_for_none(path, pattern))
            or (several_values and _asks_for_several(path, pattern))
        )
        """The attributes of which the pattern means what an option says."""
        self._options = (asked_in, empty_values, several_values)
        zones = (self.asked_in, timezone)
        wanted: dict[str, Any] = {}
        for path, pattern in self.attributes:
            *sequences, leaf = path.split(".")
            branch = wanted
            for tag in sequences:
                branch = branch.setdefault(tag, {})
            branch[leaf] = pattern
        self._tree = _tree(wanted, zones, empty_values, several_values)
        self._hash = hash((self.everyday, self.attributes, self._options))

    @property
    def is_plain(self) -> bool:
        """Do the patterns alone say all there is?"""
        return not any(self._options)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Keys)
            and self.everyday == other.everyday
            and self.attributes == other.attributes
            and self._options == other._options
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        # Values may be a patient's: the names say enough.
        return f"Keys({', '.join(name for name, _ in self.everyday + self.attributes)})"

    def match(self, snapshot: Snapshot) -> bool:
        for key, pattern in self.everyday:
            values = snapshot.everyday(key)
            if is_wild(pattern):
                if not any(map(self._globs[key], values)):
                    return False
            elif pattern not in values:
                return False
        if not self._tree:
            return True
        offset = dicom_json.first(snapshot.dataset, "TimezoneOffsetFromUTC")
        return _match_item(snapshot.dataset, self._tree, offset)

    def matched(self, before: Snapshot | None, after: Snapshot) -> tuple[bool, bool]:
        """Did it match just before a change, and does it just after?"""
        return before is not None and self.match(before), self.match(after)

    def match_either(self, before: Snapshot | None, after: Snapshot) -> bool:
        """Who matched just before a change, or matches just after it, is concerned by it."""
        return self.match(after) or (before is not None and self.match(before))


def _match_item(item: JSONDataset, tree: Tree, offset: str | None) -> bool:
    for tag, wanted in tree.items():
        if not isinstance(wanted, dict):
            if not wanted(item, offset):
                return False
        elif not any(_match_item(inner, wanted, offset) for inner in _items(item, tag)):
            return False
    return True


def _items(item: JSONDataset, tag: str) -> Iterable[JSONDataset]:
    # No item at all is like one that says nothing: only who looks for emptiness finds it.
    return [inner for inner in item.get(tag, {}).get("Value", ()) if inner is not None] or [{}]


def _tree(
    wanted: Mapping[str, Any],
    zones: tuple[tzinfo, tzinfo],
    empty_values: bool,
    several_values: bool,
) -> Tree:
    tree: Tree = {}
    combined: set[str] = set()
    for tag, pattern in wanted.items():
        if isinstance(pattern, dict):
            tree[tag] = _tree(pattern, zones, empty_values, several_values)
        elif (time := DATES_WITH_TIMES.get(tag, "")) in wanted and not (
            empty_values and EMPTY in (pattern, wanted[time])
        ):
            tree[tag] = _combined_test(tag, pattern, time, wanted[time], zones)
            combined.add(time)
        else:
            tree[tag] = _item_test(tag, pattern, zones, empty_values, several_values)
    return {tag: test for tag, test in tree.items() if tag not in combined}


def _item_test(
    tag: str, pattern: str, zones: tuple[tzinfo, tzinfo], empty_values: bool, several_values: bool
) -> ItemTest:
    vr = dictionary_VR(tag)
    if empty_values and _asks_for_none(tag, pattern):
        return lambda item, _: not any(_values(item, tag))
    whole = [_test(vr, pattern, zones)]
    if not (several_values and _asks_for_several(tag, pattern)):
        return _all_test(tag, whole)
    parts = pattern.split("\\" if "\\" in pattern else ",")
    all_parts = _all_test(tag, [_test(vr, part, zones, wild=False) for part in parts])
    if "\\" in pattern:
        return all_parts
    one_value = _all_test(tag, whole)
    return lambda item, offset: all_parts(item, offset) or one_value(item, offset)


def _all_test(tag: str, tests: Sequence[Test]) -> ItemTest:
    """Is there a value for each of the tests?"""

    def match_item(item: JSONDataset, offset: str | None) -> bool:
        values = _values(item, tag)
        return all(any(test(value, offset) for value in values) for test in tests)

    return match_item


def _values(item: JSONDataset, tag: str) -> list[Any]:
    return [value for value in item.get(tag, {}).get("Value", ()) if value is not None]


def _test(vr: str, pattern: str, zones: tuple[tzinfo, tzinfo], *, wild: bool = True) -> Test:
    if vr == "PN":
        # PN matching may ignore case (PS3.4 C.2.2.2.1); each component group counts.
        name = pattern.casefold()
        fits = glob(name) if wild else name.__eq__
        return lambda value, _: any(
            bool(fits(group) or fits(group.rstrip("^")))
            for group in map(str.casefold, value.values())
        )
    if vr == "UI":
        uids = frozenset(re.split(r"[,\\]", pattern))
        return lambda value, _: value in uids
    if vr in RANGE_VRS:
        return _range_test(vr, pattern, zones)
    if vr in NUMBER_VRS:
        number = float(pattern)
        return lambda value, _: float(value) == number
    if wild and vr in WILDCARD_VRS and is_wild(pattern):
        matches = glob(pattern)
        return lambda value, _: bool(matches(value))
    return lambda value, _: bool(value == pattern)


EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""The ends of an open range."""

_MOMENT = {
    "DA": r"\d{8}",
    "TM": r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?",
    "DT": r"\d{4}(?:\d{2}){0,5}(?:\.\d{1,6})?(?:[+-]\d{4})?",
}


def _range_test(vr: str, pattern: str, zones: tuple[tzinfo, tzinfo]) -> Test:
    """Single value and range matching of dates and times (PS3.4 C.2.2.2.1, C.2.2.2.5).

    A shortened value stands for its whole period: ``20260105`` holds all instants of that day.
    """
    asked_in, timezone = zones
    first, last = date_range(vr, pattern, asked_in)

    def within(value: str, offset: str | None) -> bool:
        return first <= _period(vr, value, timezone, offset)[0] <= last

    return within


def date_range(vr: str, pattern: str, timezone: tzinfo) -> tuple[datetime, datetime]:
    """The first and the last instant that a value or a range stands for, in UTC.

    Times are those of one and the same day. Raises ``ValueError`` if it is neither.
    """
    low, high = _ends(vr, pattern)
    first = _period(vr, low, timezone)[0] if low else EVER[0]
    last = _period(vr, high, timezone)[1] if high else EVER[1]
    return first, last


def _ends(vr: str, pattern: str) -> tuple[str, str]:
    moment = _MOMENT[vr]
    if "-" not in pattern and re.fullmatch(moment, pattern):
        # A DT with a negative offset is no single value key: the hyphen makes it a range.
        return pattern, pattern
    if span := re.fullmatch(f"({moment})?-({moment})?", pattern):
        return span.group(1) or "", span.group(2) or ""
    raise ValueError(f"not a {vr} value or range")


def _combined_test(
    date: str, dates: str, time: str, times: str, zones: tuple[tzinfo, tzinfo]
) -> ItemTest:
    """From the first time of the first date to the last time of the last date, as instants."""
    (first_date, last_date), (first_time, last_time) = _ends("DA", dates), _ends("TM", times)
    asked_in, timezone = zones
    first = _period("DT", first_date + first_time, asked_in)[0] if first_date else EVER[0]
    last = _period("DT", last_date + last_time, asked_in)[1] if last_date else EVER[1]

    def match_item(item: JSONDataset, offset: str | None) -> bool:
        days, hours = _values(item, date), _values(item, time)
        return any(
            first <= _period("DT", day + hour, timezone, offset)[0] <= last
            for day, hour in zip(days, hours, strict=False)
        )

    return match_item


def _period(
    vr: str, value: str, zone: tzinfo, offset: str | None = None
) -> tuple[datetime, datetime]:
    """The first and the last instant that a DA, TM or DT value stands for."""
    if vr != "DT":
        # A date or a time of day has no zone; times are compared as if of one and the same day.
        zone, offset = UTC, None
        value = f"20000101{value}" if vr == "TM" else value
    try:
        start = dicom_json.dt_instant(value, zone, offset)
    except OverflowError:
        # The first or the last day there is, in a zone where it is not the same day as in UTC.
        start = EVER[0] if value.startswith("0001") else EVER[1]
    number = re.split(r"[+-]", value)[0]
    digits = len(number.split(".")[0])
    if "." in number:
        length = timedelta(microseconds=10 ** (6 - len(number.split(".")[1])))
    elif digits == 4:
        length = timedelta(days=366 if isleap(int(number)) else 365)
    elif digits == 6:
        length = timedelta(days=monthrange(int(number[:4]), int(number[4:]))[1])
    else:
        length = {8: timedelta(days=1), 10: timedelta(hours=1), 12: timedelta(minutes=1)}.get(
            digits, timedelta(seconds=1)
        )
    return start, min(start, EVER[1] - length) + length - timedelta(microseconds=1)
