"""The customer's messages, parsed and built: the only place that speaks camelCase.

    requests        what a client sends, understood
    notifications   what a client is sent, built from what the log knows
    frames          how a message becomes the text of a frame, once for all who hear it

Pure: no Django, no Channels, no clock. The customer's document is "DICOM UPS-RS WebSocket API
1.0.0". Two promises hold here: every message with ``eventType`` validates against its schema, and
no request that validates is refused for its form.
"""

from __future__ import annotations

from upsrs.contract.frames import beginning, encode, error, frame_parts
from upsrs.contract.notifications import (
    cancellation_reason,
    confirmation,
    heartbeat,
    initial_state_complete,
    notification,
    report,
)
from upsrs.contract.requests import (
    WITHHELD,
    BadMessage,
    SubscriptionRequest,
    UnsubscriptionRequest,
    attributes,
    everyday,
    heartbeat_seconds,
    parse,
    shown,
    storable,
)

__all__ = [
    "WITHHELD",
    "BadMessage",
    "SubscriptionRequest",
    "UnsubscriptionRequest",
    "attributes",
    "beginning",
    "cancellation_reason",
    "confirmation",
    "encode",
    "error",
    "everyday",
    "frame_parts",
    "heartbeat",
    "heartbeat_seconds",
    "initial_state_complete",
    "notification",
    "parse",
    "report",
    "shown",
    "storable",
]
