"""Orders: how the code of a RIS puts work on the worklist and hears what became of it."""

from __future__ import annotations

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "portal.orders"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from portal.orders import following  # noqa: F401  (it connects itself)
