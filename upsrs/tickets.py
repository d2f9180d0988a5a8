"""One-time tickets: for sockets of browsers on other origins, or without our cookies.

A browser's WebSocket sends no Authorization header, and a token in its address would be logged by
everything on the way. So whoever is logged in asks for a ticket by REST, and the browser offers it as a
subprotocol: it is good for 30 seconds, once, for one user and one channel. The socket then stands
on the login that the ticket was issued for: when that ends, the socket ends.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from cryptography.fernet import Fernet
from django.db import transaction

from upsrs import access, audit, errors, instants, limits, logins
from upsrs.logins import Kind, Login
from upsrs.models import Ticket, write_alias
from upsrs.origin import origin

__all__ = ["SECONDS", "issue", "redeem"]

SECONDS = 30

CHANNEL = re.compile(r"(?:.*/)?(workitems/subscription(?:/[^/]+)?|subscribers/.+)")
"""A channel at the end of a path, wherever the portal has mounted it."""


def issue(user: Any, login: Login, path: str) -> str:
    """A ticket for the channel at this path. It is told here, and never again.

    Raises ``InvalidArgument``, ``NotAuthorized``, ``LimitReached``.
    """
    access.require(user, "view_workitem", "add_subscription")
    found = CHANNEL.fullmatch(unquote(path))
    if found is None or len(found[1]) > 200:
        raise errors.InvalidArgument("path is not the path of a channel.", name="path")
    limits.TICKETS.take(login.user_pk, origin().address)
    now, ticket = instants.now(), secrets.token_urlsafe(32)
    rows = Ticket.objects.using(write_alias())
    rows.filter(expires_at__lte=now).delete()
    rows.create(
        digest=_digest(ticket),
        user=user,
        channel=found[1],
        login=_seal(ticket).encrypt(json.dumps(asdict(login)).encode()),
        expires_at=now + timedelta(seconds=SECONDS),
    )
    audit.done(audit.Act.ISSUE_TICKET, user)
    return ticket


def redeem(ticket: str, channel: str) -> tuple[Any, Login] | None:
    """The user whom this ticket lets in on this channel, and the login behind it; None if nobody.

    Whatever comes of it, the ticket is used up.
    """
    with transaction.atomic(using=write_alias()):
        rows = Ticket.objects.using(write_alias()).select_for_update()
        row = rows.filter(digest=_digest(ticket)).first()
        if row is None:
            return None
        row.delete()
    if row.channel != channel or row.expires_at <= instants.now():
        return None
    kept = json.loads(_seal(ticket).decrypt(bytes(row.login)))
    login = Login(**{**kept, "kind": Kind(kept["kind"])})
    user = logins.holding([login]).get(login)
    return None if user is None else (user, login)


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _seal(ticket: str) -> Fernet:
    key = hashlib.sha256(b"upsrs ticket seal:" + ticket.encode()).digest()
    return Fernet(urlsafe_b64encode(key))
