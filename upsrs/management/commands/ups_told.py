"""Say what somebody was told between two moments."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from upsrs import audit, instants
from upsrs.origin import coming_from
from upsrs.told import By, Proof, Story, Told, told

PROOFS = {
    Proof.TAKEN: "",
    Proof.SENT: ", not known to have arrived",
    Proof.POSSIBLE: ", possibly: what decided it is not known any more",
}


class Command(BaseCommand):
    help = (
        "Say what the sockets of a user were told, at once or when they came back: each event with "
        "its workitem, and whether it is known to have arrived. That it was asked is audited."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("user", nargs="?", help="a user's name")
        who.add_argument("--subscription", metavar="UID", help="only this subscription")
        who.add_argument("--ae-title", metavar="AE", help="the event channel of this AE")
        parser.add_argument(
            "--from", dest="since", required=True, help="as in 2026-01-05T10:00, or 10:00 (today)"
        )
        parser.add_argument("--to", dest="until", default="", help="and before this (now)")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        given = {
            By.USER: options["user"],
            By.SUBSCRIPTION: options["subscription"],
            By.AE_TITLE: options["ae_title"],
        }
        [(by, name)] = [(by, name) for by, name in given.items() if name is not None]
        since = _moment(options["since"], "--from")
        until = _moment(options["until"], "--to") if options["until"] else instants.now()
        with coming_from("command", {}):
            story = told(by, name, since=since, until=until)
            asked = {by.value: name, "from": since.isoformat(), "to": until.isoformat()}
            audit.done(audit.Act.READ_AUDIT, None, detail=asked)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(story), default=_text))
        else:
            self._write(story, since)

    def _write(self, story: Story, since: datetime) -> None:
        for one in story.told:
            self.stdout.write(_line(one))
        if not story.told:
            self.stdout.write("Nothing.")
        if story.begins is not None and story.begins > since:
            begins = timezone.localtime(story.begins).isoformat(" ", "seconds")
            self.stderr.write(f"The log begins at {begins}: what was told before is not known.")
        if story.is_cut:
            self.stderr.write("There was more: ask for a shorter time.")


def _line(one: Told) -> str:
    at = timezone.localtime(one.at).isoformat(" ", "milliseconds")
    who = f"{one.user or 'nobody'} at {one.address or 'an unknown address'}"
    if one.ae_title:
        who = f"{who} as {one.ae_title}"
    if not one.kind:
        what = "the present state of all that it follows, not named one by one"
    else:
        what = f"{one.kind} {one.workitem_uid}, eventId {one.position}, {one.how}"
        what += ", the UID only" if one.uid_only else ""
        what += PROOFS[one.proof]
    return f"{at} {who}: {what} (subscription {one.subscription_uid})"


def _as_json(story: Story) -> dict[str, Any]:
    return {
        "told": [asdict(one) for one in story.told],
        "log_begins": story.begins,
        "is_cut": story.is_cut,
    }


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _moment(text: str, option: str) -> datetime:
    """A date and time, or a time of today; one without an offset is the portal's."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            at = datetime.combine(_today(), time.fromisoformat(text))
        except ValueError:
            raise CommandError(f"{option} is a time, as in 2026-01-05T10:00 or 10:00.") from None
    return timezone.make_aware(at) if timezone.is_naive(at) else at


def _today() -> date:
    return timezone.localtime(instants.now()).date()
