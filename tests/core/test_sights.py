"""Sights: what a policy lets a user see is asked once, and is the same for rows and for events."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest

from tests import datasets
from upsrs import access
from upsrs.dicom import matching
from upsrs.dicom.changes import Kind
from upsrs.dicom.matching import Keys
from upsrs.events import LoggedEvent
from upsrs.listeners import Encoded, Follower, Subscriber
from upsrs.subscribers import Coverage, Roster

AI = (Keys({"label": "AI"}, {}),)
CT = (Keys({"label": "CT"}, {}),)


class Given:
    """A policy that lets the test say what is in sight."""

    keys: tuple[Keys, ...] = ()

    def may(self, user, action):
        return True

    def sight(self, user):
        return self.keys


@pytest.fixture
def sight_of(settings, monkeypatch):
    settings.UPSRS_POLICY = f"{__name__}.Given"

    def sight(*keys):
        monkeypatch.setattr(Given, "keys", keys)
        return access.sight(object())

    return sight


def test_equal_rights_are_equal_sights_whatever_their_order(sight_of):
    ai, ct = Keys({"label": "AI"}, {}), Keys({"label": "CT"}, {})
    assert sight_of(ai, ct) == sight_of(ct, ai, Keys({"label": "AI"}, {}))
    assert sight_of(ai) != sight_of(ct)


def test_who_sees_everything_beside_something_sees_everything(sight_of):
    assert sight_of(Keys({"label": "AI"}, {}), Keys({}, {})) == access.EVERYTHING
    assert sight_of() == access.NOTHING


def test_keys_that_say_more_than_their_patterns_make_no_sight(sight_of):
    with pytest.raises(AssertionError, match="plain"):
        sight_of(Keys({}, {"00741202": '""'}, empty_values=True))


# Events


def snapshot(label):
    return matching.snapshot(datasets.dataset(WorklistLabel=label, ProcedureStepState="SCHEDULED"))


def event(before, after):
    before = before and snapshot(before)
    return LoggedEvent(7, datetime.now(UTC), Kind.UPDATED, "2.25.1", before, snapshot(after), None)


def follower(sight, **wanted):
    return Follower(
        subscription_uid="2.25.2",
        connection_id=uuid.uuid4(),
        sight=sight,
        outlet=None,
        keys=Keys(wanted, {}),
    )


def heard(listener, happened):
    return [json.loads(b"".join(frame)) for frame in listener.frames(Encoded(happened))]


def test_the_keys_of_a_sight_are_asked_once_for_an_event_whoever_shares_it(monkeypatch):
    asked = []
    match = Keys.match
    monkeypatch.setattr(Keys, "match", lambda self, it: asked.append(self) or match(self, it))
    encoded = Encoded(event("AI", "AI"))
    for number in range(100):
        label = ("AI", "CT")[number % 2]
        follower((Keys({"label": label}, {}),)).frames(encoded)
    of_sights = [keys for keys in asked if keys.everyday]
    assert len(of_sights) == 4, "two sights, each before and after"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("AI", "AI", "whole"),
        ("AI", "CT", "uid"),
        ("CT", "AI", "whole"),
        ("CT", "CT", None),
        (None, "AI", "whole"),
        (None, "CT", None),
    ],
)
def test_an_event_is_told_as_far_as_the_sight_goes(before, after, told):
    messages = heard(follower(AI), event(before, after))
    assert len(messages) == bool(told)
    for message in messages:
        assert (message["eventType"], message["workitemUID"]) == ("UPDATED", "2.25.1")
        assert ("workitem" in message) == ("procedureStepState" in message) == (told == "whole")
        assert told == "whole" or "CT" not in json.dumps(message)


def test_who_matched_out_of_sight_and_does_not_match_any_more_hears_nothing():
    assert heard(follower(AI, label="CT"), event("CT", "AI")) == []


def subscriber(sight):
    return Subscriber(
        subscription_uid="2.25.2",
        connection_id=uuid.uuid4(),
        sight=sight,
        outlet=None,
        ae_title="AI1",
        roster=Roster({}, [Coverage(Keys({}, {}), False, 0, 0, None)]),
    )


def test_an_ae_hears_of_a_workitem_that_comes_into_sight_as_of_a_new_one():
    happened = event("CT", "AI")
    [report] = heard(subscriber(AI), happened)
    assert report["00001002"]["Value"] == [1], "a UPS State Report"
    assert heard(subscriber(CT), happened) == [], "and nothing of one that leaves it"
