"""What a refusal looks like on a socket: problem details (RFC 9457), one table."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from upsrs import contract, errors

__all__ = ["problem"]

STATUS: dict[type[errors.UPSError], HTTPStatus] = {
    errors.NotAuthorized: HTTPStatus.FORBIDDEN,
    errors.NoSuchSubscription: HTTPStatus.NOT_FOUND,
    errors.LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
}
"""The kind of refusal, in the words of HTTP; what is not here is a bad request."""


def problem(refusal: errors.UPSError, request_id: str | None) -> dict[str, Any]:
    status = STATUS.get(type(refusal), HTTPStatus.BAD_REQUEST)
    return contract.error(status.value, status.phrase, refusal.detail, request_id=request_id)
