"""What is known of a tag beforehand: the data dictionary of PS3.6, and a few words beside it."""

from __future__ import annotations

import re
from typing import NamedTuple

from pydicom.datadict import get_entry, keyword_dict

__all__ = [
    "FORBIDDEN_GROUPS",
    "FORMER_VRS",
    "PRIVATE_BLOCKS",
    "PRIVATE_CREATOR",
    "TAG",
    "Entry",
    "entry_of",
    "keyword_of",
    "tag_of",
]

TAG = re.compile("[0-9A-Fa-f]{8}")


class Entry(NamedTuple):
    vrs: tuple[str, ...]
    """Usually one; several where another attribute decides, such as US or SS."""
    max_values: int | None
    keyword: str


def _read(tag: int) -> Entry:
    vr, vm, _name, _retired, keyword = get_entry(tag)
    most = vm.rpartition("-")[2]
    return Entry(tuple(vr.split(" or ")), int(most) if most.isdigit() else None, keyword)


_TAGS = {keyword: f"{tag:08X}" for keyword, tag in keyword_dict.items() if keyword}
_ENTRIES = {tag: _read(int(tag, 16)) for tag in _TAGS.values()}

FORMER_VRS: dict[str, tuple[str, ...]] = {
    "00080119": ("UT",),  # Long Code Value, now UC
    "00080120": ("UT",),  # URN Code Value, now UR
    "00081190": ("UT",),  # Retrieve URL, now UR
    "0040E010": ("UT",),  # Retrieve URI, now UR
    "00404073": ("UT",),  # Storage URL, now UR
    "0074100A": ("ST", "UT"),  # Contact URI, now UR
}
"""VRs of older editions that clients still send; the value is read by today's VR."""

FORBIDDEN_GROUPS = frozenset({"0001", "0003", "0005", "0007", "FFFF"})
"""Odd groups that nobody may use (PS3.5 7.8)."""

PRIVATE_CREATOR = Entry(("LO",), 1, "")

PRIVATE_BLOCKS: dict[str, dict[str, Entry]] = {
    # Ours, in the item of Progress Information: counts of units completed, failed, warning, left.
    "UPSRS": {offset: Entry(("UL",), 1, "") for offset in ("20", "21", "22", "23")}
}
"""Creator -> last two digits of the tag -> what is known of it."""


def entry_of(tag: str) -> Entry | None:
    """The entry of an upper-case tag, also of one that the dictionary has as a pattern (60xx)."""
    entry = _ENTRIES.get(tag)
    if entry is not None:
        return entry
    try:
        return _read(int(tag, 16))
    except KeyError:
        return None


def tag_of(name: str) -> str:
    """The eight hex digits of a keyword or a tag; KeyError for anything else."""
    tag = _TAGS.get(name)
    if tag is not None:
        return tag
    if not TAG.fullmatch(name):
        raise KeyError(name)
    return name.upper()


def keyword_of(tag: str) -> str:
    """The keyword of a tag, or the tag itself if it has none of its own."""
    entry = _ENTRIES.get(tag.upper())
    return entry.keyword if entry else tag
