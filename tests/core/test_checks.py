"""Each check has its id, and is silent where nothing is wrong."""

from __future__ import annotations

import inspect
import re

import pytest
from django.core.checks import run_checks
from django.db import connections

from tests.live.server import CHECKOUT
from upsrs import checks


def ids(found):
    return [message.id for message in found]


@pytest.mark.django_db  # the newest Django asks the database
def test_this_portal_passes():
    assert [found for found in ids(run_checks()) if found.startswith("upsrs.")] == []


def test_another_database_is_refused_with_a_sentence(monkeypatch):
    monkeypatch.setattr(connections["default"], "vendor", "mysql")
    (error,) = checks.check_database()
    assert error.id == "upsrs.E001"
    assert "PostgreSQL and SQLite" in error.msg


@pytest.mark.skipif("connections['default'].vendor != 'sqlite'", reason="about SQLite")
def test_deferred_transactions_on_sqlite_are_warned_of(monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {})
    assert ids(checks.check_database()) == ["upsrs.W002"]


class OfTheWorklist:
    def db_for_write(self, model, **hints):
        return "worklist" if model._meta.app_label == "upsrs" else None


def test_users_where_no_foreign_key_reaches_are_refused(settings):
    settings.DATABASE_ROUTERS = [OfTheWorklist()]
    (error,) = checks.check_one_database()
    assert error.id == "upsrs.E009"


def test_a_policy_that_cannot_be_imported_is_told(settings):
    settings.UPSRS_POLICY = "nowhere.Policy"
    assert ids(checks.check_settings()) == ["upsrs.E004"]


class DecidesNothing:
    def may(self, user, action):
        return True


def test_a_policy_that_lacks_an_answer_is_told(settings):
    settings.UPSRS_POLICY = f"{__name__}.DecidesNothing"
    (error,) = checks.check_settings()
    assert error.id == "upsrs.E011"
    assert "may" not in error.msg
    assert "sight" in error.msg


def test_a_log_kept_shorter_than_subscriptions_wait_is_warned_of(settings):
    settings.UPSRS_LOG_RETENTION_SECONDS = 60
    assert ids(checks.check_settings()) == ["upsrs.W005"]


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        (["redis://localhost"], ["upsrs.W006"]),
        ([{"address": "redis://localhost"}], ["upsrs.W006"]),
        ([{"address": "redis://localhost", "socket_timeout": None}], []),
    ],
)
def test_a_redis_that_gives_up_on_silence_is_warned_of(settings, hosts, found):
    layer = {"BACKEND": checks.REDIS_LAYER, "CONFIG": {"hosts": hosts}}
    settings.CHANNEL_LAYERS = {"default": layer}
    assert ids(checks.check_channel_layer()) == found


@pytest.mark.skipif("connections['default'].vendor != 'sqlite'", reason="about SQLite")
def test_one_process_is_said_to_be_one():
    assert ids(checks.check_one_process()) == ["upsrs.W007"]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"ALLOWED_HOSTS": ["*"]}, ["upsrs.W012"]),
        ({"CSRF_TRUSTED_ORIGINS": ["http://a.example"]}, []),
        (
            {"CSRF_TRUSTED_ORIGINS": ["http://a.example"], "SESSION_COOKIE_SECURE": True},
            ["upsrs.W013"],
        ),
        ({"USE_X_FORWARDED_HOST": True}, ["upsrs.W014"]),
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, ["upsrs.W014"]),
        ({"UPSRS_TRUSTED_PROXIES": 1}, ["upsrs.W015"]),
        (
            {
                "UPSRS_TRUSTED_PROXIES": 1,
                "USE_X_FORWARDED_HOST": True,
                "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
            },
            [],
        ),
    ],
)
def test_hosts_and_proxies_that_do_not_fit_are_warned_of(settings, changed, found):
    settings.ALLOWED_HOSTS = ["portal.example"]
    for name, value in changed.items():
        setattr(settings, name, value)
    assert ids(checks.check_hosts() + checks.check_proxies()) == found


def test_every_id_is_documented():
    operations = (CHECKOUT / "docs/operations.md").read_text()
    given = set(re.findall(r'id="(upsrs\.\w+)"', inspect.getsource(checks)))
    assert given == set(re.findall(r"^\| `(upsrs\.[EW]\d+)`", operations, re.MULTILINE))
