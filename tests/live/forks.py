"""Processes of the portal that start at once: forked from one that has imported what takes long.

The live tests start hundreds of servers and commands, and each would spend most of its time on the
same imports. What is imported before is the libraries only: settings, the portal and the app are
each process's own, as in any other.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Fork"]

LIBRARIES = [
    # No Twisted reactor: importing it makes an event loop, which must not be shared.
    *("autobahn.websocket.protocol", "twisted.web.http", "cryptography.x509", "service_identity"),
    *("channels.routing", "channels_redis.core", "psycopg", "psycopg_pool"),
    *("django.core.handlers.asgi", "django.core.management.commands.shell", "django.db.models"),
    *("pydicom", "pydicom.pixels", "yaml"),
]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(LIBRARIES)


class Fork:
    """``python -m MODULE ARGUMENT…`` in a process of its own; the interface is that of `Popen`."""

    def __init__(
        self, module: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path
    ) -> None:
        arguments = (tuple(module), str(cwd), dict(env), str(output))
        self._process = _context.Process(target=_run, args=arguments)
        self._process.start()
        assert self._process.pid is not None, "it was started"
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            assert timeout is not None, "without one it has ended"
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(module: tuple[str, ...], cwd: str, env: dict[str, str], output: str) -> None:
    """In the new process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(written, descriptor)
    os.close(written)
    name, *arguments = module
    sys.argv = [name, *arguments]
    sys.path.insert(0, cwd)
    runpy.run_module(name, run_name="__main__", alter_sys=True)
