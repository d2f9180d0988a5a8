"""Find what nobody listens to."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from upsrs import unattended
from upsrs.delivery import Attention


class Command(BaseCommand):
    help = (
        "Find workitems that need somebody: nobody was told of them, they are unclaimed past their "
        "start, or their performer's sockets are gone. Sends upsrs.signals.workitem_unattended for "
        "each, at every run as long as it lasts: let a timer run it, and let the portal page who is "
        "on call."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        counted = unattended.announce()
        for reason in Attention:
            self.stdout.write(f"{counted[reason]} {reason.value}")
