"""``workitem_changed``: what portal code hears, when, and that it can harm nobody."""

from __future__ import annotations

import contextlib

import pytest
from django.db import transaction

from tests import datasets
from upsrs import errors, subscribers, workitems
from upsrs.models import Event, Workitem
from upsrs.signals import workitem_changed

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "2.25.1"


@contextlib.contextmanager
def heard(receiver=None, **connection):
    """What the signal tells while the block runs."""
    told = []

    def listen(**facts):
        told.append(facts)

    receiver = receiver or listen
    workitem_changed.connect(receiver, weak=False, **connection)
    try:
        yield told
    finally:
        workitem_changed.disconnect(receiver, **connection)


def words(told):
    return [(one["kind"], one["state_before"], one["state_after"], one["actor"]) for one in told]


def test_each_change_is_told_with_plain_facts(alice):
    with heard(sender=Workitem) as told:
        uid = workitems.create(alice, datasets.dataset()).workitem_uid
        workitems.change_state(alice, uid, "IN PROGRESS", transaction_uid=KEY)
        workitems.report_progress(alice, uid, transaction_uid=KEY, progress=50)
        workitems.request_cancel(alice, uid)
        workitems.update(alice, uid, datasets.discontinued(), transaction_uid=KEY)
        workitems.change_state(alice, uid, "CANCELED", transaction_uid=KEY)
    assert words(told) == [
        ("CREATED", "", "SCHEDULED", "alice"),
        ("STATE_REPORT", "SCHEDULED", "IN PROGRESS", "alice"),
        ("UPDATED", "IN PROGRESS", "IN PROGRESS", "alice"),
        ("UPDATED", "IN PROGRESS", "IN PROGRESS", "alice"),
        ("UPDATED", "IN PROGRESS", "IN PROGRESS", "alice"),
        ("CANCELED", "IN PROGRESS", "CANCELED", "alice"),
    ]
    assert {one["workitem_uid"] for one in told} == {uid}
    assert [one["cancellation_requested"] for one in told].index(True) == 3
    assert sum(one["cancellation_requested"] for one in told) == 1
    facts = {"signal", "sender", "workitem_uid", "kind", "state_before", "state_after", "actor"}
    assert set(told[0]) == facts | {"cancellation_requested"}


def test_it_comes_after_the_commit(alice):
    seen = []

    def look(**_):
        assert not transaction.get_connection().in_atomic_block
        seen.append(Workitem.objects.count())

    with heard(look), transaction.atomic():
        workitems.create(alice, datasets.dataset())
        assert seen == []
    assert seen == [1]


def test_what_rolls_back_is_not_told(alice):
    with heard() as told:
        with contextlib.suppress(RuntimeError), transaction.atomic():
            workitems.create(alice, datasets.dataset())
            raise RuntimeError
        with pytest.raises(errors.NoSuchWorkitem):
            workitems.update(alice, "2.25.404", {})
    assert told == []


def test_a_save_that_changes_nothing_is_not_told(make_workitem):
    workitem = make_workitem()
    with heard() as told:
        workitem.save()
    assert told == []


def test_an_ae_that_subscribes_changes_no_workitem(alice, make_workitem):
    workitem = make_workitem()
    with heard() as told:
        subscribers.subscribe(alice, "AI1", workitem.uid)
    assert told == []


def test_a_receiver_that_raises_harms_nobody_and_is_logged(alice, caplog):
    def fail(**_):
        raise RuntimeError("broken")

    with heard(fail), heard() as told:
        uid = workitems.create(alice, datasets.dataset()).workitem_uid
    assert Workitem.objects.filter(uid=uid).exists()
    assert Event.objects.filter(workitem_uid=uid).exists()
    assert words(told) == [("CREATED", "", "SCHEDULED", "alice")]
    assert "Error calling" in caplog.text
