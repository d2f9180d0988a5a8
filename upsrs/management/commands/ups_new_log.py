"""Give the log a new identity, after a backup was restored."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from upsrs import events


class Command(BaseCommand):
    help = (
        "Give the log a new logId: after a backup was restored, or a fail-over that lost commits. "
        "Every socket is asked to come back (4013), and every client starts from the present "
        "state. Nothing is removed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        place = events.begin_new_log()
        self.stdout.write(f"The log is {place.log_id} from now on, at position {place.position}.")
