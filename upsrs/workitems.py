"""The use cases on workitems: one function, one transaction, the same rules for every door.

Each takes a user and plain values, and raises the refusals of ``upsrs.errors``; a refused call
changes nothing. ``user=None`` is the portal's own trusted code.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from secrets import compare_digest
from typing import Any

from django.db import IntegrityError, transaction

from upsrs import access, audit, errors, events
from upsrs.conf import conf, dataset_limits
from upsrs.dicom import attributes, dataset as dicom_json, states, uids
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.states import State
from upsrs.models import Workitem, write_alias

__all__ = [
    "Created",
    "change_state",
    "create",
    "create_many",
    "report_progress",
    "request_cancel",
    "retrieve",
    "taken",
    "update",
]

MODIFICATION_DATETIME = "00404010"
PROGRESS_INFORMATION = "00741002"
WORKLIST_LABEL = "00741202"

CANCEL_REQUEST = frozenset({"0074100A", "0074100C", "0074100E", "00741236", "00741238"})
"""What a cancellation request may say (PS3.4 Table CC.2.2-1)."""

UNSPECIFIED = {
    "00080100": dicom_json.make("CodeValue", "110513"),
    "00080102": dicom_json.make("CodingSchemeDesignator", "DCM"),
    "00080104": dicom_json.make("CodeMeaning", "Discontinued for unspecified reason"),
}
"""The reason of a cancellation that was given none (PS3.16 CID 9300)."""

COUNTS = {
    "completed": "00751020",
    "failed": "00751021",
    "warning": "00751022",
    "remaining": "00751023",
}
"""The contract's four counts, in our private block of the progress item."""


@dataclass(frozen=True, slots=True)
class Created:
    """A workitem was created; ``modified`` if the server filled in what the request left open."""

    workitem_uid: str
    modified: bool


def create(user: Any, dataset: JSONDataset, *, workitem_uid: str | None = None) -> Created:
    """Put a new workitem on the worklist (PS3.4 CC.2.5, PS3.18 11.4).

    The UID is the argument, else SOP Instance UID (0008,0018) of the dataset; they must agree.
    """
    access.require(user, "add_workitem")
    workitem, modified = _new(user, dataset, workitem_uid)
    workitem.save(using=write_alias())
    return Created(workitem.uid, modified)


def create_many(user: Any, datasets: Iterable[JSONDataset]) -> list[Created]:
    """Put many new workitems on the worklist, all or none, by few statements.

    Each dataset tells its SOP Instance UID (0008,0018), and is judged as by `create`. The first
    that is refused refuses the whole: ``index`` of the refusal says which it was, counted from 0.
    Each workitem has its event, in the order given. As with Django's ``bulk_create`` no
    ``post_save`` is sent; ``upsrs.signals.workitem_changed`` is, for each.
    """
    access.require(user, "add_workitem")
    using = write_alias()
    created: list[Created] = []
    rows: list[Workitem] = []
    refusal: errors.UPSError | None = None
    for index, dataset in enumerate(datasets):
        try:
            workitem, modified = _new(user, dataset, None)
            workitem.check_new()
        except errors.UPSError as refused:
            refusal = refused.at(index)
            break
        rows.append(workitem)
        created.append(Created(workitem.uid, modified))
    Workitem.refuse_taken(rows, using=using)
    if refusal is not None:
        raise refusal
    try:
        with transaction.atomic(using=using):
            Workitem.insert(rows, using=using)
            events.append_created(rows, using=using)
    except IntegrityError:
        Workitem.refuse_taken(rows, using=using)  # by somebody who was quicker
        raise
    return created


def _new(user: Any, dataset: JSONDataset, workitem_uid: str | None) -> tuple[Workitem, bool]:
    """What is to be created, and whether the server filled in what was left open."""
    ds = _normalised(dataset)
    if dicom_json.pop_transaction_uid(ds):
        raise errors.AttributeNotAllowed(
            "It is empty until the workitem is claimed.", element="TransactionUID"
        )
    told = dicom_json.first(ds, "SOPInstanceUID")
    if workitem_uid and told and workitem_uid != told:
        raise errors.InvalidArgument(
            "The workitem UID of the request and SOPInstanceUID of the dataset differ.",
            name="workitem",
        )
    uid = uids.check_uid(workitem_uid or told or "", "workitem")
    if dicom_json.first(ds, "ProcedureStepState", State.SCHEDULED) != State.SCHEDULED:
        states.parse_state(dicom_json.first(ds, "ProcedureStepState"))
        raise errors.NotScheduledAtCreation
    attributes.check_create(ds)
    ds = attributes.fill_type_2(ds)
    modified = dicom_json.is_empty(ds, WORKLIST_LABEL)
    if modified:
        ds[WORKLIST_LABEL] = dicom_json.make("WorklistLabel", conf.DEFAULT_WORKLIST_LABEL)
    workitem = Workitem(uid=uid, dataset=ds)
    workitem.changed_by = _name(user)
    return workitem, modified


def taken(workitem_uids: Iterable[str]) -> set[str]:
    """Those of these UIDs that no new workitem can have, since another has it, or had."""
    return set(Workitem.taken(list(workitem_uids), using=write_alias()))


def retrieve(user: Any, workitem_uid: str) -> JSONDataset:
    """The workitem as it is now, without the Transaction UID (PS3.4 CC.2.7, PS3.18 11.5)."""
    access.require(user, "view_workitem")
    ds: JSONDataset = access.workitem(user, uids.check_uid(workitem_uid, "workitem")).dataset
    audit.done(audit.Act.READ, user, workitem_uid=workitem_uid)
    return ds


def update(
    user: Any, workitem_uid: str, dataset: JSONDataset, *, transaction_uid: str | None = None
) -> None:
    """Change attributes of a workitem, all or none (PS3.4 CC.2.6, PS3.18 11.6).

    Sequences are replaced whole. IN PROGRESS only its performer may, by the Transaction UID;
    SCHEDULED anybody may, and there is no Transaction UID yet.
    """
    access.require(user, "change_workitem")
    ds = _normalised(dataset)
    in_body = dicom_json.pop_transaction_uid(ds)
    if transaction_uid and in_body and transaction_uid != in_body:
        raise errors.InvalidArgument(
            "The request carries two different Transaction UIDs.", name="transaction-uid"
        )
    with transaction.atomic(using=write_alias()):
        workitem = _locked(user, workitem_uid)
        _check_update(workitem, transaction_uid or in_body)
        attributes.check_update(ds, workitem.dataset)
        ds.pop(MODIFICATION_DATETIME, None)
        workitem.dataset = {**workitem.dataset, **ds}
        workitem.save()


def change_state(
    user: Any,
    workitem_uid: str,
    state: str,
    *,
    transaction_uid: str | None,
    requester: str = "",
) -> states.Warning | None:
    """Claim, complete or cancel a workitem (PS3.4 CC.2.1, PS3.18 11.7).

    ``requester`` is the AE title of who asks: with the claim it becomes the performer's.
    Returns a warning if the workitem is already in the final state that was asked for.
    """
    access.require(user, "change_workitem")
    requested = states.parse_state(state)
    if requester:
        requester = uids.check_ae_title(requester, "requester")
    with transaction.atomic(using=write_alias()):
        workitem = _locked(user, workitem_uid)
        moved = states.move(
            State(workitem.state),
            requested,
            transaction_uid_ok=_transaction_uid_ok(workitem, transaction_uid),
        )
        if isinstance(moved, states.Warning):
            return moved
        if workitem.state == State.SCHEDULED:
            assert transaction_uid is not None, "a claim without one was refused above"
            workitem.transaction_uid = transaction_uid
            workitem.performer = requester
        workitem.state = moved.value
        workitem.save()
    return None


def request_cancel(
    user: Any,
    workitem_uid: str,
    dataset: JSONDataset | None = None,
    *,
    requester: str = "",
) -> states.Warning | None:
    """Ask for a workitem to be canceled (PS3.4 CC.2.2, PS3.18 11.8).

    SCHEDULED: the server cancels it itself, by way of IN PROGRESS. IN PROGRESS: the performer is
    told, and decides. Returns a warning if it is canceled already.
    """
    access.require(user, "change_workitem")
    ds = _normalised(dataset or {})
    dicom_json.pop_transaction_uid(ds)
    for tag in ds.keys() - CANCEL_REQUEST:
        raise errors.AttributeNotAllowed(element=dicom_json.keyword_of(tag))
    told = dicom_json.first(ds, "RequestingAE", "")
    if requester or told:
        title = uids.check_ae_title(requester or told, "requester")
        if told and told != title:
            raise errors.InvalidArgument(
                "The requester of the request and RequestingAE of the dataset differ.",
                name="requester",
            )
        ds["00741236"] = dicom_json.make("RequestingAE", title)
    ds = {tag: element for tag, element in ds.items() if not dicom_json.is_empty(ds, tag)}
    with transaction.atomic(using=write_alias()):
        workitem = _locked(user, workitem_uid)
        answer = states.request_cancel(State(workitem.state))
        if isinstance(answer, states.Warning):
            return answer
        if workitem.state == State.SCHEDULED:
            _cancel_scheduled(workitem, ds)
        else:
            now = workitem.snapshot()
            events.append(
                workitem_uid=workitem.uid,
                before=now,
                after=now,
                kind=Kind.UPDATED,
                actor=workitem.changed_by,
                cancellation=ds,
                workitem_pk=workitem.pk,
                using=write_alias(),
            )
    return None


def report_progress(
    user: Any,
    workitem_uid: str,
    *,
    transaction_uid: str | None,
    progress: float | None = None,
    description: str | None = None,
    completed: int | None = None,
    failed: int | None = None,
    warning: int | None = None,
    remaining: int | None = None,
) -> None:
    """Say how far the work is, without touching tags; what is None stays as it was.

    ``progress`` is in percent. The four counts of suboperations are ours: they travel in a
    private block, creator ``UPSRS``, of the progress item.
    """
    access.require(user, "change_workitem")
    counts = {"completed": completed, "failed": failed, "warning": warning, "remaining": remaining}
    with transaction.atomic(using=write_alias()):
        workitem = _locked(user, workitem_uid)
        _check_update(workitem, transaction_uid)
        items = dicom_json.items(workitem.dataset, "ProcedureStepProgressInformationSequence")
        item = dict(items[0]) if items else {}
        if progress is not None:
            # A DS has 16 characters: a third of 100 would have more.
            item["00741004"] = {"vr": "DS", "Value": [round(progress, 6)]}
        if description is not None:
            item["00741006"] = {"vr": "ST", "Value": [description]}
        for name, count in counts.items():
            if count is not None:
                item["00750010"] = {"vr": "LO", "Value": ["UPSRS"]}
                item[COUNTS[name]] = {"vr": "UL", "Value": [count]}
        ds = _normalised({PROGRESS_INFORMATION: {"vr": "SQ", "Value": [item]}})
        attributes.check_update(ds, workitem.dataset)
        workitem.dataset = {**workitem.dataset, **ds}
        workitem.save()


def _normalised(dataset: JSONDataset) -> JSONDataset:
    return dicom_json.normalise(dataset, dataset_limits())


def _name(user: Any) -> str:
    return "" if user is None else user.get_username()


def _locked(user: Any, workitem_uid: str) -> Workitem:
    uid = uids.check_uid(workitem_uid, "workitem")
    workitem = access.workitem(user, uid, for_update=True)
    workitem.changed_by = _name(user)
    return workitem


def _transaction_uid_ok(workitem: Workitem, transaction_uid: str | None) -> bool | None:
    """Is it the performer's key? None if there is none to judge.

    Nothing is recorded for a SCHEDULED workitem, so there any well-formed one is correct.
    """
    if not transaction_uid or not uids.is_uid(transaction_uid):
        return None
    if workitem.state == State.SCHEDULED:
        return True
    return compare_digest(transaction_uid, workitem.transaction_uid)


def _check_update(workitem: Workitem, transaction_uid: str | None) -> None:
    """May the holder of this key update the workitem in its state (PS3.4 CC.2.6.3)?"""
    if workitem.state in states.FINAL:
        raise errors.MayNoLongerBeUpdated
    if workitem.state == State.SCHEDULED:
        if transaction_uid:
            raise errors.NotYetInProgress
        return
    correct = _transaction_uid_ok(workitem, transaction_uid)
    if correct is None:
        raise errors.TransactionUIDMissing
    if not correct:
        raise errors.TransactionUIDIncorrect


def _cancel_scheduled(workitem: Workitem, request: JSONDataset) -> None:
    """Two moves, as DICOM has it: IN PROGRESS by the server itself, then CANCELED."""
    workitem.transaction_uid = uids.uid_of(uuid.uuid4())
    workitem.state = State.IN_PROGRESS.value
    workitem.save()
    item: JSONDataset = {tag: request[tag] for tag in ("0074100E", "00741238") if tag in request}
    item.setdefault("0074100E", {"vr": "SQ", "Value": [UNSPECIFIED]})
    contact = {tag: request[tag] for tag in ("0074100A", "0074100C") if tag in request}
    if "0074100A" in contact:
        item["00741008"] = {"vr": "SQ", "Value": [contact]}
    workitem.dataset = {**workitem.dataset, PROGRESS_INFORMATION: {"vr": "SQ", "Value": [item]}}
    workitem.state = State.CANCELED.value
    workitem.save()
