"""What the environment may say, and what the portal makes of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import environment
from tests.live.server import CHECKOUT, OURS


@pytest.mark.parametrize("word", ["1", "true", "YES", " on "])
def test_a_flag_says_yes(monkeypatch, word):
    monkeypatch.setenv("A_FLAG", word)
    assert environment.flag("A_FLAG") is True


@pytest.mark.parametrize("word", ["0", "false", "No", "off", ""])
def test_a_flag_says_no(monkeypatch, word):
    monkeypatch.setenv("A_FLAG", word)
    assert environment.flag("A_FLAG", default=True) is False


def test_a_flag_that_is_not_set_is_its_default(monkeypatch):
    monkeypatch.delenv("A_FLAG", raising=False)
    assert environment.flag("A_FLAG", default=True) is True
    assert environment.flag("A_FLAG") is False


def test_a_word_that_is_no_flag_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("A_FLAG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="A_FLAG must be one of"):
        environment.flag("A_FLAG")


def test_a_number_is_whole(monkeypatch):
    monkeypatch.setenv("A_NUMBER", "12")
    assert environment.number("A_NUMBER", 3) == 12
    monkeypatch.setenv("A_NUMBER", "")
    assert environment.number("A_NUMBER", 3) == 3
    monkeypatch.setenv("A_NUMBER", "1.5")
    with pytest.raises(ImproperlyConfigured, match="A_NUMBER"):
        environment.number("A_NUMBER", 3)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("UPSRS_MAX_SOCKETS_PER_USER", "100", 100),
        ("UPSRS_POLL_SECONDS", "0.25", 0.25),
        ("UPSRS_LOGIN_SECONDS", "2", 2.0),
        ("UPSRS_SUBSCRIPTION_TTL_SECONDS", "0.5", 0.5),
        ("UPSRS_FAST_LANE", "no", False),
        ("UPSRS_POLICY", " portal.policy.Worklists ", "portal.policy.Worklists"),
        ("UPSRS_FALLBACK_AE_TITLES", "AI1, AI2", ["AI1", "AI2"]),
    ],
)
def test_each_setting_of_the_worklist_may_be_given(monkeypatch, name, given, value):
    monkeypatch.setenv(name, given)
    assert environment.worklist() == {name: value}
    monkeypatch.setenv(name, "")
    assert environment.worklist() == {}


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("UPSRS_MAX_SOCKETS_PER_USER", "many", "must be a whole number"),
        ("UPSRS_MAX_SOCKETS_PER_USER", "-1", "must be a whole number"),
        ("UPSRS_POLL_SECONDS", "1e3", "must be a number, like"),
        ("UPSRS_FAST_LANE", "perhaps", "must be one of"),
        ("UPSRS_MAX_FRAME_BYTES", "0", "must be a whole number, above 0"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(monkeypatch, name, given, sentence):
    monkeypatch.setenv(name, given)
    with pytest.raises(ImproperlyConfigured, match=f"{name} {sentence}"):
        environment.worklist()


def test_a_list_has_commas(monkeypatch):
    monkeypatch.setenv("A_LIST", " portal.example, ris.example ,")
    assert environment.words("A_LIST", []) == ["portal.example", "ris.example"]
    monkeypatch.setenv("A_LIST", "")
    assert environment.words("A_LIST", ["default"]) == ["default"]


@pytest.mark.parametrize(
    ("given", "prefix"), [("", None), ("/", None), ("ris", "/ris"), ("/ris/portal/", "/ris/portal")]
)
def test_a_path_prefix_has_one_leading_slash(monkeypatch, given, prefix):
    monkeypatch.setenv("A_PREFIX", given)
    assert environment.path_prefix("A_PREFIX") == prefix


def test_a_given_key_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("A_KEY", "given")
    assert environment.secret_key("A_KEY", debug=False, kept_in=tmp_path / "key") == "given"


def test_a_checkout_makes_one_key_of_its_own_and_keeps_it_to_itself(monkeypatch, tmp_path):
    monkeypatch.delenv("A_KEY", raising=False)
    path = tmp_path / "key"
    first = environment.secret_key("A_KEY", debug=True, kept_in=path)
    assert len(first) >= 50
    assert environment.secret_key("A_KEY", debug=True, kept_in=path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_who_comes_second_takes_the_key_of_the_first(monkeypatch, tmp_path):
    monkeypatch.delenv("A_KEY", raising=False)
    path = tmp_path / "key"
    real = os.link

    def somebody_was_faster(source, target):
        path.write_text("of the first")
        real(source, target)

    monkeypatch.setattr(os, "link", somebody_was_faster)
    assert environment.secret_key("A_KEY", debug=True, kept_in=path) == "of the first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_checkout_that_cannot_be_written_still_starts(monkeypatch, tmp_path):
    monkeypatch.delenv("A_KEY", raising=False)
    nowhere = tmp_path / "not there" / "key"
    first = environment.secret_key("A_KEY", debug=True, kept_in=nowhere)
    assert first != environment.secret_key("A_KEY", debug=True, kept_in=nowhere)


def test_a_socket_directory_as_a_host_keeps_its_capitals():
    found = environment.database("postgres://user:@%2Frun%2FMy%20PG%2FSock/the%20db", pool_size=7)
    assert found["HOST"] == "/run/My PG/Sock"
    assert found["USER"] == "user"
    assert found["PASSWORD"] == ""
    assert found["NAME"] == "the db"
    assert found["PORT"] == ""


def test_postgresql_gets_a_pool_that_tests_its_connections():
    found = environment.database("postgresql://u:p@db.example:5433/upsrs", pool_size=7)
    assert found["OPTIONS"]["pool"]["max_size"] == 7
    assert found["CONN_HEALTH_CHECKS"] is True
    assert found["CONN_MAX_AGE"] == 0, "Django's pool takes no persistent connections"


def test_no_pool_behind_a_pooler():
    found = environment.database("postgresql://u:p@bouncer.example/upsrs", pool_size=0)
    assert "pool" not in found["OPTIONS"]


def test_sqlite_waits_for_its_turn_and_syncs_each_commit():
    options = environment.database("sqlite:////var/lib/portal/db.sqlite3", pool_size=7)["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] == 20
    assert "journal_mode=WAL" in options["init_command"]
    assert "synchronous=FULL" in options["init_command"]


def test_the_url_has_the_last_word_on_an_option():
    assert environment.database("sqlite:///x?timeout=5", pool_size=0)["OPTIONS"]["timeout"] == 5
    found = environment.database("postgres://u:@h/d?connect_timeout=3", pool_size=0)
    assert found["OPTIONS"]["connect_timeout"] == 3


def test_without_redis_the_layer_is_memory():
    assert environment.channel_layer("") == {"BACKEND": "channels.layers.InMemoryChannelLayer"}


async def test_the_redis_layer_waits_longer_than_redis_does_and_has_room():
    from channels_redis.core import RedisChannelLayer

    layer = RedisChannelLayer(**environment.channel_layer("redis://redis.example:6390/3")["CONFIG"])
    pool = layer.create_pool(0)
    assert pool.connection_kwargs["host"] == "redis.example"
    assert pool.connection_kwargs["db"] == 3
    assert pool.max_connections == 10_000
    connection = pool.make_connection()
    assert connection.socket_timeout is None, "an idle wait must not end in a time-out"
    assert connection.socket_keepalive is True, "a peer that vanished must be found"


def start(**variables):
    """Start Django in a process of its own, with these variables only."""
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(
        [sys.executable, "manage.py", "diffsettings", "--all"],
        cwd=CHECKOUT,
        env=env | {"DJANGO_SETTINGS_MODULE": "portal.settings"} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_with_debug_off_and_no_key_it_refuses_to_start_with_a_sentence():
    done = start(DEBUG="0")
    assert done.returncode != 0
    assert "SECRET_KEY is not set: with DEBUG off the portal does not start" in done.stderr


def test_with_nothing_set_it_starts_with_its_own_file_and_only_for_this_machine():
    done = start()
    assert done.returncode == 0, done.stderr
    assert str(CHECKOUT / "db.sqlite3") in done.stdout
    assert "ALLOWED_HOSTS = ['.localhost', '127.0.0.1', '[::1]']" in done.stdout
    assert "DEBUG = True" in done.stdout
    assert "SECURE_SSL_REDIRECT = False" in done.stdout
    assert "SECURE_PROXY_SSL_HEADER = None" in done.stdout


def test_what_is_set_is_taken():
    done = start(
        DEBUG="0",
        SECRET_KEY="k" * 50,
        ALLOWED_HOSTS="portal.example",
        CSRF_TRUSTED_ORIGINS="https://portal.example",
        TIME_ZONE="Europe/Vienna",
        SECURE_SSL_REDIRECT="1",
        SECURE_COOKIES="1",
        SECURE_HSTS_SECONDS="3600",
        TRUST_PROXY_HEADERS="1",
        PATH_PREFIX="ris",
    )
    assert done.returncode == 0, done.stderr
    for line in (
        "ALLOWED_HOSTS = ['portal.example']",
        "CSRF_COOKIE_SECURE = True",
        "CSRF_TRUSTED_ORIGINS = ['https://portal.example']",
        "DEBUG = False",
        "FORCE_SCRIPT_NAME = '/ris'",
        "SECURE_HSTS_SECONDS = 3600",
        "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')",
        "SECURE_SSL_REDIRECT = True",
        "SESSION_COOKIE_SECURE = True",
        "TIME_ZONE = 'Europe/Vienna'",
        "USE_X_FORWARDED_HOST = True",
    ):
        assert line in done.stdout, line
