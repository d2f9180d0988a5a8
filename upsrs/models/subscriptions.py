"""Who follows the worklist, and the sockets on which they do."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from upsrs.instants import InstantField
from upsrs.models.workitems import Workitem

__all__ = ["Connection", "GlobalSubscription", "Server", "Subscription", "WorkitemSubscription"]


class Subscription(models.Model):
    """What somebody follows. It outlives its sockets.

    ``filter`` is in the customer's words. ``place`` is the last position that a socket of it is
    known to have taken; null until the initial state was complete once. One with an ``ae_title``
    is a subscriber of the standard: what it hears is in its `GlobalSubscription` and
    `WorkitemSubscription` rows, and it has no filter.
    """

    uid = models.CharField("subscription UID", max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    filter = models.JSONField(default=dict)
    filter_digest = models.CharField(max_length=64, editable=False)
    """Equal filters have equal digests."""
    ae_title = models.CharField("AE title", max_length=16, blank=True, default="", db_default="")
    told_restart_at = InstantField(default=timezone.now, db_default=Now())  # noqa: TID251 - as in its migration
    """Of a server that started later, this AE has not been told (PS3.4 CC.2.4.3, event 4)."""
    place = models.BigIntegerField(null=True)
    log_id = models.UUIDField(null=True)
    """The log that the place is a place in."""
    created_at = InstantField(auto_now_add=True)
    waits_since = InstantField(null=True, default=timezone.now)  # noqa: TID251 - as in its migration
    """When its last socket went away, as far as is known."""
    ended_at = InstantField(null=True, blank=True)
    end_reason = models.CharField(max_length=32, blank=True)

    class Meta:
        indexes = [
            # Deletion by filter.
            models.Index(
                fields=["user", "filter_digest"],
                condition=Q(ended_at__isnull=True),
                name="upsrs_subscription_alive",
            ),
            # "Has this user an equal one that waits", however many equal ones do not.
            models.Index(
                fields=["user", "filter_digest", "created_at"],
                condition=Q(ended_at__isnull=True, waits_since__isnull=False),
                name="upsrs_subscription_waits",
            ),
            # "What has ended lately": each hub looks, for what other processes ended.
            models.Index(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False),
                name="upsrs_subscription_ended",
            ),
        ]
        constraints = [
            # An AE is one subscriber, however many sockets it opens and whoever asks for it.
            models.UniqueConstraint(
                fields=["ae_title"],
                condition=Q(ended_at__isnull=True) & ~Q(ae_title=""),
                name="upsrs_subscription_one_per_ae",
            ),
        ]

    def __str__(self) -> str:
        return self.uid


class GlobalSubscription(models.Model):
    """An AE follows the worklist, or what a filter means of it: one row, whatever it covers.

    An AE may have several, in order: the first that covers a workitem decides its deletion lock
    (PS3.4 Table CC.2.3-2 leaves alone what is subscribed already).
    """

    subscriber = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="globals")
    filter = models.JSONField(default=dict)
    """Path of tags → pattern; empty for the whole worklist."""
    deletion_lock = models.BooleanField(default=False)
    since_event = models.BigIntegerField()
    """The primary key of the event that began it."""
    since_workitem = models.BigIntegerField()
    """The primary key of the last workitem that there was when it began."""
    until_workitem = models.BigIntegerField(null=True)
    """Workitems created later are not covered; null while they are."""
    filed_under = models.CharField(max_length=80, blank=True, editable=False)
    """One exact value that the filter wants, so that a change finds it by its own values."""

    class Meta:
        indexes = [models.Index(fields=["filed_under"], name="upsrs_global_filed_under")]

    def __str__(self) -> str:
        return f"global of {self.subscriber_id}"


class WorkitemSubscription(models.Model):
    """What an AE has said of one workitem, or what it is held to: it goes before all globals."""

    class State(models.TextChoices):
        """UPS Subscription State (PS3.4 CC.2.3)."""

        NOT_SUBSCRIBED = "NOT", "not subscribed"
        WITH_LOCK = "LOCK", "subscribed with lock"
        WITHOUT_LOCK = "PLAIN", "subscribed without lock"

    subscriber = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="specifics")
    workitem = models.ForeignKey(
        Workitem, on_delete=models.CASCADE, related_name="subscribers", db_index=False
    )
    state = models.CharField(max_length=5, choices=State.choices)
    since_event = models.BigIntegerField(default=0)
    """The primary key of the event that began it; 0 if it goes on from a global one."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber", "workitem"], name="upsrs_workitemsubscription_once"
            ),
        ]
        indexes = [
            # "Who holds this workitem": retention.
            models.Index(fields=["workitem", "state"], name="upsrs_specific_workitem"),
        ]

    def __str__(self) -> str:
        return f"{self.state} of {self.subscriber_id}"


class Server(models.Model):
    """One server process that has sockets open, and when it was last heard of."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = InstantField(auto_now_add=True)
    seen_at = InstantField()

    class Meta:
        permissions = [("view_metrics", "Can view the metrics of the server processes")]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Connection(models.Model):
    """One socket that follows a subscription, and what it is known to have taken."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="connections"
    )
    server = models.ForeignKey(Server, null=True, on_delete=models.SET_NULL, related_name="+")
    opened_at = InstantField(auto_now_add=True)
    closed_at = InstantField(null=True)
    place = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.subscription_id} on {self.server_id}"
