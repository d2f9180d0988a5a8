"""The Python client: follow a worklist live, and work on it. Imports no Django.

    async with follow("wss://portal.example/ups-rs", token=token) as worklist:
        async for notification in worklist:
            print(notification.event_type, notification.workitem_uid)

Following needs the package ``websockets`` (``pip install django-upsrs[client]``); `Worklist`, the
REST side, needs the standard library only.
"""

from __future__ import annotations

from upsrs.client.errors import (
    ClientError,
    LoginRequired,
    NotAllowed,
    Refused,
    SubscriptionEnded,
    Unreachable,
)
from upsrs.client.following import Following, LineState, follow
from upsrs.client.notifications import Notification, Place
from upsrs.client.rest import Claim, Code, Worklist

__all__ = [
    "Claim",
    "ClientError",
    "Code",
    "Following",
    "LineState",
    "LoginRequired",
    "NotAllowed",
    "Notification",
    "Place",
    "Refused",
    "SubscriptionEnded",
    "Unreachable",
    "Worklist",
    "follow",
]
