"""What migrations write into rows that there are."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from tests.datasets import code, elements
from upsrs.models import WorkitemKey

pytestmark = pytest.mark.django_db


def test_workitems_of_before_are_found_by_their_performers(make_workitem):
    performer = elements(HumanPerformerCodeSequence=[code("DR1")])
    for name in ("HumanPerformerName", "HumanPerformerOrganization"):
        performer |= elements(**{name: "X"})
    make_workitem(ScheduledHumanPerformersSequence=[performer])
    ours = WorkitemKey.objects.filter(name="human")
    assert list(ours.values_list("value", flat=True)) == ["DR1"]
    ours.delete()
    store = import_module("upsrs.migrations.0009_performer_keys").store
    for _ in range(2):
        store(apps, connection.schema_editor())
        assert list(ours.values_list("value", flat=True)) == ["DR1"]
