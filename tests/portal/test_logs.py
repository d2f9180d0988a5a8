"""No query in a log line, whoever wrote it."""

from __future__ import annotations

import logging
import sys

import pytest
from django.conf import settings

from portal.logs import AccessLog, WithoutQueries

SECRET = "2.25.999"


def line(message, *arguments, error=None):
    record = logging.LogRecord("any", logging.INFO, __file__, 1, message, arguments, error)
    return WithoutQueries("%(levelname)s %(message)s").format(record)


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        # django.server, under runserver
        (
            '"%s" %s %s',
            (f"PUT /ups-rs/workitems/1/state?transaction-uid={SECRET} HTTP/1.1", "200", "0"),
            'INFO "PUT /ups-rs/workitems/1/state HTTP/1.1" 200 0',
        ),
        # django.channels.server, under daphne's runserver
        (
            "HTTP %(method)s %(path)s %(status)s",
            ({"method": "GET", "path": f"/ups-rs/workitems?PatientName={SECRET}", "status": 200},),
            "INFO HTTP GET /ups-rs/workitems 200",
        ),
        # daphne.server, of an application that does not end
        (
            "Application instance %r for connection %s took too long to shut down",
            ("<Task>", f"<WebRequest at 0x7f method=GET uri=/x?{SECRET} clientproto=HTTP/1.1>"),
            "INFO Application instance '<Task>' for connection <WebRequest at 0x7f method=GET "
            "uri=/x clientproto=HTTP/1.1> took too long to shut down",
        ),
        # a quotation mark in the query does not end it
        ("GET /x?a=%s'\"%s end", ("Doe", SECRET), "INFO GET /x end"),
        # a whole address, a query with slashes and question marks
        ("see https://host.example/x?a=/b?%s", (SECRET,), "INFO see https://host.example/x"),
        ("two: /a?%s /b?%s", (SECRET, SECRET), "INFO two: /a /b"),
    ],
)
def test_a_query_is_cut_off_its_path(message, arguments, expected):
    assert line(message, *arguments) == expected


def test_a_line_without_a_query_stays_as_it_is():
    text = "Is this all? 5/7 of it: /ups-rs/workitems done."
    assert line(text) == f"INFO {text}"


def test_a_traceback_has_no_query_either():
    try:
        raise ValueError(f"no route for /ups-rs/workitems?{SECRET}")
    except ValueError:
        found = line("failed", error=sys.exc_info())
    assert "no route for /ups-rs/workitems" in found
    assert SECRET not in found


def test_every_logger_of_the_portal_goes_through_it():
    """Handlers that Django gives its own loggers would print, or mail, whole requests."""
    config = settings.LOGGING
    assert {handler["formatter"] for handler in config["handlers"].values()} == {"line"}
    assert config["formatters"]["line"]["()"] == "portal.logs.WithoutQueries"
    for name in ("django", "django.request", "django.server", "django.security", "daphne"):
        assert logging.getLogger(name).handlers == [], name
        assert logging.getLogger(name).propagate, name


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="portal.access")
    return caplog


async def test_a_request_is_logged_with_its_path_and_status(said):
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 409})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/ups-rs/workitems/1 \n2/state",
        "query_string": f"transaction-uid={SECRET}".encode(),
        "client": ["192.0.2.7", 4711],
    }
    await AccessLog(application)(scope, None, send)
    assert sent == [{"type": "http.response.start", "status": 409}]
    [entry] = said.messages
    assert entry.startswith("192.0.2.7 PUT /ups-rs/workitems/1%20%0A2/state 409 ")
    assert SECRET not in entry


async def test_a_request_that_fails_is_logged_and_fails(said):
    async def application(scope, receive, send):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        await AccessLog(application)({"type": "http", "method": "GET", "path": "/"}, None, None)
    [entry] = said.messages
    assert entry.startswith("- GET / gone ")


async def test_a_socket_is_logged_at_both_ends_and_sends_straight(said):
    async def send(message):
        raise AssertionError("nothing is sent")

    async def application(scope, receive, given):
        assert given is send, "the sockets look behind it for back-pressure"
        assert len(said.messages) == 1

    scope = {"type": "websocket", "path": "/ups-rs/workitems/subscription", "query_string": b"x"}
    await AccessLog(application)(scope, None, send)
    assert said.messages[0] == "- SOCKET /ups-rs/workitems/subscription"
    assert said.messages[1].startswith("- SOCKET /ups-rs/workitems/subscription ended after 0 s")


async def test_other_protocols_pass(said):
    seen = []

    async def application(scope, receive, send):
        seen.append(scope)

    await AccessLog(application)({"type": "lifespan"}, None, None)
    assert seen == [{"type": "lifespan"}]
    assert said.messages == []
