"""``docs/deploy`` says what is so: the documented options, variables and commands that there are.

That nginx works as configured is proven in ``tests/live/test_nginx.py``.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess

import pytest
import yaml
from django.core.management import get_commands

from tests.live.server import CHECKOUT, OURS

DEPLOY = CHECKOUT / "docs/deploy"
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer"))
VARIABLES = {*OURS, "STATIC_ROOT"}

DAPHNE = [
    *("-v", "0", "--websocket_timeout", "-1", "--websocket_connect_timeout", "60"),
    *("-e", "tcp:backlog=4096", "portal.asgi:application"),
]
"""What README says that daphne needs, wherever it listens."""


def unit(name: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str
    parsed.read(DEPLOY / name)
    return parsed


def anywhere(arguments: list[str]) -> list[str]:
    return [re.sub(r"tcp:\S*(backlog=\d+)", r"tcp:\1", argument) for argument in arguments]


@pytest.mark.parametrize("name", UNITS)
def test_units_are_units(name):
    assert {"Unit"} < set(unit(name).sections())
    command = unit(name).get("Service", "ExecStart", fallback="")
    if "manage.py" in command:
        assert command.split()[-1] in get_commands()
    program = shutil.which("systemd-analyze")
    if program is not None:
        instance = name.replace("@", "@8000")
        done = subprocess.run(
            [program, "verify", "--man=no", str(DEPLOY / name)],
            capture_output=True,
            text=True,
            check=False,
        )
        ours = [line for line in done.stderr.splitlines() if name in line or instance in line]
        # The programs of the units are not installed here.
        assert not [line for line in ours if "Unknown" in line or "Invalid" in line], ours


def test_the_server_is_started_as_readme_has_it():
    command = unit("portal@.service")["Service"]["ExecStart"].split()
    assert command[0] == "/srv/portal/.venv/bin/daphne"
    assert anywhere(command[1:]) == DAPHNE
    readme = (CHECKOUT / "README.md").read_text()
    for option in ("-v 0 --websocket_timeout -1", "--websocket_connect_timeout 60", "backlog=4096"):
        assert option in readme


def test_the_compose_file_names_what_there_is():
    text = (DEPLOY / "compose.yaml").read_text()
    assert "NOT RUN BY ANY TEST" in text
    services = yaml.safe_load(text)["services"]
    for name in ("one", "two"):
        server = services[name]
        assert anywhere(server["command"]) == ["daphne", *DAPHNE]
        assert set(server["environment"]) - {"PATH"} <= VARIABLES
        assert set(server["depends_on"]) <= set(services)
    (prepare,) = services["prepare"]["command"][2:]
    assert "python manage.py migrate" in prepare


def test_the_guide_names_what_there_is():
    guide = (DEPLOY / "README.md").read_text()
    (environment,) = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    assert {line.partition("=")[0] for line in environment.split()} <= VARIABLES
    assert set(re.findall(r"manage\.py (\w+)", guide)) <= set(get_commands())
    linked = set(re.findall(r"\]\(([^)/]+)\)", guide))
    assert linked == {path.name for path in DEPLOY.iterdir() if path.name != "README.md"}
