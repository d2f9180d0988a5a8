"""The log against a model of it: whatever interleaves, each reader hears what was committed, in order.

Hypothesis interleaves changes, commits, rollbacks, kills, numbering, readings, returns, purges and
restored backups; one process may stand still, or die, with the log's counter in its hand. The
model knows only what was committed, in which order. On PostgreSQL several transactions are open at
once; SQLite has one writer.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, connections, transaction
from hypothesis import given, settings, strategies as st

from tests import datasets
from upsrs import events, workitems
from upsrs.events import LogLost, Place
from upsrs.models import AuditRecord, Event, Log, Workitem, WorkitemKey
from upsrs.reader import Reader

pytestmark = pytest.mark.django_db(transaction=True)

ALIAS = "default"
FAR_AWAY = datetime(2999, 1, 1, tzinfo=UTC)

Step = tuple[str, str]
"""A workitem, and its Procedure Step Label from then on."""


def new_connection() -> Any:
    """A connection of its own, as another process has."""
    fresh = connections.create_connection(ALIAS)
    options = {**fresh.settings_dict["OPTIONS"]}
    options.pop("pool", None)
    fresh.settings_dict = {**fresh.settings_dict, "OPTIONS": options}
    return fresh


@contextlib.contextmanager
def through(other: Any) -> Iterator[None]:
    """What is done in the block is done by the process that has this connection."""
    own = connections[ALIAS]
    connections[ALIAS] = other
    try:
        yield
    finally:
        connections[ALIAS] = own


@dataclass
class Writer:
    connection: Any = field(default_factory=new_connection)
    block: Any = None
    """Its open transaction."""
    steps: list[Step] = field(default_factory=list)


class Frozen(threading.Thread):
    """A process that numbers within a transaction of its own, and stands still before it commits."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stands, self.may_go_on = threading.Event(), threading.Event()
        self.dies = False
        self.start()
        assert self.stands.wait(10)

    def run(self) -> None:
        with transaction.atomic(using=ALIAS):
            events.number()
            self.stands.set()
            self.may_go_on.wait(10)
            transaction.set_rollback(self.dies, using=ALIAS)
        connections.close_all()

    def end(self, *, dies: bool) -> None:
        self.dies = dies
        self.may_go_on.set()
        self.join()


class Subscriber:
    """Hears the log as a hub's reader does, or, coming back, as who catches up."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.connection = new_connection()
        with through(self.connection):
            self.place = events.numbered_place()

    def read(self) -> None:
        """As the hub's reader, until nothing is left."""
        reader = Reader(self.place, hand_on=self._take, lost=lambda: None)
        with through(self.connection):
            if not reader._read_on():
                self._start_afresh()

    def come_back(self, page: int) -> None:
        """As who was away: page by page, up to where the log stands now."""
        with through(self.connection):
            until = events.numbered_place()
            try:
                if self.place.log_id != until.log_id:
                    raise LogLost
                while self.place.position < until.position:
                    found, end = events.missed(self.place, until=until.position, limit=page)
                    self._take(found)
                    assert self.place.position == end, "a gap"
            except LogLost:
                self._start_afresh()

    def _take(self, page: list[events.LoggedEvent]) -> None:
        for event in page:
            assert event.position == self.place.position + 1, "a gap or a double"
            self.place = Place(self.place.log_id, event.position)
            self.model.heard(event.position, (event.workitem_uid, step_of(event.after.dataset)))

    def _start_afresh(self) -> None:
        """It was told that it has missed something: it must be so."""
        model = self.model
        assert self.place.position < model.purged or self.place.log_id != model.log_id
        self.place = events.numbered_place()


def step_of(dataset: datasets.JSONDataset) -> str:
    return dataset["00741204"]["Value"][0]


class Model:
    """What was committed, and who does what to the log. An act that cannot be just now is none."""

    def __init__(self) -> None:
        for table in (Event, WorkitemKey, Workitem, AuditRecord):
            table._base_manager.all()._raw_delete(ALIAS)
        Log.objects.update_or_create(pk=1, defaults={"position": 0})
        self.log_id = events.place().log_id
        self.purged = 0
        self.counted = 0
        self.committed: list[Step] = []
        self.told: dict[int, Step] = {}
        """Position → what some subscriber heard there: all must hear the same."""
        self.frozen: Frozen | None = None
        self.writers = [Writer() for _ in range(3)]
        self.subscribers = [Subscriber(self) for _ in range(3)]

    def heard(self, position: int, step: Step) -> None:
        assert self.told.setdefault(position, step) == step, (
            "two subscribers heard different things"
        )

    # What writers do

    def change(self, nth: int, pick: int) -> None:
        self._change(nth, pick, undone=False)

    def change_in_vain(self, nth: int, pick: int) -> None:
        """In a savepoint that is rolled back."""
        self._change(nth, pick, undone=True)

    def _change(self, nth: int, pick: int, *, undone: bool) -> None:
        """Create a workitem, or change it, unless somebody else has it locked."""
        writer = self.writers[nth]
        others = [one for one in self.writers if one is not writer and one.block]
        uid = f"2.25.{pick + 1}"
        if uid in {locked for one in others for locked, _ in one.steps}:
            return
        if others and connection.vendor == "sqlite":
            return
        self.counted += 1
        step = str(self.counted)
        with through(writer.connection):
            if writer.block is None:
                writer.block = transaction.atomic(using=ALIAS)
                writer.block.__enter__()
            with transaction.atomic(using=ALIAS):
                if uid in {known for known, made in self.committed + writer.steps if made}:
                    label = datasets.elements(ProcedureStepLabel=step)
                    workitems.update(None, uid, label)
                else:
                    made = datasets.dataset(SOPInstanceUID=uid, ProcedureStepLabel=step)
                    workitems.create_many(None, [made])
                if undone:
                    transaction.set_rollback(True, using=ALIAS)
        # Undone, it has the row locked all the same.
        writer.steps.append((uid, "" if undone else step))

    def commit(self, nth: int, _: int) -> None:
        writer = self.writers[nth]
        if self._end(writer, rolls_back=False):
            self.committed += [(uid, step) for uid, step in writer.steps if step]
        writer.steps = []

    def roll_back(self, nth: int, _: int) -> None:
        self._end(self.writers[nth], rolls_back=True)
        self.writers[nth].steps = []

    def _end(self, writer: Writer, *, rolls_back: bool) -> bool:
        if writer.block is None:
            return False
        with through(writer.connection):
            transaction.set_rollback(rolls_back, using=ALIAS)
            writer.block.__exit__(None, None, None)
        writer.block = None
        return True

    def kill(self, nth: int, _: int) -> None:
        """As kill -9: the database notices that the line is gone."""
        if self.writers[nth].block:
            self.writers[nth].connection.connection.close()
            self.writers[nth] = Writer()

    # What readers do

    def read(self, nth: int, _: int) -> None:
        if not self.frozen:  # a hub's reader waits until the counter is free
            self.subscribers[nth].read()

    def come_back(self, nth: int, page: int) -> None:
        if not self.frozen:
            self.subscribers[nth].come_back(page + 1)

    def number(self, nth: int, _: int) -> None:
        with through(self.subscribers[nth].connection):
            _, all_numbered = events.number()
            # Held by who is frozen, the counter is waited for by nobody.
            assert all_numbered or self.frozen

    def freeze(self, _nth: int, _: int) -> None:
        if not self.frozen and connection.vendor == "postgresql":
            self.frozen = Frozen()

    def go_on(self, nth: int, _: int) -> None:
        if self.frozen:
            self.frozen.end(dies=nth == 0)
            self.frozen = None

    # What administrators do

    def _may_administer(self) -> bool:
        if connection.vendor == "sqlite":
            return not any(one.block for one in self.writers)
        return not self.frozen

    def purge(self, nth: int, _: int) -> None:
        if not self._may_administer():
            return
        positions = events.old(FAR_AWAY, after=0, limit=nth + 1)
        if positions:
            self._look_at(positions[0], positions[-1])
            assert events.remove(positions) == len(positions)
            self.purged = positions[-1]

    def _look_at(self, first: int, last: int) -> None:
        for event in events.read_on(first - 1, last - first + 1)[2]:
            self.heard(event.position, (event.workitem_uid, step_of(event.after.dataset)))

    def restore_a_backup(self, _nth: int, _: int) -> None:
        if self._may_administer():
            self.log_id = uuid.uuid4()
            Log.objects.update(log_id=self.log_id)

    # The verdict

    def conclude(self) -> None:
        self.go_on(0, 0)
        for nth in range(3):
            self.commit(nth, 0)
        for subscriber in self.subscribers:
            subscriber.read()
            assert subscriber.place.position == len(self.committed)
        self._look_at(self.purged + 1, len(self.committed))
        in_order = [self.told[position] for position in sorted(self.told)]
        assert sorted(self.told) == list(range(1, len(self.committed) + 1))
        assert by_workitem(in_order) == by_workitem(self.committed)

    def close(self) -> None:
        if self.frozen:
            self.frozen.end(dies=True)
        for one in (*self.writers, *self.subscribers):
            if one.connection.connection is not None:
                one.connection.connection.close()


def by_workitem(steps: list[Step]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for uid, step in steps:
        found[uid].append(step)
    return found


OFTEN = ["change", "change", "change", "commit", "commit", "read", "number", "come_back"]
SELDOM = ["change_in_vain", "roll_back", "kill", "freeze", "go_on", "purge", "restore_a_backup"]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.randoms(use_true_random=True))
def test_whatever_interleaves_each_hears_what_was_committed_in_order(chance):
    model = Model()
    try:
        for name in chance.choices(OFTEN * 2 + SELDOM, k=80):
            getattr(model, name)(chance.randrange(3), chance.randrange(4))
        model.conclude()
    finally:
        model.close()
