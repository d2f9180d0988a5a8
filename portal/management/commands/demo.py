"""The worklist at work on real DICOM files, on this machine alone: nothing to set up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pydicom
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.management.children import Child, ChildDied
from portal.orders.procedures import PROCEDURES
from upsrs.client import ClientError, Notification, Refused, Unreachable, Worklist, follow
from upsrs.client.terminal import line
from upsrs.dicom import files
from upsrs.management import headers
from upsrs.management.commands.ups_watch import colour_of

FIRST_PORT = 8000
PORTS = 100

PATIENCE_SECONDS = 30.0

AT_FIRST = 5
"""So many workitems are there when the page is opened; then more, at a human pace."""

PAUSE_SECONDS = (2.5, 6.0)

WAITING_AT_MOST = 8
"""Nobody orders into a queue that only grows."""

WORK = {"CT": PROCEDURES["triage"], "MR": PROCEDURES["model"]}
"""What is done with a study of a modality."""

OTHER_WORK = PROCEDURES["quality"]

PRIORITIES = ("HIGH", "MEDIUM", "MEDIUM", "LOW")

RANDOM = random.SystemRandom()


class Command(BaseCommand):
    help = (
        "Show the worklist at work: a server, a performer and a page that moves, with workitems "
        "made from the DICOM files that pydicom ships. Ctrl-C ends it and leaves nothing behind."
    )
    requires_system_checks = []  # its children check; this process has no database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help=f"default: {FIRST_PORT}, or the next free one")
        parser.add_argument("--seconds", type=float, help="end by itself after so long")

    def handle(self, *args: Any, **options: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="ups-rs-demo-") as folder:
            try:
                asyncio.run(
                    Demo(self, Path(folder), _port(options["port"])).run(options["seconds"])
                )
            except (ChildDied, ClientError) as error:
                raise CommandError(str(error)) from None
        self.stdout.write("The demo has ended.")


class Demo:
    """A server and a performer as processes of their own; who orders and who watches are here."""

    def __init__(self, command: Command, folder: Path, port: int) -> None:
        self.stdout, self.style = command.stdout, command.style
        self.port = port
        self.url = f"http://127.0.0.1:{port}/ups-rs"
        self.env = _environment(folder)
        self.password = secrets.token_urlsafe(9)
        self.children: list[Child] = []
        self.open: dict[str, str] = {}
        """Workitem UID → state, of what is not finished, as the watcher hears it."""
        self.began = 0.0
        self.heard = asyncio.Event()

    async def run(self, seconds: float | None) -> None:
        """Everything until a signal, the end of the time, or the death of a child."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        tasks = {asyncio.create_task(self._show()), asyncio.create_task(stop.wait())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(child.end() for child in self.children))

    async def _show(self) -> None:
        self._say("Preparing a fresh database and reading DICOM files …")
        tokens = await self._prepare()
        studies = await asyncio.to_thread(_studies)
        await self._serve()
        await self._start(
            "performer",
            [sys.executable, "-m", "portal.management.performer", self.url],
            UPSRS_TOKEN=tokens["performer"],
        )
        self._introduce(tokens["radiographer"], len(studies))
        try:
            async with asyncio.TaskGroup() as tasks:
                for child in self.children:
                    tasks.create_task(child.died())
                tasks.create_task(self._watch(tokens["radiographer"]))
                tasks.create_task(self._order(tokens["radiographer"], studies))
        except ExceptionGroup as errors:  # what except* raises, Python 3.11.2 puts in a group
            expected, others = errors.split((ChildDied, ClientError))
            if expected is None or others is not None:
                raise
            raise expected.exceptions[0] from None

    async def _prepare(self) -> dict[str, str]:
        """A database with a few people in it; their tokens."""
        await self._manage("migrate", "--verbosity=0")
        code = "from portal.management.population import populate; import os; "
        code += "print(populate(os.environ['DEMO_PASSWORD']))"
        printed = await self._manage("shell", "--verbosity=0", "--command", code)
        tokens: dict[str, str] = json.loads(printed)
        return tokens

    async def _manage(self, *arguments: str) -> str:
        """Run a command of the portal in the demo's own environment; the last line it printed."""
        child = await self._start(
            f"command {arguments[0]}",
            [sys.executable, "manage.py", *arguments],
            DEMO_PASSWORD=self.password,
        )
        code = await child.ended()
        self.children.remove(child)
        if code:
            await child.died()
        return child.last_lines[-1] if child.last_lines else ""

    async def _start(self, name: str, command: list[str], **env: str) -> Child:
        child = await Child.start(
            name, command, cwd=str(settings.BASE_DIR), env={**self.env, **env}
        )
        self.children.append(child)
        return child

    async def _serve(self) -> None:
        self.began = time.monotonic()
        # -v 0: without the access log, which would print queries.
        command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1"]
        server = await self._start(
            "server", [*command, "-p", str(self.port), "portal.asgi:application"]
        )
        while not await _answers(self.port):
            if server.process.returncode is not None:
                await server.died()
            if time.monotonic() - self.began > PATIENCE_SECONDS:
                raise ChildDied("The server did not answer in time.")
            await asyncio.sleep(0.05)

    def _introduce(self, token: str, studies: int) -> None:
        for text in (
            "",
            f"  The worklist   http://127.0.0.1:{self.port}/",
            f"  Log in as      admin, password {self.password}",
            "  or, with less  radiographer or radiologist, same password",
            f"  From a shell   UPSRS_TOKEN={token} python manage.py ups_watch --url {self.url}",
            f"  On it          {studies} studies of real DICOM files, an AI service at work",
            "  End            Ctrl-C",
            "",
        ):
            self._say(text, self.style.SUCCESS)

    async def _watch(self, token: str) -> None:
        """Print what a subscriber hears."""
        async with follow(self.url, token=token) as worklist:
            async for notification in worklist:
                if not self.heard.is_set():
                    self.heard.set()
                    seconds = time.monotonic() - self.began
                    self._say(f"First notification {seconds:.1f} s after the server's start.")
                self._note(notification)
                self._say(line(notification), colour_of(self.style, notification.state))

    def _note(self, notification: Notification) -> None:
        if notification.state in ("COMPLETED", "CANCELED"):
            self.open.pop(notification.workitem_uid, None)
        else:
            self.open[notification.workitem_uid] = notification.state

    async def _order(self, token: str, studies: list[files.Study]) -> None:
        """Order work on one study after the other; now and then ask for the end of some."""
        worklist = Worklist(self.url, token=token, ae_title="RADIOGRAPHER")
        upcoming = _again_and_again(studies)
        for number in count():
            try:
                if number >= AT_FIRST:
                    await asyncio.sleep(RANDOM.uniform(*PAUSE_SECONDS))
                    await self._perhaps_cancel(worklist)
                if list(self.open.values()).count("SCHEDULED") < WAITING_AT_MOST:
                    study, again = next(upcoming)
                    order = _order_for(study)
                    dataset, _ = study.workitem(order)
                    await worklist.create(dataset, None if again else study.workitem_uid(order))
            except Unreachable:
                # If the server has died, whoever looks after it says so, and with its last words.
                await asyncio.sleep(1)

    async def _perhaps_cancel(self, worklist: Worklist) -> None:
        if self.open and RANDOM.randrange(7) == 0:
            # It may have been finished in this very moment.
            with contextlib.suppress(Refused):
                uid = RANDOM.choice(list(self.open))
                await worklist.request_cancellation(uid, "Ordered by mistake.")

    def _say(self, text: str, style: Any = None) -> None:
        self.stdout.write(text, style)
        self.stdout.flush()


def _environment(folder: Path) -> dict[str, str]:
    """What the portal reads, whatever a developer's own shell has set for another purpose."""
    return {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder / 'demo.sqlite3'}",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DEBUG": "0",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "LOG_LEVEL": "WARNING",
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(("REDIS_URL", "PATH_PREFIX", "CSRF_TRUSTED_ORIGINS", "STATIC_ROOT"), ""),
        **dict.fromkeys(("SECURE_SSL_REDIRECT", "SECURE_COOKIES", "TRUST_PROXY_HEADERS"), "0"),
    }


def _port(wanted: int | None) -> int:
    """The port asked for, else the first free one."""
    for port in [wanted] if wanted else range(FIRST_PORT, FIRST_PORT + PORTS):
        with socket.socket() as probe:
            # As the server will bind: a port that only waits for its last packets is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CommandError(f"Port {wanted} is taken." if wanted else "No port is free.")


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _studies() -> list[files.Study]:
    """The studies in the files that pydicom itself ships; nothing is downloaded."""
    shipped = Path(pydicom.__file__).parent / "data"
    with headers.quietly():  # they are test files, some of them broken on purpose
        found = headers.gather(headers.walk([shipped]))
    studies = [study for study in found.studies.values() if study.headers[0].get("Modality")]
    if not studies:
        raise CommandError("This pydicom ships no DICOM files: install it from its wheel.")
    RANDOM.shuffle(studies)
    return studies


def _again_and_again(studies: list[files.Study]) -> Iterator[tuple[files.Study, bool]]:
    """All studies, round after round; True from the second round on."""
    for number in count():
        for study in studies:
            yield study, number > 0


def _order_for(study: files.Study) -> files.Order:
    work = WORK.get(str(study.headers[0].Modality), OTHER_WORK)
    return files.Order(
        step_label=work.step,
        code=files.code_item(*work.code),
        start=datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000"),
        label=work.label,
        station=work.station,
        priority=RANDOM.choice(PRIORITIES),
        retrieve_ae="PACS",
    )
