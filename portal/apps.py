"""The portal as an app: its pages, templates and styles, and the groups of its people."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    name = "portal"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from portal.roles import make_groups

        # Apps are told in their order, those without tables not at all. When the orders are, they
        # and upsrs before them have got their permissions.
        post_migrate.connect(make_groups, sender=apps.get_app_config("orders"))
