"""The states of a workitem and the table of its moves (PS3.4 CC.1.1).

Pure rules: nothing here compares Transaction UIDs, reads a clock or checks what a final state
needs (see ``attributes.missing_for_final``).
"""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum

from upsrs.errors import (
    AlreadyCompleted,
    AlreadyInProgress,
    InvalidDataset,
    MayNoLongerBeUpdated,
    NotScheduledAtCreation,
    NotYetInProgress,
    OnlyCreateSchedules,
    TransactionUIDIncorrect,
    TransactionUIDMissing,
    TransactionUIDRefused,
    UPSError,
)

__all__ = [
    "CANCEL_REQUEST",
    "FINAL",
    "MOVES",
    "Cancellation",
    "State",
    "Warning",
    "check_saved",
    "move",
    "parse_state",
    "request_cancel",
]


class State(StrEnum):
    """Procedure Step State (0074,1000), in the order of the columns of Table CC.1.1-2."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


FINAL = frozenset({State.COMPLETED, State.CANCELED})


class Warning(IntEnum):  # noqa: A001 - DICOM's word; a success that says something besides
    """The request succeeded, since what it asks for is so already."""

    ALREADY_CANCELED = 0xB304
    ALREADY_COMPLETED = 0xB306


class Cancellation(Enum):
    """What a server that does not perform the step does with a request to cancel it."""

    BY_SERVER = "the server itself takes it to IN PROGRESS and to CANCELED"
    BY_PERFORMER = "the performer is told and decides; the state does not change"


Outcome = State | Warning | type[UPSError]

# Table CC.1.1-2, rows as printed: requested state, is the Transaction UID correct?
# While a workitem is SCHEDULED none is recorded, and any well-formed one is correct.
_ROWS: dict[tuple[State, bool], tuple[Outcome, Outcome, Outcome, Outcome]] = {
    # the state is:            SCHEDULED    IN PROGRESS    COMPLETED    CANCELED
    (State.IN_PROGRESS, True): (
        State.IN_PROGRESS,
        AlreadyInProgress,  # 0xC302: a second claim is an error, even by the owner
        MayNoLongerBeUpdated,  # 0xC300
        MayNoLongerBeUpdated,  # 0xC300
    ),
    (State.IN_PROGRESS, False): (TransactionUIDRefused,) * 4,  # 0xC301
    (State.SCHEDULED, True): (OnlyCreateSchedules,) * 4,  # 0xC303
    (State.SCHEDULED, False): (OnlyCreateSchedules,) * 4,  # 0xC303, whatever the UID
    (State.COMPLETED, True): (
        NotYetInProgress,  # 0xC310
        State.COMPLETED,  # if the final state requirements are met, else 0xC304
        Warning.ALREADY_COMPLETED,  # 0xB306
        MayNoLongerBeUpdated,  # 0xC300
    ),
    (State.COMPLETED, False): (TransactionUIDRefused,) * 4,  # 0xC301
    (State.CANCELED, True): (
        NotYetInProgress,  # 0xC310
        State.CANCELED,  # if the final state requirements are met, else 0xC304
        MayNoLongerBeUpdated,  # 0xC300
        Warning.ALREADY_CANCELED,  # 0xB304
    ),
    (State.CANCELED, False): (TransactionUIDRefused,) * 4,  # 0xC301
}

MOVES: dict[tuple[State, State, bool], Outcome] = {
    (current, requested, uid_is_correct): outcome
    for (requested, uid_is_correct), outcomes in _ROWS.items()
    for current, outcome in zip(State, outcomes, strict=True)
}
"""(current state, requested state, is the Transaction UID correct) -> what happens."""

# Table CC.1.1-2, last row: N-ACTION to request cancellation.
CANCEL_REQUEST: dict[State, Cancellation | Warning | type[UPSError]] = {
    State.SCHEDULED: Cancellation.BY_SERVER,
    State.IN_PROGRESS: Cancellation.BY_PERFORMER,
    State.COMPLETED: AlreadyCompleted,  # 0xC311
    State.CANCELED: Warning.ALREADY_CANCELED,  # 0xB304
}


def parse_state(value: object) -> State:
    """A Procedure Step State as sent: one of the four, outer spaces do not count (PS3.5 6.2)."""
    text = value.strip(" ") if isinstance(value, str) else ""
    try:
        return State(text)
    except ValueError:
        raise InvalidDataset(
            f"must be one of {', '.join(State)}", element="ProcedureStepState"
        ) from None


def move(current: State, requested: State, *, transaction_uid_ok: bool | None) -> State | Warning:
    """The state after a Change State request, or the warning that nothing changes.

    ``transaction_uid_ok`` is None if none was given. The UID is judged before the life cycle, so
    a stranger learns nothing about a final state (PS3.4 CC.2.1.3, Table CC.1.1-2). That the
    requirements of a final state are met is for the caller to check afterwards.
    """
    outcome = MOVES[current, requested, bool(transaction_uid_ok)]
    if isinstance(outcome, State | Warning):
        return outcome
    if outcome is TransactionUIDRefused:
        raise TransactionUIDMissing if transaction_uid_ok is None else TransactionUIDIncorrect
    raise outcome


def request_cancel(current: State) -> Cancellation | Warning:
    """What a request to cancel leads to (PS3.4 CC.2.2.3)."""
    outcome = CANCEL_REQUEST[current]
    if isinstance(outcome, Cancellation | Warning):
        return outcome
    raise outcome


def check_saved(before: State | None, after: State) -> None:
    """Refuse a row that skips a step of its life; ``before`` is None for a new row.

    Code of the portal saves rows without a Transaction UID: it has the database, so it counts
    as the owner. The moves that it may make are those of Table CC.1.1-2.
    """
    if before is None:
        if after is not State.SCHEDULED:
            raise NotScheduledAtCreation
    elif after is not before:
        move(before, after, transaction_uid_ok=True)
