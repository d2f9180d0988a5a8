"""The figures of a day: counted right, in the portal's time zone, of what is in one's sight."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from tests import datasets
from upsrs import custody, instants, workitems
from upsrs.dicom.matching import Keys
from upsrs.models import Event
from upsrs.statistics import figures

pytestmark = pytest.mark.django_db

KEY = "2.25.1"
DAY = date(2026, 1, 5)


def at(clock, day=DAY):
    """A moment of the day, in UTC."""
    hours, minutes = map(int, clock.split(":"))
    return datetime(day.year, day.month, day.day, hours, minutes, tzinfo=UTC)


@pytest.fixture
def happen(alice, monkeypatch):
    """``happen("8:00", "8:20", "9:00")``: created, claimed and completed at these times."""

    def run(created, claimed="", completed="", **changes):
        def clock(moment):
            monkeypatch.setattr(instants, "now", lambda: moment)

        start = {"ScheduledProcedureStepStartDateTime": "20260105000000+0000", **changes}
        clock(created if isinstance(created, datetime) else at(created))
        uid = workitems.create(alice, datasets.dataset(**start)).workitem_uid
        if claimed:
            clock(at(claimed))
            workitems.change_state(alice, uid, "IN PROGRESS", transaction_uid=KEY)
            clock(at(completed or claimed))
            workitems.update(alice, uid, datasets.performed(), transaction_uid=KEY)
        if completed:
            workitems.change_state(alice, uid, "COMPLETED", transaction_uid=KEY)
        monkeypatch.undo()
        return uid

    return run


def counts(day):
    """Hour → scheduled, claimed, completed, canceled; of the hours in which something happened."""
    numbers = {
        f"{hour.begins:%H:%M}": (hour.scheduled, hour.claimed, hour.completed, hour.canceled)
        for hour in day.hours
    }
    return {hour: found for hour, found in numbers.items() if any(found)}


def test_a_day_is_counted_by_the_hour(alice, happen):
    happen("8:00", "8:20", "9:30")
    happen("8:59", "9:00")
    happen("23:59")
    day = figures.day(alice, DAY)
    assert counts(day) == {"08:00": (2, 1, 0, 0), "09:00": (0, 1, 1, 0), "23:00": (1, 0, 0, 0)}
    assert (day.scheduled, day.claimed, day.completed, day.canceled) == (3, 2, 1, 0)
    assert counts(figures.day(alice, DAY - timedelta(days=1))) == {}
    assert counts(figures.day(alice, DAY + timedelta(days=1))) == {}


def test_turnaround_is_waiting_and_working(alice, happen):
    happen("8:00", "8:20", "9:30")
    happen("8:10", "8:20", "9:00")
    happen("9:00", "9:01", "9:02")
    [first] = [hour for hour in figures.day(alice, DAY).hours if hour.completed]
    assert first.waiting == timedelta(minutes=31) / 3
    assert first.working == timedelta(minutes=111) / 3
    assert first.turnaround == timedelta(minutes=142) / 3


def test_who_is_scheduled_for_later_does_not_wait_before(alice, happen):
    start = "20260105080000+0000"
    happen("6:00", "8:10", ScheduledProcedureStepStartDateTime=start)
    happen("6:00", "7:00", ScheduledProcedureStepStartDateTime=start)
    [row] = figures.day(alice, DAY).waiting
    assert (row.mean, row.longest) == (timedelta(minutes=5), timedelta(minutes=10))


def test_waiting_is_told_by_worklist_the_busiest_first(alice, happen):
    for waited, label in ((1, "B"), (5, "A"), (6, "A"), (15, "A"), (59, "A"), (61, "A")):
        happen("8:00", f"{8 + waited // 60}:{waited % 60:02}", WorklistLabel=label)
    first, second = figures.day(alice, DAY).waiting
    assert (first.label, first.within, first.claimed) == ("A", (1, 2, 1, 1), 5)
    assert first.mean == timedelta(minutes=146) / 5
    assert first.longest == timedelta(minutes=61)
    assert (second.label, second.within) == ("B", (1, 0, 0, 0))


def test_what_nobody_claimed_is_canceled_and_was_never_claimed(alice, happen):
    workitems.request_cancel(alice, happen("8:00"))
    day = figures.day(alice, timezone.localdate(instants.now()))
    assert (day.claimed, day.canceled, day.waiting) == (0, 1, ())


def test_what_was_claimed_and_canceled_is_both(alice, happen, monkeypatch):
    uid = happen("8:00")
    monkeypatch.setattr(instants, "now", lambda: at("8:30"))
    custody.claim(alice, uid, requester="AE1")
    monkeypatch.setattr(instants, "now", lambda: at("9:30"))
    custody.cancel(alice, uid, "no longer needed")
    day = figures.day(alice, DAY)
    assert counts(day) == {"08:00": (1, 1, 0, 0), "09:00": (0, 0, 0, 1)}


def test_what_the_log_has_lost_is_not_counted(alice, happen):
    happen("8:00", "8:20", "9:00")
    Event.objects.filter(kind="CREATED").delete()
    day = figures.day(alice, DAY)
    assert counts(day) == {"08:00": (0, 1, 0, 0), "09:00": (0, 0, 1, 0)}
    assert day.waiting == ()
    assert {hour.waiting for hour in day.hours} == {None}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", DAY, 24),
        ("Asia/Kathmandu", DAY, 24),
        ("America/St_Johns", date(2026, 11, 1), 25),
    ],
)
def test_each_hour_of_a_day_has_its_own_whatever_the_clocks_do(alice, happen, zone, day, hours):
    with timezone.override(ZoneInfo(zone)):
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for hour in range(-1, hours + 1):
            happen(midnight + timedelta(hours=hour, minutes=5))
        found = figures.day(alice, day)
    assert [hour.scheduled for hour in found.hours] == [1] * hours
    assert f"{found.hours[0].begins:%H:%M}" == "00:00"


class OneLabel:
    """Sees the worklist AI and nothing else."""

    def may(self, user, action):
        return True

    def sight(self, user):
        return (Keys({"label": "AI"}, {}),)


class OnePatient(OneLabel):
    """What SQL alone cannot decide: a patient's name, whatever its case."""

    def sight(self, user):
        return (Keys({}, {"00100010": "roe^*"}),)


@pytest.mark.parametrize("policy", [OneLabel, OnePatient])
def test_only_what_is_in_sight_is_counted(alice, happen, monkeypatch, policy):
    happen("8:00", "8:20", "9:00", WorklistLabel="AI", PatientName="Roe^Richard")
    happen("8:00", "8:20", "9:00", WorklistLabel="CT")
    monkeypatch.setattr("upsrs.access.policy", policy)
    day = figures.day(alice, DAY)
    assert counts(day) == {"08:00": (1, 1, 0, 0), "09:00": (0, 0, 1, 0)}
    assert [row.label for row in day.waiting] == ["AI"]


def test_however_long_the_log_a_day_is_four_queries(alice, happen, django_assert_max_num_queries):
    for _ in range(3):
        happen("8:00", "8:20", "9:00")
    with django_assert_max_num_queries(4):
        figures.day(alice, DAY)
