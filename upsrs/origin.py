"""Where a call comes from: through which door, from which address, as part of what.

The doors say so once, and the audit and the log read it: no request enters the core. It travels
as a context variable, so it follows a call into threads and tasks. Where no door was passed (the
portal's own code, a shell) it is empty.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from upsrs.conf import conf

__all__ = ["Origin", "address_of", "coming_from", "correlation_of", "meta_of", "origin"]

CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""What is taken for a correlation id; nobody writes lines into our logs by way of a header."""


@dataclass(frozen=True, slots=True)
class Origin:
    door: str = ""
    """``rest``, ``socket``, ``admin``, ``board``, ``command``; empty for code that passed none."""
    address: str = ""
    """The client's; empty if nobody knows."""
    correlation_id: str = ""
    """What belongs together: a request, its events, their delivery."""


NOWHERE = Origin()

_origin: ContextVar[Origin] = ContextVar("upsrs_origin", default=NOWHERE)


def origin() -> Origin:
    """Where the present call comes from."""
    return _origin.get()


@contextmanager
def coming_from(door: str, meta: Mapping[str, Any]) -> Iterator[Origin]:
    """What is called within comes through this door; ``meta`` is Django's ``request.META``.

    A correlation id that is known already stays: a middleware may have given it.
    """
    correlation_id = origin().correlation_id or correlation_of(meta.get("HTTP_X_REQUEST_ID", ""))
    token = _origin.set(Origin(door, address_of(meta), correlation_id))
    try:
        yield origin()
    finally:
        _origin.reset(token)


def correlation_of(told: str) -> str:
    """The client's X-Request-ID, if it is one; else a new one."""
    return told if CORRELATION.fullmatch(told) else uuid.uuid4().hex


def meta_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Of a handshake, what `coming_from` asks of a request."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    return {
        "REMOTE_ADDR": str((scope.get("client") or ("",))[0]),
        "HTTP_X_FORWARDED_FOR": headers.get(b"x-forwarded-for", ""),
        "HTTP_X_REQUEST_ID": headers.get(b"x-request-id", ""),
    }


def address_of(meta: Mapping[str, Any]) -> str:
    """The client's address; behind proxies, what the outermost trusted one has seen.

    Of X-Forwarded-For only what ``UPSRS_TRUSTED_PROXIES`` proxies have added is believed: the rest
    of it anybody can write.
    """
    address = str(meta.get("REMOTE_ADDR") or "")
    if conf.TRUSTED_PROXIES:
        hops = [hop.strip() for hop in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
        known = list(filter(None, hops)) or [address]
        address = known[-conf.TRUSTED_PROXIES :][0]
    return address[:45]
