"""How a live installation is doing: what is looked at, what is found, and what to do about it.

`examine` looks at the parts that a check of the settings can not see: the database and its clock,
the log, the channel layer. `upsrs.management.commands.upsrs_doctor` prints it.
"""

from __future__ import annotations

import asyncio
import http.client
import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.conf import settings
from django.core import checks
from django.db import Error, NotSupportedError, connections
from django.db.migrations.executor import MigrationExecutor

from upsrs import events, instants, subscriptions, wakeup
from upsrs.conf import conf
from upsrs.models import Event, write_alias

__all__ = ["Finding", "Severity", "examine", "examine_address", "round_trip"]

Clock = Callable[[], datetime]

ROUND_TRIP_SECONDS = 5.0
"""A layer that takes longer counts as one that does not answer."""

SLOW_MILLISECONDS = 250
CLOCK_SECONDS = 2.0
"""So far may the clocks of the machine and of its database be apart."""

NUMBERED_SECONDS = 10
"""A server that runs numbers an event within a poll, and a long one waits for a lock at most."""

PURGE_SLACK = timedelta(days=2)
"""Retention runs daily: what is older than this beyond its time was forgotten."""


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    severity: Severity
    says: str
    remedy: str = ""
    """What to do; empty where nothing is wrong."""


def examine(clock: Clock = instants.now) -> Iterator[Finding]:
    """Look at everything that can be looked at from this machine, one subject after the other."""
    set_up = list(_settings())
    yield from set_up
    if any(finding.severity == Severity.ERROR for finding in set_up):
        return  # what follows reads these settings
    yield from _hosts()
    servers = 0
    try:
        database = list(_database())
        yield from database
        if all(finding.severity != Severity.ERROR for finding in database):
            yield _clock(clock)
            servers = len(subscriptions.live_servers())
            yield from _log(clock, servers)
    except NotSupportedError:
        yield Finding(
            "database",
            Severity.ERROR,
            "The database is of a version that this Django does not support.",
            "Upgrade the database.",
        )
    except Error as error:
        # Not in its own words: a database quotes rows in them, and addresses with passwords.
        yield Finding(
            "database",
            Severity.ERROR,
            f"The database does not answer ({type(error).__name__}).",
            "See that it runs and that DATABASES names its address and credentials.",
        )
    yield _layer(servers)


def _settings() -> Iterator[Finding]:
    """What `manage.py check --deploy` says of upsrs."""
    ours = checks.run_checks(tags=["upsrs"], include_deployment_checks=True)
    for message in ours:
        is_error = message.level >= checks.ERROR
        severity = Severity.ERROR if is_error else Severity.WARNING
        yield Finding("settings", severity, f"{message.msg} ({message.id})", message.hint or "")
    if not ours:
        yield Finding("settings", Severity.OK, "manage.py check finds nothing wrong with upsrs.")


def _hosts() -> Iterator[Finding]:
    if settings.DEBUG:
        yield Finding(
            "hosts",
            Severity.WARNING,
            "DEBUG is on: error pages show settings and data to whoever meets one.",
            "Turn DEBUG off on a server.",
        )
    elif not settings.ALLOWED_HOSTS:
        yield Finding(
            "hosts",
            Severity.ERROR,
            "ALLOWED_HOSTS is empty: every request and every socket is refused.",
            "Name the hosts by which people and machines reach the portal.",
        )
    else:
        others = _counted(len(settings.CSRF_TRUSTED_ORIGINS), "other origin")
        yield Finding(
            "hosts",
            Severity.OK,
            f"Reached as {', '.join(settings.ALLOWED_HOSTS)}; sockets from pages of the same host "
            f"and of {others} are let in. Trusted proxies in front: {conf.TRUSTED_PROXIES}.",
        )


def _database() -> Iterator[Finding]:
    connection = connections[write_alias()]
    connection.ensure_connection()
    version = ".".join(map(str, connection.get_database_version()))
    name = f"{connection.display_name} {version}"
    yield from (
        Finding("database", Severity.ERROR, str(message.msg), message.hint or "")
        for message in checks.run_checks(tags=["database"], databases=[write_alias()])
        if str(message.id).startswith("upsrs.")
    )
    executor = MigrationExecutor(connection)
    nodes = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "upsrs"]
    missing = len(executor.migration_plan(nodes))
    if missing:
        yield Finding(
            "database",
            Severity.ERROR,
            f"{name}: {_counted(missing, 'migration')} to apply.",
            f"Run manage.py migrate --database={write_alias()}.",
        )
    else:
        yield Finding("database", Severity.OK, f"{name}, all migrations are applied.")
    if connection.vendor == "sqlite":
        yield from _sqlite()


def _sqlite() -> Iterator[Finding]:
    connection = connections[write_alias()]
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
    if mode != "wal":
        yield Finding(
            "database",
            Severity.WARNING,
            f"The journal of SQLite is {mode}: readers and the writer wait for each other.",
            'Set OPTIONS["init_command"] = "PRAGMA journal_mode=WAL;".',
        )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _clock(clock: Clock) -> Finding:
    connection = connections[write_alias()]
    if connection.vendor == "sqlite":
        sql = "SELECT (julianday('now') - 2440587.5) * 86400.0"
    else:
        sql = "SELECT extract(epoch FROM clock_timestamp())"
    with connection.cursor() as cursor:
        began = clock()
        cursor.execute(sql)
        theirs = float(cursor.fetchone()[0])
        ours = (began + (clock() - began) / 2).timestamp()
    apart = abs(theirs - ours)
    if apart > CLOCK_SECONDS:
        return Finding(
            "clock",
            Severity.ERROR,
            f"The clocks of this machine and of the database are {apart:.1f} s apart: times of "
            "events, lag and retention are wrong by as much.",
            "Let both machines follow one NTP server.",
        )
    return Finding("clock", Severity.OK, f"Machine and database agree within {CLOCK_SECONDS:g} s.")


def _log(clock: Clock, servers: int) -> Iterator[Finding]:
    depth = events.depth()
    held = f"The log holds {depth.retained:,} events, up to position {depth.position:,}"
    yield Finding("log", Severity.OK, f"{held}; {_counted(servers, 'server')} with sockets.")
    rows = Event.objects.using(write_alias())
    late = rows.filter(
        position=None, time__lt=clock() - timedelta(seconds=NUMBERED_SECONDS)
    ).count()
    if late and servers:
        yield Finding(
            "log",
            Severity.ERROR,
            f"{_counted(late, 'event')} without a position for more than {NUMBERED_SECONDS} s, "
            "though servers run: nobody is told.",
            "Look into the servers' logs for the reader's errors, and into the database for a "
            "transaction that holds the row of upsrs_log.",
        )
    oldest = rows.order_by("position").values_list("time", flat=True).first()
    kept = timedelta(seconds=conf.LOG_RETENTION_SECONDS) + PURGE_SLACK
    if oldest is not None and oldest < clock() - kept:
        yield Finding(
            "log",
            Severity.WARNING,
            "The log is older than UPSRS_LOG_RETENTION_SECONDS and some days: nobody removes it.",
            "Run manage.py ups_purge daily.",
        )


def _layer(servers: int) -> Finding:
    layer = get_channel_layer()
    if layer is None:
        return Finding(
            "layer",
            Severity.WARNING,
            f"There is no channel layer: events come by polling, every {conf.POLL_SECONDS:g} s.",
            'Set CHANNEL_LAYERS["default"].',
        )
    if isinstance(layer, InMemoryChannelLayer):
        if servers > 1:
            return Finding(
                "layer",
                Severity.WARNING,
                f"{servers} server processes share a database, and the in-memory layer reaches "
                f"none but its own: events come by polling, every {conf.POLL_SECONDS:g} s.",
                "Use channels-redis.",
            )
        return Finding("layer", Severity.OK, "In memory: enough for one server process.")
    took = asyncio.run(_round_trip_and_close())
    if math.isinf(took):
        return Finding(
            "layer",
            Severity.ERROR,
            "The channel layer does not bring a wake-up back: nothing is lost, but events come by "
            f"polling, every {conf.POLL_SECONDS:g} s.",
            "See that Redis runs, and that CHANNEL_LAYERS names its address and password.",
        )
    slow = took > SLOW_MILLISECONDS
    return Finding(
        "layer",
        Severity.WARNING if slow else Severity.OK,
        f"A wake-up goes through the channel layer and back in {took:.1f} ms.",
        "Bring Redis nearer, or find what keeps it busy." if slow else "",
    )


async def round_trip(seconds: float = ROUND_TRIP_SECONDS) -> float:
    """The milliseconds that a wake-up takes through the layer and back; infinite if it does not.

    In a group of its own, so that no server is woken and no other wake-up taken for this one.
    """
    layer: Any = get_channel_layer()
    group = f"upsrs.doctor.{secrets.token_hex(8)}"
    try:
        async with asyncio.timeout(seconds):
            channel = await layer.new_channel()
            await layer.group_add(group, channel)
            began = time.perf_counter()
            await layer.group_send(group, {"type": wakeup.TYPE})
            await layer.receive(channel)
            took = (time.perf_counter() - began) * 1000
            await layer.group_discard(group, channel)
            return took
    except Exception:  # whatever a layer raises: it does not bring it back
        return math.inf


async def _round_trip_and_close() -> float:
    """On a loop of its own, which the connections to Redis must not outlive."""
    try:
        return await round_trip()
    finally:
        with suppress(Exception):
            layer: Any = get_channel_layer()
            await layer.close_pools()


def examine_address(url: str) -> Finding:
    """Does a socket get through to us by this address, with whatever proxy stands in between?

    It asks without credentials: refused by us is what should come.
    """
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=ROUND_TRIP_SECONDS)
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dXBzcnMtZG9jdG9yLTE2IQ==",
    }
    try:
        connection.request(
            "GET", f"{parts.path.rstrip('/')}/workitems/subscription", headers=handshake
        )
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Finding(
            "address",
            Severity.ERROR,
            f"{url} does not answer ({type(error).__name__}).",
            "See that the server and the proxy run, and that the certificate is valid.",
        )
    finally:
        connection.close()
    if status == http.client.FORBIDDEN:
        return Finding("address", Severity.OK, f"Sockets get through to us by {url}.")
    return Finding(
        "address",
        Severity.ERROR,
        f"{url} answers the handshake of a socket with {status}, and not we with 403.",
        "Let the proxy pass Upgrade and Connection on, and check path and ASGI routing.",
    )
