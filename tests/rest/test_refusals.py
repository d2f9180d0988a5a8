"""Every refusal of the core, in every transaction: PS3.18 11.4 to 11.8 with PS3.4 CC."""

from __future__ import annotations

import pytest

from tests.datasets import new_uid
from tests.rest.worklist import REASON, T, payload, problem, warns
from upsrs import errors, workitems

pytestmark = pytest.mark.django_db

W4 = "The target URI did not reference a claimed Workitem."
W5 = "The submitted request is inconsistent with the current state of the Workitem."
W8 = "The Transaction UID is missing."
W9 = "The Transaction UID is incorrect."
W10 = "The submitted request is inconsistent with the state of the UPS Instance."
W12 = "The UPS is already COMPLETED."

# The status to each transaction, and the Warnings of Update and Change State; the others have none.
TABLE = {
    "InvalidDataset": (400, 400, 400, 400, 400, W5, W10),
    "DatasetTooLarge": (400, 400, 400, 400, 400, W5, W10),
    "MissingAttribute": (400, 400, 400, 400, 400, W5, W10),
    "MissingAttributeValue": (400, 400, 400, 400, 400, W5, W10),
    "AttributeNotAllowed": (400, 400, 400, 400, 400, W5, W10),
    "InvalidArgument": (400, 400, 400, 400, 400, W5, W10),
    "DuplicateWorkitem": (409, 409, 409, 409, 409, W5, W10),
    "NotAuthorized": (403, 403, 403, 403, 403, W5, W10),
    "MayNoLongerBeUpdated": (409, 409, 400, 409, 409, W5, W10),
    "TransactionUIDRefused": (400, 400, 400, 400, 400, W5, W9),
    "TransactionUIDMissing": (400, 400, 400, 400, 400, W5, W8),
    "TransactionUIDIncorrect": (400, 400, 400, 400, 400, W5, W9),
    "AlreadyInProgress": (409, 409, 409, 409, 409, W5, W10),
    "OnlyCreateSchedules": (400, 400, 400, 400, 400, W5, W10),
    "FinalStateNotReady": (409, 409, 409, 409, 409, W5, W10),
    "NoSuchWorkitem": (404, 404, 404, 404, 404, W4, W10),
    "WorkitemGone": (410, 410, 410, 410, 410, W4, W10),
    "NotScheduledAtCreation": (400, 400, 400, 400, 400, W5, W10),
    "NotYetInProgress": (409, 409, 409, 409, 409, W4, W10),
    "AlreadyCompleted": (409, 409, 409, 409, 409, W5, W10),
    "StaleWorkitem": (409, 409, 409, 409, 409, W5, W10),
    "NotNotified": (500, 500, 500, 500, 500, None, None),
    "NoSuchSubscription": (404, 404, 404, 404, 404, W5, W10),
    "LimitReached": (429, 429, 429, 429, 429, W5, W10),
    "UPSError": (400, 400, 400, 400, 400, W5, W10),
}

# The use case, and a request that reaches it.
TRANSACTIONS = {
    "create": lambda worklist: worklist.create(payload(), f"?{new_uid()}"),
    "retrieve": lambda worklist: worklist.retrieve("1.2.3"),
    "update": lambda worklist: worklist.update("1.2.3", REASON),
    "change_state": lambda worklist: worklist.change_state("1.2.3", "IN PROGRESS", T),
    "request_cancel": lambda worklist: worklist.request_cancel("1.2.3"),
    "report_progress": lambda worklist: worklist.report_progress(
        "1.2.3", {"procedureStepProgress": 5}
    ),
}


def expected(name, transaction):
    create, retrieve, update, change_state, request_cancel, of_update, of_change = TABLE[name]
    return {
        "create": (create, None),
        "retrieve": (retrieve, None),
        "update": (update, of_update),
        "change_state": (change_state, of_change),
        "request_cancel": (request_cancel, W12 if name == "AlreadyCompleted" else None),
        "report_progress": (update, of_update),
    }[transaction]


def test_the_table_is_whole():
    assert set(TABLE) == set(errors.__all__)


@pytest.mark.parametrize("transaction", TRANSACTIONS)
@pytest.mark.parametrize("name", TABLE)
def test_r174_each_refusal_has_its_status_its_warning_and_its_sentence(
    worklist, monkeypatch, transaction, name
):
    refusal = getattr(errors, name)()

    def refuse(*args, **kwargs):
        raise refusal

    monkeypatch.setattr(workitems, transaction, refuse)
    response = TRANSACTIONS[transaction](worklist)

    status, warning = expected(name, transaction)
    body = problem(response, status)
    if warning is None:
        assert "Warning" not in response
    else:
        warns(response, warning)
    if status != 500:
        assert body["detail"] == refusal.detail
        dicom_status = None if refusal.status is None else f"{refusal.status:04X}"
        assert body.get("dicomStatus") == dicom_status


def test_all_that_a_final_state_still_needs_is_named(worklist, monkeypatch):
    elements = ("UnifiedProcedureStepPerformedProcedureSequence", "ProcedureStepLabel")

    def refuse(*args, **kwargs):
        raise errors.FinalStateNotReady(elements=elements)

    monkeypatch.setattr(workitems, "change_state", refuse)
    response = worklist.change_state("1.2.3", "COMPLETED", T)
    assert problem(response, 409)["elements"] == list(elements)
