"""Who opens this socket: the same credentials as on REST.

The portal's DRF authentication classes decide, on a request made from the handshake. A user that
an outer Channels middleware has put into the scope counts as well.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.utils.http import is_same_domain
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.settings import api_settings

__all__ = ["authenticate"]


def authenticate(scope: dict[str, Any]) -> Any | None:
    """The user of a handshake; None if there is none, or the request comes from a foreign page.

    A browser sends cookies with whatever page opens the socket, and no same-origin rule stops it:
    an Origin that is present must be ours. Native clients send none; that is fine as long as
    what identifies them is not a cookie.
    """
    request = _request(scope)
    if not _origin_is_ours(request):
        return None
    outer = scope.get("user")
    if outer is not None and outer.is_authenticated:
        return outer if outer.is_active else None
    SessionMiddleware(_unused).process_request(request)
    AuthenticationMiddleware(_unused).process_request(request)
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    authenticators = [chosen() for chosen in classes]
    try:
        user: Any = Request(request, authenticators=authenticators).user
    except APIException:
        return None
    return user if user.is_authenticated and user.is_active else None


def _request(scope: dict[str, Any]) -> ASGIRequest:
    secure = scope.get("scheme") in ("wss", "https")
    http = {**scope, "type": "http", "method": "GET", "scheme": "https" if secure else "http"}
    return ASGIRequest(http, BytesIO())


def _unused(request: Any) -> HttpResponse:
    raise AssertionError("only the request half of the middleware is used")


def _origin_is_ours(request: ASGIRequest) -> bool:
    try:
        host = request.get_host()
    except DisallowedHost:
        return False
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return "HTTP_AUTHORIZATION" in request.META or "HTTP_COOKIE" not in request.META
    asked = urlsplit(origin)
    if asked.scheme not in ("http", "https") or (request.is_secure() and asked.scheme == "http"):
        return _is_trusted(origin)
    port = {"http": ":80", "https": ":443"}[asked.scheme]
    return asked.netloc.lower().removesuffix(port) == host.lower().removesuffix(
        port
    ) or _is_trusted(origin)


def _is_trusted(origin: str) -> bool:
    """As for forms: one of CSRF_TRUSTED_ORIGINS, which may have a wildcard for subdomains."""
    asked = urlsplit(origin)
    for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS):
        if asked.scheme == trusted.scheme and is_same_domain(
            asked.netloc, trusted.netloc.removeprefix("*")
        ):
            return True
    return False
