"""Indexes for what a subscription, or an AE title, was told."""

from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform


class Migration(migrations.Migration):
    dependencies = [("upsrs", "0012_tickets")]

    operations = [
        migrations.AddIndex(
            "auditrecord",
            models.Index(
                fields=["subscription_uid", "id"],
                condition=~models.Q(subscription_uid=""),
                name="upsrs_audit_subscription",
            ),
        ),
        migrations.AddIndex(
            "auditrecord",
            models.Index(
                KeyTextTransform("aeTitle", "detail"),
                condition=models.Q(act="open"),
                name="upsrs_audit_ae_title",
            ),
        ),
    ]
