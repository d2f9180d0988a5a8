"""What the benchmarks run on: the server on one core, all else on the other; and how they report."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from tests.live import parts
from tests.live.server import CHECKOUT, Server, environment, populate

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]

PREPARED = "UPSRS_BENCH_PREPARED"
"""A variable by which the tests lend a benchmark a database, to save the time to make one."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """What each benchmark is told: ``--quick`` is small numbers, to see that it runs."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument("--quick", action="store_true", help="small numbers, which say little")
    return made


def arguments(description: str | None) -> argparse.Namespace:
    return parser(description).parse_args()


def token(env: dict[str, str]) -> dict[str, str]:
    """The headers of who may do everything with the worklist."""
    return {"Authorization": f"Token {env['BENCH_TOKEN']}"}


def report(bench: str, rows: Sequence[dict[str, Any]], **facts: Any) -> None:
    """A table, and the same as one line of JSON."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    texts = [[_text(row.get(name, "")) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    for line in (names, *texts):
        cells = zip(line, widths, strict=True)
        tqdm.write(
            "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(cells))
        )
    tqdm.write(json.dumps({"bench": bench, **facts, "rows": rows}))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


QUIET = {"LOG_LEVEL": "WARNING", "ALLOWED_HOSTS": "*"}
"""What every portal under test is told."""


@contextlib.contextmanager
def stage() -> Iterator[dict[str, str]]:
    """PostgreSQL, Redis and a migrated portal with people in it: the environment to join it."""
    with stage_with_redis() as (env, _):
        yield env


@contextlib.contextmanager
def stage_with_redis() -> Iterator[tuple[dict[str, str], parts.Redis]]:
    """The same, and the Redis itself.

    This process, and all that it starts, stays off the server's core.
    """
    os.sched_setaffinity(0, {CLIENT_CORE})
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(parts.redis_server())
        env = {**QUIET, "REDIS_URL": redis.url}
        if PREPARED in os.environ:
            env |= json.loads(os.environ[PREPARED])
        else:
            postgres = stack.enter_context(parts.postgres_server())
            env["DATABASE_URL"] = postgres.create("bench")
            env["BENCH_TOKEN"] = populate(env)["alice"]
        yield env, redis


@contextlib.contextmanager
def embedded() -> Iterator[dict[str, str]]:
    """The portal with nothing beside it: a file of SQLite, and the channel layer in memory."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory(prefix="upsrs-bench-") as directory:
        env = {**QUIET, "DATABASE_URL": f"sqlite:///{directory}/portal.sqlite3"}
        yield env | {"BENCH_TOKEN": populate(env)["alice"]}


def set_up_django(env: dict[str, str]) -> None:
    """This process is one more of the portal's: it writes, and the servers notify."""
    os.environ.update(environment(env))
    import django

    django.setup()


def pin_server() -> None:
    os.sched_setaffinity(0, {SERVER_CORE})


DAPHNE = (
    *("daphne", "-v", "0", "--websocket_timeout", "-1", "--websocket_connect_timeout", "60"),
    *("-e", "tcp:port={port}:interface=127.0.0.1:backlog=4096"),
)
UVICORN = (
    *("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
    *("--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--backlog", "4096"),
)


@contextlib.contextmanager
def serving(
    env: dict[str, str],
    program: tuple[str, ...] = DAPHNE,
    application: str = "portal.asgi:application",
) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="upsrs-bench-") as directory:
        server = Server(
            env, Path(directory) / "log", program=program, application=application, pin=pin_server
        )
        try:
            with server:
                yield server
        finally:
            errors = [line for line in server.log.splitlines() if "ERROR" in line]
            for line in errors[:5]:
                tqdm.write(f"{program[0]}: {line}")


class Load:
    """The load client, in a process of its own; see `tests.bench.load`."""

    def __enter__(self) -> Load:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def do(self, command: str, **named: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([command, named]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the load client ended"
        result: dict[str, Any] = json.loads(answer)
        return result

    def open(self, url: str, count: int, **more: Any) -> dict[str, Any]:
        opened = self.do("open", url=url, count=count, **more)
        assert not opened["failed"], f"{opened['failed']} of {count} failed: {opened['why']}"
        return opened


class Peak(threading.Thread):
    """The most memory that a process has had."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.bytes = 0
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.05):
            self.bytes = max(self.bytes, self.process.memory_info().rss)


def post(url: str, body: bytes = b"") -> None:
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST")) as answer:
        answer.read()


Publish = Callable[[int], float]
"""Publish so many events; the moment at which they were due."""
