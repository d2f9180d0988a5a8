"""An order, and what is known of the work that it asked for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.utils import timezone
from pydicom.uid import generate_uid

from portal.orders.procedures import PROCEDURES, workitem_for
from upsrs import workitems

__all__ = ["Order"]

plain_text = RegexValidator(r"^[^\\^=\x00-\x1f]*$", "It may not contain \\, ^ or =.")
"""DICOM gives these a meaning of their own."""


class Order(models.Model):
    """One order is one workitem: both are saved, or neither."""

    class Priority(models.TextChoices):
        HIGH = "HIGH", "high"
        MEDIUM = "MEDIUM", "medium"
        LOW = "LOW", "low"

    class State(models.TextChoices):
        SCHEDULED = "SCHEDULED", "ordered"
        IN_PROGRESS = "IN PROGRESS", "in progress"
        COMPLETED = "COMPLETED", "done"
        CANCELED = "CANCELED", "canceled"

    accession_number = models.CharField(max_length=16, unique=True, validators=[plain_text])
    patient_id = models.CharField("patient ID", max_length=64, validators=[plain_text])
    family_name = models.CharField(max_length=60, validators=[plain_text])
    given_name = models.CharField(max_length=60, blank=True, validators=[plain_text])
    procedure = models.CharField(
        max_length=16, choices=[(key, procedure.step) for key, procedure in PROCEDURES.items()]
    )
    priority = models.CharField(max_length=6, choices=Priority, default=Priority.MEDIUM)
    start = models.DateTimeField(default=timezone.now)
    ordered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", editable=False
    )
    ordered_at = models.DateTimeField(auto_now_add=True)
    study_uid = models.CharField(max_length=64, default=generate_uid, editable=False)
    workitem_uid = models.CharField(
        max_length=64, unique=True, default=generate_uid, editable=False
    )

    # What became of it: `portal.orders.following` keeps it up.
    state = models.CharField(max_length=11, choices=State, default=State.SCHEDULED, editable=False)
    performer = models.CharField(max_length=150, blank=True, editable=False)
    """The account that claimed it."""
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return self.accession_number

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new order puts its workitem on the worklist, in the same transaction.

        Raises the refusals of `upsrs.errors`: then there is no order either.
        """
        is_new = self._state.adding
        with transaction.atomic():
            super().save(*args, **kwargs)
            if is_new:
                workitems.create(
                    self.ordered_by, workitem_for(self), workitem_uid=self.workitem_uid
                )
