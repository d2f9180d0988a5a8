"""What a client sends: requests to subscribe and to unsubscribe.

What the customer's document types is checked to the letter. Everything else is an extension of
ours, and an unusable value of it is clamped or reported in ``ignored``: a request that is valid by
the document is never refused for its form. No refusal repeats a value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from upsrs.dicom.dataset import tag_of
from upsrs.dicom.states import State
from upsrs.errors import UPSError

__all__ = [
    "WITHHELD",
    "BadMessage",
    "SubscriptionRequest",
    "UnsubscriptionRequest",
    "attributes",
    "everyday",
    "heartbeat_seconds",
    "parse",
    "shown",
    "storable",
]

EVERYDAY_KEYS = {
    "worklistLabel": "label",
    "procedureStepState": "state",
    "scheduledStationAETitle": "station",
    "performerAETitle": "performer",
}
"""The contract's name of a filter field → our name of the key (``matching.EVERYDAY``)."""

STATES = frozenset(State)

REASONS = ("USER_REQUEST", "CONNECTION_CLOSURE")

SUBSCRIPTION_MEMBERS = frozenset(
    {
        "filter",
        "deleteSubscription",
        "requestId",
        "initialState",
        "resume",
        "heartbeatSeconds",
    }
)
UNSUBSCRIPTION_MEMBERS = frozenset({"reason", "subscriptionUID", "requestId"})

TRANSACTION_UID = frozenset({"TransactionUID", "00081195"})
"""The performer's key is never matched: a filter could otherwise be used to guess it."""

PATIENT_TAGS = re.compile(r"0010|0038|0008108[04]")
"""Patient, visit, admitting diagnoses: what a confirmation does not repeat."""

WITHHELD = "(withheld)"

REQUEST_ID_LENGTH = 128
NAME_LENGTH = 64
"""How much of a name of the client's own making is repeated to it."""

HEARTBEAT_SECONDS = (15, 120)

# NUL and half surrogate pairs: legal in JSON text, but PostgreSQL stores neither, and no
# attribute holds them.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\ufffd"


class BadMessage(UPSError):
    """The message is not one that the contract knows."""

    status = 0x0115

    def __init__(self, detail: str = "", *, name: str = "", request_id: str | None = None) -> None:
        """``name`` is the field at fault, ``request_id`` what the client calls its request."""
        self.name = name
        self.request_id = request_id
        super().__init__(detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRequest:
    """A client wants to hear of the workitems that a filter means, or no longer (`delete`)."""

    filter: dict[str, str]
    """Canonical: trimmed, without empty values, names in order; so equal filters are equal."""

    delete: bool = False
    """End every subscription of this user with an equal filter, and make none."""

    initial_state: bool = True
    """Report what matches now before what happens next."""

    resume: bool = True
    """Take up an equal subscription that waits without a socket."""

    heartbeat_seconds: float | None = None
    request_id: str | None = None
    ignored: tuple[str, ...] = ()
    """The names in the message that have no effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsubscriptionRequest:
    """A client ends a subscription, and says why."""

    reason: str
    subscription_uid: str | None = None
    """None if the message names none: the one that the socket's address names is meant."""

    request_id: str | None = None
    ignored: tuple[str, ...] = ()


def parse(text: str) -> SubscriptionRequest | UnsubscriptionRequest:
    """Understand a frame, or raise `BadMessage` with a sentence that names the field.

    A message that has both is a subscription request if it is valid as one, else what it is
    valid as: neither schema forbids the other's members.
    """
    message = _load(text)
    if not isinstance(message, dict):
        raise BadMessage("A message must be a JSON object.")
    request_id = _request_id(message)
    try:
        if "filter" in message:
            try:
                return _subscription(message, request_id)
            except BadMessage:
                if message.get("reason") not in REASONS:
                    raise
        return _unsubscription(message, request_id)
    except BadMessage as refusal:
        refusal.request_id = request_id
        raise


def everyday(keys: Mapping[str, str]) -> dict[str, str]:
    """The keys of every day in a canonical filter, by our names of them."""
    return {ours: keys[name] for name, ours in EVERYDAY_KEYS.items() if name in keys}


def attributes(keys: Mapping[str, str]) -> dict[str, str]:
    """The rest of a canonical filter: DICOM keywords or tags, if its sender meant it well."""
    return {name: value for name, value in keys.items() if name not in EVERYDAY_KEYS}


def shown(keys: Mapping[str, str]) -> dict[str, str]:
    """A filter as it may be repeated, logged and shown: without the values of patient keys."""
    return {name: WITHHELD if _is_patient_key(name) else keys[name] for name in keys}


def _subscription(message: dict[str, Any], request_id: str | None) -> SubscriptionRequest:
    ignored = _unknown(message, SUBSCRIPTION_MEMBERS, request_id)
    keys = _filter(message["filter"], ignored)
    delete = message.get("deleteSubscription", False)
    if not isinstance(delete, bool):
        _refuse("deleteSubscription", "must be true or false")
    return SubscriptionRequest(
        filter=keys,
        delete=delete,
        initial_state=_flag(message, "initialState", ignored),
        resume=_flag(message, "resume", ignored),
        heartbeat_seconds=_heartbeat(message, ignored),
        request_id=request_id,
        ignored=tuple(dict.fromkeys(ignored)),
    )


def _unsubscription(message: dict[str, Any], request_id: str | None) -> UnsubscriptionRequest:
    if "reason" not in message:
        raise BadMessage(
            "A message needs a filter, to subscribe, or a reason, to unsubscribe.", name="filter"
        )
    if message["reason"] not in REASONS:
        _refuse("reason", f"must be one of {', '.join(REASONS)}")
    uid = message.get("subscriptionUID", "")
    if not isinstance(uid, str):
        _refuse("subscriptionUID", "must be a string")
    ignored = _unknown(message, UNSUBSCRIPTION_MEMBERS, request_id)
    return UnsubscriptionRequest(
        reason=message["reason"],
        subscription_uid=storable(uid).strip() or None,
        request_id=request_id,
        ignored=tuple(dict.fromkeys(ignored)),
    )


def _filter(fields: Any, ignored: list[str]) -> dict[str, str]:
    """The canonical filter.

    A character that cannot be stored becomes U+FFFD in a field of the contract, which then
    matches nothing, as it would have; an extension's value that has one is ignored.
    """
    if not isinstance(fields, dict):
        _refuse("filter", "must be an object")
    keys: dict[str, str] = {}
    for name, value in fields.items():
        if name in EVERYDAY_KEYS:
            if not isinstance(value, str):
                _refuse(f"filter.{name}", "must be a string")
            value = storable(value).strip()
            if name == "procedureStepState" and value and value not in STATES:
                _refuse(f"filter.{name}", f"must be one of {', '.join(State)}")
            keys[name] = value
        elif (
            isinstance(value, str)
            and not UNSTORABLE.search(name + value)
            and TRANSACTION_UID.isdisjoint(name.split("."))
        ):
            keys[name] = value.strip()
        else:
            ignored.append(_name(name))
    return {name: keys[name] for name in sorted(keys) if keys[name]}


def _request_id(message: dict[str, Any]) -> str | None:
    request_id = message.get("requestId")
    if not isinstance(request_id, str) or len(request_id) > REQUEST_ID_LENGTH:
        return None
    return None if UNSTORABLE.search(request_id) else request_id


def _flag(message: dict[str, Any], name: str, ignored: list[str]) -> bool:
    value = message.get(name, True)
    if isinstance(value, bool):
        return value
    ignored.append(name)
    return True


def _heartbeat(message: dict[str, Any], ignored: list[str]) -> float | None:
    if "heartbeatSeconds" not in message:
        return None
    seconds = message["heartbeatSeconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        ignored.append("heartbeatSeconds")
        return None
    return _clamped(seconds)


def heartbeat_seconds(text: str) -> float:
    """The interval as a parameter of an address. Raises ``ValueError`` for what is no number."""
    seconds = float(text)
    if not math.isfinite(seconds):
        raise ValueError("not an interval")
    return _clamped(seconds)


def _clamped(seconds: float) -> float:
    shortest, longest = HEARTBEAT_SECONDS
    return min(max(seconds, shortest), longest)


def _unknown(message: dict[str, Any], known: frozenset[str], request_id: str | None) -> list[str]:
    ignored = [_name(name) for name in message if name not in known]
    if "requestId" in message and request_id is None:
        ignored.append("requestId")
    return ignored


def _is_patient_key(name: str) -> bool:
    if name in EVERYDAY_KEYS:
        return False
    try:
        return any(PATIENT_TAGS.match(tag_of(part)) for part in name.split("."))
    except KeyError:
        return True  # Unknown: nobody can say whose it is.


def _load(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise BadMessage("The message is nested too deeply.") from None
    except json.JSONDecodeError as fault:
        raise BadMessage(
            f"The message is not JSON: {fault.msg} at character {fault.pos}."
        ) from None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice in one object: who wrote it and who reads it may differ."""
    made: dict[str, Any] = {}
    for name, value in members:
        if name in made:
            _refuse(_name(name), "is given twice in one object")
        made[name] = value
    return made


def _integer(digits: str) -> float:
    """A number of any length is valid JSON; Python refuses to make an int of thousands of digits."""
    return int(digits) if len(digits) < 20 else float(digits)


def _no_constant(constant: str) -> NoReturn:
    raise BadMessage(f"The message is not JSON: {constant} is no JSON value.")


def storable(value: str) -> str:
    """The text as every database takes it: U+FFFD for a NUL, and for half of a surrogate pair."""
    return UNSTORABLE.sub(REPLACEMENT, value)


def _name(name: str) -> str:
    return storable(name[:NAME_LENGTH])


def _refuse(name: str, rule: str) -> NoReturn:
    raise BadMessage(f"{name} {rule}.", name=name)
