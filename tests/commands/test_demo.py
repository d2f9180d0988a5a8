"""``manage.py demo``: the main job on real input, with one command, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live.parts import free_port

pytestmark = pytest.mark.live

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


class Demo:
    def __init__(self, *arguments: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", *arguments],
            cwd=CHECKOUT,
            # What a developer's shell may have set for another purpose has no say.
            env={
                **os.environ,
                "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
                "SECURE_SSL_REDIRECT": "1",
                "TMPDIR": self.folder.name,
                "DJANGO_SETTINGS_MODULE": "portal.settings",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def says(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(pattern, "".join(self.lines)):
                return found
            assert self.process.poll() is None or self.reader.is_alive(), "".join(self.lines)
            time.sleep(0.1)
        raise AssertionError(f"never said {pattern}:\n{''.join(self.lines)}")

    def child(self, name: str) -> psutil.Process:
        [found] = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if name in " ".join(child.cmdline())
        ]
        return found

    def end(self) -> int:
        code = self.process.wait(PATIENCE_SECONDS)
        self.reader.join(PATIENCE_SECONDS)
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def demo(*arguments: str) -> Iterator[Demo]:
    running = Demo("--port", str(free_port()), *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            for child in psutil.Process(running.process.pid).children(recursive=True):
                child.kill()
            running.process.kill()
        running.end()
        running.folder.cleanup()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_the_main_job_and_a_signal_ends_it_without_a_trace(number):
    with demo() as running:
        address = running.says(r"The worklist +(http://\S+)")[1]
        assert "oken" not in address
        seconds = float(running.says(r"First notification ([\d.]+) s after")[1])
        assert seconds < 15
        for event in ("CREATED", "STATE_REPORT +IN PROGRESS", "UPDATED +IN PROGRESS 0 %"):
            running.says(event)
        running.says("COMPLETED|CANCELED")
        with urllib.request.urlopen(address) as page:
            assert "/login/" in page.url, "the page asks who one is"
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) >= 2, "the server and the performer"
        running.process.send_signal(number)
        assert running.end() == 0
        assert "Traceback" not in "".join(running.lines)
        assert not psutil.wait_procs(children, timeout=5)[1]
        assert os.listdir(running.folder.name) == []


@pytest.mark.parametrize("name", ["daphne", "portal.management.performer"])
def test_a_child_that_dies_is_reported_and_ends_the_demo(name):
    with demo() as running:
        running.says("First notification")
        running.child(name).kill()
        assert running.end() == 1
        running.says(r"CommandError: The (server|performer) ended with exit code -9")
        # A server that was killed may leave a scratch file of SQLite behind.
        left = os.listdir(running.folder.name)
        assert [name for name in left if not name.startswith("etilqs_")] == []


def test_it_ends_by_itself_after_the_time_given():
    with demo("--seconds", "1") as running:
        assert running.end() == 0


def test_a_port_that_is_taken_is_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        running = Demo("--port", str(taken.getsockname()[1]))
        assert running.end() == 1
        assert "is taken" in "".join(running.lines)
        running.folder.cleanup()
