from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("upsrs", "0003_repair_workitem")]

    operations = [
        migrations.AddIndex(
            model_name="workitem",
            index=models.Index(fields=["starts_at", "id"], name="upsrs_workitem_start"),
        ),
        migrations.AddIndex(
            model_name="workitem",
            index=models.Index(
                condition=models.Q(("state", "SCHEDULED")),
                fields=["starts_at", "id"],
                name="upsrs_workitem_unclaimed",
            ),
        ),
        migrations.AddIndex(
            model_name="workitem",
            index=models.Index(fields=["patient_id", "id"], name="upsrs_workitem_patient"),
        ),
        migrations.AddIndex(
            model_name="workitem",
            index=models.Index(fields=["worklist_label", "id"], name="upsrs_workitem_newest"),
        ),
        migrations.AddIndex(
            model_name="workitem",
            index=models.Index(fields=["step_label", "id"], name="upsrs_workitem_step"),
        ),
    ]
