"""The one receiver of ``post_save``: whoever saves a workitem, the log hears of it.

And what portal code may receive: `workitem_changed` and `workitem_unattended`.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from upsrs import events, subscribers
from upsrs.announcements import workitem_changed, workitem_unattended
from upsrs.dicom import changes
from upsrs.models import Workitem

__all__ = ["workitem_changed", "workitem_unattended"]


@receiver(post_save, dispatch_uid="upsrs.record_change")
def record_change(instance: Any, using: str, raw: bool = False, **_: Any) -> None:
    """Append what this save changed to the log, in the same transaction.

    Once that commits, the hubs are woken and the sockets hear of it. A save that changed nothing
    makes no event. ``loaddata`` (``raw``) restores rows together with their log: no event either.
    """
    if raw or not isinstance(instance, Workitem):
        return
    before, after = instance.before, instance.snapshot()
    differs = before is None or bool(changes.differences(before.dataset, after.dataset))
    kind = changes.kind_of(before, after, differs=differs)
    if kind is not None:
        events.append(
            workitem_uid=instance.uid,
            before=before,
            after=after,
            kind=kind,
            actor=instance.changed_by,
            workitem_pk=instance.pk,
            using=using,
        )
        subscribers.keep_covered(instance.pk, before, after, using=using)
