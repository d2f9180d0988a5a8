"""A moment is the same moment with USE_TZ on and off, in a zone that is not UTC, on every door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from tests import datasets
from upsrs import instants, searching, workitems
from upsrs.access import EVERYTHING
from upsrs.dicom import dataset as dicom_json
from upsrs.models import Event, Subscription, Workitem
from upsrs.selection import count

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[True, False], ids=["USE_TZ", "without"], autouse=True)
def new_york(request, settings):
    """DICOM times without an offset are New York's; the database is told of zones, or not."""
    settings.USE_TZ = request.param
    settings.TIME_ZONE = "America/New_York"


def make(start="20260105080000", **values):
    dataset = datasets.dataset(ScheduledProcedureStepStartDateTime=start, **values)
    return Workitem.objects.get(uid=workitems.create(None, dataset).workitem_uid)


def test_a_start_without_an_offset_is_the_portals_local_time():
    workitem = make("20260705080000")
    assert workitem.starts_at == datetime(2026, 7, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize("hour", [5, 6])
def test_the_hour_that_happens_twice_is_kept_apart(hour):
    """On 1 November 2026 New York's 01:30 comes twice: at 05:30 and at 06:30 UTC."""
    workitem = make(f"202611010{hour}3000+0000")
    assert workitem.starts_at == datetime(2026, 11, 1, hour, 30, tzinfo=UTC)


def test_every_row_knows_the_moment_at_which_it_was_written(alice):
    before = instants.now() - timedelta(seconds=1)
    workitem = make()
    event = Event.objects.get()
    subscription = Subscription.objects.create(uid="2.25.1", user=alice)
    written = [workitem.created_at, workitem.changed_at, event.time]
    written += [subscription.created_at, subscription.waits_since, subscription.told_restart_at]
    subscription.refresh_from_db()
    written += [subscription.created_at, subscription.waits_since, subscription.told_restart_at]
    assert all(before < at <= instants.now() for at in written)


def test_the_server_stamps_what_it_fills_in_with_the_true_time():
    stamped = dicom_json.first(make().dataset, "ScheduledProcedureStepModificationDateTime")
    at = dicom_json.dt_instant(stamped, UTC)
    assert abs(at - instants.now()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("20260105080000", 1),
        ("20260105130000+0000", 1),
        ("20260105", 1),
        ("20260105-", 1),
        ("-20260105", 1),
        ("20260106-", 0),
        ("-20260105075959", 0),
    ],
)
def test_a_search_by_start_finds_it(pattern, found):
    make()
    keys = searching.keys_of([("ScheduledProcedureStepStartDateTime", pattern)])
    assert count(keys, EVERYTHING, using="default") == found


def test_a_column_takes_a_naive_value_as_the_portals_local_time():
    workitem = make()
    eight = datetime(2026, 1, 5, 8)  # noqa: DTZ001 - as the admin's calendar asks with USE_TZ off
    assert Workitem.objects.filter(starts_at=eight).get() == workitem
    assert timezone.is_aware(workitem.starts_at)
