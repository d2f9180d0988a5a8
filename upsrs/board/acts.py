"""What people do to workitems at the board: each act is one use case, with its form.

Whether it may be done is for the use case to say; here is only where it is offered, and how a
refusal reads to a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from upsrs import access, audit, custody, errors, workitems
from upsrs.dicom import dataset as dicom_json, vrs
from upsrs.dicom.states import FINAL, State
from upsrs.models import Workitem

__all__ = ["ACTS", "Act", "offered", "refusal"]


class Text(forms.CharField):
    """Text of a VR, checked by its rules."""

    def __init__(self, vr: str, **options: Any) -> None:
        self.vr = vr
        super().__init__(**options)

    def validate(self, value: str) -> None:
        super().validate(value)
        try:
            vrs.CHECKS[self.vr](value)
        except ValueError as rule:
            raise ValidationError(f"It {rule}.") from None


class NothingToSay(forms.Form):
    pass


class ProgressForm(forms.Form):
    progress = forms.IntegerField(label="Done, in percent", min_value=0, max_value=100)
    description = Text("ST", label="What is being done", required=False)


class CompleteForm(forms.Form):
    station = Text("SH", label="Station it was done at", required=False)


class ReasonForm(forms.Form):
    reason = Text("LT", label="Reason", widget=forms.Textarea(attrs={"rows": 2}))


Perform = Callable[[Any, str, dict[str, Any]], object]
"""User, workitem UID, what the form says."""


@dataclass(frozen=True, slots=True)
class Act:
    name: str
    title: str
    done: str
    form: type[forms.Form]
    perform: Perform
    state: State
    audited_as: audit.Act
    mine: bool | None = None
    """True: for who performs it at the board; False: for others; None: for anybody."""
    explanation: str = ""


def _claim(user: Any, uid: str, said: dict[str, Any]) -> None:
    custody.claim(user, uid, requester=custody.ae_title_of(user))


def _progress(user: Any, uid: str, said: dict[str, Any]) -> None:
    custody.report_progress(user, uid, said["progress"], said["description"])


def _complete(user: Any, uid: str, said: dict[str, Any]) -> object:
    station = said["station"]
    performed = {"00404028": {"vr": "SQ", "Value": [_code(station)]}} if station else {}
    return custody.complete(user, uid, performed)


def _cancel(user: Any, uid: str, said: dict[str, Any]) -> object:
    return custody.cancel(user, uid, said["reason"])


def _request_cancel(user: Any, uid: str, said: dict[str, Any]) -> object:
    reason = {"00741238": dicom_json.make("ReasonForCancellation", said["reason"])}
    return workitems.request_cancel(user, uid, reason)


def _code(station: str) -> dicom_json.JSONDataset:
    """A station that a person names has no code but its name."""
    named = {"CodeValue": station, "CodingSchemeDesignator": "99LOCAL", "CodeMeaning": station}
    made = {keyword: dicom_json.make(keyword, text) for keyword, text in named.items()}
    return {dicom_json.tag_of(keyword): element for keyword, element in made.items()}


ACTS = {
    act.name: act
    for act in (
        Act(
            "claim",
            "Claim",
            "You have claimed it.",
            NothingToSay,
            _claim,
            State.SCHEDULED,
            audit.Act.CLAIM,
        ),
        Act(
            "progress",
            "Report progress",
            "Progress was reported.",
            ProgressForm,
            _progress,
            State.IN_PROGRESS,
            audit.Act.UPDATE,
            mine=True,
        ),
        Act(
            "complete",
            "Complete",
            "It is completed.",
            CompleteForm,
            _complete,
            State.IN_PROGRESS,
            audit.Act.COMPLETE,
            mine=True,
        ),
        Act(
            "cancel",
            "Cancel",
            "It is canceled.",
            ReasonForm,
            _cancel,
            State.IN_PROGRESS,
            audit.Act.CANCEL,
            mine=True,
        ),
        Act(
            "withdraw",
            "Cancel",
            "It is canceled.",
            ReasonForm,
            _request_cancel,
            State.SCHEDULED,
            audit.Act.REQUEST_CANCEL,
        ),
        Act(
            "request-cancel",
            "Ask to cancel",
            "Its performer was asked to cancel it.",
            ReasonForm,
            _request_cancel,
            State.IN_PROGRESS,
            audit.Act.REQUEST_CANCEL,
            mine=False,
            explanation="Its performer is asked, and decides.",
        ),
    )
}
"""By name, in the order in which they are offered."""


def offered(user: Any, workitem: Workitem) -> list[Act]:
    """What this user may try with a workitem as it is now."""
    if not access.policy().may(user, "change_workitem"):
        return []
    is_mine = custody.is_performer(user, workitem)
    return [
        act for act in ACTS.values() if act.state == workitem.state and act.mine in (None, is_mine)
    ]


def refusal(user: Any, act: Act, error: errors.UPSError, workitem: Workitem) -> str:
    """Why it was refused, as a person at the board reads it. ``workitem`` is as it is now."""
    is_mine = custody.is_performer(user, workitem)
    taken = isinstance(error, errors.TransactionUIDRefused | errors.AlreadyInProgress)
    if workitem.state in FINAL:
        return f"It is {workitem.state} by now."
    if act.name == "claim" and taken:
        if is_mine:
            return "You have claimed it already."
        return f"{workitem.performer or 'Somebody else'} was quicker and has claimed it."
    if workitem.state != act.state:
        return f"It is {workitem.state} by now."
    if taken:
        return f"{workitem.performer or 'Somebody else'} performs it: only they can do this."
    if isinstance(error, errors.FinalStateNotReady):
        return f"Not yet: {error.detail}"
    return error.detail
