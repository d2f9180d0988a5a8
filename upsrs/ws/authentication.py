"""Who opens this socket: the same credentials as on REST.

The portal's DRF authentication classes decide, on a request made from the handshake. A user that
an outer Channels middleware has put into the scope counts as well.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.utils.http import is_same_domain
from rest_framework.exceptions import APIException

from upsrs import limits, logins, tickets
from upsrs.logins import Login
from upsrs.origin import origin

__all__ = ["authenticate", "subprotocol"]

SUBPROTOCOL = "upsrs"
TICKET = "upsrs.ticket."
"""What a browser offers beside it: the one place of a handshake where a page can put a secret."""


def authenticate(scope: dict[str, Any], channel: str) -> tuple[Any, Login] | None:
    """The user of a handshake; None if there is none, or the request comes from a foreign page.

    A browser sends cookies with whatever page opens the socket, and no same-origin rule stops it:
    an Origin that is present must be ours. Native clients send none; that is fine as long as
    what identifies them is not a cookie. A one-time ticket decides alone, on whatever page.
    """
    request = _request(scope)
    offered = scope.get("subprotocols", ())
    given = [it.removeprefix(TICKET) for it in offered if it.startswith(TICKET)]
    if given:
        return _by_ticket(given, channel) if _is_our_host(request) else None
    if not _origin_is_ours(request):
        return None
    outer = scope.get("user")
    if outer is not None and outer.is_authenticated:
        return (outer, logins.login_of_scope(scope, outer)) if outer.is_active else None
    credentials = limits.credentials_of(request.META)
    try:
        with limits.FAILED_LOGINS.watched(origin().address, credentials):
            return logins.authenticated(request)
    except APIException:
        return None


def subprotocol(scope: dict[str, Any]) -> str | None:
    """What the server chooses of what was offered: never the ticket, which would be echoed."""
    return SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None


def _by_ticket(given: list[str], channel: str) -> tuple[Any, Login] | None:
    known = tickets.redeem(given[0], channel) if len(given) == 1 else None
    if known is None:
        limits.FAILED_LOGINS.spend(origin().address)
    return known


def _is_our_host(request: ASGIRequest) -> bool:
    try:
        return bool(request.get_host())
    except DisallowedHost:
        return False


def _request(scope: dict[str, Any]) -> ASGIRequest:
    secure = scope.get("scheme") in ("wss", "https")
    http = {**scope, "type": "http", "method": "GET", "scheme": "https" if secure else "http"}
    return ASGIRequest(http, BytesIO())


def _origin_is_ours(request: ASGIRequest) -> bool:
    if not _is_our_host(request):
        return False
    host = request.get_host()
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
