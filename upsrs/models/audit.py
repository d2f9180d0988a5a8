"""Who did what, from where, and whether it was allowed; kept longer than what it is about."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KT

from upsrs.instants import InstantField

__all__ = ["AuditRecord"]


class AuditRecord(models.Model):
    """One act, or one that was refused. Never a Transaction UID, nor anything about a patient.

    It refers to nothing by key: what it is about may be removed, and the record stays.
    """

    time = InstantField()
    act = models.CharField(max_length=16)
    """An `upsrs.audit.Act`."""
    refusal = models.CharField(max_length=40, blank=True)
    """The class of the refusal in `upsrs.errors`; empty if it was allowed."""
    user = models.CharField(max_length=150, blank=True)
    """A user name; empty for the portal's own code, and for nobody."""
    address = models.CharField(max_length=45, blank=True)
    door = models.CharField(max_length=8, blank=True)
    """``rest``, ``socket``, ``admin``, ``board``, ``command``; empty for the portal's own code."""
    workitem_uid = models.CharField(max_length=64, blank=True)
    subscription_uid = models.CharField(max_length=64, blank=True)
    connection = models.UUIDField(null=True)
    """The socket that an OPEN, CLOSE or LOSE is of."""
    place = models.BigIntegerField(null=True)
    """Where a socket went on, or what it is known to have taken."""
    log_position = models.BigIntegerField(null=True)
    """The end of the log when a socket opened: what lies before was caught up, if anything."""
    correlation_id = models.CharField(max_length=64, blank=True)
    detail = models.JSONField(default=dict)
    """Attribute → value of a search or a subscription; values about patients are left out."""

    class Meta:
        verbose_name = "audit record"
        indexes = [
            # By day, and retention.
            models.Index(fields=["time"], name="upsrs_audit_time"),
            # What did this user do, what happened to this workitem: the newest first.
            models.Index(fields=["user", "id"], name="upsrs_audit_user"),
            models.Index(fields=["workitem_uid", "id"], name="upsrs_audit_workitem"),
            models.Index(fields=["id"], condition=~Q(refusal=""), name="upsrs_audit_refused"),
            # Who was connected when: what was told follows from it.
            models.Index(
                fields=["user", "time"],
                condition=Q(act__in=["open", "close", "lose"]),
                name="upsrs_audit_sockets",
            ),
            models.Index(
                fields=["subscription_uid", "id"],
                condition=~Q(subscription_uid=""),
                name="upsrs_audit_subscription",
            ),
            models.Index(
                KT("detail__aeTitle"), condition=Q(act="open"), name="upsrs_audit_ae_title"
            ),
            models.Index(
                fields=["connection"],
                condition=Q(connection__isnull=False),
                name="upsrs_audit_connection",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} by {self.user or 'nobody'}"
