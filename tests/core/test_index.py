"""The index: whom an event concerns, and whom it does not even look at."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from upsrs.dicom.changes import Kind
from upsrs.dicom.matching import Keys, Snapshot, snapshot as dicom_snapshot
from upsrs.events import LoggedEvent
from upsrs.index import Index


def snapshot(state="SCHEDULED", label="AI", stations=("CT1",), performers=()):
    return Snapshot(state, label, stations, performers, {})


def event(before, after):
    return LoggedEvent(1, datetime.now(UTC), Kind.UPDATED, "2.25.1", before, after, None)


def groups(index, before, after):
    return [group for _, group in index.concerned(event(before, after))]


def who(index, before, after):
    return {member for group in groups(index, before, after) for member in group}


@pytest.fixture
def index():
    index = Index()
    for member, keys in {
        "all": {},
        "ai": {"label": "AI"},
        "a*": {"label": "A*"},
        "ct1": {"station": "CT1", "label": "AI"},
        "mr1": {"station": "MR1"},
        "scheduled": {"state": "SCHEDULED"},
        "claimed": {"performer": "X"},
    }.items():
        index.add(Keys(keys, {}), member)
    return index


def test_what_matches_before_or_after_is_concerned(index):
    found = who(index, snapshot(), snapshot(state="IN PROGRESS", performers=("X",)))
    assert found == {"all", "ai", "a*", "ct1", "scheduled", "claimed"}


def test_a_creation_has_no_before(index):
    assert who(index, None, snapshot(label="CT", stations=())) == {"all", "scheduled"}


def test_equal_keys_are_matched_once_and_forgotten_with_the_last(index):
    index.add(Keys({"label": "AI"}, {}), "another")
    assert {"ai", "another"} <= who(index, None, snapshot())
    index.discard(Keys({"label": "AI"}, {}), "ai")
    index.discard(Keys({"label": "AI"}, {}), "another")
    index.discard(Keys({"label": "AI"}, {}), "another")
    assert not {"ai", "another"} & who(index, None, snapshot())


def test_an_event_looks_only_at_those_who_share_a_value_with_it(monkeypatch):
    index = Index()
    for number in range(1_000):
        index.add(Keys({"station": f"S{number}"}, {}), number)
    asked = []
    match = Keys.match
    monkeypatch.setattr(Keys, "match", lambda keys, s: asked.append(keys) or match(keys, s))
    assert who(index, None, snapshot(stations=("S7",))) == {7}
    assert len(asked) == 1


def test_who_leaves_because_of_an_event_disturbs_nobody(index):
    for group in groups(index, None, snapshot()):
        for member in group:
            index.discard(Keys({"label": "AI"}, {}), member)


def test_keys_in_the_words_of_dicom_are_filed_as_those_of_every_day(monkeypatch):
    index = Index()
    for number in range(1_000):
        keys = {"00741202": f"L{number}"} if number % 2 else {"00404025.00080100": f"S{number}"}
        index.add(Keys({}, keys), number)
    asked = []
    match = Keys.match
    monkeypatch.setattr(Keys, "match", lambda keys, s: asked.append(keys) or match(keys, s))
    labelled = {"00741202": {"vr": "LO", "Value": ["L7"]}}
    item = {"00080100": {"vr": "SH", "Value": ["S8"]}}
    stationed = {"00404025": {"vr": "SQ", "Value": [item]}}
    after = dicom_snapshot({**labelled, **stationed})
    assert who(index, None, after) == {7, 8}
    assert len(asked) == 2


def test_who_follows_one_workitem_is_found_by_its_uid():
    index = Index()
    index.add_uid("2.25.1", "one")
    index.add_uid("2.25.1", "another")
    index.add_uid("2.25.2", "other")
    assert set(index.following("2.25.1")) == {"one", "another"}
    index.discard_uid("2.25.1", "one")
    index.discard_uid("2.25.1", "one")
    assert index.following("2.25.1") == ("another",)
    assert index.following("2.25.3") == ()


def test_an_odd_value_keeps_the_event_from_nobody_else(index, monkeypatch):
    match = Keys.match

    def odd(keys, s):
        if dict(keys.everyday).get("label") == "A*":
            raise OverflowError("with a value in it")
        return match(keys, s)

    monkeypatch.setattr(Keys, "match", odd)
    assert "ai" in who(index, None, snapshot())
