"""The log: what happened to the workitems, and the one counter of its positions."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from upsrs.instants import InstantField

__all__ = ["Event", "Log"]


class Log(models.Model):
    """The one counter row of the log (id 1): which log this is, and the last position given.

    The position is kept here and never derived from the events: a purge would restart it.
    """

    log_id = models.UUIDField(default=uuid.uuid4)
    """Another one after a backup was restored: places of the old log mean nothing in it."""
    position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.log_id)


class Event(models.Model):
    """What happened to a workitem, whole: nothing is read from the workitem at delivery.

    It may hold patient keys: it needs the same protection and retention as the workitems.
    """

    position = models.BigIntegerField(null=True, unique=True)
    """The ``eventId``: given after commit, without gaps, in order of commit for each workitem."""
    time = InstantField()
    workitem_uid = models.CharField(max_length=64)
    kind = models.CharField(max_length=12)
    """A ``upsrs.dicom.changes.Kind``: the strongest that this change amounts to."""
    actor = models.CharField(max_length=150, blank=True)
    """Who did it: a user name, empty for the portal's own code."""

    state_before = models.CharField(max_length=11, blank=True)
    state_after = models.CharField(max_length=11)
    label_before = models.CharField(max_length=64, blank=True)
    label_after = models.CharField(max_length=64, blank=True)
    # Several values: "\\A\\B\\", so that SQL finds one of them by the backslashes around it.
    stations_before = models.TextField(blank=True)
    stations_after = models.TextField(blank=True)
    performers_before = models.TextField(blank=True)
    performers_after = models.TextField(blank=True)
    dataset = models.JSONField()
    """The workitem after the change (DICOM JSON), with the values of all matching keys."""
    differed = models.JSONField(null=True)
    """What stood before in the attributes that differ; null if the workitem is new."""
    cancellation = models.JSONField(null=True)
    """The contents of a cancellation request (PS3.4 CC.2.2), if this event is one."""
    workitem_pk = models.BigIntegerField(null=True)
    """The workitem's primary key: they count in order of creation. Null in events of old."""
    # With defaults in the database too: during an upgrade, servers of before write here as well.
    subscriber = models.CharField(max_length=16, blank=True, default="", db_default="")
    """The AE title whose subscriptions changed, if this event is such a change."""
    reports_due = models.BooleanField(default=False, db_default=False)
    """Does that subscriber get the initial events of PS3.4 Table CC.2.3-2 now?"""
    correlation_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    """Of the request that this came of, if it came through a door: for the logs."""

    class Meta:
        indexes = [
            # Numbering: the few rows that have committed and have no position yet.
            models.Index(
                fields=["id"], condition=Q(position__isnull=True), name="upsrs_event_unnumbered"
            ),
            # The history of one workitem.
            models.Index(fields=["workitem_uid", "id"], name="upsrs_event_workitem"),
            # Retention: the oldest first.
            models.Index(fields=["time"], name="upsrs_event_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.workitem_uid}"
