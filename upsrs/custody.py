"""Work that people claim at a page: the server keeps the Transaction UID for them.

A performer makes its own key (PS3.4 CC.1.1). A person at a page has no place to keep one, so the
key is derived from who claims what, with the portal's SECRET_KEY: the same person is given the
same key again for the same workitem, nobody else is, and it is neither stored elsewhere nor shown.
A portal that changes its SECRET_KEY leaves such work in progress to `upsrs.repairs`. All rules are those of `upsrs.workitems`, as for any performer.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from secrets import compare_digest
from typing import Any

from django.db import transaction
from django.utils.crypto import salted_hmac

from upsrs import access, errors, instants, workitems
from upsrs.dicom import dataset as dicom_json, states, uids
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.states import State
from upsrs.models import Event, Workitem, write_alias

__all__ = [
    "ae_title_of",
    "cancel",
    "claim",
    "complete",
    "discontinuation",
    "finish",
    "is_performer",
    "performance",
    "report_progress",
    "update",
]

PERFORMED_PROCEDURE = "00741216"
PROGRESS_INFORMATION = "00741002"


def claim(user: Any, workitem_uid: str, *, requester: str = "") -> None:
    """Claim a workitem for the user, who becomes its performer under this AE title."""
    workitems.change_state(
        user,
        workitem_uid,
        State.IN_PROGRESS,
        transaction_uid=_key(user, workitem_uid),
        requester=requester,
    )


def ae_title_of(user: Any) -> str:
    """Under which AE title a person performs: the user name, as far as it is one (PS3.5 6.2)."""
    with suppress(errors.InvalidArgument):
        return uids.check_ae_title(user.get_username()[:16], "requester")
    return ""


def is_performer(user: Any, workitem: Workitem) -> bool:
    """Did this user claim it with `claim`?"""
    return compare_digest(workitem.transaction_uid, _key(user, workitem.uid))


def report_progress(user: Any, workitem_uid: str, progress: float, description: str) -> None:
    """Say how far the work is that the user claimed here. Raises ``TransactionUIDIncorrect``."""
    workitems.report_progress(
        user,
        workitem_uid,
        transaction_uid=_key(user, workitem_uid),
        progress=progress,
        description=description,
    )


def complete(user: Any, workitem_uid: str, performed: JSONDataset) -> states.Warning | None:
    """Complete what the user claimed with `claim`.

    ``performed`` is the item of the Performed Procedure Sequence (0074,1216); see `performance`
    for what it may leave out. Raises ``TransactionUIDIncorrect`` if somebody else claimed it.
    """
    return finish(
        user, workitem_uid, State.COMPLETED, performed, transaction_uid=_key(user, workitem_uid)
    )


def cancel(user: Any, workitem_uid: str, reason: str = "") -> states.Warning | None:
    """Cancel what the user claimed with `claim`. Raises ``TransactionUIDIncorrect``."""
    return finish(
        user,
        workitem_uid,
        State.CANCELED,
        discontinuation(reason),
        transaction_uid=_key(user, workitem_uid),
    )


def update(user: Any, workitem_uid: str, dataset: JSONDataset) -> None:
    """Update a workitem: SCHEDULED as anybody may, IN PROGRESS if the user claimed it here."""
    access.require(user, "change_workitem")
    with transaction.atomic(using=write_alias()):
        workitem = access.workitem(user, uids.check_uid(workitem_uid, "workitem"), for_update=True)
        key = None if workitem.state == State.SCHEDULED else _key(user, workitem_uid)
        workitems.update(user, workitem_uid, dataset, transaction_uid=key)


def finish(
    user: Any, workitem_uid: str, state: State, item: JSONDataset, *, transaction_uid: str
) -> states.Warning | None:
    """Say how the work ended, then end it: both or neither.

    ``item`` goes into the performed procedure of a COMPLETED workitem, or into the progress of a
    CANCELED one, over what its performer has said there already. Returns a warning if the
    workitem is in that state already.
    """
    access.require(user, "change_workitem")
    with transaction.atomic(using=write_alias()):
        workitem = access.workitem(user, uids.check_uid(workitem_uid, "workitem"), for_update=True)
        if workitem.state == State.IN_PROGRESS:
            if state == State.COMPLETED:
                item, sequence = performance(workitem, item), PERFORMED_PROCEDURE
            else:
                sequence = PROGRESS_INFORMATION
            said = (dicom_json.values(workitem.dataset, sequence) or [{}])[0]
            change = {sequence: {"vr": "SQ", "Value": [{**said, **item}]}}
            workitems.update(user, workitem_uid, change, transaction_uid=transaction_uid)
        return workitems.change_state(user, workitem_uid, state, transaction_uid=transaction_uid)


def discontinuation(reason: str) -> JSONDataset:
    """The item of the Progress Information Sequence (0074,1002) that says why work ended."""
    item: JSONDataset = {"0074100E": {"vr": "SQ", "Value": [workitems.UNSPECIFIED]}}
    if reason:
        item["00741238"] = dicom_json.make("ReasonForCancellation", reason)
    return item


def performance(workitem: Workitem, performed: JSONDataset) -> JSONDataset:
    """What a COMPLETED workitem must say of its performance (PS3.4 Table CC.2.5-1), as far as known.

    What neither ``performed`` nor the performer has said is taken from what was scheduled and from
    the log: work, station, and start at the claim; the end is now, and there is no output.
    """
    ds = workitem.dataset
    said = (dicom_json.values(ds, PERFORMED_PROCEDURE) or [{}])[0]
    claimed = Event.objects.using(write_alias()).filter(
        workitem_uid=workitem.uid, state_before=State.SCHEDULED, state_after=State.IN_PROGRESS
    )
    started = claimed.values_list("time", flat=True).last()
    known: JSONDataset = {
        "00404019": {"vr": "SQ", "Value": dicom_json.values(ds, "ScheduledWorkitemCodeSequence")},
        "00404028": {
            "vr": "SQ",
            "Value": dicom_json.values(ds, "ScheduledStationNameCodeSequence")[:1],
        },
        "00404050": dicom_json.make(
            "PerformedProcedureStepStartDateTime", _dt(started) if started else None
        ),
        "00404051": dicom_json.make("PerformedProcedureStepEndDateTime", _dt(instants.now())),
        "00404033": {"vr": "SQ"},
    }
    unsaid = {tag: known[tag] for tag in known if dicom_json.is_empty(said, tag)}
    return {**unsaid, **performed}


def _dt(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")


def _key(user: Any, workitem_uid: str) -> str:
    """The user's key for this workitem (PS3.5 B.2 makes a UID of 128 bits)."""
    if user is None:
        raise errors.NotAuthorized("The portal's own code makes its own Transaction UIDs.")
    digest = salted_hmac("upsrs.custody", f"{user.pk} {workitem_uid}", algorithm="sha256").digest()
    return uids.uid_of(uuid.UUID(bytes=digest[:16], version=4))
