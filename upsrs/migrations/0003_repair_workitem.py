from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("upsrs", "0002_subscribers")]

    operations = [
        migrations.AlterModelOptions(
            name="workitem",
            options={
                "base_manager_name": "objects",
                "permissions": [
                    ("repair_workitem", "Can act for a lost performer and correct the patient")
                ],
            },
        ),
    ]
