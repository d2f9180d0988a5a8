"""What somebody logged in with, and whether it still holds.

A socket outlives the moment at which its user was known. So what let it in is kept, and asked
again every few seconds: for many at once, and cheaply where it is a session of Django's, a token of
DRF's or a password; for whatever else a portal has, by doing again what was done then.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.authentication import (
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.settings import api_settings

from upsrs.traces import trace

__all__ = ["Login", "authenticated", "holding", "login_of", "login_of_scope"]

OURS = frozenset({"after", "log", "place", "heartbeatSeconds"})
"""Of the query these are ours: no authentication class looks at them."""

OF_THE_LINE = frozenset(
    {"connection", "content-length", "content-type", "origin", "traceparent", "upgrade"}
    | {"x-request-id"}
)
"""Headers that differ from one request of a client to the next, and say nothing about who it is."""

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    ACCOUNT = "account"
    """A password, or a middleware of the portal's: it holds while the account is what it was."""
    SESSION = "session"
    TOKEN = "token"  # noqa: S105
    REQUEST = "request"
    """Whatever else: it holds while the portal's classes say the same of the same request."""


@dataclass(frozen=True, slots=True)
class Login:
    """What one or many sockets were let in with; equal ones are asked about once."""

    user_pk: str
    kind: Kind
    credential: str = field(default="", repr=False)
    auth_hash: str = field(default="", repr=False)
    """Another one once the password was changed."""


def authenticated(request: HttpRequest) -> tuple[Any, Login] | None:
    """Who sent this request, as the portal's DRF classes say; None if it is nobody.

    Raises what they raise, `APIException`.
    """
    SessionMiddleware(_unused).process_request(request)
    AuthenticationMiddleware(_unused).process_request(request)
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    asked = Request(request, authenticators=[chosen() for chosen in classes])
    user: Any = asked.user
    if user is None or not (user.is_authenticated and user.is_active):
        # DRF's UNAUTHENTICATED_USER may be None.
        return None
    return user, login_of(asked)


def _unused(request: Any) -> HttpResponse:
    raise AssertionError("only the request half of the middleware is used")


def login_of(request: Request) -> Login:
    """What let the user of this request in."""
    user, by = request.user, request.successful_authenticator
    if _is(by, SessionAuthentication) and request.session.session_key:
        return _login(user, Kind.SESSION, request.session.session_key)
    if _is(by, TokenAuthentication) and type(request.auth) is _token_model():
        return Login(_pk(user), Kind.TOKEN, request.auth.key)
    if _is(by, BasicAuthentication):
        return _login(user, Kind.ACCOUNT)
    return Login(_pk(user), Kind.REQUEST, _kept(request))


def login_of_scope(scope: dict[str, Any], user: Any) -> Login:
    """What let the user in whom an outer Channels middleware has put into the scope."""
    session = scope.get("session")
    if session is not None and session.session_key and session.get(SESSION_KEY) == _pk(user):
        return _login(user, Kind.SESSION, session.session_key)
    return _login(user, Kind.ACCOUNT)


def holding(logins: Collection[Login]) -> dict[Login, Any]:
    """Those that still hold, each with its user as he is now."""
    sessions = _sessions({it.credential for it in logins if it.kind is Kind.SESSION})
    tokens = _tokens({it.credential for it in logins if it.kind is Kind.TOKEN})
    rows = get_user_model()._default_manager.filter(pk__in={it.user_pk for it in logins})
    users = {_pk(user): user for user in rows if user.is_active}
    found: dict[Login, Any] = {}
    for login in logins:
        user = users.get(login.user_pk)
        if user is None:
            continue
        match login.kind:
            case Kind.SESSION:
                holds = login.credential in sessions and login.auth_hash == _auth_hash(user)
            case Kind.TOKEN:
                holds = tokens.get(login.credential) == login.user_pk
            case Kind.ACCOUNT:
                holds = login.auth_hash == _auth_hash(user)
            case Kind.REQUEST:
                holds = _would_be_let_in(login)
        if holds:
            found[login] = user
    return found


def _login(user: Any, kind: Kind, credential: str = "") -> Login:
    return Login(_pk(user), kind, credential, _auth_hash(user))


def _is(authenticator: Any, known: type) -> bool:
    """Is it this class, or one that changes nothing of how it finds the user?"""
    return isinstance(authenticator, known) and all(
        getattr(type(authenticator), name, None) is getattr(known, name, None)
        for name in ("authenticate", "authenticate_credentials")
    )


def _pk(user: Any) -> str:
    return str(user._meta.pk.value_to_string(user))


def _auth_hash(user: Any) -> str:
    """As Django's sessions have it. A user model of the portal's own may know none."""
    known = getattr(user, "get_session_auth_hash", None)
    return known() if known else ""


def _sessions(keys: set[str]) -> set[str]:
    """Those that are not logged out, and have not expired."""
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore
    if not issubclass(store, SessionStore):
        return {key for key in keys if SESSION_KEY in store(key)}
    now = timezone.now()  # noqa: TID251 - the column is Django's
    rows = store.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=now)
    return set(rows.values_list("session_key", flat=True)) if keys else set()


def _tokens(keys: set[str]) -> dict[str, str]:
    """Key → user. Only who has tokens has a table of them."""
    if not keys:
        return {}
    rows = _token_model().objects.filter(key__in=keys)
    return {key: str(user) for key, user in rows.values_list("key", "user_id")}


def _token_model() -> Any:
    return TokenAuthentication().get_model()


# Again, as it was then


def _kept(request: Request) -> str:
    query = parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True)
    headers = {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() not in OF_THE_LINE and not name.lower().startswith("sec-")
    }
    return json.dumps(
        {
            "headers": headers,
            "query": urlencode([(name, value) for name, value in query if name not in OURS]),
            "address": request.META.get("REMOTE_ADDR", ""),
            "scheme": request.scheme,
        },
        sort_keys=True,
    )


def _would_be_let_in(login: Login) -> bool:
    kept = json.loads(login.credential)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": kept["scheme"],
        "query_string": kept["query"],
        "client": (kept["address"], 0),
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in kept["headers"].items()
        ],
    }
    try:
        found = authenticated(ASGIRequest(scope, BytesIO()))
    except APIException as refusal:
        return refusal.status_code not in (401, 403)  # else it could not be asked
    except Exception as error:  # what the portal asks may be down: that ends nobody's login
        logger.error("A login could not be asked about: %s", trace(error))
        return True
    return found is not None and found[1].user_pk == login.user_pk
