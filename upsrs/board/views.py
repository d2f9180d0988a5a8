"""The board's pages: they translate, and decide nothing."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from upsrs import access, audit, contract, custody, errors, events, selection, subscriptions
from upsrs.board.acts import ACTS, Act, offered, refusal
from upsrs.board.details import facts, history
from upsrs.board.doors import guarded, is_script
from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.states import State
from upsrs.models import Event, Workitem, write_alias
from upsrs.sight import in_sight

__all__ = ["act", "asked", "board", "finished", "workitem"]

FINISHED = 100
"""So many finished workitems are on the board, the newest; the admin has all."""

FILTERS = {
    "label": "worklistLabel",
    "station": "scheduledStationAETitle",
    "performer": "performerAETitle",
    "priority": "ScheduledProcedureStepPriority",
}
"""Parameter of the address → field of the subscription's filter."""

PRIORITIES = ("HIGH", "MEDIUM", "LOW")
VIEWS = ("columns", "list")
COLUMNS = (
    ("scheduled", "Scheduled", "Nothing is waiting."),
    ("in-progress", "In progress", "Nobody is at work right now."),
    ("finished", "Finished", "Nothing was finished yet."),
)


@guarded(audit.Act.SEARCH)
@require_safe
def board(request: HttpRequest) -> HttpResponse:
    """The frame of the page, its filters, and the addresses its script needs; the rest comes live."""
    view = request.GET.get("view")
    context = {
        "columns": COLUMNS,
        "priorities": PRIORITIES,
        "wanted": {name: request.GET.get(name, "").strip() for name in FILTERS},
        "view": view if view in VIEWS else VIEWS[0],
        "service": reverse("upsrs:workitems").removesuffix("/workitems"),
        "ae_title": custody.ae_title_of(request.user),
    }
    return render(request, "upsrs/board/board.html", context)


@guarded(audit.Act.SEARCH)
@require_safe
def finished(request: HttpRequest) -> HttpResponse:
    """The newest of the finished workitems that the filters mean, as the reports of a socket."""
    wanted = {field: request.GET.get(name, "").strip() for name, field in FILTERS.items()}
    wanted = {field: text for field, text in wanted.items() if text}
    keys, refused = subscriptions.compile_filter(wanted)
    audit.done(audit.Act.SEARCH, request.user, detail={"filter": contract.shown(wanted)})
    rows = []
    if not refused:
        sight = access.sight(request.user)
        rows = selection.finished(keys, sight, limit=FINISHED, using=write_alias())
    zone = timezone.get_default_timezone()
    reports = [
        contract.report(row.uid, row.finished_at or row.changed_at, row.snapshot(), zone)
        for row in rows
    ]
    return JsonResponse({"workitems": reports})


@guarded(audit.Act.SEARCH)
@require_safe
def asked(request: HttpRequest) -> HttpResponse:
    """Which performers were asked to cancel, and why: the reports of a socket do not tell it."""
    audit.done(
        audit.Act.SEARCH, request.user, detail={"filter": {"ProcedureStepState": State.IN_PROGRESS}}
    )
    busy = Workitem.objects.using(write_alias()).filter(state=State.IN_PROGRESS)
    uids = in_sight(request.user, busy).values("uid")
    requests = Event.objects.using(write_alias()).filter(
        cancellation__isnull=False, workitem_uid__in=uids
    )
    sight = access.sight(request.user)
    reasons = {
        row.workitem_uid: contract.cancellation_reason(row.cancellation or {})
        for row in requests.order_by("pk")
        if access.sees(sight, events.logged(row).after)  # as whoever followed it was told
    }
    return JsonResponse({"reasons": reasons})


@guarded(audit.Act.READ)
@require_safe
def workitem(request: HttpRequest, workitem_uid: str) -> HttpResponse:
    """One workitem with its history: a page, or the part of it that the board's drawer shows."""
    row = _found(request, workitem_uid, audit.Act.READ)
    audit.done(audit.Act.READ, request.user, workitem_uid=row.uid)
    return _shown(request, row)


@guarded(audit.Act.UPDATE)
@require_POST
def act(request: HttpRequest, workitem_uid: str, name: str) -> HttpResponse:
    """Claim, report progress, complete, cancel: by the same rules as REST."""
    if name not in ACTS:
        raise Http404
    chosen = ACTS[name]
    form = chosen.form(request.POST)
    row = _found(request, workitem_uid, chosen.audited_as)
    if not form.is_valid():
        problems = [
            f"{form[field].label}: {problem}"
            for field, said in form.errors.items()
            for problem in said
        ]
        return _answer(request, row, 400, " ".join(problems), chosen)
    try:
        chosen.perform(request.user, row.uid, form.cleaned_data)
    except errors.UPSError as error:
        audit.refused(chosen.audited_as, request.user, error, workitem_uid=row.uid)
        if isinstance(error, errors.NotAuthorized):
            return _answer(request, row, 403, error.detail, chosen)
        row = _found(request, workitem_uid, chosen.audited_as)
        return _answer(request, row, 409, refusal(request.user, chosen, error, row), chosen)
    return _answer(request, row, 200, chosen.done, chosen)


def _found(request: HttpRequest, workitem_uid: str, act: audit.Act) -> Workitem:
    """The workitem that is to be read or acted on, if it is in sight."""
    try:
        return access.workitem(request.user, workitem_uid)
    except errors.NoSuchWorkitem as refusal:
        audit.refused(act, request.user, refusal, workitem_uid=workitem_uid)
        raise Http404 from None


def _answer(
    request: HttpRequest, row: Workitem, status: int, message: str, chosen: Act
) -> HttpResponse:
    if is_script(request):
        return JsonResponse({"message": message}, status=status)
    if status == 200:
        return HttpResponseRedirect(reverse("upsrs_board:workitem", args=[row.uid]))
    return _shown(request, row, refused=message, tried=chosen.name, status=status)


def _shown(request: HttpRequest, row: Workitem, *, status: int = 200, **told: Any) -> HttpResponse:
    known = contract.report(row.uid, row.changed_at, row.snapshot()).get("progressInformation", {})
    initial = {
        "progress": round(known.get("procedureStepProgress", 0)),
        "description": known.get("procedureStepProgressDescription", ""),
        # Empty where it is known: the use case takes it, code and all, from what was scheduled.
        "station": "" if _has_station(row) else custody.ae_title_of(request.user),
    }
    context = {
        "workitem": row,
        "facts": facts(row),
        "history": history(row.uid, access.sight(request.user)),
        "acts": [(act, act.form(initial=initial)) for act in offered(request.user, row)],
        "is_mine": custody.is_performer(request.user, row),
        "is_part": is_script(request),
        "progress": known,
        **told,
    }
    part = "upsrs/board/details.html" if is_script(request) else "upsrs/board/workitem.html"
    return render(request, part, context, status=status)


def _has_station(row: Workitem) -> bool:
    return not dicom_json.is_empty(row.dataset, "ScheduledStationNameCodeSequence")
