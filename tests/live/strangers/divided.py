"""A hospital with two databases: people and the worklist in one, everything else in the other."""

from __future__ import annotations

from portal.settings import *  # noqa: F403
from portal.settings import BASE_DIR, DATABASES

CLINIC = {"upsrs", "auth", "contenttypes", "admin"}

DATABASES = {
    "default": {**DATABASES["default"], "NAME": BASE_DIR / "other.sqlite3"},
    "clinic": {
        **DATABASES["default"],
        "NAME": BASE_DIR / "clinic.sqlite3",
        "ATOMIC_REQUESTS": True,
    },
}


class Router:
    def db_for_read(self, model, **hints):
        return "clinic" if model._meta.app_label in CLINIC else "default"

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return (app_label in CLINIC) == (db == "clinic")


DATABASE_ROUTERS = ["divided.Router"]
