"""Which worklists a group sees, and to which account an AE title belongs."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models

from upsrs.dicom.uids import check_ae_title
from upsrs.errors import InvalidArgument

__all__ = ["AETitle", "GroupWorklist"]


class GroupWorklist(models.Model):
    """A worklist that the members of a group see."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="worklists")
    label = models.CharField(
        "worklist label", max_length=64, help_text="(0074,1202); * and ? stand for any text."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "label"], name="worklists_label_once"),
        ]
        ordering = ["group", "label"]

    def __str__(self) -> str:
        return f"{self.label} for {self.group}"


def is_ae_title(value: str) -> None:
    try:
        check_ae_title(value, "title")
    except InvalidArgument as refusal:
        raise ValidationError(refusal.detail) from None


class AETitle(models.Model):
    """An AE title, for which one account acts and nobody else."""

    title = models.CharField("AE title", max_length=16, unique=True, validators=[is_ae_title])
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ae_titles"
    )

    class Meta:
        verbose_name = "AE title"
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title
