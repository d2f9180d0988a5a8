"""The standard's subscriptions and its event channel, on real sockets of a real server."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from websockets.exceptions import InvalidStatus

from tests import datasets
from tests.live import making
from tests.live.event_channel import (
    AE,
    EVENT_ID,
    FILTERED,
    GLOBAL,
    READINESS,
    STATE,
    told,
    value,
)
from tests.live.performing import Performer
from tests.subscriber import Subscriber

# What an AE hears knows no database; that the two databases answer alike is proven by fast tests,
# and `tests/live/test_places.py` goes through returns on both.
pytestmark = [pytest.mark.asyncio, pytest.mark.postgres, pytest.mark.redis]

T = "2.25.4711471147114711471147114711"
titles = (f"AE-{number}" for number in itertools.count(1))
LOCK = "?deletionlock=true"


@pytest.fixture
def backend(postgres_backend):
    return postgres_backend


@pytest.fixture
def title():
    return next(titles)


@pytest.fixture
async def ris(server, backend):
    async with Performer(server, backend) as ris:
        yield ris


async def finish(ris, uid):
    """Claim a workitem and complete it."""
    assert (await ris.claim(uid, T)).status_code == 200
    await perform(ris, uid)
    assert (await ris.move(uid, "COMPLETED", T)).status_code == 200


async def perform(ris, uid):
    """What a claimed workitem needs for its end; nothing that is reported."""
    performed = datasets.performed()
    answer = await ris.send("POST", f"/{uid}", performed, **{"transaction-uid": T})
    assert answer.status_code == 200, answer.text


# Subscriptions


async def test_r126_the_answer_says_where_the_channel_is(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        answer = await ae.subscribe(uid)
        assert (answer.status_code, answer.content) == (201, b"")
        assert answer.headers["Content-Location"] == ae.channel
        assert answer.headers["Location"] == ae.channel


async def test_r127_r128_each_specific_subscribe_reports_the_state(server, backend, ris, title):
    uid = await ris.create(InputReadinessState="READY")
    async with AE(server, backend, title) as ae:
        for query in ("", "", LOCK, LOCK, ""):
            assert (await ae.subscribe(uid, query)).status_code == 201
            report = await ae.next()
            assert told(report) == (1, uid, "SCHEDULED")
            assert value(report, READINESS) == "READY"
        assert await ae.hears_nothing()


async def test_r129_r150_an_unknown_workitem_cannot_be_subscribed_to(server, backend, ris, title):
    async with AE(server, backend, title) as ae:
        assert (await ae.subscribe(datasets.new_uid())).status_code == 404
        assert (await ae.subscribe("1..2")).status_code == 400
        assert (await ae.subscribe(GLOBAL, "?deletionlock=maybe")).status_code == 400
        await ris.create()
        assert await ae.hears_nothing()


async def test_r130_a_lock_is_wanted_or_not(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        for target in (uid, GLOBAL):
            answer = await ae.subscribe(target, "?deletionlock=maybe")
            assert answer.status_code == 400
            assert "deletionlock" in answer.json()["detail"]
        assert await ae.hears_nothing()


async def test_r132_a_global_lock_reports_what_there_is(server, backend, ris, title):
    uids = [await ris.create() for _ in range(3)]
    await finish(ris, uids[2])
    async with AE(server, backend, title) as ae:
        assert (await ae.subscribe(GLOBAL, LOCK)).status_code == 201
        assert sorted(await ae.next_told(3)) == sorted(
            [(1, uids[0], "SCHEDULED"), (1, uids[1], "SCHEDULED"), (1, uids[2], "COMPLETED")]
        )
        assert await ae.hears_nothing()
        await ris.claim(uids[0], T)
        assert told(await ae.next()) == (1, uids[0], "IN PROGRESS")


async def test_r133_r134_a_global_subscription_without_lock_reports_what_happens(
    server, backend, ris, title
):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        assert (await ae.subscribe(GLOBAL)).status_code == 201
        assert await ae.hears_nothing()
        await ris.claim(uid, T)
        assert told(await ae.next()) == (1, uid, "IN PROGRESS")
        stations = [datasets.code("CT1")]
        new = await ris.create(ScheduledStationNameCodeSequence=stations)
        first, second = await ae.next(), await ae.next()
        assert told(first) == (1, new, "SCHEDULED")
        assert told(second) == (5, new)
        assert value(value(second, "00404025"), "00080100") == "CT1"


async def test_r135_a_global_lock_leaves_alone_what_is_subscribed(server, backend, ris, title):
    one, other = await ris.create(), await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(one)
        assert told(await ae.next()) == (1, one, "SCHEDULED")
        await ae.subscribe(GLOBAL, LOCK)
        assert told(await ae.next()) == (1, other, "SCHEDULED")
        assert await ae.hears_nothing()


async def test_r138_r139_a_specific_unsubscribe_ends_its_events(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        assert (await ae.unsubscribe(uid)).status_code == 404
        assert (await ae.unsubscribe(datasets.new_uid())).status_code == 404
        await ae.subscribe(uid)
        await ae.next()
        assert (await ae.unsubscribe(uid)).status_code == 200
        assert (await ae.unsubscribe(uid)).status_code == 404
        await ris.claim(uid, T)
        assert await ae.hears_nothing()


@pytest.mark.parametrize("target", [GLOBAL, FILTERED])
async def test_r140_a_global_unsubscribe_ends_everything(server, backend, ris, title, target):
    specific, covered = await ris.create(), await ris.create()
    async with AE(server, backend, title) as ae:
        assert (await ae.unsubscribe(target)).status_code == 404
        await ae.subscribe(specific, LOCK)
        await ae.next()
        await ae.subscribe(GLOBAL)
        assert (await ae.unsubscribe(target)).status_code == 200
        for uid in (specific, covered, await ris.create()):
            await ris.claim(uid, T)
        assert await ae.hears_nothing()
        assert (await ae.unsubscribe(target)).status_code == 404


async def test_r141_a_suspended_subscription_covers_nothing_new(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        assert (await ae.suspend()).status_code == 404
        await ae.subscribe(GLOBAL)
        assert (await ae.suspend(FILTERED)).status_code == 404
        assert (await ae.suspend()).status_code == 200
        new = await ris.create()
        await ris.claim(new, T)
        assert await ae.hears_nothing()
        await ris.claim(uid, T)
        assert told(await ae.next()) == (1, uid, "IN PROGRESS")
        await ae.subscribe(GLOBAL)
        await ris.update(new, T, InputReadinessState="UNAVAILABLE")
        assert told(await ae.next()) == (1, new, "IN PROGRESS")


async def test_r142_a_specific_unsubscribe_goes_before_the_global_one(server, backend, ris, title):
    one, other = await ris.create(), await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        assert (await ae.unsubscribe(one)).status_code == 200
        await ris.claim(one, T)
        await ris.claim(other, T)
        assert told(await ae.next()) == (1, other, "IN PROGRESS")
        assert await ae.hears_nothing()
        await ae.subscribe(GLOBAL, LOCK)
        assert told(await ae.next()) == (1, one, "IN PROGRESS")
        assert await ae.hears_nothing()


async def test_r143_a_filter_covers_what_matches(server, backend, ris, title):
    ai, ct = await ris.create(WorklistLabel="AI"), await ris.create(WorklistLabel="CT")
    async with AE(server, backend, title) as ae:
        assert (await ae.subscribe(FILTERED, "?filter=WorklistLabel=AI")).status_code == 201
        assert await ae.hears_nothing()
        for uid in (ct, ai):
            await ris.claim(uid, T)
        await ris.create(WorklistLabel="CT")
        new = await ris.create(WorklistLabel="AI")
        assert await ae.next_told(2) == [(1, ai, "IN PROGRESS"), (1, new, "SCHEDULED")]
        assert await ae.hears_nothing()


async def test_what_a_filter_covered_stays_covered(server, backend, ris, title):
    """By a change out of the filter, and across a new connection."""
    uid = await ris.create(WorklistLabel="AI")
    async with AE(server, backend, title) as ae:
        await ae.subscribe(FILTERED, "?filter=ProcedureStepState=SCHEDULED,WorklistLabel=AI")
        await ris.claim(uid, T)
        assert told(await ae.next()) == (1, uid, "IN PROGRESS")
        await ris.update(uid, T, InputReadinessState="UNAVAILABLE")
        assert told(await ae.next()) == (1, uid, "IN PROGRESS")
    async with AE(server, backend, title) as ae:
        await ris.update(uid, T, InputReadinessState="READY")
        assert value(await ae.next(), READINESS) == "READY"


async def test_what_comes_to_match_a_filter_is_heard_from_then_on(server, backend, ris, title):
    uid = await ris.create(WorklistLabel="CT", ScheduledStationNameCodeSequence=[])
    async with AE(server, backend, title) as ae:
        await ae.subscribe(FILTERED, "?filter=WorklistLabel=AI")
        await ris.update(uid, WorklistLabel="AI")
        assert told(await ae.next()) == (1, uid, "SCHEDULED")
        assert await ae.hears_nothing()


async def test_several_filters_stand_side_by_side(server, backend, ris, title):
    async with AE(server, backend, title) as ae:
        await ae.subscribe(FILTERED, "?filter=WorklistLabel=AI")
        await ae.subscribe(FILTERED, "?filter=WorklistLabel=CT")
        await ae.subscribe(FILTERED, "?filter=WorklistLabel=C*")
        uids = [await ris.create(WorklistLabel=label) for label in ("CT", "AI", "MR")]
        assert [told(await ae.next())[1] for _ in range(2)] == uids[:2]
        assert await ae.hears_nothing()
        assert (await ae.suspend(FILTERED)).status_code == 200
        await ris.create(WorklistLabel="CT")
        assert await ae.hears_nothing()


async def test_r145_a_filtered_subscription_needs_a_filter_that_can_be_used(
    server, backend, ris, title
):
    async with AE(server, backend, title) as ae:
        for query in ("", "?filter=", "?filter=NoSuchKeyword=1", "?filter=TransactionUID=2.25.1"):
            answer = await ae.subscribe(FILTERED, query)
            assert answer.status_code == 400, query
        await ris.create()
        assert await ae.hears_nothing()


async def test_r146_r147_r165_each_ae_hears_its_own(server, backend, ris, title):
    """Also what somebody else, the administrator, subscribed it to."""
    uid = await ris.create()
    async with (
        AE(server, backend, title) as one,
        AE(server, backend, f"{title}-B") as other,
        AE(server, backend, f"{title}-C") as third,
    ):
        root = AE(server, backend, third.title, user="root")
        for ae in (one, other):
            await ae.subscribe(uid)
            await ae.next()
        async with root.http:
            assert (await root.subscribe(uid)).status_code == 201
        assert told(await third.next()) == (1, uid, "SCHEDULED")
        await one.unsubscribe(uid)
        await ris.claim(uid, T)
        for ae in (other, third):
            assert told(await ae.next()) == (1, uid, "IN PROGRESS")
            assert await ae.hears_nothing()
        assert await one.hears_nothing()


async def test_r151_only_global_subscriptions_can_be_suspended(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(uid)
        await ae.next()
        assert (await ae.suspend(uid)).status_code == 404
        await ris.claim(uid, T)
        assert told(await ae.next()) == (1, uid, "IN PROGRESS")


async def test_an_ae_title_belongs_to_the_account_that_used_it_first(server, backend, ris, title):
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        bob = AE(server, backend, title, user="bob")
        async with bob.http:
            for with_rights in (False, True):
                if with_rights:
                    await asyncio.to_thread(making.change, backend, GRANT_BOB)
                assert (await bob.subscribe(GLOBAL)).status_code == 403
                assert (await bob.unsubscribe(GLOBAL)).status_code == 403
                assert (await bob.suspend()).status_code == 403
        async with bob:
            with pytest.raises(AssertionError, match="4403"):
                await bob.next()
        uid = await ris.create()
        assert told(await ae.next()) == (1, uid, "SCHEDULED")


GRANT_BOB = """
from django.contrib.auth.models import Permission, User
bob = User.objects.get(username="bob")
bob.user_permissions.set(Permission.objects.filter(content_type__app_label="upsrs"))
"""


# The channel


async def test_r152_the_channel_opens_under_both_addresses(server, backend, ris, title):
    async with (
        AE(server, backend, title) as one,
        AE(server, backend, title, path="ws/subscribers") as other,
    ):
        await one.subscribe(GLOBAL)
        uid = await ris.create()
        for ae in (one, other):
            assert told(await ae.next()) == (1, uid, "SCHEDULED")


async def test_r154_r155_r156_a_report_has_what_the_standard_asks_for(server, backend, ris, title):
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        uids = [await ris.create() for _ in range(3)]
        reports = [await ae.next() for _ in uids]
        assert [told(report) for report in reports] == [(1, uid, "SCHEDULED") for uid in uids]
        assert [value(report, "00000110") for report in reports] == [1, 2, 3]
        assert all("00090010" not in report for report in reports)


async def test_r157_r162_a_claim_and_its_end_are_reported_once(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(uid)
        await ae.next()
        assert (await ris.move(uid, "COMPLETED", T)).status_code in (400, 409)
        await ris.claim(uid, T)
        assert (await ris.claim(uid, T)).status_code == 409
        assert (await ris.update(uid, InputReadinessState="READY")).status_code == 400
        await perform(ris, uid)
        await ris.move(uid, "COMPLETED", T)
        assert (await ris.move(uid, "COMPLETED", T)).status_code == 200
        assert (await ris.request_cancel(uid)).status_code == 409
        assert await ae.next_told(2) == [(1, uid, "IN PROGRESS"), (1, uid, "COMPLETED")]
        assert await ae.hears_nothing()


async def test_r158_readiness_is_reported_with_the_state(server, backend, ris, title):
    uid = await ris.create(InputReadinessState="INCOMPLETE")
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        await ris.update(uid, InputReadinessState="READY")
        report = await ae.next()
        assert told(report) == (1, uid, "SCHEDULED")
        assert value(report, READINESS) == "READY"
        await ris.update(uid, InputReadinessState="READY")
        assert await ae.hears_nothing()


async def test_r159_progress_is_reported_with_its_contents(server, backend, ris, title):
    uid = await ris.create()
    await ris.claim(uid, T)
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        await ris.progress(uid, T, 42)
        report = await ae.next()
        assert told(report) == (3, uid)
        assert value(value(report, "00741002"), "00741004") == 42
        assert await ae.hears_nothing()


async def test_r160_an_assignment_is_reported_for_each_performer(server, backend, ris, title):
    uid = await ris.create(ScheduledStationNameCodeSequence=[datasets.code("CT1")])
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        await ris.update(uid, ScheduledStationNameCodeSequence=[datasets.code("CT2")])
        report = await ae.next()
        assert told(report) == (5, uid)
        assert value(value(report, "00404025"), "00080100") == "CT2"
        humans = [
            datasets.elements(
                HumanPerformerCodeSequence=[datasets.code(name)],
                HumanPerformerName=name,
                HumanPerformerOrganization="Radiology",
            )
            for name in ("ALICE", "BOB")
        ]
        await ris.update(uid, ScheduledHumanPerformersSequence=humans)
        for name in ("ALICE", "BOB"):
            report = await ae.next()
            assert told(report) == (5, uid)
            assert value(value(report, "00404009"), "00080100") == name
            assert value(value(report, "00404025"), "00080100") == "CT2"
        assert await ae.hears_nothing()


async def test_r161_a_scheduled_workitem_is_canceled_in_two_steps(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        assert (
            await ris.request_cancel(uid, ReasonForCancellation="not needed")
        ).status_code == 202
        assert told(await ae.next()) == (1, uid, "IN PROGRESS")
        canceled = await ae.next()
        assert told(canceled) == (1, uid, "CANCELED")
        assert value(canceled, "00741238") == "not needed"
        assert (await ris.request_cancel(uid)).status_code == 202
        assert await ae.hears_nothing()


async def test_r089_r090_the_performer_hears_who_asks_for_the_end_and_why(
    server, backend, ris, title
):
    uid = await ris.create()
    await ris.claim(uid, T)
    async with AE(server, backend, title) as performer, AE(server, backend, f"{title}-B") as other:
        for ae in (performer, other):
            await ae.subscribe(uid)
            await ae.next()
        contact = {"ContactURI": "tel:+49", "ContactDisplayName": "Ward 3"}
        await ris.request_cancel(uid, ReasonForCancellation="moved", **contact)
        await ris.request_cancel(uid)
        for ae in (performer, other):
            asked, bare = await ae.next(), await ae.next()
            assert told(asked) == told(bare) == (2, uid)
            told_values = [value(asked, tag) for tag in ("00741238", "0074100A", "0074100C")]
            assert told_values == ["moved", "tel:+49", "Ward 3"]
            assert value(bare, "00741236") == "alice"
            assert not bare.keys() & {"00741238", "0074100A", "0074100C", "0074100E"}
            assert await ae.hears_nothing()


async def test_r163_r164_who_was_away_hears_what_was_missed(server, backend, ris, title):
    """The standard would let it be lost; here it is not, and neither is the subscription."""
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL, LOCK)
        await ae.next()
    await finish(ris, uid)
    new = await ris.create()
    async with AE(server, backend, title) as ae:
        assert await ae.next_told(3) == [
            (1, uid, "IN PROGRESS"),
            (1, uid, "COMPLETED"),
            (1, new, "SCHEDULED"),
        ]
        await ris.claim(new, T)
        assert told(await ae.next()) == (1, new, "IN PROGRESS")
        assert await ae.hears_nothing()
    assert (await ris.retrieve(uid)).status_code == 200


async def test_initial_events_wait_for_who_is_away(server, backend, ris, title):
    uids = [await ris.create() for _ in range(3)]
    away = AE(server, backend, title)
    async with away.http:
        assert (await away.subscribe(GLOBAL, LOCK)).status_code == 201
        assert (await away.subscribe(uids[1])).status_code == 201
    async with AE(server, backend, title) as ae:
        one, other, asked_again = await ae.next_told(3)
        assert [one, other] == [(1, uid, "SCHEDULED") for uid in (uids[0], uids[2])]
        assert asked_again == (1, uids[1], "SCHEDULED")
        assert await ae.hears_nothing()


async def test_the_client_may_say_behind_what_to_go_on(server, backend, ris, title):
    async with AE(server, backend, title, query="?place=1") as ae:
        await ae.subscribe(GLOBAL)
        uids = [await ris.create() for _ in range(3)]
        reports = [await ae.next() for _ in uids]
        places = [value(report, EVENT_ID) for report in reports]
        assert [report["00090010"] for report in reports] == [{"vr": "LO", "Value": ["UPSRS"]}] * 3
        assert places == sorted(set(places))
    async with AE(server, backend, title, query=f"?after={places[0]}") as ae:
        again = [await ae.next() for _ in uids[1:]]
        assert [told(report)[1] for report in again] == uids[1:]
        assert [value(report, EVENT_ID) for report in again] == places[1:]
        assert await ae.hears_nothing()
    async with AE(server, backend, title, query=f"?after={places[-1] + 1000}") as ae:
        assert told(await ae.next())[0] == 4, "that place is none: look for yourself"
        assert {uid for _, uid, _ in await ae.next_told(3)} == set(uids)
        assert await ae.hears_nothing()


async def test_r166_no_report_tells_the_transaction_uid(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(GLOBAL)
        await finish(ris, uid)
        await ae.next_told(2)
        assert T not in json.dumps(ae.reports)


async def test_r167_a_restart_is_told_once(server, backend, ris, title):
    uid = await ris.create()
    async with AE(server, backend, title) as ae:
        await ae.subscribe(uid)
        await ae.next()
    idle = AE(server, backend, f"{title}-IDLE")
    async with idle:
        pass
    await asyncio.to_thread(server.restart)
    async with AE(server, backend, title) as ae:
        assert told(await ae.next())[:2] == (4, GLOBAL)
        await ris.claim(uid, T)
        assert told(await ae.next()) == (1, uid, "IN PROGRESS")
        assert await ae.hears_nothing()
    for again in (title, idle.title):
        async with AE(server, backend, again) as ae:
            assert await ae.hears_nothing()


async def test_r168_ae_titles_are_as_they_are_written(server, backend, ris):
    uid = await ris.create()
    async with AE(server, backend, "ai room/1") as ae, AE(server, backend, "AI ROOM/1") as other:
        answer = await ae.subscribe(uid)
        assert answer.headers["Content-Location"].endswith("/subscribers/ai%20room%2F1")
        assert told(await ae.next()) == (1, uid, "SCHEDULED")
        assert await other.hears_nothing()


async def test_what_a_client_says_on_the_channel_is_ignored(server, backend, ris, title):
    async with AE(server, backend, title) as ae:
        for text in ("hello", "{}", '{"filter": {}}'):
            await ae.connection.send(text)
        await ae.subscribe(GLOBAL)
        uid = await ris.create()
        assert told(await ae.next()) == (1, uid, "SCHEDULED")


async def test_without_credentials_there_is_no_channel(server, backend, title):
    ae = AE(server, backend, title)
    ae.headers = {}
    await ae.http.aclose()
    with pytest.raises(InvalidStatus) as refused:
        async with ae:
            pass
    assert refused.value.response.status_code == 403


async def test_both_kinds_of_channel_tell_the_same_history(server, backend, ris, title):
    """A performer by the standard, a watcher by the customer's contract: event by event."""
    async with (
        AE(server, backend, title, query="?place=1") as ae,
        Subscriber(server.general, backend.tokens["alice"]) as watcher,
    ):
        await ae.subscribe(GLOBAL)
        await watcher.subscribe({}, initialState=False)
        uids = [await ris.create() for _ in range(5)]
        for uid in uids[:3]:
            await ris.claim(uid, T)
            await ris.progress(uid, T, 50)
        await perform(ris, uids[0])
        await ris.request_cancel(uids[3])
        await ris.request_cancel(uids[1])
        heard = {}
        while len(heard) < 5 + 6 + 1 + 2 + 1:
            message = await watcher.next()
            if "workitem" in message:
                heard[message["eventId"]] = message
        kinds = {1: "STATE", 2: "UPDATED", 3: "UPDATED"}
        for _ in range(len(heard) - 1):
            report = await ae.next()
            same = heard.pop(value(report, EVENT_ID))
            assert value(report, "00001000") == same["workitemUID"]
            kind = kinds[value(report, "00001002")]
            if kind == "STATE":
                assert value(report, STATE) == same["workitem"]["procedureStepState"]
            else:
                assert same["eventType"] == kind
        (untold,) = heard.values()
        assert untold["eventType"] == "UPDATED", "what was performed is no progress"
        assert await ae.hears_nothing()


async def test_two_processes_serve_one_ae(postgres_backend, start, title):
    one, other = start(postgres_backend), start(postgres_backend)
    async with (
        Performer(one, postgres_backend) as ris,
        AE(one, postgres_backend, title) as here,
        AE(other, postgres_backend, title) as there,
    ):
        uids = [await ris.create() for _ in range(60)]
        assert (await here.subscribe(GLOBAL, LOCK)).status_code == 201
        for ae in (here, there):
            assert {uid for _, uid, _ in await ae.next_told(len(uids))} == set(uids)
        await there.unsubscribe(uids[0])
        for uid in uids[:2]:
            await ris.claim(uid, T)
        for ae in (here, there):
            assert told(await ae.next()) == (1, uids[1], "IN PROGRESS")
            assert await ae.hears_nothing()
