"""The portal as real processes: its server, its commands, its databases with people in them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live.forks import Fork
from tests.live.parts import PATIENCE_SECONDS, accepts, free_port, wait_until
from upsrs.conf import every_setting

CHECKOUT = Path(__file__).resolve().parents[2]

# Variables of the portal that a developer may have set for another purpose.
OURS = ("DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "TIME_ZONE")
OURS += ("DATABASE_URL", "DATABASE_POOL_SIZE", "REDIS_URL", "PATH_PREFIX", "LOG_LEVEL", "LOG_JSON")
OURS += ("SECURE_SSL_REDIRECT", "SECURE_COOKIES", "SECURE_HSTS_SECONDS", "TRUST_PROXY_HEADERS")
OURS += tuple(setting.name for setting in every_setting())

PEOPLE = """
import json
from django.contrib.auth.models import Permission, User
from rest_framework.authtoken.models import Token
alice = User.objects.create_user("alice", password="alice")
alice.user_permissions.set(Permission.objects.filter(content_type__app_label="upsrs"))
bob = User.objects.create_user("bob", password="bob")
root = User.objects.create_superuser("root", password="root")
print(json.dumps({user.username: Token.objects.create(user=user).key for user in (alice, bob, root)}))
"""
"""alice may do everything with the worklist, bob nothing, root is the superuser."""


@dataclass(frozen=True)
class Backend:
    """A fresh, migrated database with alice, bob and root in it, and perhaps a Redis."""

    name: str
    env: dict[str, str]
    """What a process needs in its environment to be part of this portal."""
    tokens: dict[str, str] = field(repr=False)
    """The token of each user, by name."""


def environment(env: dict[str, str]) -> dict[str, str]:
    """As in production, with DEBUG off; of this process's own variables only the neutral ones."""
    neutral = {name: value for name, value in os.environ.items() if name not in OURS}
    ours = {
        "DJANGO_SETTINGS_MODULE": "portal.settings",  # pytest's own is tests.settings
        "DEBUG": "0",
        "SECRET_KEY": "of-the-live-tests",
        "PYTHONUNBUFFERED": "1",
    }
    return neutral | ours | env


def with_settings(**changed: Any) -> dict[str, str]:
    """An environment in which these settings of the portal are other than they are."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.live.settings",
        "UPSRS_TEST_SETTINGS": json.dumps(changed),
    }


def portal(
    env: dict[str, str], *arguments: str, seconds: float = 6 * PATIENCE_SECONDS, **extra: Any
) -> str:
    """Run ``manage.py`` with these arguments in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        **extra,
    )
    assert done.returncode == 0, (
        f"manage.py {arguments[0]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def shell(env: dict[str, str], code: str) -> str:
    """Run Python code in a portal process of its own; what it printed."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "output"
        process = Fork(
            ["manage", "shell", "--verbosity=0", "--command", code],
            cwd=CHECKOUT,
            env=environment(env),
            output=output,
        )
        status = process.wait(6 * PATIENCE_SECONDS)
        said = output.read_text()
    assert status == 0, f"a portal process ended with {status}\n{said}"
    return said


def populate(env: dict[str, str]) -> dict[str, str]:
    """Migrate a new database and put the three people into it; their tokens."""
    portal(env, "migrate", "--verbosity=0")
    tokens: dict[str, str] = json.loads(shell(env, PEOPLE))
    return tokens


DAPHNE = ("daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}")
"""Without its access log, which would print queries."""

UVICORN = (
    *("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
    *("--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--backlog", "4096"),
)


class Server:
    """One server process. Its output goes to ``log_path``, so that a test can read what it said.

    With ``fork`` it starts faster, from libraries that are imported already (`Fork`).
    """

    def __init__(
        self,
        env: dict[str, str],
        log_path: Path,
        *,
        port: int = 0,
        arguments: tuple[str, ...] = (),
        program: tuple[str, ...] = DAPHNE,
        application: str = "portal.asgi:application",
        pin: Callable[[], None] | None = None,
        fork: bool = False,
        python: str = sys.executable,
        directory: Path = CHECKOUT,
    ) -> None:
        self.python = python
        self.directory = directory
        self.program = program
        self.application = application
        self.pin = pin
        self.fork = fork
        self.env = env
        self.log_path = log_path
        self.port = port or free_port()
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | Fork | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rest(self) -> str:
        return f"{self.url}/ups-rs/workitems"

    @property
    def general(self) -> str:
        """The customer's general channel."""
        return f"ws://127.0.0.1:{self.port}/ups-rs/workitems/subscription"

    def specific(self, subscription_uid: str) -> str:
        """The customer's channel for one subscription."""
        return f"{self.general}/{subscription_uid}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def start(self) -> None:
        assert self.process is None, "the server runs already"
        self.process = process = self._launch()
        try:
            wait_until(
                lambda: accepts(self.port),
                f"{self.program[0]} accepts",
                seconds=2 * PATIENCE_SECONDS,
                alive=lambda: process.poll() is None,
            )
        except AssertionError as failure:
            self.kill()
            raise AssertionError(f"{failure}\n{self.log[-4000:]}") from None

    def _launch(self) -> subprocess.Popen[bytes] | Fork:
        module = [part.format(port=self.port) for part in self.program]
        module += [*self.arguments, self.application]
        env = environment(self.env)
        if self.fork:
            return Fork(module, cwd=CHECKOUT, env=env, output=self.log_path)
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [self.python, "-m", *module],
                preexec_fn=self.pin,
                cwd=self.directory,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def send_signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT make a process that is frozen, not gone."""
        assert self.process, "the server does not run"
        self.process.send_signal(number)

    def terminate(self) -> int:
        """As a service manager ends it; its exit status, and never a hang."""
        assert self.process, "the server does not run"
        self.process.terminate()
        try:
            status = self.process.wait(timeout=2 * PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.program[0]} ignored SIGTERM\n{self.log[-4000:]}") from None
        self.process = None
        return status

    def kill(self) -> None:
        """As a power cut ends it."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self, *, kill: bool = False) -> None:
        """Gone, and back on the same port."""
        if kill:
            self.kill()
        else:
            self.terminate()
        self.start()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextlib.contextmanager
def running(env: dict[str, str], log_path: Path, **options: Any) -> Iterator[Server]:
    """A server for the length of a block; what it logged is shown where a test fails."""
    server = Server(env, log_path, **options)
    try:
        with server:
            yield server
    finally:
        print(f"--- {log_path.name}, port {server.port} ---\n{server.log[-8000:]}")  # noqa: T201
