"""The AsyncAPI document as a judge: is this a message that may come on this channel?

`judge` believes the document as `upsrs.contract.asyncapi` tells it; that it is the one which is
served is proven in ``tests/contract/test_asyncapi.py``. Knows no Django: the live tests use it too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from upsrs.contract import asyncapi

GENERAL = "/workitems/subscription"
SPECIFIC = "/workitems/subscription/{subscriptionUID}"
EVENT_REPORTS = "/subscribers/{AETitle}"

FORMATS = FormatChecker(["date-time", "uuid"])

SENT_BY_SERVER, SENT_BY_CLIENT = "publish", "subscribe"
"""The customer's words, as in their document: PUB is what the server sends."""


def channel_of(url: str) -> str:
    """The channel that is opened at this address."""
    path = urlsplit(url).path
    if "/subscribers/" in path:
        return EVENT_REPORTS
    return GENERAL if path.endswith(GENERAL) else SPECIFIC


def judge(message: Any, channel: str, direction: str = SENT_BY_SERVER) -> str:
    """The name of the one kind that the message is of; a failure if it is of none, or of two."""
    validators = _validators(channel, direction)
    kinds = [name for name, validator in validators.items() if validator.is_valid(message)]
    assert len(kinds) == 1, f"{channel}: of {kinds or 'no kind'}: {_reasons(message, validators)}"
    return kinds[0]


@cache
def validator(reference: str, *, closed: bool = False) -> Draft7Validator:
    """Of one schema of the document, by its address in it."""
    document = _closed() if closed else asyncapi.document_2("ws://testserver/ups-rs")
    resource = Resource(contents=document, specification=DRAFT7)
    registry: Registry[Any] = Registry().with_resource("urn:document", resource)
    schema = {"$ref": f"urn:document{reference}"}
    return Draft7Validator(schema, registry=registry, format_checker=FORMATS)


@cache
def _validators(channel: str, direction: str) -> dict[str, Draft7Validator]:
    message = asyncapi.document_2("ws://testserver/ups-rs")["channels"][channel][direction]
    references = [it["$ref"] for it in message["message"].get("oneOf", [message["message"]])]
    closed = direction == SENT_BY_SERVER
    return {
        reference.rpartition("/")[2]: validator(f"{reference}/payload", closed=closed)
        for reference in references
    }


def _closed() -> dict[str, Any]:
    """The document without room for more: what we send, it names."""
    document = copy.deepcopy(asyncapi.document_2("ws://testserver/ups-rs"))
    for schema in document["components"]["schemas"].values():
        for part in _objects(schema):
            part.setdefault("additionalProperties", False)
    return document


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for part in schema.values():
            yield from _objects(part)


def _reasons(message: Any, validators: dict[str, Draft7Validator]) -> str:
    """Why not, by kind: where and which rule, never the value."""
    return "; ".join(
        f"{name}: {error.json_path} breaks {error.validator}"
        for name, it in validators.items()
        for error in it.iter_errors(message)
    )
