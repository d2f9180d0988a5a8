"""What CI makes of a report about the pinned packages."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from tests import vulnerabilities
from tests.vulnerabilities import REQUIREMENTS


def package(name="django", **facts):
    return {"name": name, "version": "5.2", "vulns": [], **facts}


def found(*fixes):
    return {"id": "PYSEC-1", "fix_versions": list(fixes)}


REPORTS = {
    "nothing known": ([package()], 0, ""),
    "mended in a newer version": (
        [package(vulns=[found("5.2.1")])],
        1,
        "django 5.2: PYSEC-1, mended in 5.2.1",
    ),
    "mended by nobody": ([package(vulns=[found()])], 0, "django 5.2: PYSEC-1, mended nowhere yet"),
    "not asked about": (
        [package(), {"name": "other", "skip_reason": "not found"}],
        0,
        "NOT ASKED ABOUT: of 1 of 2 packages",
    ),
}


@pytest.mark.parametrize(("packages", "status", "told"), REPORTS.values(), ids=REPORTS)
def test_only_what_can_be_mended_fails(monkeypatch, capsys, packages, status, told):
    monkeypatch.setattr(vulnerabilities, "audited", lambda _: {"dependencies": packages})
    assert vulnerabilities.main() == status
    assert told in capsys.readouterr().out


def hangs(*_, timeout, **__):
    raise subprocess.TimeoutExpired("pip-audit", timeout)


@pytest.mark.parametrize("run", [hangs, lambda *_, **__: SimpleNamespace(returncode=1)])
def test_no_network_is_said_and_is_no_failure(monkeypatch, capsys, run):
    monkeypatch.setattr(subprocess, "run", run)
    assert vulnerabilities.main() == 0
    assert "NOT ASKED ABOUT: no service answers" in capsys.readouterr().out


def test_every_package_is_pinned_once():
    lines = REQUIREMENTS.read_text().splitlines()
    pinned = [line.partition("==")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(set(pinned)) == sorted(pinned)
