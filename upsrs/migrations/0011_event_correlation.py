"""The id of the request that an event came of, so that logs tell what belongs together."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("upsrs", "0010_audit")]

    operations = [
        migrations.AddField(
            "event",
            "correlation_id",
            models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
