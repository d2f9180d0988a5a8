"""What somebody was told between two moments: all of it, nothing else, and how sure that is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.authtoken.models import Token

from tests import datasets
from tests.core import following
from tests.core.test_search_plans import nodes, plan
from tests.ws.opening import EVENTS, by_token, opened
from upsrs import audit, events, instants, subscribers, subscriptions, workitems
from upsrs.access import EVERYTHING, ModelPermissionPolicy, noted
from upsrs.dicom.matching import Keys
from upsrs.dicom.uids import GLOBAL_SUBSCRIPTION
from upsrs.models import AuditRecord, Connection, Event, Server, Subscription, Workitem
from upsrs.origin import coming_from
from upsrs.subscriptions import Here
from upsrs.told import By, How, Proof, told

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


class OwnLabel(ModelPermissionPolicy):
    """alice sees what is labelled HERS."""

    def sight(self, user):
        return (Keys({"label": "HERS"}, {}),)


def story(by, name, *, since=None, until=None):
    assert audit.flush()
    events.number()
    now = instants.now()
    return told(by, str(name), since=since or now - HOUR, until=until or now + HOUR)


def what(by, name, **window):
    """How, which kind, about which workitem, and what is known of it."""
    found = story(by, name, **window).told
    return [(one.how, one.kind, one.workitem_uid, one.proof) for one in found]


def made(label="A", **more):
    return workitems.create(None, datasets.dataset(WorklistLabel=label, **more)).workitem_uid


def relabelled(uid, label):
    row = Workitem.objects.get(uid=uid)
    row.dataset = {**row.dataset, **datasets.elements(WorklistLabel=label)}
    row.save()


def left(subscription):
    """Its sockets closed, having taken all there is."""
    end = events.numbered_place().position
    open_ = Connection.objects.filter(subscription=subscription, closed_at=None)
    subscriptions.leave({one.pk: end for one in open_})


def test_what_matched_is_told_with_who_where_and_how(alice, bob):
    with coming_from("socket", {"REMOTE_ADDR": "10.1.2.3"}):
        subscription = following.follow(alice, worklistLabel="A*")
    uid, _ = made("AI"), made("B")
    following.take(subscription)
    late = made("AI")
    assert what(By.USER, "alice") == [
        (How.AT_ONCE, "CREATED", uid, Proof.TAKEN),
        (How.AT_ONCE, "CREATED", late, Proof.SENT),
    ]
    first = story(By.USER, "alice").told[0]
    assert (first.user, first.address, first.uid_only) == ("alice", "10.1.2.3", False)
    assert first.position == 1
    assert first.at == Event.objects.get(position=1).time
    assert first.subscription_uid == subscription.uid
    assert first.connection == str(Connection.objects.get().pk)
    assert what(By.SUBSCRIPTION, subscription.uid) == what(By.USER, "alice")
    assert what(By.USER, "bob") == what(By.AE_TITLE, "alice") == what(By.SUBSCRIPTION, "") == []


def test_only_the_time_that_is_asked_for(alice):
    subscription = following.follow(alice)
    uids = [made() for _ in range(3)]
    following.take(subscription)
    second = Event.objects.get(workitem_uid=uids[1]).time
    third = Event.objects.get(workitem_uid=uids[2]).time
    assert [row[2] for row in what(By.USER, "alice", since=second)] == uids[1:]
    assert [row[2] for row in what(By.USER, "alice", until=second)] == uids[:1]
    assert [row[2] for row in what(By.USER, "alice", since=second, until=third)] == uids[1:2]
    assert what(By.USER, "alice", since=instants.now()) == []


def test_before_and_after_the_socket_nothing_is_told(alice):
    made()
    subscription = following.follow(alice)
    heard = made()
    left(subscription)
    made()
    assert what(By.USER, "alice") == [(How.AT_ONCE, "CREATED", heard, Proof.TAKEN)]


def test_what_was_missed_is_told_at_the_moment_of_the_return(alice):
    subscription = following.follow(alice, worklistLabel="A")
    left(subscription)
    missed, _ = made("A"), made("B")
    away = instants.now()
    here = Here(subscriptions.register_server())
    subscriptions.return_to(alice, subscription.uid, here=here)
    [one] = story(By.USER, "alice", since=away).told
    assert (one.how, one.workitem_uid) == (How.CAUGHT_UP, missed)
    assert one.at > away > Event.objects.get(workitem_uid=missed).time
    assert what(By.USER, "alice", until=away) == [], "it was not told when it happened"


def test_the_present_state_is_told_as_reports(alice):
    made()
    here = Here(subscriptions.register_server())
    subscriptions.follow(alice, {}, here=here)
    assert what(By.USER, "alice") == [(How.REPORTS, "", "", Proof.SENT)]


def test_a_waiting_subscription_that_is_asked_for_again_catches_up_and_is_reported(alice):
    subscription = following.follow(alice)
    left(subscription)
    missed, away = made(), instants.now()
    here = Here(subscriptions.register_server())
    subscriptions.follow(alice, {}, here=here)
    kinds = {row[:3] for row in what(By.USER, "alice", since=away)}
    assert kinds == {(How.CAUGHT_UP, "CREATED", missed), (How.REPORTS, "", "")}


def test_rights_that_are_gone_today_do_not_hide_what_was_told(alice):
    subscription = following.follow(alice)
    uid = made()
    left(subscription)
    alice.user_permissions.clear()
    subscription.delete()
    assert what(By.USER, "alice") == [(How.AT_ONCE, "CREATED", uid, Proof.TAKEN)]
    alice.delete()
    assert what(By.USER, "alice") == [(How.AT_ONCE, "CREATED", uid, Proof.TAKEN)]


def test_what_was_out_of_sight_was_not_told_and_what_left_it_by_uid_only(alice, settings):
    settings.UPSRS_POLICY = f"{__name__}.OwnLabel"
    subscription = following.follow(alice)
    settings.UPSRS_POLICY = "upsrs.access.ModelPermissionPolicy"  # which is today's, not then's
    made("OTHER")
    uid = made("HERS")
    relabelled(uid, "OTHER")
    following.take(subscription)
    told_of = story(By.USER, "alice").told
    assert [(one.kind, one.workitem_uid, one.uid_only) for one in told_of] == [
        ("CREATED", uid, False),
        ("UPDATED", uid, True),
    ]


def test_what_is_seen_from_a_place_on_counts_from_there(alice):
    subscription = following.follow(alice)
    first = made("OTHER")
    socket = Connection.objects.get()
    hers = noted((Keys({"label": "HERS"}, {}),))
    audit.sees_now(socket.pk, hers, place=events.numbered_place().position)
    made("OTHER")
    audit.sees_now(socket.pk, noted(EVERYTHING), place=events.numbered_place().position)
    third = made("OTHER")
    left(subscription)
    assert what(By.USER, "alice") == [
        (How.AT_ONCE, "CREATED", uid, Proof.TAKEN) for uid in (first, third)
    ]


def test_a_value_about_a_patient_that_is_not_kept_makes_it_possible(alice):
    subscription = following.follow(alice, PatientID="PID-1", worklistLabel="A")
    [uid, other, _] = [made(), made(PatientID="PID-2"), made("B")]
    left(subscription)
    assert what(By.USER, "alice") == [(How.AT_ONCE, "CREATED", uid, Proof.TAKEN)]
    subscription.delete()
    assert what(By.USER, "alice") == [
        (How.AT_ONCE, "CREATED", uid, Proof.POSSIBLE),
        (How.AT_ONCE, "CREATED", other, Proof.POSSIBLE),
    ]
    assert "PID-1" not in repr(list(AuditRecord.objects.values_list("detail", flat=True)))


def opened_channel(alice):
    here = Here(subscriptions.register_server())
    return subscribers.open_channel(alice, "AI1", here=here, after=events.place().position)


def test_an_ae_is_told_what_it_is_subscribed_to(alice):
    subscribers.subscribe(alice, "AI1", GLOBAL_SUBSCRIPTION)
    events.number()
    opened_channel(alice)
    uid = made()
    expected = [(How.AT_ONCE, "CREATED", uid, Proof.SENT)]
    assert what(By.AE_TITLE, "AI1") == what(By.USER, "alice") == expected
    assert story(By.AE_TITLE, "AI1").told[0].ae_title == "AI1"
    assert what(By.AE_TITLE, "AI2") == []


def test_what_an_ae_unsubscribed_from_since_is_possible(alice):
    uid = made()
    subscribers.subscribe(alice, "AI1", uid)
    events.number()
    opened_channel(alice)
    relabelled(uid, "B")
    subscribers.unsubscribe(alice, "AI1", uid)
    relabelled(uid, "C")
    assert what(By.AE_TITLE, "AI1") == [(How.AT_ONCE, "UPDATED", uid, Proof.POSSIBLE)]
    Subscription.objects.all().delete()
    told_of = what(By.AE_TITLE, "AI1")
    assert [row[2:] for row in told_of] == [(uid, Proof.POSSIBLE)] * 2, "nobody knows any more"


def test_a_server_that_died_told_nobody_anything_later(alice):
    following.follow(alice)
    before = made()
    Server.objects.update(seen_at=instants.now() - HOUR)
    Event.objects.update(time=instants.now() - HOUR)
    made()
    assert what(By.USER, "alice", since=instants.now() - 2 * HOUR) == [
        (How.AT_ONCE, "CREATED", before, Proof.SENT)
    ]


def test_a_socket_found_gone_was_told_nothing_after_its_server_was_last_heard_of(alice):
    subscription = following.follow(alice)
    first = made()
    Event.objects.update(time=instants.now() - HOUR)
    Server.objects.update(seen_at=instants.now() - HOUR)
    second, then = made(), instants.now()
    here = Here(subscriptions.register_server())
    subscriptions.return_to(alice, subscription.uid, here=here)
    early = what(By.USER, "alice", since=then - 2 * HOUR, until=then)
    assert early == [(How.AT_ONCE, "CREATED", first, Proof.SENT)]
    found = {row[:3] for row in what(By.USER, "alice", since=then)}
    assert found == {(How.CAUGHT_UP, "CREATED", uid) for uid in (first, second)}


def test_a_log_that_was_purged_says_how_far_back_it_goes(alice):
    following.follow(alice)
    assert story(By.USER, "alice").begins is None
    made()
    made()
    assert story(By.USER, "alice").begins is None
    Event.objects.filter(position=1).delete()
    assert story(By.USER, "alice").begins == Event.objects.get().time
    Event.objects.all().delete()
    assert instants.now() - story(By.USER, "alice").begins < HOUR


def test_more_than_is_looked_at_is_said_to_be(alice, monkeypatch):
    following.follow(alice)
    uids = [made() for _ in range(3)]
    monkeypatch.setattr("upsrs.told.AT_MOST", 2)
    found = story(By.USER, "alice")
    assert found.is_cut
    assert {one.workitem_uid for one in found.told} <= set(uids)
    monkeypatch.setattr("upsrs.told.AT_MOST", 10)
    assert not story(By.USER, "alice").is_cut


def test_it_is_one_query(alice, django_assert_num_queries):
    for label in ("A", "B", "*"):
        following.follow(alice, worklistLabel=label)
    for _ in range(5):
        made()
    story(By.USER, "alice")
    now = instants.now()
    with django_assert_num_queries(1):
        found = told(By.USER, "alice", since=now - HOUR, until=now)
    assert len(found.told) == 10


@pytest.mark.postgres
@pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="a plan of PostgreSQL: UPSRS_TEST_DATABASE=postgres",
)
@pytest.mark.parametrize("by", By)
def test_on_postgresql_it_runs_on_indexes(alice, by):
    """In a year of records, and a week of events, of which a few are asked for."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO upsrs_auditrecord (time, act, refusal, "user", address, door, workitem_uid,
                subscription_uid, connection, place, log_position, correlation_id, detail)
            SELECT now() - n * interval '1 minute', CASE n % 3 WHEN 0 THEN 'open' WHEN 1 THEN 'close'
                ELSE 'read' END, '', 'user-' || n % 500, '', '', '', '2.25.' || n / 3,
                CASE WHEN n % 3 < 2 THEN md5((n / 3)::text)::uuid END, n, n, '',
                jsonb_build_object('aeTitle', 'AE' || n % 500)
            FROM generate_series(1, 30000) AS n
            """
        )
        cursor.execute(
            """
            INSERT INTO upsrs_event (position, time, workitem_uid, kind, actor, state_before,
                state_after, label_before, label_after, stations_before, stations_after,
                performers_before, performers_after, dataset)
            SELECT n, now() - (20000 - n) * interval '10 seconds', '2.25.' || n, 'CREATED', '', '',
                'SCHEDULED', '', 'A', '', '', '', '', '{}'
            FROM generate_series(1, 20000) AS n
            """
        )
        cursor.execute("ANALYZE")
    name = {By.USER: "user-3", By.SUBSCRIPTION: "2.25.1", By.AE_TITLE: "AE3"}[by]
    until = instants.now()
    with CaptureQueriesContext(connection) as queries:
        told(by, name, since=until - timedelta(minutes=5), until=until)
    found = list(nodes(plan(queries[0]["sql"], run=True)))
    read = [
        (node.get("Relation Name"), node["Node Type"])
        for node in found
        if node["Node Type"] == "Seq Scan"
    ]
    large = {"upsrs_auditrecord", "upsrs_event"}
    assert not [one for one in read if one[0] in large], read


async def test_real_sockets_were_told_what_they_heard(alice, bob):
    token = (await sync_to_async(Token.objects.create)(user=alice)).key
    start = instants.now()
    async with opened(by_token(token), address="10.1.2.3") as socket:
        await socket.subscribe(worklistLabel="A")
        uid, _ = await sync_to_async(made)("A"), await sync_to_async(made)("B")
        heard = await socket.next()
        assert heard["workitemUID"] == uid
    await sync_to_async(subscribers.subscribe)(alice, "AI1", GLOBAL_SUBSCRIPTION)
    async with opened(by_token(token), EVENTS + "?place=1", address="10.1.2.4") as channel:
        other = await sync_to_async(made)("B")
        while other not in str(await channel.next()):
            pass
    found = (await sync_to_async(story)(By.USER, "alice", since=start)).told
    rows = [(one.workitem_uid, one.address, one.position) for one in found if one.workitem_uid]
    assert (uid, "10.1.2.3", heard["eventId"]) in rows
    assert [row[:2] for row in rows if row[1] == "10.1.2.3"] == [(uid, "10.1.2.3")]
    assert other in [row[0] for row in rows if row[1] == "10.1.2.4"]
