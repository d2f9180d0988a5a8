"""The audit: who did what, from where, and what was refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from upsrs import audit, instants
from upsrs.admin import words
from upsrs.admin.filters import ChoiceFilter
from upsrs.admin.lists import ReadOnlyAdmin, uid_shown, when
from upsrs.audit import Act
from upsrs.models import AuditRecord
from upsrs.told import By, told

__all__ = ["AuditRecordAdmin", "told_link"]

SHOWN = 1_000
"""So many lines of what somebody was told are on one page."""

AROUND = timedelta(minutes=5)
"""So long before and after a record is asked for by its link."""


class Moment(forms.DateTimeField):
    """A date and time of the portal's, to the second."""

    widget = forms.DateTimeInput({"type": "datetime-local", "step": 1}, "%Y-%m-%dT%H:%M:%S")


class WhoAndWhen(forms.Form):
    """Who was told, and in which time."""

    by = forms.ChoiceField(label="Who", choices=[(by.value, by.value) for by in By])
    name = forms.CharField(label="Name, UID or AE title", max_length=150)
    since = Moment(label="From")
    until = Moment(label="Until")


def told_link(by: By, name: str, *, around: datetime | None = None) -> str:
    """The address of what somebody was told: around a moment, or in the last hour."""
    since, until = instants.now() - timedelta(hours=1), instants.now()
    if around is not None:
        since, until = around - AROUND, around + AROUND
    asked = {
        "by": by.value,
        "name": name,
        "since": _local(since),
        "until": _local(until + timedelta(seconds=1)),
    }
    return f"{reverse('admin:upsrs_auditrecord_told')}?{urlencode(asked)}"


def _local(at: datetime) -> str:
    return words.local(at).replace(tzinfo=None).isoformat("T", "seconds")


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

    change_list_template = "admin/upsrs/auditrecord/change_list.html"
    list_display = ("at", "act", "outcome", "who", "address", "door", "about", "correlation_id")
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

    @admin.display(description="user")
    def who(self, row: AuditRecord) -> str:
        """With what they were told about that time."""
        if not row.user:
            return ""
        link = told_link(By.USER, row.user, around=row.time)
        title = f"What was {row.user} told then?"
        return format_html('<a href="{}" title="{}">{}</a>', link, title, row.user)

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

    def _record(self, request: HttpRequest, **asked: str) -> None:
        if self.has_view_permission(request):
            audit.done(Act.READ_AUDIT, request.user, detail=asked)

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.told_view)
        return [path("told/", view, name="upsrs_auditrecord_told")]

    def told_view(self, request: HttpRequest) -> HttpResponse:
        """What was X told between 10:00 and 10:05?"""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = words.local(instants.now()).replace(microsecond=0)
        initial = {"since": now - timedelta(hours=1), "until": now + timedelta(seconds=1)}
        form = WhoAndWhen(
            {**initial, **request.GET.dict()} if request.GET else None, initial=initial
        )
        story = None
        if form.is_valid():
            asked = form.cleaned_data
            since, until = _aware(asked["since"]), _aware(asked["until"])
            self._record(
                request,
                **{asked["by"]: asked["name"], "from": since.isoformat(), "to": until.isoformat()},
            )
            story = told(By(asked["by"]), asked["name"], since=since, until=until)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "What was told",
            "form": form,
            "story": story,
            "shown": story.told[:SHOWN] if story else [],
            "is_cut": story and (story.is_cut or len(story.told) > SHOWN),
            "is_gone": story and story.begins and story.begins > since,
        }
        return TemplateResponse(request, "admin/upsrs/auditrecord/told.html", context)


def _aware(at: datetime) -> datetime:
    """With USE_TZ off a form gives the portal's local time, without a zone."""
    return timezone.make_aware(at, timezone.get_default_timezone()) if timezone.is_naive(at) else at
