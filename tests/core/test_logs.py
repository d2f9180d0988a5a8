"""Log lines for machines, with what belongs together under one id."""

from __future__ import annotations

import json
import logging
import sys

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
def test_delivery_is_logged_under_the_id_of_the_request(make_workitem, caplog):
    with coming_from("rest", {"HTTP_X_REQUEST_ID": "abc-1"}):
        workitem = make_workitem()
    event = Event.objects.get()
    assert event.correlation_id == "abc-1"
    with caplog.at_level(logging.INFO, "upsrs.handouts"):
        handouts.note(events.logged(event), 2)
    (record,) = caplog.records
    CorrelationFilter().filter(record)
    said = json.loads(JSONFormatter().format(record))
    assert said["correlation_id"] == "abc-1"
    assert (said["workitem_uid"], said["sockets"]) == (workitem.uid, 2)


def test_the_portals_lines_have_no_query():
    from portal.logs import JSONWithoutQueries

    said = line("GET /x?PatientName=Secret 200", formatter=JSONWithoutQueries())
    assert said["message"] == "GET /x 200"
