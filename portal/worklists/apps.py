"""Worklists and AE titles, as an administrator gives them to groups and accounts."""

from __future__ import annotations

from django.apps import AppConfig


class WorklistsConfig(AppConfig):
    name = "portal.worklists"
    default_auto_field = "django.db.models.BigAutoField"
