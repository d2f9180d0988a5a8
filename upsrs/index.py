"""The index of the subscriptions that are connected here: which of them an event concerns.

Subscriptions with equal keys are one group, matched once. A group is filed under one value that
whatever it matches must have, and of several values under that which will be looked at least, so
the cost of an event grows with the matches, not with the subscriptions. A pattern with wildcards is
filed under the text it begins with, ends with, or has in its middle.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

from pydicom.datadict import dictionary_VR

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.matching import EVERYDAY, WILDCARD_VRS, Keys, Snapshot, is_wild
from upsrs.events import LoggedEvent
from upsrs.traces import trace

__all__ = ["Bucket", "Index", "Matched", "bucket_of", "buckets_of"]

logger = logging.getLogger(__name__)

Member = TypeVar("Member", bound=Hashable)

Matched = tuple[bool, bool]
"""Did the keys match just before the event, and do they just after?"""

WHOLE, BEGINS, ENDS, HOLDS = "whole", "begins", "ends", "holds"

Shelf = tuple[str, str, str]
"""How a value is looked at, the key it is a value of (of every day, or a path), and the text."""

LOOKED_AT = {"station": 10, "performer": 10, "label": 30, "state": 1_000}
"""How many times more often than a patient or a study the values of these keys come by."""


class _Group:
    """Equal keys, who follows them, and where they are filed."""

    __slots__ = ("keys", "members", "shelf")

    def __init__(self, keys: Keys, shelf: Shelf | None) -> None:
        self.keys = keys
        self.shelf = shelf
        self.members: dict[Any, None] = {}


class Index(Generic[Member]):
    """Keys, and the UIDs of single workitems → who follows them."""

    def __init__(self) -> None:
        self._by_uid: defaultdict[str, set[Member]] = defaultdict(set)
        self._groups: dict[Keys, _Group] = {}
        self._filed: defaultdict[Shelf | None, dict[_Group, None]] = defaultdict(dict)
        self._lengths: defaultdict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        """How values must be looked at: how, and of which key → the lengths of the texts filed."""

    def add(self, keys: Keys, member: Member) -> Keys:
        """File a member; returns the keys that all with equal ones share."""
        group = self._groups.get(keys)
        if group is None:
            group = self._groups[keys] = _Group(keys, self._shelf_for(keys))
            self._filed[group.shelf][group] = None
            if group.shelf is not None:
                how, key, text = group.shelf
                self._lengths[how, key][len(text)] += 1
        group.members[member] = None
        return group.keys

    def _shelf_for(self, keys: Keys) -> Shelf | None:
        """Of the shelves where these keys may be, the one that costs least."""
        shelves = list(_shelves_of(keys))
        if not shelves:
            return None
        return min(
            shelves,
            key=lambda shelf: (len(self._filed.get(shelf, ())) + 1) * LOOKED_AT.get(shelf[1], 1),
        )

    def discard(self, keys: Keys, member: Member) -> None:
        group = self._groups.get(keys)
        if group is None:
            return
        group.members.pop(member, None)
        if group.members:
            return
        del self._groups[keys]
        del self._filed[group.shelf][group]
        if not self._filed[group.shelf]:
            del self._filed[group.shelf]
        if group.shelf is not None:
            how, key, text = group.shelf
            lengths = self._lengths[how, key]
            lengths[len(text)] -= 1
            if not lengths[len(text)]:
                del lengths[len(text)]
            if not lengths:
                del self._lengths[how, key]

    def add_uid(self, workitem_uid: str, member: Member) -> None:
        self._by_uid[workitem_uid].add(member)

    def discard_uid(self, workitem_uid: str, member: Member) -> None:
        followers = self._by_uid.get(workitem_uid, set())
        followers.discard(member)
        if not followers:
            self._by_uid.pop(workitem_uid, None)

    def following(self, workitem_uid: str) -> tuple[Member, ...]:
        """Who follows this one workitem, whatever it matches."""
        return tuple(self._by_uid.get(workitem_uid, ()))

    def concerned(self, event: LoggedEvent) -> list[tuple[Matched, tuple[Member, ...]]]:
        """The groups whose keys match just before or just after the event."""
        # A list: who is handed the event may leave the index because of it.
        found: list[tuple[Matched, tuple[Member, ...]]] = []
        for group in self._looked_at(event):
            try:
                matched = group.keys.matched(event.before, event.after)
            except Exception as error:  # one odd value must not keep the event from the others
                logger.error(
                    "Event %d could not be matched by %r: %s",
                    event.position,
                    group.keys,
                    trace(error),
                )
                continue
            if any(matched):
                found.append((matched, tuple(group.members)))
        return found

    def _looked_at(self, event: LoggedEvent) -> Iterator[_Group]:
        """The groups that share a value with the event."""
        shelves: set[Shelf | None] = {None}
        for snapshot in filter(None, (event.before, event.after)):
            for (how, key), lengths in self._lengths.items():
                for value in _values_of(snapshot, key):
                    shelves.update((how, key, text) for text in _texts(how, value, lengths))
        for shelf in shelves:
            yield from self._filed.get(shelf, ())


def _shelves_of(keys: Keys) -> Iterator[Shelf]:
    """Where these keys may be filed: whatever they match is found there."""
    for key, pattern in keys.everyday:
        yield from _shelves(key, pattern)
    for path, pattern in keys.attributes:
        if path in keys.by_option:
            continue  # it asks for emptiness, or for several values
        vr = dictionary_VR(path.rpartition(".")[2])
        if vr == "PN":
            yield from _shelves(path, pattern.casefold())
        elif vr in WILDCARD_VRS:
            yield from _shelves(path, pattern)
        elif vr == "UI" and not {",", "\\"} & set(pattern):
            yield WHOLE, path, pattern


def _shelves(key: str, pattern: str) -> Iterator[Shelf]:
    if not is_wild(pattern):
        yield WHOLE, key, pattern
        return
    texts = pattern.replace("?", "*").split("*")
    if texts[0]:
        yield BEGINS, key, texts[0]
    if texts[-1]:
        yield ENDS, key, texts[-1]
    if not (texts[0] or texts[-1]) and (longest := max(texts, key=len)):
        yield HOLDS, key, longest


def _values_of(snapshot: Snapshot, key: str) -> list[str]:
    if key in EVERYDAY:
        return list(snapshot.everyday(key))
    values: list[str] = []
    for value in dicom_json.values(snapshot.dataset, key):
        if isinstance(value, str):
            values.append(value)
        elif isinstance(value, dict):  # a person's name, in up to three spellings
            # They match in any case, and with or without the empty components at their end.
            for group in map(str.casefold, value.values()):
                values += {group, group.rstrip("^")}
    return values


def _texts(how: str, value: str, lengths: Counter[int]) -> Iterator[str]:
    """The parts of a value under which patterns may be filed."""
    if how == WHOLE:
        yield value
        return
    for length in lengths:
        if length > len(value):
            continue
        if how == BEGINS:
            yield value[:length]
        elif how == ENDS:
            yield value[-length:]
        else:
            yield from (value[at : at + length] for at in range(len(value) - length + 1))


# In the database: by what a subscription of the standard is filed, one value of a key of every day.

SELECTIVE = ("station", "performer", "label", "state")
"""The keys to file by, the most selective first: many stations, few states."""

ATTRIBUTES = {"station": "00404025.00080100", "label": "00741202", "state": "00741000"}
"""The same keys in the words of DICOM: who matches those has the value in the key of every day."""

Bucket = tuple[str, str] | None
"""A key of every day and its exact value; None for keys that have none."""


def bucket_of(keys: Keys) -> Bucket:
    """Under what to file these keys: whatever they match has this value."""
    everyday, attributes = dict(keys.everyday), dict(keys.attributes)
    for key in SELECTIVE:
        pattern = everyday.get(key) or attributes.get(ATTRIBUTES.get(key, ""))
        if pattern is not None and not is_wild(pattern):
            return key, pattern
    return None


def buckets_of(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Where keys that match this workitem may be filed."""
    for key in SELECTIVE:
        for value in snapshot.everyday(key):
            yield key, value
