"""The app as Django sees it."""

from __future__ import annotations

from django.apps import AppConfig


class UpsrsConfig(AppConfig):
    name = "upsrs"
    verbose_name = "DICOM worklist (UPS-RS)"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from upsrs import checks, signals  # noqa: F401  (both register themselves)
