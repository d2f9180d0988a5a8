"""The doctor says in sentences what is wrong, what to do, and by its exit code whether it is serious.

That a wake-up comes back through a real Redis, and a socket through a proxy, is proven in
``tests/live``.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from tests.live.parts import free_port
from upsrs import doctor, instants, subscriptions
from upsrs.doctor import Severity
from upsrs.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def on_a_server(settings):
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["portal.example"]


def wrong(subject, **options):
    """What is found wrong with one subject; there must be something to do about it."""
    found = [
        finding
        for finding in doctor.examine(**options)
        if finding.subject == subject and finding.severity != Severity.OK
    ]
    assert all(finding.remedy for finding in found)
    return [(finding.severity, finding.says) for finding in found]


def redis_at(port):
    host = {"address": f"redis://127.0.0.1:{port}", "socket_timeout": None}
    config = {"hosts": [host]}
    return {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": config}}


def test_a_healthy_installation_is_said_to_be_so(capsys):
    call_command("upsrs_doctor", "--json")
    found = json.loads(capsys.readouterr().out)
    subjects = {finding["subject"] for finding in found}
    assert subjects == {"settings", "hosts", "database", "clock", "log", "layer"}
    assert not [finding for finding in found if finding["severity"] == "error"]
    call_command("upsrs_doctor")
    said = capsys.readouterr().out
    assert "all migrations are applied" in said
    assert "portal.example" in said


def test_a_redis_that_is_away_is_an_error(settings, capsys):
    settings.CHANNEL_LAYERS = redis_at(free_port())
    with pytest.raises(SystemExit) as ended:
        call_command("upsrs_doctor")
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "does not bring a wake-up back" in said
    assert "See that Redis runs" in said


def test_no_layer_is_said_to_cost_time(settings):
    settings.CHANNEL_LAYERS = {}
    ((severity, says),) = wrong("layer")
    assert severity == Severity.WARNING
    assert "polling" in says


def test_memory_for_several_processes_is_warned_of(monkeypatch):
    monkeypatch.setattr(subscriptions, "live_servers", lambda: [1, 2])
    ((severity, says),) = wrong("layer")
    assert severity == Severity.WARNING
    assert "2 server processes" in says


def test_a_missing_migration_is_an_error_and_nothing_is_asked_of_its_tables(monkeypatch):
    recorder = MigrationRecorder(connection)
    latest = max(name for app, name in recorder.applied_migrations() if app == "upsrs")
    recorder.record_unapplied("upsrs", latest)
    found = list(doctor.examine())
    (error,) = (finding for finding in found if finding.severity == Severity.ERROR)
    assert "1 migration to apply" in error.says
    assert "manage.py migrate" in error.remedy
    assert "log" not in {finding.subject for finding in found}


def test_a_database_that_is_away_is_an_error_in_our_own_words(monkeypatch):
    def refuse():
        raise OperationalError("could not connect with password=secret")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    ((severity, says),) = wrong("database")
    assert severity == Severity.ERROR
    assert says == "The database does not answer (OperationalError)."


def test_clocks_that_disagree_are_an_error():
    def ahead():
        return instants.now() + timedelta(seconds=30)

    ((severity, says),) = wrong("clock", clock=ahead)
    assert severity == Severity.ERROR
    assert "30.0 s apart" in says


def test_events_that_nobody_numbers_are_an_error_where_servers_run(monkeypatch):
    Event.objects.create(
        time=instants.now() - timedelta(minutes=1),
        workitem_uid="2.25.1",
        kind="CREATED",
        state_after="SCHEDULED",
        dataset={},
    )
    assert wrong("log") == []
    monkeypatch.setattr(subscriptions, "live_servers", lambda: [1])
    ((severity, says),) = wrong("log")
    assert severity == Severity.ERROR
    assert says.startswith("1 event ")


def test_a_log_that_nobody_purges_is_warned_of(make_workitem):
    make_workitem()
    assert wrong("log") == []
    Event.objects.update(time=instants.now() - timedelta(days=30))
    ((_, says),) = wrong("log")
    assert "UPSRS_LOG_RETENTION_SECONDS" in says


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="about SQLite")
def test_deferred_transactions_are_an_error(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    ((severity, says),) = wrong("database")
    assert severity == Severity.ERROR
    assert "database is locked" in says


@pytest.mark.parametrize(
    ("changed", "subject", "severity", "says"),
    [
        ({"DEBUG": True}, "hosts", Severity.WARNING, "DEBUG is on"),
        ({"ALLOWED_HOSTS": []}, "hosts", Severity.ERROR, "ALLOWED_HOSTS is empty"),
        ({"ALLOWED_HOSTS": ["*"]}, "settings", Severity.WARNING, "upsrs.W012"),
        ({"USE_X_FORWARDED_HOST": True}, "settings", Severity.WARNING, "upsrs.W014"),
        ({"UPSRS_POLL_SECONDS": "1"}, "settings", Severity.ERROR, "upsrs.E003"),
    ],
)
def test_settings_that_do_not_fit_are_told(settings, changed, subject, severity, says):
    for name, value in changed.items():
        setattr(settings, name, value)
    assert severity in {it for it, sentence in wrong(subject) if says in sentence}


def test_an_address_where_nobody_answers_is_an_error():
    finding = doctor.examine_address(f"http://127.0.0.1:{free_port()}/ups-rs")
    assert finding.severity == Severity.ERROR
    assert "ConnectionRefusedError" in finding.says
