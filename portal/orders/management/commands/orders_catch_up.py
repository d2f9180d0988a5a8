"""For a timer: what the orders missed because a process was killed at the wrong moment."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from portal.orders.following import catch_up


class Command(BaseCommand):
    help = "Compare the open orders with their workitems."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Orders that had missed something: {catch_up()}.")
