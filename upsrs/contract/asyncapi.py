"""The AsyncAPI documents of the channels: 2.6, the customer's document extended, and 3.0 beside it.

The customer's document calls PUB what the server sends and SUB what a client sends, and so does
ours in 2.6; 3.0 has the words ``send`` and ``receive``, always said of the server. Both documents
are told from one table of channels and from the messages of `schemas`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from upsrs import __version__
from upsrs.contract.requests import HEARTBEAT_SECONDS
from upsrs.contract.schemas import COMPONENTS, EVENT_ID, LOG_ID, MESSAGES, Message
from upsrs.dicom.schemas import AE_TITLE, EVENT_REPORTS, UID, Schema

__all__ = ["CHANNELS", "CLOSE_CODES", "Channel", "Operation", "document_2", "document_3"]

Document = dict[str, Any]

CLOSE_CODES: Mapping[int, str] = {
    1000: "unsubscribed",
    4001: "the server goes down: come back",
    4003: "a binary frame",
    4008: "too many bad messages in a row",
    4009: "a frame that is too large",
    4013: "the reader is too slow, or must resync, or has too many sockets: come back",
    4401: "the login ended",
    4403: "not allowed, or not any more",
    4404: "no such subscription, or not yours",
}
"""What the server closes with. Without valid credentials the handshake itself is refused, 403."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one side sends on a channel."""

    id: str
    summary: str
    messages: tuple[str, ...]
    """Names in `schemas.MESSAGES`."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One address of the service."""

    name: str
    address: str
    text: str
    sends: Operation
    """What the server sends."""
    receives: Operation | None
    """What a client sends; None where it has nothing to say."""
    replies: tuple[str, ...] = ()
    """Those of what the server sends that answer a request."""
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    """What stands in the address."""
    query: Mapping[str, Schema] = field(default_factory=dict)
    """What may stand behind it."""


TOLD_TO_A_SUBSCRIPTION = (
    *("Confirmation", "WorkitemReport", "InitialStateComplete"),
    *("Heartbeat", "Problem"),
)

SUBSCRIPTION_UID = {**UID, "description": "Unique identifier for the subscription"}
AFTER = {**EVENT_ID, "description": "Go on behind this place; else behind what was taken."}

CHANNELS = (
    Channel(
        name="subscription",
        address="/workitems/subscription",
        text="Any number of subscriptions, asked for and heard on one socket.",
        sends=Operation(
            "receiveWorkitemNotifications",
            "Receive UPS Workitem event notifications",
            ("EventNotification", *TOLD_TO_A_SUBSCRIPTION),
        ),
        receives=Operation(
            "subscribeToWorkitems",
            "Subscribe to UPS Workitem events",
            ("SubscriptionRequest", "GeneralUnsubscriptionRequest"),
        ),
        replies=("Confirmation", "Problem"),
    ),
    Channel(
        name="specificSubscription",
        address="/workitems/subscription/{subscriptionUID}",
        text=(
            "Where a client comes back to one subscription: it is confirmed, then told what was "
            "missed, in order."
        ),
        sends=Operation(
            "receiveSpecificSubscriptionNotifications",
            "Receive UPS Workitem event notifications for a specific subscription",
            ("SpecificEventNotification", *TOLD_TO_A_SUBSCRIPTION),
        ),
        receives=Operation(
            "unsubscribeFromWorkitems",
            "Unsubscribe from UPS Workitem events",
            ("UnsubscriptionRequest",),
        ),
        replies=("Problem",),
        parameters={"subscriptionUID": SUBSCRIPTION_UID},
        query={
            "after": AFTER,
            "log": {**LOG_ID, "description": "The log that the place is of."},
            "heartbeatSeconds": {
                "type": "number",
                "description": "The interval of heartbeats, {} to {}.".format(*HEARTBEAT_SECONDS),
            },
        },
    ),
    Channel(
        name="eventReports",
        address="/subscribers/{AETitle}",
        text=(
            "The standard's own channel (PS3.18 8.10): event reports of what the AE is subscribed "
            "to by REST. Opening it subscribes to nothing, and closing it ends nothing. Older "
            "clients may say /ws/subscribers/{AETitle}."
        ),
        sends=Operation(
            "receiveEventReports",
            "Receive the event reports of an AE (PS3.18 11.13)",
            tuple(EVENT_REPORTS),
        ),
        receives=None,
        parameters={"AETitle": AE_TITLE},
        query={
            "after": AFTER,
            "place": {
                "type": "string",
                "enum": ["1"],
                "description": "Let each report tell its place in the log, as (0009,1001).",
            },
        },
    ),
)

INFO: Document = {
    "title": "DICOM UPS-RS WebSocket API",
    "version": __version__,
    "description": (
        "Who follows a worklist hears of each change that concerns them: at least once, in order. "
        "Doubles are told by subscriptionUID and eventId together.\n\n"
        "| Close code | Meaning |\n|---|---|\n"
        + "\n".join(f"| {code} | {meaning} |" for code, meaning in CLOSE_CODES.items())
        + "\n\nWithout valid credentials the handshake is refused with 403. A browser that can "
        "send none asks by REST for a one-time ticket (POST …/tickets with the path of the "
        "channel), and offers the subprotocols upsrs and upsrs.ticket.<ticket>: good for 30 "
        "seconds, once, on that channel."
    ),
    "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}
ID = "urn:com:example:dicom:ups-rs:api"
"""The customer's: ours describes the same API."""

TAGS = [
    {"name": "UPS", "description": "Unified Procedure Step"},
    {"name": "DICOM", "description": "Digital Imaging and Communications in Medicine"},
]


def document_2(service: str, security: Mapping[str, Schema] | None = None) -> Document:
    """AsyncAPI 2.6 of the server at ``service`` (``wss://host/ups-rs``).

    ``security`` are the ways to log in, as AsyncAPI's security schemes by name; any one will do.
    """
    protocol, _, address = service.partition("://")
    server: Document = {"url": address, "protocol": protocol, "description": "This server"}
    if security:
        server["security"] = [{name: []} for name in security]
    return {
        "asyncapi": "2.6.0",
        "id": ID,
        "info": INFO,
        "tags": TAGS,
        "defaultContentType": "application/json",
        "servers": {"portal": server},
        "channels": {channel.address: _channel_2(channel) for channel in CHANNELS},
        "components": _components(security),
    }


def document_3(service: str, security: Mapping[str, Schema] | None = None) -> Document:
    """The same as AsyncAPI 3.0."""
    parts = urlsplit(service)
    server: Document = {
        "host": parts.netloc,
        "pathname": parts.path or "/",
        "protocol": parts.scheme,
        "description": "This server",
    }
    if security:
        server["security"] = [_ref("securitySchemes", name) for name in security]
    return {
        "asyncapi": "3.0.0",
        "id": ID,
        "info": {**INFO, "tags": TAGS},
        "defaultContentType": "application/json",
        "servers": {"portal": server},
        "channels": {channel.name: _channel_3(channel) for channel in CHANNELS},
        "operations": dict(_operations_3()),
        "components": _components(security),
    }


def _components(security: Mapping[str, Schema] | None) -> Document:
    components: Document = {
        "messages": {name: _message(it) for name, it in MESSAGES.items()},
        "schemas": dict(COMPONENTS),
    }
    if security:
        components["securitySchemes"] = dict(security)
    return components


def _message(it: Message) -> Document:
    return {
        "name": it.name,
        "title": it.title,
        "summary": it.summary,
        "contentType": it.content_type,
        "payload": it.payload,
        "examples": [{"name": "example", "payload": it.example}],
    }


def _channel_2(channel: Channel) -> Document:
    described: Document = {
        "description": channel.text,
        "publish": _operation_2(channel.sends),
        "bindings": _bindings(channel),
    }
    if channel.receives:
        described["subscribe"] = _operation_2(channel.receives)
    if channel.parameters:
        described["parameters"] = {
            name: {"description": schema["description"], "schema": schema}
            for name, schema in channel.parameters.items()
        }
    return described


def _operation_2(operation: Operation) -> Document:
    messages = [_ref("messages", name) for name in operation.messages]
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "message": messages[0] if len(messages) == 1 else {"oneOf": messages},
    }


def _channel_3(channel: Channel) -> Document:
    names = (*channel.sends.messages, *(channel.receives.messages if channel.receives else ()))
    described: Document = {
        "address": channel.address,
        "description": channel.text,
        "messages": {name: _ref("messages", name) for name in names},
        "bindings": _bindings(channel),
    }
    if channel.parameters:
        described["parameters"] = {
            name: {"description": schema["description"]}
            for name, schema in channel.parameters.items()
        }
    return described


def _operations_3() -> Iterator[tuple[str, Document]]:
    for channel in CHANNELS:
        yield channel.sends.id, _operation_3(channel, channel.sends, "send")
        if channel.receives:
            described = _operation_3(channel, channel.receives, "receive")
            described["reply"] = _messages_3(channel, channel.replies)
            yield channel.receives.id, described


def _operation_3(channel: Channel, operation: Operation, action: str) -> Document:
    return {
        "action": action,
        "summary": operation.summary,
        **_messages_3(channel, operation.messages),
    }


def _messages_3(channel: Channel, names: tuple[str, ...]) -> Document:
    address = f"#/channels/{channel.name}"
    return {
        "channel": {"$ref": address},
        "messages": [{"$ref": f"{address}/messages/{name}"} for name in names],
    }


def _bindings(channel: Channel) -> Document:
    """The handshake: a GET, with what its query may say."""
    handshake: Document = {"method": "GET", "bindingVersion": "0.1.0"}
    if channel.query:
        handshake["query"] = {"type": "object", "properties": dict(channel.query)}
    return {"ws": handshake}


def _ref(kind: str, name: str) -> Document:
    return {"$ref": f"#/components/{kind}/{name}"}
