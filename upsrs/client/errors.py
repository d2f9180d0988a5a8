"""What can go wrong for a client, in the order in which it can be answered.

ClientError
├── Unreachable            no answer: the network, the server or a time-out; try again
├── SubscriptionEnded      somebody of this login ended the subscription
└── Refused                the server said no, and why
    ├── LoginRequired      no credentials, wrong ones, or the login ended: log in again
    └── NotAllowed         this user may not
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ClientError",
    "LoginRequired",
    "NotAllowed",
    "Refused",
    "SubscriptionEnded",
    "Unreachable",
]


class ClientError(Exception):
    """The base of all errors of this client."""


class Unreachable(ClientError):
    """There was no answer. Whether the server acted on the request is not known."""


class SubscriptionEnded(ClientError):
    """The subscription was ended by a request of the same user."""


class Refused(ClientError):
    """The server refused, with a status and a sentence (RFC 9457)."""

    def __init__(self, status: int, detail: str, problem: Mapping[str, Any] | None = None) -> None:
        """``status`` is an HTTP status, or a WebSocket close code (4000 and above)."""
        self.status = status
        self.detail = detail
        self.problem = dict(problem or {})
        """The whole problem document, the DICOM status among its members."""
        super().__init__(f"{detail} ({status})")


class LoginRequired(Refused):
    """Log in again: the credentials are missing, wrong or no longer valid."""


class NotAllowed(Refused):
    """The user is known, and may not do this."""


def refused(status: int, detail: str, problem: Mapping[str, Any] | None = None) -> Refused:
    """The refusal that a status stands for."""
    kind = {401: LoginRequired, 403: NotAllowed, 4401: LoginRequired, 4403: NotAllowed}
    return kind.get(status, Refused)(status, detail, problem)
