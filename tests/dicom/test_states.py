"""Table CC.1.1-2 of PS3.4, every cell, and what follows from it."""

from __future__ import annotations

import itertools

import pytest

from upsrs import errors
from upsrs.dicom import states
from upsrs.dicom.states import Cancellation, State, Warning, move  # noqa: A004 - DICOM's word

S, P, COMPLETED, CANCELED = State
DONE, GONE = Warning.ALREADY_COMPLETED, Warning.ALREADY_CANCELED

# Written down from the standard a second time, by status, columns as printed.
# requested, UID is correct:      SCHEDULED   IN PROGRESS  COMPLETED   CANCELED
TABLE = {
    (P, True): (P, 0xC302, 0xC300, 0xC300),
    (P, False): (0xC301, 0xC301, 0xC301, 0xC301),
    (P, None): (0xC301, 0xC301, 0xC301, 0xC301),
    (S, True): (0xC303, 0xC303, 0xC303, 0xC303),
    (S, False): (0xC303, 0xC303, 0xC303, 0xC303),
    (S, None): (0xC303, 0xC303, 0xC303, 0xC303),
    (COMPLETED, True): (0xC310, COMPLETED, DONE, 0xC300),
    (COMPLETED, False): (0xC301, 0xC301, 0xC301, 0xC301),
    (COMPLETED, None): (0xC301, 0xC301, 0xC301, 0xC301),
    (CANCELED, True): (0xC310, CANCELED, 0xC300, GONE),
    (CANCELED, False): (0xC301, 0xC301, 0xC301, 0xC301),
    (CANCELED, None): (0xC301, 0xC301, 0xC301, 0xC301),
}
CELLS = [
    (current, requested, uid_ok, outcome)
    for (requested, uid_ok), row in TABLE.items()
    for current, outcome in zip(State, row, strict=True)
]


def test_the_table_has_every_cell():
    every = set(itertools.product(State, State, (True, False, None)))
    assert {cell[:3] for cell in CELLS} == every
    assert len(CELLS) == len(every)
    assert set(states.MOVES) == set(itertools.product(State, State, (True, False)))


@pytest.mark.parametrize(("current", "requested", "uid_ok", "outcome"), CELLS)
def test_a_change_of_state_does_what_the_table_says(current, requested, uid_ok, outcome):
    if isinstance(outcome, State | Warning):
        assert move(current, requested, transaction_uid_ok=uid_ok) is outcome
    else:
        with pytest.raises(errors.UPSError) as refusal:
            move(current, requested, transaction_uid_ok=uid_ok)
        assert refusal.value.status == outcome


@pytest.mark.parametrize("current", State)
@pytest.mark.parametrize("requested", [P, COMPLETED, CANCELED])
def test_a_missing_transaction_uid_is_told_from_a_wrong_one(current, requested):
    with pytest.raises(errors.TransactionUIDMissing):
        move(current, requested, transaction_uid_ok=None)
    with pytest.raises(errors.TransactionUIDIncorrect):
        move(current, requested, transaction_uid_ok=False)


def test_warnings_have_the_status_of_the_standard():
    assert {warning.name: int(warning) for warning in Warning} == {
        "ALREADY_CANCELED": 0xB304,
        "ALREADY_COMPLETED": 0xB306,
    }


def test_only_completed_and_canceled_are_final():
    assert {COMPLETED, CANCELED} == states.FINAL
    for final, requested in itertools.product(states.FINAL, set(State)):
        try:
            outcome = move(final, requested, transaction_uid_ok=True)
        except errors.UPSError:
            continue
        assert isinstance(outcome, Warning)


def test_a_request_to_cancel_is_answered_by_state():
    assert states.request_cancel(S) is Cancellation.BY_SERVER
    assert states.request_cancel(P) is Cancellation.BY_PERFORMER
    assert states.request_cancel(CANCELED) is Warning.ALREADY_CANCELED
    with pytest.raises(errors.AlreadyCompleted):
        states.request_cancel(COMPLETED)
    assert set(states.CANCEL_REQUEST) == set(State)


SAVED = {
    (None, S): None,
    (None, P): errors.NotScheduledAtCreation,
    (None, COMPLETED): errors.NotScheduledAtCreation,
    (None, CANCELED): errors.NotScheduledAtCreation,
    (S, S): None,
    (S, P): None,
    (S, COMPLETED): errors.NotYetInProgress,
    (S, CANCELED): errors.NotYetInProgress,
    (P, S): errors.OnlyCreateSchedules,
    (P, P): None,
    (P, COMPLETED): None,
    (P, CANCELED): None,
    (COMPLETED, S): errors.OnlyCreateSchedules,
    (COMPLETED, P): errors.MayNoLongerBeUpdated,
    (COMPLETED, COMPLETED): None,
    (COMPLETED, CANCELED): errors.MayNoLongerBeUpdated,
    (CANCELED, S): errors.OnlyCreateSchedules,
    (CANCELED, P): errors.MayNoLongerBeUpdated,
    (CANCELED, COMPLETED): errors.MayNoLongerBeUpdated,
    (CANCELED, CANCELED): None,
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product([None, *State], State)))
def test_a_saved_row_may_only_go_the_way_of_the_table(before, after):
    refusal = SAVED[before, after]
    if refusal is None:
        states.check_saved(before, after)
    else:
        with pytest.raises(refusal):
            states.check_saved(before, after)


@pytest.mark.parametrize("state", State)
def test_a_state_is_read_without_its_padding(state):
    assert states.parse_state(state.value) is state
    assert states.parse_state(f" {state} ") is state


@pytest.mark.parametrize(
    "value", ["", "FOO", "CANCELLED", "completed", "IN_PROGRESS", "SCHEDULED\\", None, 7, ["X"]]
)
def test_an_illegal_state_is_refused_by_name_and_not_echoed(value):
    with pytest.raises(errors.InvalidDataset) as refusal:
        states.parse_state(value)
    assert refusal.value.element == "ProcedureStepState"
    assert refusal.value.detail == (
        "ProcedureStepState: must be one of SCHEDULED, IN PROGRESS, COMPLETED, CANCELED"
    )
