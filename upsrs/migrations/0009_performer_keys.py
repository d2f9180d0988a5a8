"""Search by who is to perform and by what performed runs on keys of its own."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.db import migrations, models

PATHS = {
    "human": ("00404034", "00404009", "00080100"),
    "performed": ("00741216", "00404028", "00080100"),
}
AT_ONCE = 1000


def values(dataset: dict[str, Any], path: tuple[str, ...]) -> set[str]:
    *sequences, leaf = path
    level = [dataset]
    for tag in sequences:
        level = [item for one in level for item in one.get(tag, {}).get("Value", ()) if item]
    return {value for one in level for value in one.get(leaf, {}).get("Value", ()) if value}


def store(apps: Any, schema_editor: Any) -> None:
    """Write the keys of the workitems that there are; a second time it changes nothing."""
    alias = schema_editor.connection.alias
    keys = apps.get_model("upsrs", "WorkitemKey")
    workitems = apps.get_model("upsrs", "Workitem")
    # The queryset of the app refuses to write, not to read.
    rows = workitems._base_manager.using(alias).values_list("pk", "dataset")
    found = (
        keys(workitem_id=pk, name=name, value=value)
        for pk, dataset in rows.iterator(AT_ONCE)
        for name, path in PATHS.items()
        for value in sorted(values(dataset, path))
    )
    while batch := list(islice(found, AT_ONCE)):
        keys.objects.using(alias).bulk_create(batch, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("upsrs", "0008_waiting_subscriptions")]

    operations = [
        migrations.AlterField(
            model_name="workitemkey",
            name="name",
            field=models.CharField(
                choices=[
                    ("station", "Station"),
                    ("performer", "Performer"),
                    ("accession", "Accession"),
                    ("study", "Study"),
                    ("human", "scheduled human performer"),
                    ("performed", "performed station"),
                ],
                max_length=9,
            ),
        ),
        migrations.RunPython(store, migrations.RunPython.noop),
    ]
