"""One-time tickets: how a page without cookies of ours opens a socket."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from upsrs.instants import InstantField

__all__ = ["Ticket"]


class Ticket(models.Model):
    """It lets its user in once, on one channel, for half a minute. Of the ticket itself only a
    digest is here, and the login behind it is sealed with it: who reads the table opens nothing.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=200)
    login = models.BinaryField()
    expires_at = InstantField()

    class Meta:
        indexes = [
            # Those that nobody used go when others are issued.
            models.Index(fields=["expires_at"], name="upsrs_ticket_expires"),
        ]

    def __str__(self) -> str:
        return f"a ticket for {self.channel}"
