"""``docs/deploy`` says what is so: the documented options, variables and commands that there are.

That nginx works as configured is proven in ``tests/live/test_nginx.py``.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from typing import Any

import prometheus_client
import promql_parser
import pytest
import yaml
from django.core.management import get_commands

from tests.live.server import CHECKOUT, OURS
from upsrs import metrics
from upsrs.rest.metrics import Present

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


def alarms() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def samples() -> dict[str, set[str]]:
    """Metric, as Prometheus stores it → its labels."""
    known: dict[str, set[str]] = {"up": {"job", "instance"}}
    for metric in (*vars(metrics).values(), metrics.DELIVERIES):
        if not isinstance(metric, prometheus_client.metrics.MetricWrapperBase):
            continue
        name, labels = metric._name, set(metric._labelnames)
        if isinstance(metric, prometheus_client.Histogram):
            known[f"{name}_bucket"] = labels | {"le"}
        elif isinstance(metric, prometheus_client.Counter):
            known[f"{name}_total"] = labels
    for family in Present().collect():
        known[family.name] = {label for one in family.samples for label in one.labels}
    return known


@pytest.mark.django_db
def test_alarms_are_of_metrics_that_there_are():
    known, documented = samples(), (CHECKOUT / "docs/operations.md").read_text()
    for rule in alarms():
        promql_parser.parse(rule["expr"])
        told = "".join(rule["annotations"].values())
        named = re.findall(r"\b(up(?:srs_\w+)?)(?:\{(\w+)=[^}]*\})?", rule["expr"])
        assert named, rule["alert"]
        for metric, label in named:
            assert metric in known, rule["alert"]
            assert not label or label in known[metric]
            assert metric == "up" or f"`{metric.removesuffix('_bucket')}" in documented
        for label in re.findall(r"\$labels\.(\w+)", told):
            assert any(label in known[metric] for metric, _ in named), rule["alert"]
        for metric in re.findall(r"upsrs_\w+", told):
            assert metric in known, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
    promtool = shutil.which("promtool")
    if promtool is not None:
        subprocess.run([promtool, "check", "rules", str(DEPLOY / "alerts.yml")], check=True)


def test_the_guide_names_what_there_is():
    guide = (DEPLOY / "README.md").read_text()
    (environment,) = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    assert {line.partition("=")[0] for line in environment.split()} <= VARIABLES
    assert set(re.findall(r"manage\.py (\w+)", guide)) <= set(get_commands())
    linked = set(re.findall(r"\]\(([^)/]+)\)", guide))
    assert linked == {path.name for path in DEPLOY.iterdir() if path.name != "README.md"}
