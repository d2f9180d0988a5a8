"""Search for Workitems: from what was asked to the datasets that answer it (PS3.18 11.9)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any

from django.utils import timezone
from pydicom.datadict import dictionary_VR

from upsrs import access, audit, contract, errors, selection
from upsrs.conf import conf
from upsrs.dicom import vrs
from upsrs.dicom.attributes import MATCHABLE, RETURN_KEYS
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.dictionary import entry_of, keyword_of, tag_of
from upsrs.dicom.matching import NUMBER_VRS, Keys, takes_several
from upsrs.dicom.states import FINAL
from upsrs.dicom.uids import is_uid
from upsrs.models import Workitem, write_alias

__all__ = ["Found", "Search", "keys_of", "path_of", "search"]

TRANSACTION_UID = "00081195"
HIDDEN = (TRANSACTION_UID, "TransactionUID")
NAME = re.compile("[A-Za-z][A-Za-z0-9]{1,63}|[0-9A-Fa-f]{8}")
"""What is formed like a keyword or a tag."""

TIMEZONE_OFFSET = "00080201"
PERFORMED = "00741216"
"""Its members are of return type 1C: a finished workitem is returned with what was performed."""

SEQUENCES = frozenset(path.rpartition(".")[0] for path in MATCHABLE)
DATE_TIMES = ("00404005", "00404008", "00404011", "00404010")
LOST_PLUS = re.compile(r" (?=\d{4}(?:$|-))")

ALWAYS = tuple(path for path, kind in RETURN_KEYS.items() if "." not in path and kind in ("1", "2"))
IF_KNOWN = tuple(
    path for path, kind in RETURN_KEYS.items() if "." not in path and kind in ("1C", "2C")
)


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked for."""

    pairs: tuple[tuple[str, str], ...] = ()
    """Attribute and value, as they were given."""
    include: frozenset[str] = frozenset()
    """Attributes to return as well, as they were given."""
    everything: bool = False
    """Return all attributes."""
    limit: int | None = None
    offset: int = 0
    empty_values: bool = False
    several_values: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One page of the answer."""

    datasets: list[JSONDataset] = field(default_factory=list)
    remaining: int = 0
    """How many more match, behind this page."""


def search(user: Any, asked: Search) -> Found:
    """The workitems that match and are in the user's sight, in order of creation.

    Unknown attributes are ignored, as unknown parameters are (PS3.18 8.3); raises
    ``InvalidArgument`` for one that cannot be a matching key in this form.
    """
    access.require(user, "view_workitem")
    keys = keys_of(
        asked.pairs, empty_values=asked.empty_values, several_values=asked.several_values
    )
    sight = access.sight(user)
    audit.done(audit.Act.SEARCH, user, detail={"filter": contract.shown(dict(asked.pairs))})
    limit = min(conf.SEARCH_LIMIT, conf.SEARCH_LIMIT if asked.limit is None else asked.limit)
    if not sight or not limit:
        return Found()
    alias = write_alias()
    rows, more = selection.page(keys, sight, offset=asked.offset, limit=limit, using=alias)
    remaining = 0
    if more:
        remaining = selection.count(keys, sight, using=alias) - asked.offset - len(rows)
    if asked.everything:
        return Found([row.dataset for row in rows], remaining)
    more_tags = {path.split(".")[0] for path in [*dict(keys.attributes), *_paths(asked)]}
    return Found([returned(row, more_tags) for row in rows], remaining)


def returned(row: Workitem, more: Collection[str]) -> JSONDataset:
    """The attributes that a search returns of a workitem (PS3.18 11.9.2), and ``more``, by tag."""
    known = row.dataset
    tags = {*ALWAYS, *more, *(tag for tag in IF_KNOWN if len(known.get(tag, ())) > 1)}
    if row.state in FINAL:
        tags.add(PERFORMED)
    empty = {tag: {"vr": entry.vrs[0]} for tag in tags if (entry := entry_of(tag)) is not None}
    return {tag: known.get(tag) or empty[tag] for tag in sorted(tags)}


def keys_of(
    pairs: Iterable[tuple[str, str]],
    *,
    strict: bool = False,
    empty_values: bool = False,
    several_values: bool = False,
) -> Keys:
    """Matching keys from attributes, by keyword or tag, and their values (PS3.18 8.3.4.1).

    ``strict`` refuses an attribute that is no matching key; else it is ignored. Timezone Offset
    From UTC is no key: it is the zone that the date-times are asked in. Raises
    ``InvalidArgument`` that names the attribute.
    """
    wanted: dict[str, str] = {}
    asked_in = None
    for name, value in pairs:
        path = path_of(name)
        if path == TIMEZONE_OFFSET:
            asked_in = _offset(name, value)
            continue
        if path not in MATCHABLE:
            if path in SEQUENCES and value:
                raise errors.InvalidArgument(f"{name} is a sequence: name a member.", name=name)
            if strict:
                raise errors.InvalidArgument(f"{_shown(name)} is no matching key.", name="filter")
            continue
        assert path is not None, "None is no matching key"
        if path in wanted:
            raise errors.InvalidArgument(f"{name} is given twice.", name=name)
        if path.endswith(DATE_TIMES):
            # Form decoders make a space of the plus sign of an offset.
            value = LOST_PLUS.sub("+", value)
        elif several_values and not takes_several(path):
            value = value.replace("\\", ",")
        wanted[path] = value
    zone = timezone.get_default_timezone()
    make = partial(
        Keys,
        {},
        timezone=zone,
        asked_in=asked_in,
        empty_values=empty_values,
        several_values=several_values,
    )
    for path, value in wanted.items():
        try:
            _check(path, value)
            make({path: value})
        except ValueError:
            name = ".".join(map(keyword_of, path.split(".")))
            raise errors.InvalidArgument(
                f"The value of {name} cannot be matched by its VR.", name=name
            ) from None
    return make(wanted)


def _check(path: str, value: str) -> None:
    """Refuse what can match nothing, and what no database takes."""
    vr = dictionary_VR(path.split(".")[-1])
    if not value.strip("*"):
        return  # universal matching
    if "\0" in value or (vr == "UI" and value and not all(map(is_uid, re.split(r"[,\\]", value)))):
        raise ValueError("no value of this VR")
    if vr in NUMBER_VRS and value and not isfinite(float(value)):
        raise ValueError("not a number")


def path_of(name: str) -> str | None:
    """The dotted tag path that a name means; None if it means no attribute.

    Raises ``InvalidArgument`` for a path whose inner parts are no sequences, and for the
    Transaction UID, which nobody may look for.
    """
    try:
        path = [tag_of(part) for part in name.split(".")]
    except KeyError:
        return None
    if TRANSACTION_UID in path:
        raise errors.InvalidArgument("TransactionUID is no matching key.", name="TransactionUID")
    *sequences, _ = ["SQ" in entry.vrs if (entry := entry_of(tag)) else False for tag in path]
    if not all(sequences):
        raise errors.InvalidArgument(f"{name} is no path of sequences to an attribute.", name=name)
    return ".".join(path)


def _paths(asked: Search) -> set[str]:
    """What is to be returned as well: what was asked for, and any key by universal matching."""
    # The Transaction UID is nobody's to have: asked for like this, it is just not there.
    named = {path_of(name) for name in asked.include if name not in HIDDEN}
    named |= {path for name, _ in asked.pairs if (path := path_of(name)) in MATCHABLE}
    return {path for path in named if path}


def _offset(name: str, value: str) -> Any:
    try:
        return vrs.parse_offset(value.replace(" ", "+", 1))
    except ValueError:
        raise errors.InvalidArgument(f"{name} is no offset from UTC.", name=name) from None


def _shown(name: str) -> str:
    """A name is repeated in a refusal only if it is one: else it may be a value, or a bare UID."""
    return name if all(map(NAME.fullmatch, name.split("."))) else "What was given"
