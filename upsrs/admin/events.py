"""The log: what happened, in order, and who was told of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.html import format_html

from upsrs import audit, delivery
from upsrs.admin import datasets, timeline, words
from upsrs.admin.filters import ChoiceFilter
from upsrs.admin.lists import CappedPaginator, ReadOnlyAdmin, uid_shown, when
from upsrs.delivery import Audience
from upsrs.dicom.changes import Kind
from upsrs.models import Event, Subscription, Workitem, write_alias
from upsrs.sight import in_sight, sees_everything

__all__ = ["EventAdmin"]

SUBSCRIPTIONS = 100
"""So many on one page of an event."""


class KindFilter(ChoiceFilter):
    title = parameter_name = column = "kind"
    choices_offered = tuple(Kind)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """To read only: what is in the log has happened."""

    uid_field = "workitem_uid"
    list_display = ("at", "kind", "workitem", "state_shown", "actor", "position")
    list_filter = (KindFilter,)
    date_hierarchy = "time"
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("workitem_uid",)
    search_help_text = "Exactly: a workitem UID."

    @admin.display(description="time")
    def at(self, event: Event) -> str:
        return when(event.time)

    @admin.display(description="workitem")
    def workitem(self, event: Event) -> str:
        return format_html(
            '<a href="?q={}">{}</a>', event.workitem_uid, uid_shown(event.workitem_uid)
        )

    @admin.display(description="state")
    def state_shown(self, event: Event) -> str:
        if event.state_before in ("", event.state_after):
            return event.state_after
        return format_html("{} → {}", event.state_before, event.state_after)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        """The events of the workitems that are in sight now."""
        events = super().get_queryset(request)
        if sees_everything(request.user):
            return events
        seen = in_sight(request.user, Workitem.objects.all())
        return events.filter(workitem_uid__in=seen.values("uid"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        wanted = search_term.strip()
        return (queryset.filter(workitem_uid=wanted) if wanted else queryset), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One event: what it changed, and what became of it for every subscription."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        event = self.get_object(request, object_id)
        if event is None:
            return self.not_there(request, object_id)
        audit.done(audit.Act.READ, request.user, workitem_uid=event.workitem_uid)
        rows = Subscription.objects.using(write_alias()).order_by("-pk")
        pages: Paginator[Any] = CappedPaginator(rows.values_list("pk", flat=True), SUBSCRIPTIONS)
        page = pages.get_page(request.GET.get("p"))
        audience = Audience(delivery.followers(rows.filter(pk__in=list(page.object_list))))
        told = timeline.told(audience.deliveries(event))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{event.kind} at {words.moment(event.time)}",
            "event": event,
            "entry": timeline.Entry(event, timeline.changes_of(event), told),
            "page": page,
            "elements": datasets.element_rows(event.dataset),
            "cancellation": datasets.element_rows(event.cancellation or {}),
            "workitem": in_sight(
                request.user, Workitem.objects.filter(uid=event.workitem_uid)
            ).first(),
        }
        return TemplateResponse(request, "admin/upsrs/event/page.html", context)
