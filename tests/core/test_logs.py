"""Log lines for machines, with what belongs together under one id."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter

import pytest

from upsrs import events, handouts
from upsrs.logs import CorrelationFilter, JSONFormatter
from upsrs.models import Event
from upsrs.origin import coming_from


def line(message="done", *, formatter=None, **said):
    error = sys.exc_info() if sys.exc_info()[0] else None
    record = logging.LogRecord("any", logging.INFO, __file__, 1, message, None, error)
    vars(record).update(said)
    CorrelationFilter().filter(record)
    text = (formatter or JSONFormatter()).format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_is_an_object_and_has_the_id_of_its_request():
    with coming_from("rest", {"HTTP_X_REQUEST_ID": "abc-1"}):
        said = line("Äpfel\nund Birnen", position=3)
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "INFO",
        "logger": "any",
        "message": "Äpfel\nund Birnen",
        "correlation_id": "abc-1",
        "position": 3,
    }
    assert "correlation_id" not in line()


def test_what_a_record_says_itself_wins():
    with coming_from("rest", {"HTTP_X_REQUEST_ID": "abc-1"}):
        assert line(correlation_id="abc-2")["correlation_id"] == "abc-2"


def test_an_exception_is_in_the_line():
    try:
        raise KeyError("x")
    except KeyError:
        assert "KeyError" in line()["exception"]


@pytest.mark.django_db
def test_delivery_is_logged_under_the_id_of_the_request(make_workitem, caplog, monkeypatch):
    with coming_from("rest", {"HTTP_X_REQUEST_ID": "abc-1"}):
        workitem = make_workitem()
    event = Event.objects.get()
    assert event.correlation_id == "abc-1"
    with caplog.at_level(logging.INFO, "upsrs.handouts"):
        monkeypatch.setattr(handouts, "_lines", handouts._Lines())
        handouts.note(events.logged(event), 2)
    (record,) = caplog.records
    CorrelationFilter().filter(record)
    said = json.loads(JSONFormatter().format(record))
    assert said["correlation_id"] == "abc-1"
    assert (said["workitem_uid"], said["sockets"]) == (workitem.uid, 2)


@pytest.mark.django_db
def test_a_busy_second_is_a_few_lines_and_a_number(make_workitem, caplog, monkeypatch):
    make_workitem()
    event = events.logged(Event.objects.get())
    seconds = [100.0]
    monkeypatch.setattr(handouts, "_lines", handouts._Lines())
    monkeypatch.setattr(handouts.time, "monotonic", lambda: seconds[0])
    with caplog.at_level(logging.DEBUG, "upsrs.handouts"):
        for _ in range(500):
            handouts.note(event, 2)
        seconds[0] += 1
        handouts.note(event, 2)
    levels = Counter(record.levelname for record in caplog.records)
    assert levels == {"INFO": handouts.LINES_PER_SECOND + 2, "DEBUG": 490}, "each event has a line"
    assert caplog.messages[-2] == "490 more events were handed out: at DEBUG each has its line."


@pytest.mark.django_db
def test_what_nobody_heard_is_no_news(make_workitem, caplog):
    make_workitem()
    with caplog.at_level(logging.INFO, "upsrs.handouts"):
        handouts.note(events.logged(Event.objects.get()), 0)
    assert caplog.records == []


def test_the_portals_lines_have_no_query():
    from portal.logs import JSONWithoutQueries

    said = line("GET /x?PatientName=Secret 200", formatter=JSONWithoutQueries())
    assert said["message"] == "GET /x 200"
