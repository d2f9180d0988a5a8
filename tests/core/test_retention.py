"""What retention removes of the log, of subscriptions and of traces, and what it leaves alone.

What it does to workitems is told at the HTTP door, in ``tests/rest/test_gone.py``.
"""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection

from tests import datasets
from tests.core import following
from upsrs import audit, errors, events, instants, retention, subscribers, subscriptions, workitems
from upsrs.models import (
    AuditRecord,
    Connection,
    Event,
    Server,
    Subscription,
    Tombstone,
    Workitem,
)
from upsrs.subscriptions import Here

pytestmark = pytest.mark.django_db

GLOBAL = "1.2.840.10008.5.1.4.34.5"
DAY = timedelta(days=1)
LONG_AGO = timedelta(days=1_000)


def purge(*options: str) -> str:
    said = io.StringIO()
    call_command("ups_purge", *options, stdout=said)
    return said.getvalue().strip()


def age(rows, **ages) -> None:
    """Make the rows as old as that, in these columns."""
    rows.update(**{name: instants.now() - age for name, age in ages.items()})


def positions() -> list[int]:
    return list(Event.objects.order_by("position").values_list("position", flat=True))


@pytest.fixture
def log(make_workitem):
    """A log of five events."""
    for _ in range(5):
        make_workitem()
    events.number()
    assert positions() == [1, 2, 3, 4, 5]


# The log


def test_only_the_beginning_of_the_log_goes(log):
    age(Event.objects.filter(position__in=[1, 2, 4]), time=LONG_AGO)
    assert purge("--log") == "removed: events 2"
    assert positions() == [3, 4, 5], "what is behind a younger one stays, however old"
    assert events.place().position == 5
    assert events.extent().start == 2
    assert purge("--log") == "removed: nothing"


def test_a_log_that_was_emptied_goes_on_counting(log, make_workitem):
    age(Event.objects.all(), time=LONG_AGO)
    purge("--log")
    make_workitem()
    events.number()
    assert positions() == [6]


def test_what_has_no_number_yet_stays(log):
    if connection.vendor == "sqlite":
        Event.objects.filter(position=5).update(position=None)  # there it has one at once
    else:
        workitems.create(None, datasets.dataset())
    age(Event.objects.all(), time=LONG_AGO)
    purge("--log")
    assert positions() == [None]


def test_many_batches_remove_what_one_would(log, monkeypatch):
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    age(Event.objects.filter(position__lt=5), time=LONG_AGO)
    assert purge("--log") == "removed: events 4"
    assert positions() == [5]


def test_who_was_overtaken_is_told_to_resync_and_who_was_not_goes_on(log, alice):
    behind, ahead = following.follow(alice), following.follow(alice, worklistLabel="AI")
    for subscription, place in ((behind, 1), (ahead, 3)):
        Connection.objects.filter(subscription=subscription).update(place=place)
        following.drop(subscription)
    age(Event.objects.filter(position__lte=3), time=LONG_AGO)
    purge("--log")
    here = Here(subscriptions.register_server())
    assert subscriptions.return_to(alice, behind.uid, here=here).resync is True
    returned = subscriptions.return_to(alice, ahead.uid, here=here)
    assert (returned.resync, returned.position) == (False, 3)


# Subscriptions


def test_subscriptions_go_that_nobody_can_come_back_to(alice):
    ended, long_away, away, connected = (
        following.follow(alice, worklistLabel=label) for label in ("A", "B", "C", "D")
    )
    age(Subscription.objects.all(), created_at=LONG_AGO)
    subscriptions.end(alice, ended.uid, "USER_REQUEST")
    age(Subscription.objects.filter(pk=ended.pk), ended_at=2 * DAY)
    following.drop(long_away, ago=2 * DAY)
    following.drop(away, ago=timedelta(hours=1))
    assert "subscriptions 2" in purge("--subscriptions")
    assert set(Subscription.objects.all()) == {away, connected}
    with pytest.raises(errors.NoSuchSubscription):
        here = Here(subscriptions.register_server())
        subscriptions.return_to(alice, long_away.uid, here=here)


def test_an_ae_that_is_subscribed_waits_for_ever(alice):
    subscribers.subscribe(alice, "AE1", GLOBAL)
    subscribers.subscribe(alice, "AE2", GLOBAL)
    subscribers.unsubscribe(alice, "AE2", GLOBAL)
    age(Subscription.objects.all(), created_at=LONG_AGO, waits_since=LONG_AGO)
    purge("--subscriptions")
    assert [row.ae_title for row in Subscription.objects.all()] == ["AE1"]


def test_of_sockets_long_gone_the_place_that_took_least_stays(alice):
    subscription = following.follow(alice)
    server = Server.objects.get()
    for place in (4, 9):
        Connection.objects.create(subscription=subscription, server=server, place=place)
    Connection.objects.filter(place=0).delete()
    following.drop(subscription, ago=2 * DAY)
    # Somebody listens yet, so that the subscription itself stays.
    Connection.objects.create(subscription=subscription, server=server, place=7)
    purge("--subscriptions")
    closed = Connection.objects.exclude(closed_at=None)
    assert list(closed.values_list("place", flat=True)) == [4]
    assert Connection.objects.filter(closed_at=None).count() == 1


def test_of_a_socket_that_died_with_its_server_the_audit_is_told_once(alice):
    subscription = following.follow(alice)
    age(Server.objects.all(), seen_at=2 * DAY)
    seen_at = Server.objects.get().seen_at
    for _ in range(2):
        purge("--subscriptions")
    assert audit.flush()
    [lost] = AuditRecord.objects.filter(act="lose")
    assert (lost.user, lost.subscription_uid) == ("alice", subscription.uid)
    assert lost.detail == {"heardOf": seen_at.isoformat()}


def test_a_server_long_gone_leaves_when_it_was_last_heard_of(alice):
    subscription = following.follow(alice)
    age(Server.objects.all(), seen_at=30 * DAY)
    heard = Server.objects.get().seen_at
    purge("--subscriptions")
    assert not Server.objects.exists()
    assert Connection.objects.get(subscription=subscription).closed_at == heard


# Traces


def test_a_uid_is_free_again_once_its_tombstone_is_gone(make_workitem, settings):
    settings.UPSRS_WORKITEM_RETENTION_SECONDS = 0
    uid = make_workitem().uid
    workitems.request_cancel(None, uid)
    purge("--workitems")
    again = datasets.dataset(SOPInstanceUID=uid)
    with pytest.raises(errors.UPSError):
        workitems.create(None, again)
    age(Tombstone.objects.all(), removed_at=LONG_AGO)
    assert purge("--tombstones") == "removed: tombstones 1"
    workitems.create(None, again)
    assert Workitem.objects.get().uid == uid


def test_the_audit_goes_after_its_own_time(make_workitem):
    make_workitem()
    audit.flush()
    kept = AuditRecord.objects.count()
    assert kept
    purge("--audit")
    assert AuditRecord.objects.count() == kept
    age(AuditRecord.objects.all(), time=LONG_AGO)
    assert purge("--audit") == f"removed: audit records {kept}"
    assert not AuditRecord.objects.exists()


def test_a_dry_run_says_what_would_go_and_removes_nothing(log, alice, settings):
    settings.UPSRS_WORKITEM_RETENTION_SECONDS = 0
    workitems.request_cancel(None, Workitem.objects.first().uid)
    events.number()
    following.drop(following.follow(alice), ago=2 * DAY)
    audit.flush()
    age(Subscription.objects.all(), created_at=LONG_AGO)
    age(Event.objects.all(), time=LONG_AGO)
    age(AuditRecord.objects.all(), time=LONG_AGO)
    models = (Workitem, Event, Subscription, AuditRecord)
    before = [model.objects.count() for model in models]
    would = purge("--dry-run")
    assert [model.objects.count() for model in models] == before
    for expected in ("events 7", "workitems 1", "subscriptions 1", "audit records"):
        assert expected in would
    assert purge() == would.replace("would remove", "removed")
