"""Workitems: the list, a page for each, and what may be done to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Func, Prefetch, QuerySet, TextField
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from upsrs import audit, delivery, errors, instants, workitems
from upsrs.admin import datasets, timeline, words
from upsrs.admin.acts import ACTS, OTHER_PERFORMER, Act
from upsrs.admin.filters import (
    AttentionFilter,
    LabelFilter,
    PerformerFilter,
    PriorityFilter,
    ReadinessFilter,
    StateFilter,
    StationFilter,
)
from upsrs.admin.forms import NewWorkitemForm
from upsrs.admin.lists import QuickChangeList, ReadOnlyAdmin, uid_shown
from upsrs.delivery import Attention
from upsrs.dicom import states
from upsrs.dicom.states import State
from upsrs.models import Workitem, WorkitemKey, write_alias
from upsrs.sight import in_sight

__all__ = ["WorkitemAdmin"]

SEARCHED = 1_000
"""A search finds so many, the newest, by each of what it looks into."""


class Progress(Func):
    """Procedure Step Progress (0074,1004), taken out of the dataset by the database."""

    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        path = '$."00741002"."Value"[0]."00741004"."Value"[0]'
        return self.as_sql(
            compiler, connection, template=f"JSON_EXTRACT(%(expressions)s, '{path}')"
        )

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        path = "{00741002,Value,0,00741004,Value,0}"
        return self.as_sql(compiler, connection, template=f"(%(expressions)s #>> '{path}')")


class WorkitemList(QuickChangeList):
    """Reads what the list shows, and no dataset: one may have a megabyte."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        rows: Any = super().get_queryset(request, exclude_parameters)
        shown = WorkitemKey.objects.filter(
            name__in=[WorkitemKey.Name.STATION, WorkitemKey.Name.PERFORMER]
        )
        return (
            rows.defer("dataset")
            .annotate(progress=Progress(F("dataset")))
            .prefetch_related(Prefetch("keys", shown))
        )

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        known = [spec.found for spec in self.filter_specs if isinstance(spec, AttentionFilter)]
        found = next(filter(None, known), None) or delivery.attention(self.result_list)
        for row in self.result_list:
            row.attention = found.get(row.pk, ())


@admin.register(Workitem)
class WorkitemAdmin(ReadOnlyAdmin):
    """To look at, and to act on by the use cases: no field is edited behind their backs."""

    uid_field = "uid"
    list_display = (
        "step",
        "state_shown",
        "progress_shown",
        "label",
        "priority_shown",
        "stations",
        "performers",
        "start",
    )
    list_filter = (
        AttentionFilter,
        StateFilter,
        PriorityFilter,
        LabelFilter,
        StationFilter,
        PerformerFilter,
        ReadinessFilter,
    )
    sortable_by = ("start",)
    date_hierarchy = "starts_at"
    search_fields = ("uid", "keys__value", "patient_id", "worklist_label", "step_label")
    search_help_text = (
        "Exactly: a workitem UID, accession number, patient ID, worklist label or step."
    )

    # What the list shows

    @admin.display(description="workitem")
    def step(self, row: Any) -> str:
        return format_html(
            "{}{}{}",
            row.step_label or "no label",
            uid_shown(row.uid),
            format_html_join(
                "",
                '<span class="upsrs-attention">{}</span>',
                ((why.value,) for why in row.attention if why is not Attention.LATE),
            ),
        )

    @admin.display(description="state")
    def state_shown(self, row: Any) -> str:
        kind = row.state.lower().replace(" ", "-")
        return format_html('<span class="upsrs-state upsrs-{}">{}</span>', kind, row.state)

    @admin.display(description="label")
    def label(self, row: Any) -> str:
        return str(row.worklist_label)

    @admin.display(description="priority")
    def priority_shown(self, row: Any) -> str:
        kind = row.priority.lower()
        return format_html('<span class="upsrs-priority upsrs-{}">{}</span>', kind, row.priority)

    @admin.display(description="station")
    def stations(self, row: Any) -> str:
        return _joined(row, WorkitemKey.Name.STATION)

    @admin.display(description="performer")
    def performers(self, row: Any) -> str:
        return _joined(row, WorkitemKey.Name.PERFORMER)

    @admin.display(description="start", ordering="starts_at")
    def start(self, row: Any) -> str:
        if row.starts_at is None:
            return ""
        at = words.moment(row.starts_at, seconds=False)
        late = _late(row)
        return format_html(
            '<span class="upsrs-start">{}</span> <span class="upsrs-late">{}</span>', at, late
        )

    @admin.display(description="progress")
    def progress_shown(self, row: Any) -> str:
        if row.progress is None or row.state == State.SCHEDULED:
            return ""
        percent = f"{float(row.progress):g}"
        return format_html(
            '<progress max="100" value="{}" aria-label="progress"></progress> {} %',
            percent,
            percent,
        )

    # What may be seen and done

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WorkitemList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        return in_sight(request.user, super().get_queryset(request))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The newest first; by start where that is asked for, as the index of starts has it."""
        by_start = "starts_at__year" in request.GET or (
            request.GET.get(AttentionFilter.parameter_name) == Attention.LATE.name
        )
        return ("starts_at", "id") if by_start else ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What has exactly this value: one look into an index for each place it may be in."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        rows = Workitem.objects.order_by("-pk")
        accession = WorkitemKey.objects.filter(name=WorkitemKey.Name.ACCESSION, value=wanted)
        found = Workitem.objects.filter(uid=wanted).values("pk")
        places: tuple[QuerySet[Any, Any], ...] = (
            accession.order_by("-workitem").values("workitem")[:SEARCHED],
            rows.filter(patient_id=wanted).values("pk")[:SEARCHED],
            rows.filter(worklist_label=wanted).values("pk")[:SEARCHED],
            rows.filter(step_label=wanted).values("pk")[:SEARCHED],
        )
        for newest in places:
            # Within a filter of its own: SQLite takes no LIMIT in a part of a UNION.
            found = found.union(Workitem.objects.filter(pk__in=newest).values("pk"))
        return queryset.filter(pk__in=found), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsrs.add_workitem")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("upsrs.change_workitem")

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request) and request.user.has_perm(
            "upsrs.repair_workitem"
        )

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Of the list. Django 6.1 asks for those of a workitem's page too: it has its own buttons."""
        if getattr(action_location, "name", "CHANGE_LIST") != "CHANGE_LIST":
            return {}
        return {
            act.name: (_action(act), act.name, act.title)
            for act in ACTS.values()
            if self._may(request, act)
        }

    def _may(self, request: HttpRequest, act: Act) -> bool:
        may: bool = getattr(self, f"has_{act.permission}_permission")(request)
        return may

    # The pages

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Everything about one workitem, to read; its buttons are the list's actions."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        workitem = self.get_object(request, object_id)
        if workitem is None:
            return self.not_there(request, object_id)
        audit.done(audit.Act.READ, request.user, workitem_uid=workitem.uid)
        entries, has_more = timeline.newest(workitem)
        offered = [act for act in ACTS.values() if self._may(request, act)]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": workitem.step_label or "Workitem",
            "workitem": workitem,
            "attention": delivery.attention([workitem]).get(workitem.pk, ()),
            "facts": _facts(workitem),
            "acts": [act for act in offered if State(workitem.state) in act.states],
            "elements": datasets.element_rows(workitem.dataset),
            "raw": json.dumps(workitem.dataset, indent=2, ensure_ascii=False),
            "entries": entries,
            "has_more": has_more,
            "may_match": request.user.has_perm("upsrs.view_subscription"),
        }
        return TemplateResponse(request, "admin/upsrs/workitem/page.html", context)

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewWorkitemForm(request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            try:
                workitem = self._create(request, form)
            except errors.UPSError as refusal:
                audit.refused(audit.Act.CREATE, request.user, refusal)
                form.refuse(refusal)
            else:
                self.message_user(request, f"{workitem.uid}: created.", messages.SUCCESS)
                return HttpResponseRedirect(self._page_or_index(request, workitem))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "New workitem",
            "form": form,
            "adminform": helpers.AdminForm(form, list(form.fieldsets), {}),  # type: ignore[arg-type]
        }
        return TemplateResponse(request, "admin/upsrs/workitem/new.html", context)

    def _create(self, request: HttpRequest, form: NewWorkitemForm) -> Workitem:
        with transaction.atomic(using=write_alias()):
            created = workitems.create(request.user, form.dataset())
            workitem = Workitem.objects.using(write_alias()).get(uid=created.workitem_uid)
            self.log_addition(request, workitem, "Created.")
        return workitem

    def _page_or_index(self, request: HttpRequest, workitem: Workitem) -> str:
        if self.has_view_permission(request):
            return reverse("admin:upsrs_workitem_change", args=[workitem.pk])
        return reverse("admin:index")

    # Acting

    def act(self, request: HttpRequest, act: Act, rows: QuerySet[Any]) -> HttpResponse | None:
        """Ask for what the act needs to know, then do it to each of these workitems."""
        if request.POST.get("select_across") == "1":
            self.message_user(request, "Choose the workitems one by one.", messages.ERROR)
            return None
        chosen = list(rows)
        asked = "apply" in request.POST
        form = act.form(request.POST if asked else None)
        if not asked or not form.is_valid():
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": act.title,
                "act": act,
                "chosen": chosen,
                "form": form,
                "on_page": "on_page" in request.POST,
                "checkbox": helpers.ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/upsrs/workitem/act.html", context)
        for workitem in chosen:
            self._act_on(request, act, workitem, form)
        if "on_page" in request.POST and len(chosen) == 1:
            return HttpResponseRedirect(self._page_or_index(request, chosen[0]))
        return None

    def _act_on(self, request: HttpRequest, act: Act, workitem: Workitem, form: Any) -> None:
        """One workitem, one transaction, one message; done acts are in its history."""
        try:
            with transaction.atomic(using=write_alias()):
                answer = act.perform(request.user, workitem.uid, form)
                if not isinstance(answer, states.Warning):
                    done = answer or act.done
                    self.log_change(request, workitem, f"{act.title}: {done}.")
        except errors.TransactionUIDRefused as refusal:
            audit.refused(act.audited_as, request.user, refusal, workitem_uid=workitem.uid)
            self.message_user(request, f"{workitem.uid}: {OTHER_PERFORMER}", messages.ERROR)
        except errors.UPSError as refusal:
            audit.refused(act.audited_as, request.user, refusal, workitem_uid=workitem.uid)
            self.message_user(request, f"{workitem.uid}: {refusal.detail}", messages.ERROR)
        else:
            if isinstance(answer, states.Warning):
                already = answer.name.replace("_", " ").lower()
                self.message_user(request, f"{workitem.uid}: it is {already}.", messages.WARNING)
            else:
                self.message_user(request, f"{workitem.uid}: {done}.", messages.SUCCESS)


def _action(act: Act) -> Callable[..., HttpResponse | None]:
    def run(
        model_admin: WorkitemAdmin, request: HttpRequest, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        return model_admin.act(request, act, rows)

    return run


def _joined(row: Workitem, name: WorkitemKey.Name) -> str:
    return ", ".join(sorted(key.value for key in row.keys.all() if key.name == name))


def _late(workitem: Workitem) -> str:
    """How late it is, if nobody claimed it in time."""
    starts_at = workitem.starts_at
    if workitem.state != State.SCHEDULED or starts_at is None or starts_at > instants.now():
        return ""
    is_fresh = instants.now() - starts_at < timedelta(minutes=1)
    return "late" if is_fresh else f"late by {words.within(starts_at)}"


def _facts(workitem: Workitem) -> list[tuple[str, str]]:
    """What one wants to know of a workitem at first sight."""
    snapshot = workitem.snapshot()
    start = [words.moment(workitem.starts_at), _late(workitem)]
    return [
        ("Worklist", snapshot.label),
        ("Priority", workitem.priority),
        ("Start", ", ".join(filter(None, start))),
        ("Input", workitem.readiness),
        ("Station", ", ".join(snapshot.stations)),
        ("Performer", ", ".join(snapshot.performers)),
        ("Created", words.moment(workitem.created_at)),
        ("Changed", words.moment(workitem.changed_at)),
    ]
