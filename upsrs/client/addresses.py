"""The two faces of one base address: ``ws`` for the channel, ``http`` for the transactions."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

__all__ = ["credentials", "http_address", "socket_address"]

FACES = {"ws": ("ws", "http"), "wss": ("wss", "https"), "http": ("ws", "http")}
FACES["https"] = FACES["wss"]


def socket_address(url: str) -> str:
    return _face(url, 0)


def http_address(url: str) -> str:
    return _face(url, 1)


def _face(url: str, which: int) -> str:
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in FACES or not parts.hostname:
        raise ValueError(
            "The address of the service looks like wss://portal.example/ups-rs "
            "(ws, wss, http and https are all understood)."
        )
    if parts.query or parts.fragment:
        raise ValueError("The address of the service has no query and no fragment.")
    return urlunsplit(parts._replace(scheme=FACES[parts.scheme][which]))


def credentials(token: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers that say who asks: a token, or what the portal takes instead (a cookie)."""
    return {**({"Authorization": f"Token {token}"} if token else {}), **(headers or {})}
