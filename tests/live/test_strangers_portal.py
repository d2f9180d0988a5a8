"""A stranger's portal takes the wheel: README's five steps as they stand there, in a new virtual
environment, and nothing of this checkout.

`Stranger` is the fresh ``django-admin startproject`` that README was followed in. What a hospital
may have otherwise than we (`strangers/settled.py`, `strangers/divided.py`) are settings on top.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests import datasets
from tests.live.parts import PATIENCE_SECONDS, absent
from tests.live.server import CHECKOUT, OURS, running
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

STRANGERS = Path(__file__).parent / "strangers"
PREFIX = "his/dicom-web/"
GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "2", "--log-level", "warning")

MIGRATE = """
from django.conf import settings
from django.core.management import call_command
for alias in settings.DATABASES:
    call_command("migrate", database=alias, verbosity=0)
"""
PERSON = """
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
name = {get_user_model().USERNAME_FIELD: "ann@his.example"}
person = get_user_model().objects.create_user(**name, password="ann")
person.user_permissions.set(Permission.objects.filter(content_type__app_label="upsrs"))
"""
ANN = {"Authorization": "Basic " + base64.b64encode(b"ann@his.example:ann").decode()}


class Readme:
    """What README tells who plugs the app in."""

    def __init__(self) -> None:
        text = (CHECKOUT / "README.md").read_text().partition("## Plug it into a portal")[2]
        steps = re.findall(r"^(?:[1-5]\. |   |$).*\n", text.partition("\n## ")[0], re.MULTILINE)
        self.text = "".join(steps)
        self.settings, self.asgi = (
            dedent(block) for block in re.findall(r"```python\n(.*?)```", self.text, re.DOTALL)
        )
        self.install = self._one(r"pip install '(django-upsrs\[.*?\])'")
        self.sqlite = self._one(r'SQLite needs `"OPTIONS": (\{.*?\})`')
        self.url = self._one(r'`(path\("ups-rs/", .*?\))` in `urls.py`')
        self.migrate = self._one(r"`python manage.py (migrate)`")
        self.serve = self._one(r"`(daphne -v 0 .*? portal.asgi:application)`")

    def _one(self, pattern: str) -> str:
        (found,) = re.findall(pattern, self.text, re.DOTALL)
        return str(found)


class Stranger:
    """The project, and the only Python that it knows."""

    def __init__(self, directory: Path, python: Path) -> None:
        self.directory = directory
        self.python = str(python)

    def environment(self, **env: str) -> dict[str, str]:
        mine = {*OURS, "PYTHONPATH", "DJANGO_SETTINGS_MODULE"}
        neutral = {name: value for name, value in os.environ.items() if name not in mine}
        return (
            neutral | {"PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "portal.settings"} | env
        )

    def run(self, *command: str, status: int = 0, **env: str) -> str:
        """Run ``python COMMAND…`` in the project; what it said."""
        done = subprocess.run(
            [self.python, *command],
            cwd=self.directory,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=6 * PATIENCE_SECONDS,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{command} ended with {done.returncode}\n{said}"
        return said

    def manage(self, *command: str, **options: Any) -> str:
        return self.run("manage.py", *command, **options)


def install(work: Path) -> None:
    """Step 1, into an environment that sees nothing of this one; the versions are those pinned."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", work / "venv"], check=True)
    build = ("hatchling", "build", "--target", "wheel", "--directory", str(work / "wheel"))
    subprocess.run([sys.executable, "-m", *build], cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = (work / "wheel").glob("*.whl")
    extras = Readme().install.removeprefix("django-upsrs")
    pip = [
        *(sys.executable, "-m", "pip", "--python", str(work / "venv/bin/python"), "install"),
        *("--quiet", "--no-compile", "--disable-pip-version-check"),
        *("--constraint", str(CHECKOUT / "requirements.txt")),
    ]
    try:
        subprocess.run([*pip, f"{wheel}{extras}", "gunicorn"], check=True)
    except subprocess.CalledProcessError as failure:
        absent("What the wheel needs", f"pip ended with {failure.returncode}: is an index there?")


def plug_in(directory: Path, python: Path) -> None:
    """A new project, and README's steps 2 to 4."""
    directory.mkdir()
    stranger, readme = Stranger(directory, python), Readme()
    stranger.run("-m", "django", "startproject", "portal", ".", DJANGO_SETTINGS_MODULE="")
    settings = directory / "portal/settings.py"
    # Only for the tests' sake: Basic authentication hashes the password at each request.
    quick = 'PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]'
    added = f'{readme.settings}\nDATABASES["default"]["OPTIONS"] = {readme.sqlite}\n{quick}\n'
    settings.write_text(settings.read_text() + added)
    urls = directory / "portal/urls.py"
    given = "from django.urls import include\nurlpatterns.append("
    urls.write_text(f"{urls.read_text()}\n{given}{readme.url})\n")
    (directory / "portal/asgi.py").write_text(readme.asgi)
    shutil.copytree(STRANGERS, directory, dirs_exist_ok=True)
    # The same wiring under another prefix, with a consumer of theirs beside ours.
    others = readme.asgi.replace("portal.settings", "settled").replace('"ups-rs/"', f'"{PREFIX}"')
    talk = '"websocket": URLRouter([path("ward/talk", Talk.as_asgi()), '
    others = others.replace('"websocket": URLRouter([', talk)
    others = others.replace("from upsrs.ws", "from ward import Talk\nfrom upsrs.ws", 1)
    (directory / "settled_asgi.py").write_text(others)


@pytest.fixture(scope="session")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment and the project, made once, whichever worker comes first."""
    work = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        work = work.parent
    work /= "stranger"
    work.mkdir(exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (work / "done").exists():
            install(work)
            plug_in(work / "project", work / "venv/bin/python")
            (work / "done").touch()
    return work


@pytest.fixture
def stranger(plugged: Path, tmp_path: Path) -> Stranger:
    """The project for one test, with no database yet."""
    project = shutil.copytree(plugged / "project", tmp_path / "project")
    return Stranger(project, plugged / "venv/bin/python")


@pytest.fixture
def serve(stranger: Stranger, tmp_path: Path):
    with ExitStack() as stack:

        def serve(program: tuple[str, ...], application: str, **env: str) -> Any:
            log = tmp_path / f"{program[0]}.log"
            where = {"python": stranger.python, "directory": stranger.directory}
            options = {"program": program, "application": application, **where}
            return stack.enter_context(running(stranger.environment(**env), log, **options))

        yield serve


def daphne() -> tuple[str, ...]:
    """As README starts it, on a port of the test."""
    program, _, application = Readme().serve.rpartition(" ")
    assert application == "portal.asgi:application"
    return (*program.split(), "-b", "127.0.0.1", "-p", "{port}")


async def create(base: str, **changes: Any) -> str:
    """A workitem, by the standard's own request; the address that it was given."""
    body = [datasets.dataset(**changes)]
    media = {"Content-Type": "application/dicom+json", "Accept": "application/dicom+json"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{base}/workitems", json=body, headers=ANN | media)
        assert answer.status_code == 201, answer.text
        location = answer.headers["Location"]
        retrieved = await http.get(location, headers=ANN | media)
        assert retrieved.status_code == 200, retrieved.text
        assert retrieved.json()[0]["00741000"]["Value"] == ["SCHEDULED"]
        found = await http.get(f"{base}/workitems?WorklistLabel=AI", headers=ANN | media)
        assert found.status_code == 200, found.text
        nobody = await http.get(location)
        assert nobody.status_code == 401, nobody.text
    return str(location)


def follow(base: str) -> Subscriber:
    return Subscriber(
        base.replace("http", "ws", 1) + "/workitems/subscription", additional_headers=ANN
    )


async def test_five_steps_and_it_runs(stranger, serve):
    readme = Readme()
    stranger.manage("check", "--fail-level", "WARNING")
    stranger.manage(readme.migrate, "--verbosity=0")
    stranger.manage("shell", "-c", PERSON)
    server = serve(daphne(), "portal.asgi:application")
    base = f"{server.url}/ups-rs"
    async with follow(base) as follower:
        await follower.subscribe({"worklistLabel": "AI"})
        assert await follower.initial_state() == []
        location = await create(base, WorklistLabel="AI")
        assert location.startswith(f"{base}/workitems/")
        assert (await follower.next())["workitemUID"] == location.rpartition("/")[2]
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{server.url}/admin/login/")).status_code == 200


@pytest.mark.postgres
@pytest.mark.redis
async def test_a_hospital_with_its_own_ways(stranger, serve, postgres, redis_url):
    name = f"settled_{os.getpid()}"
    postgres.create(name)
    socket_directory = str(postgres.server.get_postmaster_info().socket_dir)
    env = {"DJANGO_SETTINGS_MODULE": "settled", "REDIS_URL": redis_url}
    env |= {"PGDATABASE": name, "PGHOST": socket_directory}
    assert "upsrs" not in stranger.manage("makemigrations", **env)
    stranger.manage("shell", "-c", MIGRATE + PERSON, **env)
    sockets = serve(daphne(), "settled_asgi:application", **env)
    pages = serve(GUNICORN, "portal.wsgi:application", **env)
    base = f"{sockets.url}/{PREFIX}".rstrip("/")

    async with (
        follow(base) as follower,
        connect(f"ws://127.0.0.1:{sockets.port}/ward/talk") as talk,
    ):
        await follower.subscribe()
        assert await follower.initial_state() == []

        # Saved by a WSGI process; what is rolled back with its request is not heard of.
        uid = datasets.new_uid()
        async with httpx.AsyncClient(base_url=pages.url, timeout=PATIENCE_SECONDS) as http:
            for query, status in (("&fail=1", 500), ("", 200)):
                dataset = json.dumps(datasets.dataset(SOPInstanceUID=None))
                answer = await http.post(f"/his/order?uid={uid}{query}", content=dataset)
                assert answer.status_code == status, answer.text
        heard = await follower.next()
        assert (heard["eventType"], heard["workitemUID"]) == ("CREATED", uid)
        assert await follower.hears_nothing()

        # Their own socket goes on beside ours, on the same layer.
        await talk.send(json.dumps({"text": "bed 4"}))
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert json.loads(await talk.recv()) == {"text": "bed 4"}

        # Both processes answer REST as the standard has it, whatever DRF's defaults are here.
        for server in (sockets, pages):
            location = await create(f"{server.url}/{PREFIX}".rstrip("/"), WorklistLabel="AI")
            assert location.startswith(f"{server.url}/{PREFIX}workitems/")
            assert (await follower.next())["workitemUID"] == location.rpartition("/")[2]

        # And whoever is on call asks how it is doing.
        said = stranger.manage("upsrs_doctor", "--url", base, **env)
        assert re.search(r"ok +layer +A wake-up goes .* and back in [\d.]+ ms", said), said
        assert re.search(r"ok +log .*; 1 server with sockets", said), said
        assert re.search(r"ok +address", said), said
    with pytest.raises(InvalidStatus, match="403"):
        await Subscriber(follow(base).url).__aenter__()


async def test_people_and_worklist_in_another_database(stranger, serve):
    env = {"DJANGO_SETTINGS_MODULE": "divided"}
    stranger.manage("check", "--fail-level", "WARNING", **env)
    stranger.manage("shell", "-c", MIGRATE + PERSON, **env)
    server = serve(daphne(), "portal.asgi:application", **env)
    base = f"{server.url}/ups-rs"
    async with follow(base) as follower:
        await follower.subscribe()
        assert await follower.initial_state() == []
        location = await create(base, WorklistLabel="AI")
        assert (await follower.next())["workitemUID"] == location.rpartition("/")[2]
