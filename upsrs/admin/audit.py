"""The audit: who did what, from where, and what was refused."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from upsrs import audit
from upsrs.admin.filters import ChoiceFilter
from upsrs.admin.lists import ReadOnlyAdmin, uid_shown, when
from upsrs.audit import Act
from upsrs.models import AuditRecord

__all__ = ["AuditRecordAdmin"]


class ActFilter(ChoiceFilter):
    title = parameter_name = column = "act"
    choices_offered = tuple(Act)


class OutcomeFilter(admin.SimpleListFilter):
    title = parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("allowed", "allowed"), ("refused", "refused")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "allowed":
                return queryset.filter(refusal="")
            case "refused":
                return queryset.exclude(refusal="")
        return queryset


@admin.register(AuditRecord)
class AuditRecordAdmin(ReadOnlyAdmin):
    """To read only, by who has ``upsrs.view_auditrecord``; that it was read is audited too."""

    list_display = ("at", "act", "outcome", "user", "address", "door", "about", "correlation_id")
    list_filter = (ActFilter, OutcomeFilter)
    date_hierarchy = "time"
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("user", "workitem_uid")
    search_help_text = "Exactly: a user name, or a workitem UID."
    fields = (
        *("time", "act", "refusal", "user", "address", "door", "workitem_uid", "subscription_uid"),
        *("connection", "place", "log_position", "correlation_id", "detail"),
    )

    @admin.display(description="time")
    def at(self, row: AuditRecord) -> str:
        return when(row.time)

    @admin.display(description="outcome")
    def outcome(self, row: AuditRecord) -> str:
        return row.refusal or "allowed"

    @admin.display(description="workitem or subscription")
    def about(self, row: AuditRecord) -> str:
        if row.workitem_uid:
            return format_html(
                '<a href="?q={}">{}</a>', row.workitem_uid, uid_shown(row.workitem_uid)
            )
        return uid_shown(row.subscription_uid) if row.subscription_uid else ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What is about exactly this: each of both is one look into an index."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        return queryset.filter(Q(user=wanted) | Q(workitem_uid=wanted)), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._record(request)
        return super().changelist_view(request, extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        self._record(request)
        return super().change_view(request, object_id, form_url, extra_context)

    def _record(self, request: HttpRequest) -> None:
        if self.has_view_permission(request):
            audit.done(Act.READ_AUDIT, request.user)
