"""Who comes in at the board's addresses, and what its pages may load."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from rest_framework.exceptions import NotAuthenticated

from upsrs import access, audit, errors
from upsrs.audit import Act
from upsrs.origin import coming_from

__all__ = ["content_security_policy", "guarded", "is_script"]

View = Callable[..., HttpResponse]

FORBIDDEN = (
    "Your account, {}, may not see the worklist. "
    "Who runs the portal can give it the permission to view workitems."
)
MISSING = "There is no such workitem, or you may not see it any more."
NOT_LOGGED_IN = "Your login has ended: log in again."


def is_script(request: HttpRequest) -> bool:
    """Does the board's script ask, which wants a part of a page or a plain answer?"""
    return request.headers.get("X-Requested-With") == "upsrs-board"


def guarded(act: Act) -> Callable[[View], View]:
    """For those who are logged in and may view workitems; kept by no cache, and strict in what loads.

    Who is refused here has tried this ``act``.
    """

    def guard(view: View) -> View:
        @never_cache
        @wraps(view)
        def enter(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            with coming_from("board", request.META):
                response = _enter(view, act, request, **kwargs)
            response.headers.setdefault("Content-Security-Policy", content_security_policy())
            return response

        return enter

    return guard


def _enter(view: View, act: Act, request: HttpRequest, **kwargs: Any) -> HttpResponse:
    user: Any = request.user
    if not user.is_authenticated:
        audit.refused(Act.LOG_IN, None, NotAuthenticated())
        if is_script(request):
            return JsonResponse({"message": NOT_LOGGED_IN}, status=401)
        return redirect_to_login(request.get_full_path())
    if not access.policy().may(user, "view_workitem"):
        asked_for = kwargs.get("workitem_uid", "")
        audit.refused(act, user, errors.NotAuthorized(), workitem_uid=asked_for)
        if is_script(request):
            return JsonResponse({"message": "You may not see this worklist."}, status=403)
        return _refused(
            request, 403, "Not your worklist yet", FORBIDDEN.format(user.get_username())
        )
    try:
        return view(request, **kwargs)
    except Http404:
        if is_script(request):
            return JsonResponse({"message": MISSING}, status=404)
        return _refused(request, 404, "Not there", MISSING)


def _refused(request: HttpRequest, status: int, heading: str, message: str) -> HttpResponse:
    told = {"heading": heading, "message": message, "may_go_on": status != 403}
    return render(request, "upsrs/board/refused.html", told, status=status)


def content_security_policy() -> str:
    """Scripts and styles from files only, sockets to this host only, framed by nobody.

    Static files may live on a host of their own; whatever else a portal's base template loads,
    its own policy must allow: a header that is set already stays.
    """
    static = urlsplit(settings.STATIC_URL or "")
    files = f"'self' {static.scheme}://{static.netloc}" if static.netloc else "'self'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {files}",
            f"style-src {files}",
            f"img-src {files} data:",
            f"font-src {files}",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
