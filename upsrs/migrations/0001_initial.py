import uuid
from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


def make_counter(apps: Any, schema_editor: Any) -> None:
    """The one row that says which log this is, and which position was given last."""
    apps.get_model("upsrs", "Log").objects.using(schema_editor.connection.alias).create(pk=1)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Log",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("log_id", models.UUIDField(default=uuid.uuid4)),
                ("position", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Server",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("host", models.CharField(max_length=255)),
                ("pid", models.IntegerField()),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("seen_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.BigIntegerField(null=True, unique=True)),
                ("time", models.DateTimeField()),
                ("workitem_uid", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=12)),
                ("actor", models.CharField(blank=True, max_length=150)),
                ("state_before", models.CharField(blank=True, max_length=11)),
                ("state_after", models.CharField(max_length=11)),
                ("label_before", models.CharField(blank=True, max_length=64)),
                ("label_after", models.CharField(blank=True, max_length=64)),
                ("stations_before", models.TextField(blank=True)),
                ("stations_after", models.TextField(blank=True)),
                ("performers_before", models.TextField(blank=True)),
                ("performers_after", models.TextField(blank=True)),
                ("dataset", models.JSONField()),
                ("differed", models.JSONField(null=True)),
                ("cancellation", models.JSONField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("position__isnull", True)),
                        fields=["id"],
                        name="upsrs_event_unnumbered",
                    ),
                    models.Index(fields=["workitem_uid", "id"], name="upsrs_event_workitem"),
                    models.Index(fields=["time"], name="upsrs_event_time"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "uid",
                    models.CharField(max_length=64, unique=True, verbose_name="subscription UID"),
                ),
                ("filter", models.JSONField(default=dict)),
                ("filter_digest", models.CharField(editable=False, max_length=64)),
                ("place", models.BigIntegerField(null=True)),
                ("log_id", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("waits_since", models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("end_reason", models.CharField(blank=True, max_length=32)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Connection",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("opened_at", models.DateTimeField(auto_now_add=True)),
                ("closed_at", models.DateTimeField(null=True)),
                ("place", models.BigIntegerField(null=True)),
                (
                    "server",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="upsrs.server",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="connections",
                        to="upsrs.subscription",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Workitem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uid", models.CharField(max_length=64, unique=True, verbose_name="workitem UID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("SCHEDULED", "SCHEDULED"),
                            ("IN PROGRESS", "IN PROGRESS"),
                            ("COMPLETED", "COMPLETED"),
                            ("CANCELED", "CANCELED"),
                        ],
                        default="SCHEDULED",
                        max_length=11,
                        verbose_name="procedure step state",
                    ),
                ),
                ("dataset", models.JSONField(default=dict, verbose_name="dataset (DICOM JSON)")),
                ("transaction_uid", models.CharField(blank=True, editable=False, max_length=64)),
                (
                    "performer",
                    models.CharField(blank=True, max_length=16, verbose_name="performer AE title"),
                ),
                ("version", models.PositiveBigIntegerField(default=0, editable=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                ("worklist_label", models.CharField(blank=True, editable=False, max_length=64)),
                (
                    "step_label",
                    models.CharField(
                        blank=True,
                        editable=False,
                        max_length=64,
                        verbose_name="procedure step label",
                    ),
                ),
                ("priority", models.CharField(blank=True, editable=False, max_length=16)),
                (
                    "readiness",
                    models.CharField(
                        blank=True,
                        editable=False,
                        max_length=16,
                        verbose_name="input readiness state",
                    ),
                ),
                (
                    "starts_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="scheduled start"),
                ),
                (
                    "patient_id",
                    models.CharField(
                        blank=True, editable=False, max_length=64, verbose_name="patient ID"
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["state", "id"], name="upsrs_workitem_state"),
                    models.Index(
                        fields=["worklist_label", "state", "id"], name="upsrs_workitem_label"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"])
                        ),
                        name="upsrs_workitem_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "SCHEDULED"), ("transaction_uid", "")),
                            models.Q(
                                models.Q(("state", "SCHEDULED"), _negated=True),
                                models.Q(("transaction_uid", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="upsrs_workitem_claimed_by_transaction_uid",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WorkitemKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("station", "Station"),
                            ("performer", "Performer"),
                            ("accession", "Accession"),
                            ("study", "Study"),
                        ],
                        max_length=9,
                    ),
                ),
                ("value", models.CharField(max_length=64)),
                (
                    "workitem",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="upsrs.workitem",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", True)),
                fields=["user", "filter_digest"],
                name="upsrs_subscription_alive",
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", False)),
                fields=["ended_at"],
                name="upsrs_subscription_ended",
            ),
        ),
        migrations.AddIndex(
            model_name="workitemkey",
            index=models.Index(
                fields=["name", "value", "workitem"], name="upsrs_workitemkey_value"
            ),
        ),
        migrations.AddConstraint(
            model_name="workitemkey",
            constraint=models.UniqueConstraint(
                fields=("workitem", "name", "value"), name="upsrs_workitemkey_once"
            ),
        ),
        migrations.RunPython(make_counter, migrations.RunPython.noop),
    ]
