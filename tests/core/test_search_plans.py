"""On PostgreSQL and 100,000 workitems: every key of every day runs on an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydicom.datadict import tag_for_keyword

from tests.bench.worklist import EVERYDAY, fill
from upsrs import selection
from upsrs.access import EVERYTHING
from upsrs.dicom.matching import Keys
from upsrs.searching import Search, search

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        connection.vendor != "postgresql",
        reason="a plan of PostgreSQL: UPSRS_TEST_DATABASE=postgres",
    ),
]

WORKITEMS = 100_000
LIMIT = 50
MOST_READ = 50 * LIMIT
"""Rows and entries of indexes that a page may cost: in order of creation, one of fifty matches."""

OURS = {"station": "STATION-7", "performer": "WS-7", "label": "LABEL-9", "state": "IN PROGRESS"}
"""The four keys of the customer's filter."""


def by_tag(name: str) -> str:
    return ".".join(f"{tag_for_keyword(part):08X}" for part in name.split("."))


def mixed(name: str) -> str:
    first, *rest = name.split(".")
    return ".".join([by_tag(first).lower(), *rest])


SPELLINGS: dict[str, Callable[[str], str]] = {"keyword": str, "tag": by_tag, "mixed": mixed}

NOT_IN_THE_WAY = {
    "an offset": {"pairs": (("TimezoneOffsetFromUTC", "+0000"),)},
    "empty value matching": {"empty_values": True},
    "multiple value matching": {"several_values": True},
}
"""What may be asked for besides, and costs a key of every day nothing."""


def plan(sql: str, *, run: bool) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE {run}, FORMAT JSON) {sql}".replace("%", "%%"), [])
        return cursor.fetchone()[0][0]["Plan"]


def nodes(top: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield top
    for below in top.get("Plans", ()):
        yield from nodes(below)


def check_plans(queries: CaptureQueriesContext, *, remaining: int) -> None:
    """One query for the page, one more to count the rest; each on an index."""
    assert len(queries) == (2 if remaining else 1)
    for number, query in enumerate(queries.captured_queries):
        is_page = number == 0
        found = list(nodes(plan(query["sql"], run=is_page)))
        kinds = [node["Node Type"] for node in found]
        assert "Seq Scan" not in kinds, found
        assert any("Index" in kind for kind in kinds), found
        if is_page:
            assert sum(map(rows_read, found)) <= MOST_READ, found


def rows_read(node: dict[str, Any]) -> float:
    if "Scan" not in node["Node Type"]:
        return 0
    return (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]


def check_search(asked: Search) -> None:
    with CaptureQueriesContext(connection) as queries:
        found = search(None, asked)
    assert found.datasets
    check_plans(queries, remaining=found.remaining)


@pytest.mark.django_db(transaction=True)
def test_no_key_of_every_day_reads_the_whole_table(subtests):
    fill(WORKITEMS)
    for name, pairs in EVERYDAY.items():
        for spelling, spelled in SPELLINGS.items():
            with subtests.test(f"{name} by {spelling}"):
                check_search(Search(tuple((spelled(key), it) for key, it in pairs), limit=LIMIT))
        for besides, options in NOT_IN_THE_WAY.items():
            with subtests.test(f"{name} with {besides}"):
                check_search(
                    Search(**{**options, "pairs": (*pairs, *options.get("pairs", ()))}, limit=LIMIT)
                )
    for name, value in OURS.items():
        with subtests.test(f"ours: {name}"):
            with CaptureQueriesContext(connection) as queries:
                page, more = selection.page(
                    Keys({name: value}, {}),
                    EVERYTHING,
                    offset=0,
                    limit=LIMIT,
                    using=connection.alias,
                )
            assert len(page) == LIMIT
            assert more
            check_plans(queries, remaining=0)
