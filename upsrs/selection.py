"""Matching keys as SQL, for rows: the same `Keys` that answer in memory.

What has a column runs in the database, exactly and on an index; of the rest the database leaves
out what it can, and the keys themselves decide, row by row. So both give the same answer, on every
database, and no more rows are read than a page needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import CharField, Exists, Lookup, OuterRef, Q
from pydicom.datadict import dictionary_VR

from upsrs.dicom.matching import (
    NUMBER_VRS,
    RANGE_VRS,
    WILDCARD_VRS,
    Keys,
    date_range,
    glob,
    glob_pattern,
    is_wild,
    shortest_match,
)
from upsrs.dicom.states import FINAL
from upsrs.models import Workitem, WorkitemKey, write_alias

__all__ = ["condition", "count", "current", "finished", "in_log", "is_exact", "page", "within"]

EVERYDAY_COLUMNS = {"state": "state", "label": "worklist_label"}
ATTRIBUTE_COLUMNS = {
    "00080018": "uid",
    "00100020": "patient_id",
    "00404041": "readiness",
    "00741000": "state",
    "00741200": "priority",
    "00741202": "worklist_label",
    "00741204": "step_label",
}
START = "00404005"
ATTRIBUTE_KEYS = {
    "0020000D": WorkitemKey.Name.STUDY,
    "00404021.0020000D": WorkitemKey.Name.STUDY,
    "00404025.00080100": WorkitemKey.Name.STATION,
    "00404034.00404009.00080100": WorkitemKey.Name.HUMAN,
    "0040A370.00080050": WorkitemKey.Name.ACCESSION,
    "0040A370.0020000D": WorkitemKey.Name.STUDY,
    "00741216.00404028.00080100": WorkitemKey.Name.PERFORMED,
}
"""The row has the value if the attribute has it; another attribute may have it as well."""

STARS = re.compile(r"\*+")

READ_AT_ONCE = 200
"""So many rows are read at once where the database alone cannot decide."""


@CharField.register_lookup
class Glob(Lookup):
    """``*`` and ``?``, case-sensitive: LIKE ignores ASCII case on SQLite, so a pattern it is.

    What is longer than the column can hold matches nothing: no database is given it to compile.
    """

    lookup_name = "upsrs_glob"

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return self._compare(
            compiler, connection, "REGEXP", glob_pattern(STARS.sub("*", self.rhs)).pattern
        )

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        anything = {"*": ".*", "?": "."}
        parts = (
            anything.get(character) or (character if character.isalnum() else f"\\{character}")
            for character in STARS.sub("*", self.rhs)
        )
        return self._compare(compiler, connection, "~", f"^{''.join(parts)}$")

    def _compare(
        self, compiler: Any, connection: Any, operator: str, pattern: str
    ) -> tuple[str, list[Any]]:
        most = self.lhs.output_field.max_length
        if most is not None and shortest_match(self.rhs) > most:
            raise EmptyResultSet
        sql, params = self.process_lhs(compiler, connection)
        return f"{sql} {operator} %s", [*params, pattern]


def condition(keys: Keys) -> Q:
    """SQL for the keys; where not `is_exact`, it lets through more than the keys do."""
    query = Q()
    for key, pattern in keys.everyday:
        column = EVERYDAY_COLUMNS.get(key)
        query &= _compare(column, pattern) if column else _has_key(WorkitemKey.Name(key), pattern)
    contained: dict[str, Any] = {}
    for path, pattern in keys.attributes:
        if path in keys.by_option:
            continue
        if column := ATTRIBUTE_COLUMNS.get(path):
            query &= _compare(column, pattern, list_of_uids=path == "00080018")
        elif path == START:
            query &= Q(starts_at__range=date_range("DT", pattern, keys.asked_in))
        else:
            if name := ATTRIBUTE_KEYS.get(path):
                query &= _has_key(name, pattern, list_of_uids=name == WorkitemKey.Name.STUDY)
            if _is_contained(path, pattern):
                _contain(contained, path, pattern)
    return query & Q(dataset__contains=contained) if contained else query


def in_log(keys: Keys) -> Q:
    """SQL for events of the log, by the keys of every day; it lets through more than the keys do.

    A workitem may have matched just before an event or just after it.
    """
    query = Q()
    for key, pattern in keys.everyday:
        if key in ("state", "label"):
            query &= _compare(f"{key}_before", pattern) | _compare(f"{key}_after", pattern)
        elif not is_wild(pattern):
            one = f"\\{pattern}\\"
            query &= Q(**{f"{key}s_before__contains": one}) | Q(**{f"{key}s_after__contains": one})
    return query


def is_exact(keys: Keys) -> bool:
    """Does `condition` alone decide?"""
    return not keys.by_option and all(
        path in ATTRIBUTE_COLUMNS or path == START or _is_contained(path, pattern)
        for path, pattern in keys.attributes
    )


def _is_contained(path: str, pattern: str) -> bool:
    """Can the database look for this value in the dataset itself?

    Names match whatever their case, and numbers and dates have many forms: the keys decide.
    """
    if connections[write_alias()].vendor != "postgresql":
        return False
    vr = dictionary_VR(path.split(".")[-1])
    if vr == "UI":
        return not re.search(r"[,\\]", pattern)
    if vr in WILDCARD_VRS and is_wild(pattern):
        return False
    return vr not in {"PN", *RANGE_VRS, *NUMBER_VRS}


def _contain(dataset: dict[str, Any], path: str, value: str) -> None:
    """Put a value where a dataset that contains this one has it: in one item, as the keys want."""
    *sequences, leaf = path.split(".")
    for tag in sequences:
        dataset = dataset.setdefault(tag, {"Value": [{}]})["Value"][0]
    dataset[leaf] = {"Value": [value]}


def _compare(column: str, pattern: str, *, list_of_uids: bool = False) -> Q:
    if list_of_uids:
        return Q(**{f"{column}__in": re.split(r"[,\\]", pattern)})
    return Q(**{f"{column}__upsrs_glob" if is_wild(pattern) else column: pattern})


def _has_key(name: WorkitemKey.Name, pattern: str, *, list_of_uids: bool = False) -> Q:
    value = _compare("value", pattern, list_of_uids=list_of_uids)
    keys = WorkitemKey.objects.filter(value, workitem=OuterRef("pk"))
    return Q(Exists(keys.filter(name=name.value)))


def within(sight: tuple[Keys, ...]) -> Q:
    """SQL for what is in sight, as `condition`."""
    conditions = [condition(allowed) for allowed in sight]
    seen = Q()
    # An empty Q is everything by itself, but nothing within an OR.
    if all(conditions):
        for rows_in_sight in conditions:
            seen |= rows_in_sight
    return seen


def page(
    keys: Keys, sight: tuple[Keys, ...], *, offset: int, limit: int, using: str
) -> tuple[list[Workitem], bool]:
    """The workitems that match and are in sight, in order of creation; are there more behind?

    In one query if the database decides alone; else rows are read until the page is full.
    """
    last = offset + limit
    if is_exact(keys) and all(map(is_exact, sight)):
        rows = list(_rows(keys, sight, using)[offset : last + 1])
        return rows[:limit], len(rows) > limit
    found: list[Workitem] = []
    for number, row in enumerate(_matching(keys, sight, using)):
        if number == last:
            return found, True
        if number >= offset:
            found.append(row)
    return found, False


def count(keys: Keys, sight: tuple[Keys, ...], *, using: str) -> int:
    """How many match and are in sight."""
    if is_exact(keys) and all(map(is_exact, sight)):
        return int(_rows(keys, sight, using).count())
    return sum(1 for _ in _matching(keys, sight, using))


def _rows(keys: Keys, sight: tuple[Keys, ...], using: str) -> Any:
    rows = Workitem.objects.using(using).filter(condition(keys) & within(sight))
    return rows.order_by("pk")


def _matching(keys: Keys, sight: tuple[Keys, ...], using: str) -> Iterator[Workitem]:
    rows = _rows(keys, sight, using)
    after = 0
    while read := list(rows.filter(pk__gt=after)[:READ_AT_ONCE]):
        yield from _decided(read, keys, sight)
        after = read[-1].pk


def _decided(rows: Sequence[Workitem], keys: Keys, sight: tuple[Keys, ...]) -> Iterator[Workitem]:
    for row in rows:
        snapshot = row.snapshot()
        if keys.match(snapshot) and any(allowed.match(snapshot) for allowed in sight):
            yield row


def current(
    keys: Keys, sight: tuple[Keys, ...], *, after: int, limit: int, using: str
) -> tuple[list[Workitem], int | None]:
    """One page of the workitems that match now and are in sight, in order of creation.

    Final ones only if the keys name a final state. ``after`` is the primary key of the row that the
    last page ended with. Returns the page, and where the next one starts; None if this was the last.
    """
    rows = _rows(keys, sight, using).filter(pk__gt=after)
    if not _names_final(keys):
        rows = rows.exclude(state__in=[state.value for state in FINAL])
    read = list(rows[:limit])
    return list(_decided(read, keys, sight)), (read[-1].pk if len(read) == limit else None)


def finished(keys: Keys, sight: tuple[Keys, ...], *, limit: int, using: str) -> list[Workitem]:
    """The newest finished workitems that match and are in sight, the last to end first.

    Newest by creation, of each final state: the index of states has them in that order. Where the
    database alone cannot decide, fewer than ``limit`` may be found.
    """
    if not sight:
        return []
    newest = _rows(keys, sight, using).order_by("-pk")
    rows = [row for state in FINAL for row in newest.filter(state=state.value)[:limit]]
    rows.sort(key=lambda row: row.finished_at or row.changed_at, reverse=True)
    return list(_decided(rows, keys, sight))[:limit]


def _names_final(keys: Keys) -> bool:
    patterns = [v for k, v in (*keys.everyday, *keys.attributes) if k in ("state", "00741000")]
    return any(glob(pattern)(state) for pattern in patterns for state in FINAL)
