"""What portal code may listen to: a Django signal for each change, once it is committed.

It is a convenience for code in the process that made the change. Who must hear of every change, in
order, whichever process made it, subscribes: that is what the log and the sockets are for.
"""

from __future__ import annotations

from django.db import transaction
from django.dispatch import Signal

from upsrs.models import Event, Workitem

__all__ = ["announce", "workitem_changed", "workitem_unattended"]

workitem_changed = Signal()
"""A workitem was created or changed, or its performer was asked to cancel it.

Sent with ``sender=Workitem`` and plain facts: ``workitem_uid``, ``kind`` (a word of
`upsrs.dicom.changes.Kind`: CREATED, UPDATED, STATE_REPORT, CANCELED or COMPLETED),
``state_before`` (empty if it was created), ``state_after``, ``actor`` (a user name; empty for the
portal's own code) and ``cancellation_requested``.

In the thread that committed, so a receiver is quick, or hands on what takes long. One that raises
is logged by ``django.dispatch`` and harms nobody: the change stands, and the others are called.
A process killed between commit and call sends nothing: catch up by looking at the workitems.
"""

workitem_unattended = Signal()
"""A workitem needs somebody, as `manage.py ups_attention` found.

Sent with ``sender=Workitem``, ``workitem_uid`` and ``reasons``, a tuple of UNHEARD (nobody was told
that it was created), LATE (unclaimed past its start) and ABANDONED (its performer's sockets are
gone). At each run as long as it lasts, in the process of the command.
"""


def announce(event: Event, *, using: str) -> None:
    """Send `workitem_changed` when the caller's transaction commits; nothing if it rolls back."""
    if not workitem_changed.has_listeners(Workitem):
        return

    def send() -> None:
        workitem_changed.send_robust(
            Workitem,
            workitem_uid=event.workitem_uid,
            kind=event.kind,
            state_before=event.state_before,
            state_after=event.state_after,
            actor=event.actor,
            cancellation_requested=event.cancellation is not None,
        )

    transaction.on_commit(send, using=using, robust=True)
