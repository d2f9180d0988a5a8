"""On PostgreSQL: several processes write, number and read at once; and what each of it costs."""

from __future__ import annotations

import logging
import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from tests import datasets
from tests.live.parts import wait_until
from upsrs import events, numbering, workitems
from upsrs.events import LoggedEvent, Place
from upsrs.models import Event, Log
from upsrs.reader import Reader

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="of PostgreSQL: UPSRS_TEST_DATABASE=postgres"
    ),
]


@pytest.fixture(autouse=True)
def unplanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of what a connection from the pool has prepared for another test."""
    monkeypatch.setattr(numbering, "_plans", WeakKeyDictionary())
    monkeypatch.setattr(numbering, "_forgetful", WeakSet())


WRITERS, READERS, CHANGES = 4, 3, 60

Steps = list[tuple[str, str]]


def write(seed: int) -> Steps:
    """Changes of one process: some alone, some several in a transaction, some rolled back."""
    chance = random.Random(seed)
    committed: Steps = []
    known: list[str] = []
    try:
        for number in range(CHANGES):
            with transaction.atomic():
                steps = [
                    _change(chance, known, f"{seed}-{number}-{nth}")
                    for nth in range(chance.choice([1, 1, 1, 3]))
                ]
                gone = chance.random() < 0.2
                transaction.set_rollback(gone)
            if not gone:
                committed += steps
                known += [uid for uid, _ in steps if uid not in known]
        return committed
    finally:
        connections.close_all()


def _change(chance: random.Random, known: list[str], step: str) -> tuple[str, str]:
    if known and chance.random() < 0.7:
        uid = chance.choice(known)
        workitems.update(None, uid, datasets.elements(ProcedureStepLabel=step))
    else:
        uid = datasets.new_uid()
        workitems.create(None, datasets.dataset(SOPInstanceUID=uid, ProcedureStepLabel=step))
    return uid, step


def read(place: Place, done: threading.Event, isolation: str) -> list[LoggedEvent]:
    """What the reader of one process hands on: it numbers and reads until all have written."""
    heard: list[LoggedEvent] = []
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = %s", [isolation])
    reader = Reader(place, hand_on=heard.extend, lost=lambda: None)
    try:
        last_look = False
        while not last_look:
            last_look = done.wait(0.002)
            assert reader._read_on(), "nobody purged it"
        return heard
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_isolation")  # it goes back to a pool
        connections.close_all()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
@pytest.mark.django_db(transaction=True)
def test_several_who_number_at_once_leave_no_gap_and_keep_the_order(isolation):
    place, done = events.numbered_place(), threading.Event()
    with ThreadPoolExecutor(WRITERS + READERS) as processes:
        readings = [processes.submit(read, place, done, isolation) for _ in range(READERS)]
        try:
            written = list(processes.map(write, range(WRITERS)))
        finally:
            done.set()
        heard = [reading.result() for reading in readings]
    first = [(event.position, event.workitem_uid, _step(event)) for event in heard[0]]
    for other in heard[1:]:
        assert [(event.position, event.workitem_uid, _step(event)) for event in other] == first
    committed = [step for steps in written for step in steps]
    positions = [position for position, _, _ in first]
    assert positions == list(range(place.position + 1, place.position + 1 + len(committed)))
    assert _by_workitem([(uid, step) for _, uid, step in first]) == _by_workitem(committed)


@pytest.mark.parametrize("often", [False, True])
@pytest.mark.django_db(transaction=True)
def test_a_numbering_that_fails_leaves_no_transaction_open(monkeypatch, often):
    workitems.create(None, datasets.dataset())
    with monkeypatch.context() as broken:
        broken.setattr(numbering, "NUMBER", "SELECT 1 / (SELECT 0)")
        with pytest.raises(DatabaseError, match="by zero"):
            events.read_on(0, 50, often=often)
    place, all_numbered, _ = events.read_on(0, 50, often=often)
    assert place.position
    assert all_numbered


@pytest.mark.django_db(transaction=True)
def test_who_reads_often_has_it_planned_once_for_many_times():
    place, kept = events.numbered_place(), _kept()
    prepared = []
    for number in range(numbering.USES + 1):
        workitems.create(None, datasets.dataset())
        with CaptureQueriesContext(connection) as asked:
            now, all_numbered, page = events.read_on(place.position + number, 50, often=True)
        assert (now.position, all_numbered, len(page)) == (place.position + number + 1, True, 1)
        prepared.append(sum("PREPARE" in query["sql"] for query in asked))
        assert "EXECUTE" in asked[-1]["sql"]
    assert prepared == [1, *[0] * (numbering.USES - 1), 1]
    assert len(_kept() - kept) == 3, "what was prepared before is forgotten"


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_forgets_what_it_prepared_is_told_all_each_time(caplog):
    """As behind a pooler, where each transaction may meet another connection."""
    place = events.numbered_place()
    events.read_on(place.position, 50, often=True)
    ask("DEALLOCATE ALL")
    caplog.set_level(logging.INFO, "upsrs")
    for number in range(3):
        workitems.create(None, datasets.dataset())
        now, all_numbered, page = events.read_on(place.position + number, 50, often=True)
        assert (now.position, all_numbered, len(page)) == (place.position + number + 1, True, 1)
    assert not _kept()
    assert len(caplog.records) == 1, caplog.text


def _kept() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE name LIKE 'upsrs%%'", [])
        return {name for (name,) in cursor.fetchall()}


class _Caught(Exception):
    """It is said by another connection in place of this one."""


@pytest.mark.parametrize("often", [False, True])
@pytest.mark.django_db(transaction=True)
def test_who_freezes_while_it_is_sent_a_page_holds_no_counter(often):
    place = events.numbered_place()
    long = datasets.dataset(ProcedureStepLabel="x" * 1_000_000)
    made = {"time": "2026-01-05T08:00:00Z", "workitem_uid": "2.25.1", "kind": "UPDATED"}
    Event.objects.bulk_create([Event(**made, dataset=long) for _ in range(30)])
    said: list[str] = []

    def catch(execute: Any, sql: str, *more: Any) -> Any:
        said.append(sql)
        if sql.startswith("BEGIN"):
            raise _Caught
        return execute(sql, *more)

    with connection.execute_wrapper(catch), pytest.raises(_Caught):
        events.read_on(place.position, 50, often=often)
    *prepare, read = said
    assert len(prepare) == often
    frozen = connection.copy()
    with frozen.cursor() as cursor:
        for sql in prepare:
            cursor.execute(sql)
    line = frozen.connection.pgconn
    try:
        line.send_query(read.encode())  # and then it takes nothing
        wait_until(
            lambda: _waits_for(line.backend_pid) == "ClientWrite", "it is being sent the page"
        )
        workitems.create(None, datasets.dataset())
        now, all_numbered = events.number()
        assert all_numbered
        assert now.position == place.position + 31
    finally:
        frozen.connection.cancel()
        frozen.close()


def _waits_for(pid: int) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [pid])
        found: str | None = cursor.fetchone()[0]
        return found


def _step(event: LoggedEvent) -> str:
    step: str = event.after.dataset["00741204"]["Value"][0]
    return step


def _by_workitem(steps: Steps) -> dict[str, list[str]]:
    found = defaultdict(list)
    for uid, step in steps:
        found[uid].append(step)
    return found


LENGTH, NEW = 10_000, 10


@pytest.fixture
def long_log(db: None) -> None:
    """A log of many events, of which a few are not numbered yet."""
    dataset = datasets.dataset()
    Event.objects.bulk_create(
        [
            Event(
                position=number if number <= LENGTH else None,
                time="2026-01-05T08:00:00Z",
                workitem_uid=f"2.25.{number}",
                kind="CREATED",
                state_after="SCHEDULED",
                dataset=dataset if number > LENGTH - 100 else {},
            )
            for number in range(1, LENGTH + NEW + 1)
        ],
        batch_size=2_000,
    )
    Log.objects.update(position=LENGTH)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE upsrs_event")


def nodes(top: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield top
    for below in top.get("Plans", ()):
        yield from nodes(below)


def test_numbering_and_reading_cost_what_is_new_however_long_the_log_is(long_log):
    place = Place(events.place().log_id, LENGTH)
    acts = {
        "read": lambda: ask(numbering.LOOK_AND_READ.format(after=LENGTH - 50, limit=50)),
        "extent": events.extent,
        "missed": lambda: events.missed(Place(place.log_id, LENGTH - 50), until=LENGTH, limit=50),
        "depth": lambda: Event.objects.filter(position=None).count(),
        "number": number,
    }
    for name, act in acts.items():
        with CaptureQueriesContext(connection) as asked:
            act()
        on_the_log = [
            query["sql"]
            for query in asked
            if "upsrs_event" in query["sql"] and not query["sql"].startswith("EXPLAIN")
        ]
        assert on_the_log, name
        for sql in on_the_log:
            check_plan(name, sql)


def test_what_is_planned_once_for_many_costs_no_more(long_log):
    planned = numbering._Planned(50)
    ask(planned.prepare)
    ask("SET LOCAL plan_cache_mode = force_generic_plan")
    check_plan("read", planned.read(LENGTH - 50))
    check_plan("number", f"EXECUTE {planned.name}_number")


def ask(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def number() -> None:
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(numbering.TAKE_COUNTER)
        assert cursor.fetchone() == (str(LENGTH),)
        cursor.execute(numbering.NUMBER)
        assert cursor.rowcount == 1
        cursor.execute("SELECT position FROM upsrs_log")
        assert cursor.fetchone() == (LENGTH + NEW,)
        # The plan is asked of the same state again.
        transaction.set_rollback(True)


def check_plan(name: str, sql: str) -> None:
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(numbering.TAKE_COUNTER)
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".replace("%", "%%"), [])
        plan = cursor.fetchone()[0][0]["Plan"]
        transaction.set_rollback(True)
    found = [node for node in nodes(plan) if node.get("Relation Name") != "upsrs_log"]  # one row
    assert not [node for node in found if "Seq Scan" in node["Node Type"]], (name, found)
    touched = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in found
        if "Scan" in node["Node Type"]
    )
    assert 0 < touched <= 5 * 50, (name, touched, found)
