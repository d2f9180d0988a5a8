"""What the environment says, in the words of Django's settings.

Knows the variables' forms, not their names: ``portal.settings`` asks. Imports no settings, so
that each rule can be tested on its own.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from upsrs.conf import Setting, every_setting

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"", "0", "false", "no", "off"})


def flag(name: str, *, default: bool = False) -> bool:
    """A variable that says yes or no; anything else is a mistake that must not pass as a no."""
    value = os.environ.get(name)
    if value is None:
        return default
    word = value.strip().lower()
    if word not in YES | NO:
        raise ImproperlyConfigured(f"{name} must be one of 1, true, yes, on, 0, false, no, off.")
    return word in YES


def number(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not value.isdecimal():
        raise ImproperlyConfigured(f"{name} must be a whole number.")
    return int(value)


def decimal(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise ImproperlyConfigured(f"{name} must be a number, like 2 or 0.5.")
    return float(text)


def words(name: str, default: list[str]) -> list[str]:
    """A list with commas between its members."""
    found = [word.strip() for word in os.environ.get(name, "").split(",")]
    return [word for word in found if word] or default


def worklist() -> dict[str, Any]:
    """Each setting of upsrs that the environment gives, as its default is: number, yes or no, text."""
    found: dict[str, Any] = {}
    for setting in every_setting():
        if not os.environ.get(setting.name, "").strip():
            continue
        value = found[setting.name] = _given(setting)
        if not setting.allows(value):
            raise ImproperlyConfigured(f"{setting.name} must be {setting.wanted}.")
    return found


def _given(setting: Setting[Any]) -> Any:
    name, default = setting.name, setting.default
    match default:
        case bool():
            return flag(name)
        case int() | float():
            return number(name, int(default)) if setting.is_whole else decimal(name, default)
        case str():
            return os.environ[name].strip()
    return words(name, [])


def path_prefix(name: str) -> str | None:
    """The path under which a proxy serves the portal, with the one leading slash it needs."""
    prefix = os.environ.get(name, "").strip().strip("/")
    return f"/{prefix}" if prefix else None


def secret_key(name: str, *, debug: bool, kept_in: Path) -> str:
    """The key that signs sessions: given, or in a checkout with DEBUG on a random one of its own."""
    key = os.environ.get(name, "")
    if key:
        return key
    if not debug:
        raise ImproperlyConfigured(
            f"{name} is not set: with DEBUG off the portal does not start without a key of its "
            f"own. Set {name} to a long random text and keep it secret."
        )
    return _development_key(kept_in)


def _development_key(path: Path) -> str:
    """A random key, made once for each checkout: never one that stands in a public repository.

    It is written beside its place and then linked there, which only the first of several
    processes can do: all of them read one key, and never half of it.
    """
    if not path.exists():
        try:
            handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        except OSError:
            # A checkout that cannot be written: sessions end with this process.
            return secrets.token_urlsafe(50)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    return path.read_text()


def database(url: str, *, pool_size: int) -> dict[str, Any]:
    """One entry of DATABASES. What the URL's own query says about an option wins."""
    parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    options = parsed.get("OPTIONS", {})
    if parsed["ENGINE"].endswith(".postgresql"):
        parsed["OPTIONS"] = _postgresql(pool_size) | options
        # The pool owns the connections' lifetime, and tests each one that it hands out, so that
        # a restart of PostgreSQL costs no request.
        parsed |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
    elif parsed["ENGINE"].endswith(".sqlite3"):
        parsed["OPTIONS"] = SQLITE | options
    return parsed


SQLITE = {
    # BEGIN IMMEDIATE: a transaction that reads and then writes waits for its turn at the start.
    # As DEFERRED it would be told "database is locked" in the middle, whatever the timeout.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,  # seconds that a writer waits for the one before it
    # WAL: readers never wait for the writer. synchronous=FULL: under WAL, NORMAL may lose the
    # last commits when the power fails, and a change that was answered with "done" and then
    # forgotten is a scan that nobody reads. One fsync for each commit is the price.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}


def _postgresql(pool_size: int) -> dict[str, Any]:
    options: dict[str, Any] = {"connect_timeout": 10}
    if pool_size:
        options["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 10}
    return options


def channel_layer(redis_url: str) -> dict[str, Any]:
    """The channel layer: Redis between processes, memory within the only one."""
    if not redis_url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    return {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": redis_url,
                    # redis-py gives up on an answer after 5 s; the layer asks Redis to wait
                    # exactly 5 s for the next message. An idle socket would die of that.
                    # A peer that vanished is found by TCP keepalive, which redis-py turns on.
                    "socket_timeout": None,
                    "socket_connect_timeout": 5,
                    # redis-py refuses the 101st connection. The layer opens one for each
                    # channel that waits.
                    "max_connections": 10_000,
                }
            ],
        },
    }
