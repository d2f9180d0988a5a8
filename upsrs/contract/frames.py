"""How a message becomes the text of a frame, and the messages that are no notifications: errors.

An event is encoded once; what differs between those who hear it is their Subscription UID alone,
which is put in front of the common rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upsrs.dicom.dataset import encode

__all__ = ["beginning", "encode", "error", "frame_parts"]


def frame_parts(message: Mapping[str, Any]) -> bytes:
    """What all frames of this notification have in common: all but their `beginning`. In UTF-8."""
    assert message, "a notification has members"
    return encode(message)[1:].encode()


def beginning(subscription_uid: str) -> bytes:
    """What is particular to the frames of one subscription, before the common rest.

    A UID is digits and dots: nothing in it needs escaping.
    """
    return f'{{"subscriptionUID":"{subscription_uid}",'.encode()


def error(
    status: int,
    title: str,
    detail: str,
    *,
    type_: str = "about:blank",
    request_id: str | None = None,
) -> dict[str, Any]:
    """A refusal as problem details (RFC 9457), with the request's own id if it had one."""
    problem = {"type": type_, "title": title, "status": status, "detail": detail}
    return problem if request_id is None else {**problem, "requestId": request_id}
