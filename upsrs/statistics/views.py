"""The page of a day's figures, and its pictures."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from upsrs import access, instants
from upsrs.statistics import figures
from upsrs.statistics.charts import CHARTS, LOOKS, are_available, draw
from upsrs.statistics.figures import Day
from upsrs.statistics.tables import TABLES

__all__ = ["chart", "page"]

KEPT_SECONDS = 30
"""A page and its pictures show the same figures, counted once."""

EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    wanted = _day_asked_for(request)
    day = _counted(request.user, wanted)
    context = {
        "day": day,
        "is_today": wanted == _today(),
        "day_before": wanted - timedelta(days=1),
        "day_after": wanted + timedelta(days=1),
        "sections": [
            (_address(name, wanted), chart, TABLES[name](day)) for name, chart in CHARTS.items()
        ],
        "has_pictures": are_available(),
    }
    return render(request, "upsrs/statistics/page.html", context)


@login_required
@require_safe
def chart(request: HttpRequest, name: str) -> HttpResponse:
    """One picture, as ``look`` has it."""
    look = LOOKS.get(request.GET.get("look", "light"))
    if name not in CHARTS or look is None or not are_available():
        raise Http404
    wanted = _day_asked_for(request)
    _require_sight(request.user)
    day = cache.get(_key(request.user, wanted)) or _counted(request.user, wanted)
    answer = HttpResponse(draw(CHARTS[name], day, look), content_type="image/svg+xml")
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _address(name: str, wanted: date) -> str:
    return f"{reverse('upsrs_statistics:chart', args=[name])}?day={wanted.isoformat()}"


def _day_asked_for(request: HttpRequest) -> date:
    """``?day=2026-01-05``; today, if none is named."""
    asked = request.GET.get("day", "")
    if not asked:
        return _today()
    try:
        wanted = date.fromisoformat(asked)
    except ValueError:
        raise Http404 from None
    if not EARLIEST <= wanted <= LATEST:
        raise Http404
    return wanted


def _today() -> date:
    return timezone.localdate(instants.now())


def _require_sight(user: Any) -> None:
    if not access.policy().may(user, "view_workitem"):
        raise PermissionDenied


def _counted(user: Any, wanted: date) -> Day:
    _require_sight(user)
    day = figures.day(user, wanted)
    cache.set(_key(user, wanted), day, KEPT_SECONDS)
    return day


def _key(user: Any, wanted: date) -> str:
    return f"upsrs.statistics.{user.pk}.{wanted.isoformat()}"
