"""The Python client: follow a worklist live, and work on it. Imports no Django.

    async with follow("wss://portal.example/ups-rs", token=token) as worklist:
        async for notification in worklist:
            print(notification.event_type, notification.workitem_uid)

`follow` speaks the customer's channel, `listen` the standard's, which any server with UPS-RS has;
`Worklist` is for the transactions. `upsrs.client.sync` has all three without an event loop. It needs
the package ``websockets``, and nothing else: ``pip install django-upsrs[client]``.
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
from upsrs.client.following import Following, follow
from upsrs.client.lines import LineState
from upsrs.client.listening import Listening, listen
from upsrs.client.notifications import Notification, Place
from upsrs.client.reports import EventReport, EventType
from upsrs.client.rest import Code, Subscribed
from upsrs.client.worklist import Claim, Worklist

__all__ = [
    "Claim",
    "ClientError",
    "Code",
    "EventReport",
    "EventType",
    "Following",
    "LineState",
    "Listening",
    "LoginRequired",
    "NotAllowed",
    "Notification",
    "Place",
    "Refused",
    "Subscribed",
    "SubscriptionEnded",
    "Unreachable",
    "Worklist",
    "follow",
    "listen",
]
