"""What is audited, and as which message of PS3.15 A.5.3: one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from upsrs import errors
from upsrs.contract import BadMessage
from upsrs.dicom.states import State

__all__ = ["ALERT", "MESSAGES", "Act", "Code", "Message", "act_of", "is_alarming", "is_audited"]


class Act(StrEnum):
    """What somebody did, or tried to do."""

    CREATE = "create"
    CLAIM = "claim"
    UPDATE = "update"
    CHANGE_STATE = "change state"
    """Refused: which state was wanted does not matter then."""
    COMPLETE = "complete"
    CANCEL = "cancel"
    REQUEST_CANCEL = "request cancel"
    READ = "read"
    SEARCH = "search"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    SUSPEND = "suspend"
    RELEASE_LOCKS = "release locks"
    OPEN = "open"
    """A socket follows a subscription from here on: what it was told follows from its places."""
    CLOSE = "close"
    LOSE = "lose"
    """A socket was found gone with its server; nobody saw it close."""
    LOG_IN = "log in"
    ISSUE_TICKET = "issue ticket"
    READ_AUDIT = "read audit"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Code:
    value: str
    scheme: str
    meaning: str


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


AUDIT_LOG_USED = _dcm("110101", "Audit Log Used")
NETWORK_ENTRY = _dcm("110108", "Network Entry")
PROCEDURE_RECORD = _dcm("110111", "Procedure Record")
QUERY = _dcm("110112", "Query")
SECURITY_ALERT = _dcm("110113", "Security Alert")
USER_AUTHENTICATION = _dcm("110114", "User Authentication")

LOGIN = _dcm("110122", "Login")
ATTACH = _dcm("110124", "Attach")
DETACH = _dcm("110125", "Detach")
USE_OF_RESTRICTED_FUNCTION = _dcm("110132", "Use of Restricted Function")


@dataclass(frozen=True, slots=True)
class Message:
    """How an act is told (PS3.15 A.5.3)."""

    event: Code
    action: str
    """C, R, U, D or E: EventActionCode."""
    type: Code | None = None
    life_cycle: str = ""
    """ParticipantObjectDataLifeCycle of the workitem: created 1, amended 3, used 6."""


_CHANGED = Message(PROCEDURE_RECORD, "U", life_cycle="3")

MESSAGES: Mapping[Act, Message] = {
    Act.CREATE: Message(PROCEDURE_RECORD, "C", life_cycle="1"),
    Act.CLAIM: _CHANGED,
    Act.UPDATE: _CHANGED,
    Act.CHANGE_STATE: _CHANGED,
    Act.COMPLETE: _CHANGED,
    Act.CANCEL: _CHANGED,
    Act.REQUEST_CANCEL: _CHANGED,
    Act.READ: Message(PROCEDURE_RECORD, "R", life_cycle="6"),
    Act.SEARCH: Message(QUERY, "E"),
    Act.SUBSCRIBE: Message(QUERY, "E"),
    Act.UNSUBSCRIBE: Message(QUERY, "E"),
    Act.SUSPEND: Message(QUERY, "E"),
    Act.RELEASE_LOCKS: Message(QUERY, "E"),
    Act.OPEN: Message(NETWORK_ENTRY, "E", ATTACH),
    Act.CLOSE: Message(NETWORK_ENTRY, "E", DETACH),
    Act.LOSE: Message(NETWORK_ENTRY, "E", DETACH),
    Act.LOG_IN: Message(USER_AUTHENTICATION, "E", LOGIN),
    Act.ISSUE_TICKET: Message(USER_AUTHENTICATION, "E", LOGIN),
    Act.READ_AUDIT: Message(AUDIT_LOG_USED, "R"),
    Act.OTHER: Message(SECURITY_ALERT, "E", USE_OF_RESTRICTED_FUNCTION),
}

ALERT = Message(SECURITY_ALERT, "E", USE_OF_RESTRICTED_FUNCTION)

ALARMING = (
    errors.NotAuthorized,
    errors.NoSuchSubscription,
    errors.NoSuchWorkitem,
    errors.TransactionUIDIncorrect,
)
"""Refusals that somebody who looks for what is not theirs would get: Security Alerts."""

NOT_AUDITED = (errors.InvalidDataset, errors.InvalidArgument, BadMessage, errors.LimitReached)
"""Refused for their form or their number, whoever sent it: they concern no workitem."""


_REACHED = {
    State.IN_PROGRESS.value: Act.CLAIM,
    State.COMPLETED.value: Act.COMPLETE,
    State.CANCELED.value: Act.CANCEL,
}


def act_of(state_before: str | None, state_after: str, *, asked: bool = False) -> Act:
    """What a change was. ``state_before`` is None at creation; ``asked`` for a cancellation."""
    if state_before is None:
        return Act.CREATE
    if state_before != state_after:
        return _REACHED[state_after]
    return Act.REQUEST_CANCEL if asked else Act.UPDATE


def is_alarming(refusal: Exception) -> bool:
    return isinstance(refusal, ALARMING)


def is_audited(refusal: Exception) -> bool:
    return isinstance(refusal, errors.UPSError) and not isinstance(refusal, NOT_AUDITED)
