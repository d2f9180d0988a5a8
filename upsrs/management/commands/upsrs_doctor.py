"""Say what is wrong with a live installation, and what to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from upsrs import doctor
from upsrs.doctor import Finding, Severity


class Command(BaseCommand):
    help = (
        "Look at a live installation: settings, hosts, proxies, database, clock, log and channel "
        "layer. Says what is wrong and what to do; the exit code is 1 if anything is an error."
    )
    # It says itself what they say, beside what else it finds.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="a list of objects")
        parser.add_argument(
            "--url",
            help="where clients reach the worklist from outside, https://portal.example/ups-rs: is "
            "a socket let through to us?",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        findings = list(doctor.examine())
        if options["url"]:
            findings.append(doctor.examine_address(options["url"]))
        if options["json"]:
            self.stdout.write(json.dumps(list(map(asdict, findings)), indent=2))
        else:
            for finding in findings:
                self._say(finding)
        if any(finding.severity == Severity.ERROR for finding in findings):
            raise SystemExit(1)

    def _say(self, finding: Finding) -> None:
        styles = {Severity.OK: self.style.SUCCESS, Severity.WARNING: self.style.WARNING}
        style = styles.get(finding.severity, self.style.ERROR)
        severity = style(f"{finding.severity:<8}")
        self.stdout.write(f"{severity} {finding.subject:<9} {finding.says}")
        if finding.remedy:
            self.stdout.write(f"{'':<18} {finding.remedy}")
