"""What goes beyond the rules of the standard, for those with ``upsrs.repair_workitem``.

A performer that died has taken its Transaction UID along, and nobody else may touch its workitem
(PS3.4 CC.2.6.3). A merge of patients leaves workitems with the wrong one, and no transaction of
UPS may change that (Table CC.2.5-3). Each repair is an event like any other, with its actor.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from upsrs import access, custody, errors
from upsrs.conf import dataset_limits
from upsrs.dicom import dataset as dicom_json, states, uids
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.states import State
from upsrs.models import write_alias

__all__ = ["PATIENT", "cancel_for_performer", "complete_for_performer", "correct_patient"]

PATIENT = frozenset({"00100010", "00100020", "00100021", "00100030", "00100040"})
"""Name, ID, issuer of the ID, birth date, sex: what a merge of patients corrects."""


def cancel_for_performer(user: Any, workitem_uid: str, reason: str = "") -> states.Warning | None:
    """Cancel a workitem whose performer is gone, with the key that it had."""
    return _finish(user, workitem_uid, State.CANCELED, custody.discontinuation(reason))


def complete_for_performer(
    user: Any, workitem_uid: str, performed: JSONDataset
) -> states.Warning | None:
    """Complete a workitem whose performer is gone, with the key that it had."""
    return _finish(user, workitem_uid, State.COMPLETED, performed)


def correct_patient(user: Any, workitem_uid: str, patient: JSONDataset) -> None:
    """Replace attributes of the patient, those of `PATIENT` only; what is not given stays.

    It is told as UPDATED, and no DICOM report tells it (PS3.4 CC.2.4 has none for this).
    A COMPLETED or CANCELED workitem is refused: its record stands as it was.
    """
    access.require(user, "change_workitem", "repair_workitem")
    ds = dicom_json.normalise(patient, dataset_limits())
    for tag in ds.keys() - PATIENT:
        raise errors.AttributeNotAllowed(element=dicom_json.keyword_of(tag))
    with transaction.atomic(using=write_alias()):
        workitem = access.workitem(user, uids.check_uid(workitem_uid, "workitem"), for_update=True)
        if workitem.state in states.FINAL:
            raise errors.MayNoLongerBeUpdated
        workitem.changed_by = "" if user is None else user.get_username()
        workitem.dataset = {**workitem.dataset, **ds}
        workitem.save()


def _finish(user: Any, workitem_uid: str, state: State, item: JSONDataset) -> states.Warning | None:
    access.require(user, "change_workitem", "repair_workitem")
    with transaction.atomic(using=write_alias()):
        workitem = access.workitem(user, uids.check_uid(workitem_uid, "workitem"), for_update=True)
        if workitem.state == State.SCHEDULED:
            raise errors.NotYetInProgress
        return custody.finish(
            user, workitem_uid, state, item, transaction_uid=workitem.transaction_uid
        )
