"""The audit: who created, claimed, changed, ended, followed, read or was told what, from where.

Each act is a row (`upsrs.models.AuditRecord`) and a message of PS3.15 A.5 on the logger
``upsrs.audit``. A change and its record are one transaction: both or neither. All else, refusals
first of all, is written by the recorder on a connection of its own.

What a socket was told is not written event by event: it follows from where it began and what it
took, which is recorded, and from the log (`upsrs.told`).
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import transaction

from upsrs import contract, instants
from upsrs.audit.acts import Act, act_of, is_alarming, is_audited
from upsrs.audit.messages import Refusal
from upsrs.audit.recorder import AT_ONCE, Entry, emit, flush, is_heard, record
from upsrs.dicom import dataset as dicom_json
from upsrs.errors import UPSError
from upsrs.models import AuditRecord, Event, write_alias
from upsrs.origin import origin

__all__ = [
    "Act",
    "changed",
    "closed",
    "done",
    "flush",
    "lost",
    "opened",
    "refused",
    "sees_now",
]

NAME_LENGTH = 150

_open: dict[uuid.UUID, AuditRecord] = {}
"""The sockets of this process, as they were opened."""


def name_of(user: Any) -> str:
    """The user's name; empty for the portal's own code, and for nobody."""
    return "" if user is None or user.is_anonymous else str(user.get_username())[:NAME_LENGTH]


def changed(events: Sequence[Event], *, using: str) -> None:
    """What these events tell of is changed in the caller's transaction.

    The records commit with it, or not at all.
    """
    rows = [
        _row(
            act_of(
                event.state_before or None, event.state_after, asked=event.cancellation is not None
            ),
            event.actor,
            workitem_uid=event.workitem_uid,
        )
        for event in events
    ]
    AuditRecord.objects.using(using).bulk_create(rows, batch_size=AT_ONCE)
    if is_heard():
        entries = [
            Entry(row, is_written=True, patient_id=_patient_id(event))
            for row, event in zip(rows, events, strict=True)
        ]

        def committed() -> None:
            for entry in entries:
                emit(entry)

        transaction.on_commit(committed, using=using, robust=True)


def _patient_id(event: Event) -> str:
    return str(dicom_json.first(event.dataset, "PatientID", ""))


def done(
    act: Act,
    user: Any,
    *,
    workitem_uid: str = "",
    subscription_uid: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Something was read, asked for or said that changes no workitem.

    Recorded once the caller's transaction commits: what a rolled back request had read is not told.
    """
    row = _row(
        act,
        name_of(user),
        workitem_uid=workitem_uid,
        subscription_uid=subscription_uid,
        detail=dict(detail or {}),
    )
    transaction.on_commit(lambda: record(Entry(row)), using=write_alias(), robust=True)


def refused(
    act: Act,
    user: Any,
    refusal: Exception,
    *,
    workitem_uid: str = "",
    subscription_uid: str = "",
    ae_title: str = "",
) -> None:
    """Something was refused. It is recorded whatever becomes of the caller's transaction.

    A request that was refused for its form concerns nothing, and is left out.
    """
    if isinstance(refusal, UPSError) and not is_audited(refusal):
        return
    row = _row(
        act,
        name_of(user),
        workitem_uid=workitem_uid[:64],
        subscription_uid=subscription_uid[:64],
        refusal=type(refusal).__name__[:40],
        detail={"aeTitle": ae_title[:16]} if ae_title else {},
    )
    sentence = refusal.detail if isinstance(refusal, UPSError) else "The login was refused."
    record(Entry(row, refusal=Refusal(sentence, is_alarming(refusal))))


def opened(
    user: Any,
    subscription_uid: str,
    connection: uuid.UUID,
    *,
    place: int | None,
    log_position: int,
    detail: Mapping[str, Any],
) -> None:
    """A socket follows a subscription, once the caller's transaction commits.

    ``detail`` is all that decides what it is told from here on: what it follows, ``filter`` or
    ``aeTitle``; its user's ``sight``, if that is not everything; and ``reports``, if the present
    state is reported first.
    """
    row = _row(
        Act.OPEN,
        name_of(user),
        subscription_uid=subscription_uid,
        connection=connection,
        place=place,
        log_position=log_position,
        detail=dict(detail),
    )

    def committed() -> None:
        _open[connection] = row
        record(Entry(row))

    transaction.on_commit(committed, using=write_alias(), robust=True)


def sees_now(connection: uuid.UUID, sight: Any, *, place: int | None) -> None:
    """What the user of an open socket may see is another from this place on: it is as opened anew.

    Without a place it is still at the reports of the present state.
    """
    before = _open.get(connection)
    if before is None:
        return
    kept = ("filter", "aeTitle") if place is not None else ("filter", "aeTitle", "reports")
    detail = {name: said for name, said in before.detail.items() if name in kept}
    row = _row(
        Act.OPEN,
        before.user,
        subscription_uid=before.subscription_uid,
        connection=connection,
        place=place,
        log_position=max(place or 0, before.log_position or 0),
        detail=detail if sight is None else {**detail, "sight": sight},
    )
    _open[connection] = row
    record(Entry(row))


def closed(left: Mapping[uuid.UUID, int | None]) -> None:
    """Sockets of this process are gone: connection → what it is known to have taken."""
    for connection, place in left.items():
        if (row := _open.pop(connection, None)) is not None:
            _record_end(Act.CLOSE, row, place)


def lost(
    connection: uuid.UUID,
    user: Any,
    subscription_uid: str,
    *,
    place: int | None,
    heard_at: datetime | None,
) -> None:
    """A socket was found gone with its server, which was last heard of at that time."""
    row = AuditRecord(
        user=name_of(user),
        subscription_uid=subscription_uid,
        connection=connection,
        detail={"heardOf": heard_at.isoformat()} if heard_at else {},
    )
    _record_end(Act.LOSE, row, place)


def _record_end(act: Act, opened: AuditRecord, place: int | None) -> None:
    row = AuditRecord(
        time=instants.now(),
        act=act.value,
        user=opened.user,
        address=opened.address,
        door=opened.door,
        subscription_uid=opened.subscription_uid,
        connection=opened.connection,
        place=place,
        correlation_id=opened.correlation_id,
        detail={
            name: said for name, said in opened.detail.items() if name in ("aeTitle", "heardOf")
        },
    )
    record(Entry(row))


@cache
def _account() -> str:
    """Who runs this process, as its machine knows them."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # an account without a name, as in some containers
        return f"{os.getuid()}@{socket.gethostname()}"


def _row(act: Act, user: str, *, time: datetime | None = None, **facts: Any) -> AuditRecord:
    here = origin()
    if here.door == "command":  # it has no user of the portal's
        facts["detail"] = {**facts.get("detail", {}), "account": _account()}
    return AuditRecord(
        time=time or instants.now(),
        act=act.value,
        user=user[:NAME_LENGTH],
        address=here.address,
        door=here.door,
        correlation_id=here.correlation_id,
        **{name: _storable(fact) for name, fact in facts.items()},
    )


def _storable(fact: Any) -> Any:
    """Requests may say what a database refuses: it would hold up every record behind this one."""
    if isinstance(fact, str):
        return contract.storable(fact)
    if isinstance(fact, Mapping):
        return {_storable(name): _storable(value) for name, value in fact.items()}
    return fact
