"""The workitems, and what is left of those that retention removed.

``Workitem.save()`` is the one way to change a workitem, whichever door the change came through:
it decides from the locked row, so that no stale object undoes another's work, and ``post_save``
(``upsrs.signals``) appends the event to the log inside the same transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn, cast

from django.db import IntegrityError, models, router, transaction
from django.db.models import Q
from django.utils import timezone

from upsrs import errors, instants
from upsrs.conf import dataset_limits
from upsrs.dicom import attributes, dataset as dicom_json, matching, states, uids
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.states import State
from upsrs.instants import InstantField

__all__ = ["Tombstone", "Workitem", "WorkitemKey", "write_alias"]


SOP_CLASS_UID = "00080016"
SOP_INSTANCE_UID = "00080018"
PROCEDURE_STEP_STATE = "00741000"
MODIFICATION_DATETIME = "00404010"
PROGRESS_INFORMATION = "00741002"
CANCELLATION_DATETIME = "00404052"


REMOVED = "A workitem with this UID existed, ended and was removed."

AT_ONCE = 500
"""So many rows are looked for, or written, by one statement."""


def write_alias() -> str:
    """The one database that holds all of upsrs: the log is never read from a lagging replica."""
    return router.db_for_write(Workitem)


def dicom_now() -> str:
    """This instant as a DICOM DT, in UTC."""
    return instants.now().strftime("%Y%m%d%H%M%S.%f+0000")


class DuplicateRow(errors.DuplicateWorkitem, IntegrityError):
    """A workitem with this UID exists already.

    Also an ``IntegrityError``: by that ``get_or_create()`` knows that it has lost a race.
    """


class WorkitemQuerySet(models.QuerySet["Workitem"]):
    """Refuses the ways of writing that send no signal: a change that nobody hears is no change."""

    def _refuse(self, method: str) -> NoReturn:
        raise errors.NotNotified(
            f"{method} on workitems would notify nobody. Save each workitem instead, or use the "
            "functions of upsrs.workitems."
        )

    def update(self, **kwargs: Any) -> NoReturn:
        self._refuse("update()")

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("bulk_create()")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("bulk_update()")

    def delete(self) -> NoReturn:
        raise errors.NotNotified(
            "delete() on workitems would notify nobody. Cancel a workitem that is not wanted; "
            "finished ones are removed by retention."
        )

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class Workitem(models.Model):
    """One Unified Procedure Step (PS3.3 C.30).

    ``dataset`` is the truth, with ``state``; the other columns are read from it on each save so
    that the worklist can be searched by them.
    """

    uid = models.CharField("workitem UID", max_length=64, unique=True)
    state = models.CharField(
        "procedure step state",
        max_length=11,
        choices=[(state.value, state.value) for state in State],
        default=State.SCHEDULED.value,
    )
    dataset = models.JSONField("dataset (DICOM JSON)", default=dict)
    transaction_uid = models.CharField(max_length=64, blank=True, editable=False)
    """The performer's key (PS3.4 CC.1.1). It never leaves the server."""
    performer = models.CharField("performer AE title", max_length=16, blank=True)
    """Who claimed it: the requester named with the change of state."""
    version = models.PositiveBigIntegerField(default=0, editable=False)
    """Counts the saves, so that a save based on an older one is recognised."""
    created_at = InstantField(auto_now_add=True)
    changed_at = InstantField(auto_now=True)
    finished_at = InstantField("completed or canceled at", null=True, editable=False)
    """Retention counts from here. Null in final rows of an older version: they did not change since."""

    worklist_label = models.CharField(max_length=64, blank=True, editable=False)
    step_label = models.CharField("procedure step label", max_length=64, blank=True, editable=False)
    priority = models.CharField(max_length=16, blank=True, editable=False)
    readiness = models.CharField("input readiness state", max_length=16, blank=True, editable=False)
    starts_at = InstantField("scheduled start", null=True, editable=False)
    patient_id = models.CharField("patient ID", max_length=64, blank=True, editable=False)

    objects = WorkitemQuerySet.as_manager()

    before: matching.Snapshot | None = None
    """What the locked row held just before the last save of this object; None if it was new."""
    changed_by: str = ""
    """Who saves, for the log: the use cases set it."""

    class Meta:
        base_manager_name = "objects"
        permissions = [
            ("repair_workitem", "Can act for a lost performer and correct the patient"),
        ]
        indexes = [
            # The initial reports and the board: what is not final, in order of creation.
            models.Index(fields=["state", "id"], name="upsrs_workitem_state"),
            # The same for those who follow one worklist.
            models.Index(fields=["worklist_label", "state", "id"], name="upsrs_workitem_label"),
            # The administrator's list: by day, and sorted by start.
            models.Index(fields=["starts_at", "id"], name="upsrs_workitem_start"),
            # What nobody claimed in time.
            models.Index(
                fields=["starts_at", "id"],
                condition=Q(state="SCHEDULED"),
                name="upsrs_workitem_unclaimed",
            ),
            # The administrator's search: the newest that have exactly this value.
            models.Index(fields=["patient_id", "id"], name="upsrs_workitem_patient"),
            models.Index(fields=["worklist_label", "id"], name="upsrs_workitem_newest"),
            models.Index(fields=["step_label", "id"], name="upsrs_workitem_step"),
            # Search, in order of creation.
            models.Index(fields=["priority", "id"], name="upsrs_workitem_priority"),
            models.Index(fields=["readiness", "id"], name="upsrs_workitem_readiness"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"]),
                name="upsrs_workitem_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state="SCHEDULED", transaction_uid="")
                | (~Q(state="SCHEDULED") & ~Q(transaction_uid="")),
                name="upsrs_workitem_claimed_by_transaction_uid",
            ),
        ]

    def __str__(self) -> str:
        return self.uid

    def save(  # type: ignore[override]
        self,
        *,
        force_insert: bool = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Save the workitem and log what changed, both or neither.

        1. Open a transaction: in autocommit Django would commit the row before ``post_save``.
        2. Lock the row and read "before" from it, not from memory.
        3. Refuse a stale object, an illegal move, a change of what is final, a malformed dataset.
        4. Save; ``post_save`` appends the event.

        Raises the refusals of ``upsrs.errors``; a refused save changes nothing in the database.
        """
        using = using or router.db_for_write(type(self), instance=self)
        try:
            with transaction.atomic(using=using):
                self._save_locked(using, force_update, update_fields)
        except IntegrityError as error:
            if type(self).objects.using(using).filter(uid=self.uid).exclude(pk=self.pk).exists():
                raise DuplicateRow from error
            raise

    save.alters_data = True  # type: ignore[attr-defined]

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: a worklist's readers would never hear of it."""
        type(self).objects.all().delete()

    def check_new(self) -> None:
        """Refuse what `save` would refuse of a new workitem, but for a UID that is taken."""
        self._check(None)

    @classmethod
    def insert(cls, workitems: Sequence[Workitem], *, using: str) -> None:
        """Insert new workitems by few statements, in the caller's transaction.

        Each has passed `check_new`. No signal is sent, so the caller appends their events. Raises
        ``IntegrityError`` if a UID is taken.
        """
        for workitem in workitems:
            workitem.version = 1
        rows: models.QuerySet[Workitem] = models.QuerySet(cls, using=using)
        rows.bulk_create(workitems, batch_size=AT_ONCE)
        keys = [row for one in workitems for row in _rows(one, _keys(one.snapshot()))]
        WorkitemKey.objects.using(using).bulk_create(keys, batch_size=AT_ONCE)

    @classmethod
    def refuse_taken(cls, workitems: Sequence[Workitem], *, using: str) -> None:
        """Refuse the first whose UID an earlier one of them has, or another workitem, or had."""
        taken = cls.taken([workitem.uid for workitem in workitems], using=using)
        seen: set[str] = set()
        for index, workitem in enumerate(workitems):
            if workitem.uid in taken or workitem.uid in seen:
                detail = REMOVED if taken.get(workitem.uid) is Tombstone else ""
                raise errors.DuplicateWorkitem(detail).at(index)
            seen.add(workitem.uid)

    @classmethod
    def taken(cls, workitem_uids: Sequence[str], *, using: str) -> dict[str, type[models.Model]]:
        """Those of these UIDs that no new workitem can have: UID → `Workitem` or `Tombstone`."""
        found: dict[str, type[models.Model]] = {}
        for model in (cls, Tombstone):
            rows = model._base_manager.using(using)
            for first in range(0, len(workitem_uids), AT_ONCE):
                some = rows.filter(uid__in=workitem_uids[first : first + AT_ONCE])
                found |= dict.fromkeys(some.values_list("uid", flat=True), model)
        return found

    def snapshot(self) -> matching.Snapshot:
        return matching.snapshot(self.dataset, requester=self.performer)

    def _save_locked(
        self, using: str, force_update: bool, update_fields: Iterable[str] | None
    ) -> None:
        row = None
        if not self._state.adding:
            rows = type(self).objects.using(using).select_for_update()
            row = rows.filter(pk=self.pk).first()
            if row is None:
                raise errors.NoSuchWorkitem
            self._keep_unnamed(row, update_fields)
        self._check(row)
        if row is None and Tombstone.objects.using(using).filter(uid=self.uid).exists():
            raise errors.DuplicateWorkitem(REMOVED)
        read_version = self.version
        self.version = row.version + 1 if row else 1
        try:
            super().save(force_insert=row is None, force_update=force_update, using=using)
            self._store_keys(using)
        except BaseException:
            # The row is as it was: this object may try again.
            self.version = read_version
            raise

    def _check(self, row: Workitem | None) -> None:
        """Refuse what may not be saved over this row, or as a new one; read the columns."""
        self.before = row.snapshot() if row else None
        self.dataset = self._checked_dataset(row)
        self._check_move(row)
        self._derive_columns()
        self.finished_at = row.finished_at if row else None
        if self.state in states.FINAL and (row is None or row.state != self.state):
            self.finished_at = instants.now()

    def _keep_unnamed(self, row: Workitem, update_fields: Iterable[str] | None) -> None:
        """Take from the row what this save does not mean to write."""
        unread = self.get_deferred_fields()
        named = None if update_fields is None else set(update_fields)
        if "version" in unread:
            # Nobody can say how old it is: it may write what it has not read, that is nothing.
            written = {"dataset", "state", "performer"} - unread
            is_stale = bool(written if named is None else written & named)
        else:
            is_stale = self.version != row.version
        if is_stale:
            raise errors.StaleWorkitem
        for field in self._meta.concrete_fields:
            if field.attname in unread or (named is not None and field.name not in named):
                setattr(self, field.attname, getattr(row, field.attname))
        if self.uid != row.uid:
            raise errors.InvalidArgument("The UID of a workitem never changes.", name="uid")

    def _checked_dataset(self, row: Workitem | None) -> JSONDataset:
        ds = dicom_json.normalise(self.dataset, dataset_limits())
        if dicom_json.pop_transaction_uid(ds):
            raise errors.AttributeNotAllowed(element="TransactionUID")
        told = dicom_json.first(ds, "ProcedureStepState", self.state)
        if told != self.state and (row is None or told != row.state):
            raise errors.AttributeNotAllowed(
                "Set the state of the workitem, not that of its dataset.",
                element="ProcedureStepState",
            )
        if dicom_json.first(ds, "SOPInstanceUID", self.uid) != self.uid:
            raise errors.AttributeNotAllowed(
                "It is not the UID of this workitem.", element="SOPInstanceUID"
            )
        ds[SOP_CLASS_UID] = dicom_json.make("SOPClassUID", uids.UPS_PUSH)
        ds[SOP_INSTANCE_UID] = dicom_json.make("SOPInstanceUID", self.uid)
        ds[PROCEDURE_STEP_STATE] = dicom_json.make("ProcedureStepState", self.state)
        ds[MODIFICATION_DATETIME] = dicom_json.make(
            "ScheduledProcedureStepModificationDateTime", dicom_now()
        )
        if self.state == State.CANCELED and (row is None or row.state != State.CANCELED):
            _fill_cancellation_datetime(ds)
        return dict(sorted(ds.items()))

    def _check_move(self, row: Workitem | None) -> None:
        """The one state machine, whichever door the change came through (PS3.4 CC.1.1)."""
        state = states.parse_state(self.state)
        before = State(row.state) if row else None
        states.check_saved(before, state)
        if row is None:
            uids.check_uid(self.uid, "uid")
            if self.uid in (uids.GLOBAL_SUBSCRIPTION, uids.FILTERED_GLOBAL_SUBSCRIPTION):
                raise errors.InvalidArgument(
                    "This UID is reserved for the subscriptions of the standard.", name="uid"
                )
            self.transaction_uid = ""
            return
        if before in states.FINAL and _changed(row, self):
            raise errors.MayNoLongerBeUpdated
        if before == State.SCHEDULED:
            # A claim by the portal's own code: nobody else holds the key then.
            self.transaction_uid = (
                (self.transaction_uid or uids.uid_of(uuid.uuid4()))
                if state == State.IN_PROGRESS
                else ""
            )
        elif self.transaction_uid != row.transaction_uid:
            raise errors.TransactionUIDIncorrect
        if state in states.FINAL and state != before:
            missing = attributes.missing_for_final(self.dataset, state)
            if missing:
                raise errors.FinalStateNotReady(elements=missing)

    def _derive_columns(self) -> None:
        ds = self.dataset
        self.worklist_label = dicom_json.first(ds, "WorklistLabel", "")
        self.step_label = dicom_json.first(ds, "ProcedureStepLabel", "")
        self.priority = dicom_json.first(ds, "ScheduledProcedureStepPriority", "")
        self.readiness = dicom_json.first(ds, "InputReadinessState", "")
        self.patient_id = dicom_json.first(ds, "PatientID", "")
        self.starts_at = _instant(ds, "ScheduledProcedureStepStartDateTime")

    def _store_keys(self, using: str) -> None:
        after = self.snapshot()
        wanted = _keys(after)
        if self.before is not None and _keys(self.before) == wanted:
            return
        keys = WorkitemKey.objects.using(using)
        keys.filter(workitem=self).delete()
        keys.bulk_create(_rows(self, wanted))


class Tombstone(models.Model):
    """A workitem that ended and was removed: its UID is answered with 410 and not given again.

    Nothing else is kept of it: what it held about a patient goes with it.
    """

    uid = models.CharField("workitem UID", max_length=64, unique=True)
    removed_at = InstantField()

    class Meta:
        indexes = [
            # Retention of the tombstones themselves.
            models.Index(fields=["removed_at"], name="upsrs_tombstone_removed"),
        ]

    def __str__(self) -> str:
        return self.uid


class WorkitemKey(models.Model):
    """The matching keys of which a workitem may have several values, one row each."""

    class Name(models.TextChoices):
        STATION = "station"
        PERFORMER = "performer"
        ACCESSION = "accession"
        STUDY = "study"
        HUMAN = "human", "scheduled human performer"
        PERFORMED = "performed", "performed station"

    workitem = models.ForeignKey(Workitem, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=9, choices=Name.choices)
    value = models.CharField(max_length=64)

    class Meta:
        constraints = [
            # Also serves "what are the keys of this workitem".
            models.UniqueConstraint(
                fields=["workitem", "name", "value"], name="upsrs_workitemkey_once"
            ),
        ]
        indexes = [
            # "Which workitems are for this station": initial reports and search.
            models.Index(fields=["name", "value", "workitem"], name="upsrs_workitemkey_value"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.workitem_id}"


def _instant(ds: JSONDataset, keyword: str) -> datetime | None:
    value = dicom_json.first(ds, keyword)
    if value is None:
        return None
    zone = timezone.get_default_timezone()
    return dicom_json.dt_instant(value, zone, dicom_json.first(ds, "TimezoneOffsetFromUTC"))


def _keys(snapshot: matching.Snapshot) -> list[tuple[str, str]]:
    """The (name, value) rows of a workitem, in a fixed order."""
    ds = snapshot.dataset
    studies = ["StudyInstanceUID", "InputInformationSequence.StudyInstanceUID"]
    studies.append("ReferencedRequestSequence.StudyInstanceUID")
    found = {
        WorkitemKey.Name.STATION: snapshot.stations,
        WorkitemKey.Name.PERFORMER: snapshot.performers,
        WorkitemKey.Name.ACCESSION: dicom_json.values(
            ds, "ReferencedRequestSequence.AccessionNumber"
        ),
        WorkitemKey.Name.STUDY: [uid for path in studies for uid in dicom_json.values(ds, path)],
        WorkitemKey.Name.HUMAN: dicom_json.values(
            ds, "ScheduledHumanPerformersSequence.HumanPerformerCodeSequence.CodeValue"
        ),
        WorkitemKey.Name.PERFORMED: matching.performed_stations(ds),
    }
    return sorted({(name.value, cast(str, v)) for name, values in found.items() for v in values})


def _rows(workitem: Workitem, keys: Iterable[tuple[str, str]]) -> Iterator[WorkitemKey]:
    return (WorkitemKey(workitem=workitem, name=name, value=value) for name, value in keys)


def _changed(row: Workitem, saved: Workitem) -> bool:
    """Would this save change anything but the modification date-time?"""
    kept = {**saved.dataset, MODIFICATION_DATETIME: row.dataset.get(MODIFICATION_DATETIME)}
    return kept != {MODIFICATION_DATETIME: None, **row.dataset} or any(
        getattr(row, name) != getattr(saved, name)
        for name in ("state", "performer", "transaction_uid")
    )


def _fill_cancellation_datetime(ds: JSONDataset) -> None:
    """Procedure Step Cancellation DateTime is the server's to fill (PS3.4 Table CC.2.5-3)."""
    items = ds.get(PROGRESS_INFORMATION, {}).get("Value") or [{}]
    item = items[0]
    if dicom_json.is_empty(item, CANCELLATION_DATETIME):
        item = {
            **item,
            CANCELLATION_DATETIME: dicom_json.make(
                "ProcedureStepCancellationDateTime", dicom_now()
            ),
        }
    ds[PROGRESS_INFORMATION] = {"vr": "SQ", "Value": [dict(sorted(item.items()))]}
