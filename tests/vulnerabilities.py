"""What is publicly known against the versions in requirements.txt: ``python -m tests.vulnerabilities``.

pip-audit asks the service of PyPI. A vulnerability that a newer version mends is a failure. One that
nobody has mended yet is told, and so is what could not be asked about: without a network there is no
answer, and that is no fault of a change.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"

SECONDS = 60
"""A service that answers does so in some fifteen."""

Report = Mapping[str, Any]


def main() -> int:
    report = audited(REQUIREMENTS)
    if report is None:
        told, status = ["!!! VULNERABILITIES NOT ASKED ABOUT: no service answers !!!"], 0
    else:
        mended, open_ones, not_asked = verdict(report)
        told, status = [*mended, *open_ones], int(bool(mended))
        if not_asked:
            of_all = f"{len(not_asked)} of {len(report['dependencies'])}"
            told.append(f"!!! VULNERABILITIES NOT ASKED ABOUT: of {of_all} packages !!!")
    print(*told, sep="\n")  # noqa: T201
    return status


def audited(requirements: Path) -> Report | None:
    """The report of pip-audit; None if it has none."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "report.json"
        command = ["--requirement", str(requirements), "--output", str(output), "--format", "json"]
        # What is pinned is everything: nothing is resolved, and nothing installed.
        command += ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "5"]
        command += ["--cache-dir", directory]
        try:
            subprocess.run(
                [sys.executable, "-m", "pip_audit", *command],
                timeout=SECONDS,
                capture_output=True,
                check=False,
            )
            report: Report = json.loads(output.read_text())
        except (subprocess.TimeoutExpired, OSError, ValueError):
            return None
        return report


def verdict(report: Report) -> tuple[list[str], list[str], list[str]]:
    """What a newer version mends, what none mends, and the packages that nobody answered for."""
    mended: list[str] = []
    open_ones: list[str] = []
    not_asked: list[str] = []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            not_asked.append(package["name"])
        for found in package.get("vulns", ()):
            of_what = f"{package['name']} {package['version']}: {found['id']}"
            if found["fix_versions"]:
                mended.append(f"{of_what}, mended in {_listed(found['fix_versions'])}")
            else:
                open_ones.append(f"{of_what}, mended nowhere yet")
    return mended, open_ones, not_asked


def _listed(versions: Iterable[str]) -> str:
    return " and ".join(versions)


if __name__ == "__main__":
    sys.exit(main())
