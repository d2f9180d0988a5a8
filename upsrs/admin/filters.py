"""What the list of workitems can be narrowed by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from upsrs import delivery, instants, selection
from upsrs.delivery import Attention
from upsrs.dicom.attributes import DOMAINS
from upsrs.dicom.matching import Keys
from upsrs.dicom.states import State
from upsrs.models import Workitem

__all__ = [
    "AttentionFilter",
    "ChoiceFilter",
    "LabelFilter",
    "PerformerFilter",
    "PriorityFilter",
    "ReadinessFilter",
    "StateFilter",
    "StationFilter",
]

NEWEST = 500
"""Who heard of a workitem is worked out for so many of them, the newest."""


class ChoiceFilter(admin.SimpleListFilter):
    """One of the values that a column may have; not asked from the database."""

    column: str
    choices_offered: tuple[str, ...]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.choices_offered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        if chosen not in self.choices_offered:
            return queryset
        return queryset.filter(**{self.column: chosen})


class StateFilter(ChoiceFilter):
    title = parameter_name = column = "state"
    choices_offered = tuple(State)


class PriorityFilter(ChoiceFilter):
    title = parameter_name = column = "priority"
    choices_offered = ("HIGH", "MEDIUM", "LOW")


class ReadinessFilter(ChoiceFilter):
    title = "input readiness"
    parameter_name = column = "readiness"
    choices_offered = tuple(sorted(DOMAINS["InputReadinessState"]))


class PatternFilter(admin.SimpleListFilter):
    """A field to write in: the patterns that a subscription's filter takes, with ``*`` and ``?``."""

    template = "admin/upsrs/pattern_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("", "")]  # a filter without choices would not be shown

    def choices(self, changelist: Any) -> Iterator[Any]:
        kept = {k: v for k, v in changelist.params.items() if k != self.parameter_name}
        yield {
            "name": self.parameter_name,
            "value": self.value() or "",
            "kept": kept,
            "remove": changelist.get_query_string(remove=[self.parameter_name]),
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        # No attribute holds a NUL, and PostgreSQL takes none.
        pattern = (self.value() or "").replace("\0", "").strip()
        return queryset.filter(selection.condition(Keys({str(self.parameter_name): pattern}, {})))


class LabelFilter(PatternFilter):
    title = "worklist label"
    parameter_name = "label"


class StationFilter(PatternFilter):
    title = "station"
    parameter_name = "station"


class PerformerFilter(PatternFilter):
    title = "performer"
    parameter_name = "performer"


class AttentionFilter(admin.SimpleListFilter):
    """What nobody listens to. Exact for what is late; else among the newest that are open."""

    title = "attention"
    parameter_name = "attention"
    found: dict[int, tuple[Attention, ...]] | None = None
    """Primary key → why; what was found out, so that the list need not find it out again."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (Attention.LATE.name, Attention.LATE.value),
            (Attention.UNHEARD.name, f"{Attention.UNHEARD} (of the newest {NEWEST})"),
            (Attention.ABANDONED.name, f"{Attention.ABANDONED} (of the newest {NEWEST})"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = Attention.__members__.get(self.value() or "")
        if wanted is None:
            return queryset
        if wanted is Attention.LATE:
            return queryset.filter(state=State.SCHEDULED, starts_at__lt=instants.now())
        state = State.IN_PROGRESS if wanted is Attention.ABANDONED else State.SCHEDULED
        newest = Workitem.objects.filter(state=state).defer("dataset").order_by("-pk")[:NEWEST]
        self.found = delivery.attention(newest)
        return queryset.filter(pk__in=[pk for pk, why in self.found.items() if wanted in why])
