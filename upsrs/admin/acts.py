"""What an administrator may do to workitems: each act is one use case, with its form.

Whether it may be done is for the use case to say; ``states`` only says where it is offered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from upsrs import access, audit, custody, errors, repairs, workitems
from upsrs.admin import forms
from upsrs.dicom import states
from upsrs.dicom.states import State

__all__ = ["ACTS", "Act"]

Perform = Callable[[Any, str, Any], "str | states.Warning | None"]
"""User, workitem UID, filled form → what was done, if it is not what the act says; or a warning."""

OTHER_PERFORMER = (
    "Somebody else is its performer. Ask for its cancellation, or, if the performer is gone, "
    "let somebody with the permission upsrs.repair_workitem act for it."
)


@dataclass(frozen=True, slots=True)
class Act:
    name: str
    title: str
    done: str
    form: type[forms.PlainForm]
    perform: Perform
    states: frozenset[State]
    audited_as: audit.Act = audit.Act.UPDATE
    permission: str = "change"
    explanation: str = ""


def _claim(user: Any, uid: str, form: forms.ClaimForm) -> None:
    custody.claim(user, uid, requester=form.cleaned_data["requester"])


def _cancel(user: Any, uid: str, form: forms.CancelForm) -> str | states.Warning | None:
    """One's own work is canceled at once; who else performs it is asked, as by REST."""
    try:
        return custody.cancel(user, uid, form.cleaned_data["ReasonForCancellation"])
    except (errors.NotYetInProgress, errors.TransactionUIDRefused):
        warning = workitems.request_cancel(user, uid, form.dataset())
        if warning is None and access.workitem(user, uid).state == State.IN_PROGRESS:
            return "its performer is asked to cancel it"
        return warning


def _complete(user: Any, uid: str, form: forms.CompleteForm) -> states.Warning | None:
    return custody.complete(user, uid, form.dataset())


def _update(user: Any, uid: str, form: forms.PlainForm) -> None:
    custody.update(user, uid, form.dataset())


def _cancel_for_performer(user: Any, uid: str, form: forms.CancelForm) -> states.Warning | None:
    return repairs.cancel_for_performer(user, uid, form.cleaned_data["ReasonForCancellation"])


def _complete_for_performer(user: Any, uid: str, form: forms.CompleteForm) -> states.Warning | None:
    return repairs.complete_for_performer(user, uid, form.dataset())


def _correct_patient(user: Any, uid: str, form: forms.PatientForm) -> None:
    repairs.correct_patient(user, uid, form.dataset())


SCHEDULED = frozenset({State.SCHEDULED})
IN_PROGRESS = frozenset({State.IN_PROGRESS})

ACTS = {
    act.name: act
    for act in (
        Act(
            "claim",
            "Claim",
            "claimed",
            forms.ClaimForm,
            _claim,
            SCHEDULED,
            audit.Act.CLAIM,
            explanation="You become the performer. The server keeps the Transaction UID for you: "
            "only you complete or cancel it then.",
        ),
        Act(
            "complete",
            "Complete",
            "completed",
            forms.CompleteForm,
            _complete,
            IN_PROGRESS,
            audit.Act.COMPLETE,
            explanation="For work that you claimed here.",
        ),
        Act(
            "cancel",
            "Cancel",
            "canceled",
            forms.CancelForm,
            _cancel,
            SCHEDULED | IN_PROGRESS,
            audit.Act.CANCEL,
            explanation="What nobody claimed, or you, is canceled at once. Another performer is "
            "asked, and decides.",
        ),
        Act(
            "reschedule",
            "Reschedule",
            "rescheduled",
            forms.RescheduleForm,
            _update,
            SCHEDULED,
        ),
        Act(
            "prioritise",
            "Change priority",
            "given its new priority",
            forms.PriorityForm,
            _update,
            SCHEDULED | IN_PROGRESS,
        ),
        Act(
            "cancel_for_performer",
            "Repair: cancel for a lost performer",
            "canceled for its performer",
            forms.CancelForm,
            _cancel_for_performer,
            IN_PROGRESS,
            audit.Act.CANCEL,
            permission="repair",
            explanation="The performer is dead, and its Transaction UID lost: the server uses the "
            "one that it recorded. The performer is not asked.",
        ),
        Act(
            "complete_for_performer",
            "Repair: complete for a lost performer",
            "completed for its performer",
            forms.CompleteForm,
            _complete_for_performer,
            IN_PROGRESS,
            audit.Act.COMPLETE,
            permission="repair",
            explanation="The work is done, but its performer can no longer say so: the server uses "
            "the Transaction UID that it recorded.",
        ),
        Act(
            "correct_patient",
            "Repair: correct the patient",
            "corrected",
            forms.PatientForm,
            _correct_patient,
            SCHEDULED | IN_PROGRESS,
            permission="repair",
            explanation="After a merge of patients. Followers hear that the workitem was updated, "
            "without the patient; what is COMPLETED or CANCELED stays as it is.",
        ),
    )
}
"""By name, in the order in which they are offered."""
