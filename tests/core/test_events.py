"""The log as its readers meet it."""

from __future__ import annotations

import logging

import pytest

from upsrs import events
from upsrs.dicom.changes import Kind
from upsrs.models import Event

pytestmark = pytest.mark.django_db


def test_what_a_newer_server_has_logged_stops_no_reader(make_workitem, caplog, monkeypatch):
    """During an upgrade two versions share a log, and one of them knows kinds that the other does not."""
    monkeypatch.setattr(events, "_unknown_kinds", set())
    for _ in range(3):
        make_workitem()
    events.number()
    Event.objects.filter(position__lte=2).update(kind="DEFERRED")
    with caplog.at_level(logging.WARNING, logger="upsrs.events"):
        heard = events.read_on(0, 10)[2] + events.read_on(0, 10)[2]
    assert [event.kind for event in heard[:3]] == [Kind.UPDATED, Kind.UPDATED, Kind.CREATED]
    [said] = caplog.messages
    assert "DEFERRED" in said
