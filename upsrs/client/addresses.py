"""The two faces of one base address: ``ws`` for the channel, ``http`` for the transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urljoin, urlsplit, urlunsplit

__all__ = ["channel_address", "credentials", "http_address", "socket_address"]

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


def channel_address(base: str, resource: str, told: Iterable[str]) -> str:
    """The event channel of an AE, from what the answer to a Subscribe told of it.

    ``base`` is the service, ``resource`` the path of the subscription below it, ``told`` the values
    of Content-Location and Location: whole addresses or parts of one, empty, or the address of the
    subscription itself. If none is of a channel, it is where the standard has it (PS3.18 8.10.4).
    """
    for reference in filter(None, told):
        for start in (base + resource, f"{base}/"):
            parts = urlsplit(urljoin(start, reference.replace(" ", "%20")))
            if parts.scheme in FACES and "/workitems/" not in parts.path:
                scheme = FACES[parts.scheme][0]
                if base.startswith("https:"):
                    scheme = "wss"  # a proxy's server may not know of it; a token must not go bare
                return urlunsplit(parts._replace(scheme=scheme, fragment=""))
    return f"{socket_address(base)}/subscribers/{resource.rpartition('/')[2]}"


def credentials(token: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers that say who asks: a token, or what the portal takes instead (a cookie)."""
    return {**({"Authorization": f"Token {token}"} if token else {}), **(headers or {})}
