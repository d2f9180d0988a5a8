"""Instants are aware, whatever the portal's USE_TZ says.

With ``USE_TZ = False`` Django's clock and its columns know local times without a zone, of which
one hour a year happens twice. A worklist needs instants, so it has a clock and a column of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import DateTimeField
from django.utils import timezone

__all__ = ["InstantField", "now"]


def now() -> datetime:
    """This instant, in UTC. Everything in upsrs asks here, and not ``django.utils.timezone``."""
    return datetime.now(UTC)


class InstantField(DateTimeField):  # type: ignore[type-arg]  # not generic when it runs
    """A ``DateTimeField`` that gives UTC, with ``USE_TZ`` off as well.

    SQLite has no zones: there the column holds UTC either way, so the switch may be turned.
    """

    def deconstruct(self) -> Any:
        """To migrations it is Django's own field: the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def get_default(self) -> Any:
        return _aware(super().get_default())

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        value = _aware(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(_aware(value))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        value = value if prepared else self.get_prep_value(value)
        if connection.vendor == "sqlite" and not settings.USE_TZ and isinstance(value, datetime):
            value = _in_utc(value).replace(tzinfo=None)
        return super().get_db_prep_value(value, connection, prepared=True)

    def from_db_value(self, value: Any, _expression: Any, connection: Any) -> Any:
        if settings.USE_TZ or not isinstance(value, datetime):
            return value
        if connection.vendor == "sqlite":
            return value.replace(tzinfo=UTC)
        return _in_utc(_aware(value))  # Django has PostgreSQL tell the portal's local time


def _aware(value: Any) -> Any:
    """What has no zone is in the portal's."""
    if isinstance(value, datetime) and timezone.is_naive(value):
        return timezone.make_aware(value, timezone.get_default_timezone())
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # within a day of the first or the last instant that Python knows
        return value.replace(tzinfo=UTC)
