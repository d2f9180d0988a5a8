"""Which rows somebody may look through: those in the sight that the portal's policy gives them."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from upsrs import access, selection
from upsrs.models import Workitem

__all__ = ["in_sight", "sees_everything"]

NEWEST = 5_000
"""Where SQL cannot tell what is in sight, so many rows are looked at, the newest."""


def sees_everything(user: Any) -> bool:
    return bool(user.is_superuser) or access.sight(user) == access.EVERYTHING


def in_sight(user: Any, rows: QuerySet[Workitem]) -> QuerySet[Workitem]:
    """The rows that this user may see."""
    if sees_everything(user):
        return rows
    allowed = access.sight(user)
    conditions = [selection.condition(keys) for keys in allowed]
    if not conditions:
        return rows.none()
    if all(conditions):
        # An empty Q is everything by itself, but nothing within an OR.
        narrowed = Q()
        for condition in conditions:
            narrowed |= condition
        rows = rows.filter(narrowed)
    if all(map(selection.is_exact, allowed)):
        return rows
    newest = rows.order_by("-pk")[:NEWEST].iterator(chunk_size=100)
    return rows.filter(pk__in=[row.pk for row in newest if access.sees(allowed, row.snapshot())])
