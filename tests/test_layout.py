"""The shape of the project: what imports what, what is migrated, what is packaged."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from django.core.management import call_command

import upsrs

CHECKOUT = Path(__file__).resolve().parents[1]


def run(*command: str, **env: str) -> None:
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_imports_point_down():
    run(str(Path(sysconfig.get_path("scripts")) / "lint-imports"), "--no-cache")


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_wheel_holds_the_app_and_nothing_else(tmp_path):
    run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        str(tmp_path),
    )
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name == f"django_upsrs-{upsrs.__version__}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "upsrs",
        f"django_upsrs-{upsrs.__version__}.dist-info",
    }
    kept = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "upsrs").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("upsrs/")} == kept
