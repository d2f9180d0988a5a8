"""Who was told, when, or why not: from the log, the filter and the place alone."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from tests import datasets
from tests.core.following import drop, follow, take
from upsrs import custody, delivery, events, instants, subscriptions, workitems
from upsrs.delivery import Attention, Audience, Outcome
from upsrs.models import Connection, Event, Subscription, Workitem

pytestmark = pytest.mark.django_db


def deliveries(workitem):
    """What became of a workitem's last event, for every subscription."""
    events.number()
    audience = Audience(delivery.followers(Subscription.objects.order_by("pk")))
    return audience.deliveries(Event.objects.filter(workitem_uid=workitem.uid).latest("id"))


def outcome(workitem):
    [one] = deliveries(workitem)
    return one.outcome


def test_what_its_socket_has_taken_was_told_at_once(alice, make_workitem):
    subscription = follow(alice, worklistLabel="AI")
    workitem = make_workitem(WorklistLabel="AI")
    take(subscription)
    [one] = deliveries(workitem)
    assert (one.outcome, one.at) == (Outcome.TOLD, Event.objects.get().time)


def test_what_was_taken_after_coming_back_has_no_moment(alice, make_workitem):
    subscription = follow(alice)
    workitem = make_workitem()
    take(subscription)
    Connection.objects.update(opened_at=instants.now() + timedelta(seconds=1))
    [one] = deliveries(workitem)
    assert (one.outcome, one.at) == (Outcome.TOLD, None)


def test_what_is_not_known_to_be_taken_is_on_its_way(alice, make_workitem):
    follow(alice)
    assert outcome(make_workitem()) == Outcome.ON_ITS_WAY


def test_with_several_sockets_the_slowest_counts(alice, make_workitem):
    subscription = follow(alice)
    workitem = make_workitem()
    take(subscription)
    first = Connection.objects.get()
    Connection.objects.create(subscription=subscription, server=first.server, place=0)
    assert outcome(workitem) == Outcome.ON_ITS_WAY


def test_a_filter_that_did_not_match_is_the_reason(alice, make_workitem):
    follow(alice, worklistLabel="READING")
    assert outcome(make_workitem(WorklistLabel="AI")) == Outcome.NOT_MATCHED


def test_who_watched_for_what_it_was_before_is_concerned(alice, make_workitem):
    follow(alice, procedureStepState="SCHEDULED")
    workitem = make_workitem()
    custody.claim(alice, workitem.uid)
    assert outcome(workitem) == Outcome.ON_ITS_WAY


def test_a_subscriber_who_is_away_is_waited_for(alice, make_workitem):
    subscription = follow(alice)
    drop(subscription, ago=timedelta(minutes=5))
    workitem = make_workitem()
    [one] = deliveries(workitem)
    assert one.outcome == Outcome.WAITS
    assert one.at == Connection.objects.get().closed_at


def test_a_server_that_was_killed_leaves_its_subscribers_away(alice, make_workitem):
    subscription = follow(alice)
    server = subscription.connections.get().server
    server.seen_at = instants.now() - timedelta(minutes=5)
    server.save()
    assert outcome(make_workitem()) == Outcome.WAITS


def test_who_stayed_away_too_long_is_never_told(alice, make_workitem, settings):
    settings.UPSRS_SUBSCRIPTION_TTL_SECONDS = 60
    drop(follow(alice), ago=timedelta(minutes=5))
    assert outcome(make_workitem()) == Outcome.EXPIRED


@pytest.mark.parametrize("place", [None, -1])
def test_a_place_that_the_log_cannot_serve_is_a_fresh_start(alice, make_workitem, place):
    subscription = follow(alice)
    Connection.objects.update(place=place)
    drop(subscription)
    assert outcome(make_workitem()) == Outcome.RESYNC


def test_a_place_in_another_log_says_nothing(alice, make_workitem):
    subscription = follow(alice)
    workitem = make_workitem()
    take(subscription)
    drop(subscription)
    Subscription.objects.update(log_id=uuid.uuid4())
    assert outcome(workitem) == Outcome.RESYNC


def test_a_subscription_that_had_ended_is_the_reason(alice, make_workitem):
    subscription = follow(alice)
    subscriptions.end(alice, subscription.uid, "USER_REQUEST")
    workitem = make_workitem()
    [one] = deliveries(workitem)
    assert one.outcome == Outcome.ENDED_BEFORE
    assert one.at == Subscription.objects.get().ended_at


def test_what_was_on_its_way_when_the_subscription_ended_was_not_told(alice, make_workitem):
    subscription = follow(alice)
    workitem = make_workitem()
    subscriptions.end(alice, subscription.uid, "USER_REQUEST")
    assert outcome(workitem) == Outcome.ENDED_UNTOLD


def test_who_subscribed_later_was_reported_the_state_instead(alice, make_workitem):
    workitem = make_workitem()
    follow(alice)
    assert outcome(workitem) == Outcome.MADE_LATER


def test_what_its_owner_may_not_see_is_not_told(alice, bob, make_workitem):
    subscription = follow(alice)
    Subscription.objects.filter(pk=subscription.pk).update(user=bob)
    assert outcome(make_workitem()) == Outcome.OUT_OF_SIGHT


class OnlyAI:
    """A policy under which everybody sees the worklist AI, and nothing else."""

    def may(self, user, action):
        return True

    def sight(self, user):
        from upsrs.dicom.matching import Keys

        return (Keys({"label": "AI"}, {}),)


def test_what_leaves_the_owners_sight_is_told_by_its_uid(alice, make_workitem, settings):
    workitem = make_workitem(WorklistLabel="AI")
    settings.UPSRS_POLICY = f"{__name__}.OnlyAI"
    follow(alice)
    workitems.update(None, workitem.uid, datasets.elements(WorklistLabel="READING"))
    [one] = deliveries(workitem)
    assert (one.outcome, one.uid_only) == (Outcome.ON_ITS_WAY, True)


def test_each_field_of_a_filter_answers_for_itself(make_workitem):
    workitem = make_workitem(WorklistLabel="AI")
    wanted = {"worklistLabel": "A*", "PatientID": "PID-2", "Foo": "1"}
    label, patient, foo = delivery.fields(wanted, None, workitem.snapshot())
    assert (label.matches, label.values, label.wanted) == (True, ("AI",), "A*")
    assert (patient.matches, patient.values) == (False, ("PID-1",))
    assert patient.wanted == "(withheld)"
    assert (label.has_effect, foo.has_effect) == (True, False)


# What needs attention


def attention(*made):
    rows = list(Workitem.objects.filter(pk__in=[row.pk for row in made]).order_by("pk"))
    found = delivery.attention(rows)
    return [set(found.get(row.pk, ())) for row in rows]


SOON = "20990101080000"


def test_a_workitem_that_nobody_was_told_of_stands_out(alice, make_workitem):
    follow(alice, worklistLabel="AI")
    heard = make_workitem(WorklistLabel="AI", ScheduledProcedureStepStartDateTime=SOON)
    unheard = make_workitem(WorklistLabel="3D", ScheduledProcedureStepStartDateTime=SOON)
    assert attention(heard, unheard) == [set(), {Attention.UNHEARD}]


def test_who_is_away_has_heard_nothing_until_it_is_back(alice, make_workitem):
    subscription = follow(alice)
    drop(subscription)
    workitem = make_workitem(ScheduledProcedureStepStartDateTime=SOON)
    assert attention(workitem) == [{Attention.UNHEARD}]
    take(subscription)
    assert attention(workitem) == [set()]


def test_who_subscribed_later_was_told_by_the_report(alice, make_workitem):
    workitem = make_workitem(ScheduledProcedureStepStartDateTime=SOON)
    follow(alice)
    assert attention(workitem) == [set()]


def test_a_subscription_that_had_ended_heard_nothing(alice, make_workitem):
    subscription = follow(alice)
    subscriptions.end(alice, subscription.uid, "USER_REQUEST")
    workitem = make_workitem(ScheduledProcedureStepStartDateTime=SOON)
    assert attention(workitem) == [{Attention.UNHEARD}]


def test_what_nobody_claimed_in_time_stands_out(alice, make_workitem):
    follow(alice)
    late = make_workitem(ScheduledProcedureStepStartDateTime="20200101080000")
    assert attention(late) == [{Attention.LATE}]
    custody.claim(alice, late.uid)
    assert attention(late) == [set()]


def test_a_performer_whose_sockets_are_gone_stands_out(alice, make_workitem):
    subscription = follow(alice)
    workitem = make_workitem()
    custody.claim(alice, workitem.uid)
    assert attention(workitem) == [set()]
    drop(subscription)
    assert attention(workitem) == [{Attention.ABANDONED}]


def test_a_performer_that_never_had_a_socket_is_not_missed(alice, make_workitem):
    workitem = make_workitem()
    custody.claim(alice, workitem.uid)
    assert attention(workitem) == [set()]


def test_what_is_finished_needs_nobody(alice, make_workitem):
    workitem = make_workitem()
    workitems.request_cancel(alice, workitem.uid)
    assert attention(workitem) == [set()]
