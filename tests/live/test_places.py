"""What a subscription remembers of its sockets: from where it goes on when a client comes back."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest

from tests.live import making
from tests.live.parts import PATIENCE_SECONDS
from tests.live.performing import Performer
from tests.subscriber import Message, Subscriber

pytestmark = pytest.mark.asyncio

PLACES = """
import json
places = Subscription.objects.values_list("connections__place", flat=True)
print(json.dumps(sorted(places)))
"""


UIDS = "print(*Subscription.objects.values_list('uid', flat=True))"


@pytest.fixture
def alice(backend):
    return backend.tokens["alice"]


@pytest.fixture
async def ris(backend, server):
    async with Performer(server, backend) as performer:
        yield performer


async def follow(socket: Subscriber, keys: Message | None = None) -> str:
    """Subscribe from here on; the UID of the subscription."""
    return (await socket.subscribe(keys, initialState=False))["subscriptionUID"]


async def hear(socket: Subscriber, count: int) -> list[int]:
    """The next ``count`` messages, all of them events; their places."""
    return [(await socket.next())["eventId"] for _ in range(count)]


async def hear_up_to(socket: Subscriber, last: int) -> list[int]:
    """The places of the next events, all of them, up to this one."""
    heard = await hear(socket, 1)
    while heard[-1] < last:
        heard += await hear(socket, 1)
    assert heard == list(range(heard[0], last + 1)), "in order, without a gap or a double"
    return heard


async def confirmed(socket: Subscriber) -> Message:
    """The confirmation that a specific channel opens with."""
    message = await socket.next()
    assert message["subscription"]["status"] == "ACTIVE"
    return message


async def resynced(socket: Subscriber) -> list[str]:
    """The workitems of the reports, on a line that had to start afresh."""
    confirmation = await confirmed(socket)
    assert confirmation["subscription"]["resync"] is True
    return [report["workitemUID"] for report in await socket.initial_state()]


async def change(backend, code):
    return await asyncio.to_thread(making.change, backend, code)


async def test_after_a_clean_close_nothing_is_doubled_and_nothing_missed(server, alice, ris):
    async with Subscriber(server.general, alice) as socket:
        uid = await follow(socket)
        for _ in range(3):
            await ris.create()
        assert await hear(socket, 3) == [1, 2, 3]
    async with Subscriber(server.specific(uid), alice) as socket:
        assert (await confirmed(socket))["subscription"]["resync"] is False
        assert await socket.hears_nothing()
        await ris.create()
        assert await hear(socket, 1) == [4]
    await ris.create()
    async with Subscriber(server.specific(uid), alice) as socket:
        await confirmed(socket)
        assert await hear(socket, 1) == [5]
        assert await socket.hears_nothing()


async def test_a_client_that_knows_only_the_document_misses_nothing_either(server, alice, ris):
    """It reconnects on the general channel, and asks for the same filter again."""
    async with Subscriber(server.general, alice) as socket:
        first = await socket.subscribe({"worklistLabel": "AI"}, request_id=False)
        await socket.initial_state()
        uid = await ris.create(WorklistLabel="AI")
        assert await hear(socket, 1) == [1]
    # It was there, and it was finished, while nobody listened: no report will tell of it.
    await ris.request_cancel(uid)
    async with Subscriber(server.general, alice) as socket:
        again = await socket.subscribe({"worklistLabel": "AI"}, request_id=False)
        assert again["subscriptionUID"] == first["subscriptionUID"]
        assert await hear(socket, 2) == [2, 3]
        assert await socket.initial_state() == []


async def test_after_a_dropped_line_it_goes_back_and_leaves_no_gap(server, alice, ris):
    async with Subscriber(server.general, alice) as socket:
        uid = await follow(socket)
        for _ in range(3):
            await ris.create()
        await hear(socket, 3)
        await socket.drop()
    await ris.create()
    async with Subscriber(server.specific(uid), alice) as socket:
        await confirmed(socket)
        # What a ping has not proven comes again; what was not told comes in any case.
        assert (await hear_up_to(socket, 4))[0] <= 4
        await ris.create()
        assert await hear(socket, 1) == [5]


async def test_what_ended_while_a_dropped_line_was_away_is_told(server, alice, ris):
    """No report tells of it: a client that went back to the reports would never know."""
    uid = await ris.create()
    async with Subscriber(server.general, alice) as socket:
        subscription_uid = (await socket.subscribe({}))["subscriptionUID"]
        assert [report["workitemUID"] for report in await socket.initial_state()] == [uid]
        assert await socket.hears_nothing()
        await socket.drop()
    await ris.request_cancel(uid)
    async with Subscriber(server.specific(subscription_uid), alice) as socket:
        confirmation = await confirmed(socket)
        assert confirmation["subscription"]["resync"] is False
        heard = [await socket.next() for _ in range(2)]
        assert [message["eventType"] for message in heard] == ["STATE_REPORT", "CANCELED"]
        assert heard[-1]["workitemUID"] == uid


async def test_what_was_taken_some_time_ago_is_not_repeated_after_a_drop(
    backend, server, alice, ris
):
    """Every few seconds (UPSRS_PLACE_SECONDS) an answered ping proves what was taken."""
    async with (
        Subscriber(server.general, alice) as socket,
        Subscriber(server.general, alice) as quiet,
    ):
        uid = await follow(socket)
        await follow(quiet, {"worklistLabel": "nothing has it"})
        for _ in range(20):
            await ris.create()
        await hear(socket, 20)
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Both: what concerns nobody moves the place of a subscription as well.
            while json.loads(await change(backend, PLACES)) != [20, 20]:
                await asyncio.sleep(0.2)
        for _ in range(2):
            await ris.create()
        await hear(socket, 2)
        await socket.drop()
    await ris.create()
    async with Subscriber(server.specific(uid), alice) as socket:
        await confirmed(socket)
        assert (await hear_up_to(socket, 23))[0] >= 21


@pytest.mark.parametrize("first_to_leave", ["who took all", "who took nothing"])
async def test_with_two_sockets_the_one_that_took_least_counts(server, alice, ris, first_to_leave):
    async with Subscriber(server.general, alice) as took_all:
        uid = await follow(took_all)
        async with Subscriber(server.specific(uid), alice) as took_nothing:
            await confirmed(took_nothing)
            took_nothing.connection.transport.pause_reading()
            for _ in range(3):
                await ris.create()
            assert await hear(took_all, 3) == [1, 2, 3]
            if first_to_leave == "who took all":
                await took_all.close()
                await took_nothing.drop()
            else:
                await took_nothing.drop()
                await ris.create()
                assert await hear(took_all, 1) == [4]
                await took_all.close()
            assert [message for message in took_nothing.messages if "eventId" in message] == []
    async with Subscriber(server.specific(uid), alice) as socket:
        await confirmed(socket)
        assert await hear(socket, 3) == [1, 2, 3]


async def test_a_socket_beside_others_begins_where_the_subscription_is(server, alice, ris):
    async with Subscriber(server.general, alice) as general:
        uid = await follow(general)
        await ris.create()
        await hear(general, 1)
        async with (
            Subscriber(f"{server.specific(uid)}?after=1", alice) as knowing,
            Subscriber(server.specific(uid), alice) as beside,
        ):
            for socket in (knowing, beside):
                await confirmed(socket)
            assert await hear(beside, 1) == [1]
            await ris.create()
            for socket in (general, knowing, beside):
                assert await hear(socket, 1) == [2]
                assert await socket.hears_nothing()


async def test_a_killed_server_comes_back_and_no_subscription_has_a_gap(
    backend, server, alice, ris
):
    async with Subscriber(server.general, alice) as socket:
        uid = await follow(socket)
        heard = []
        for _ in range(2):
            await ris.create()
        heard += await hear(socket, 2)
        await asyncio.to_thread(server.kill)
        await socket.closed()
    missed = await asyncio.to_thread(making.create, backend)
    await asyncio.to_thread(server.start)
    async with Subscriber(server.general, alice) as socket:
        again = await socket.subscribe({})
        assert again["subscriptionUID"] == uid, "its server is gone: it waits"
        heard = await socket.until(lambda message: message["workitemUID"] == missed)
        assert [message["eventId"] for message in heard][-1] == 3
        assert [message["eventId"] for message in heard] == sorted(
            message["eventId"] for message in heard
        )


async def test_a_client_cut_off_before_its_state_was_complete_gets_the_reports_again(
    backend, server, alice
):
    """It has no place yet."""
    uid = await asyncio.to_thread(making.create, backend)
    async with Subscriber(server.general, alice) as socket:
        # Nothing of the answer is taken off the line, so no ping is answered either.
        socket.connection.transport.pause_reading()
        await socket.send({"filter": {}})
        subscription_uid = ""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not subscription_uid:
                subscription_uid = (await change(backend, UIDS)).strip()
        await socket.drop()
    async with Subscriber(server.specific(subscription_uid), alice) as socket:
        assert (await confirmed(socket))["subscription"]["resync"] is False
        assert [report["workitemUID"] for report in await socket.initial_state()] == [uid]


LONG_AGO = """
from datetime import timedelta
from django.utils import timezone
from upsrs.models import Connection
then = timezone.now() - timedelta(days=2)
Connection.objects.update(closed_at=then)
Subscription.objects.update(waits_since=then, created_at=then)
"""


async def test_who_waited_too_long_is_no_subscription_any_more(backend, server, alice):
    async with Subscriber(server.general, alice) as socket:
        uid = await follow(socket)
    await change(backend, LONG_AGO)
    async with Subscriber(server.specific(uid), alice) as socket:
        assert await socket.closed() == 4404
    async with Subscriber(server.general, alice) as socket:
        assert await follow(socket) != uid, "it is not taken up either"


async def test_a_place_that_the_log_does_not_know_is_a_fresh_start(server, alice, ris):
    async with Subscriber(server.general, alice) as socket:
        confirmation = await socket.subscribe({}, initialState=False)
        uid = confirmation["subscriptionUID"]
        log_id = confirmation["subscription"]["logId"]
        workitems = [await ris.create() for _ in range(2)]
        await hear(socket, 2)
    for query in ("after=1000", f"after=1&log={uuid.uuid4()}", f"after=1000&log={log_id}"):
        async with Subscriber(f"{server.specific(uid)}?{query}", alice) as socket:
            assert await resynced(socket) == workitems, query
    async with Subscriber(f"{server.specific(uid)}?after=1&log={log_id}", alice) as socket:
        assert (await confirmed(socket))["subscription"]["resync"] is False
        assert await hear(socket, 1) == [2]
        await ris.create()
        assert await hear(socket, 1) == [3]


@pytest.mark.parametrize(
    ("query", "ignored"),
    [
        ("after=soon", ["after"]),
        ("after=-1", ["after"]),
        ("after=1e3", ["after"]),
        ("after=%D9%A1", ["after"]),
        (f"after={10**30}", ["after"]),
        ("after=", ["after"]),
        ("after=&log=x&heartbeatSeconds=soon", ["after", "log", "heartbeatSeconds"]),
    ],
)
async def test_an_unusable_parameter_is_ignored_and_named(sqlite_backend, start, query, ignored):
    server = start(sqlite_backend)
    alice = sqlite_backend.tokens["alice"]
    async with Performer(server, sqlite_backend) as ris:
        async with Subscriber(server.general, alice) as socket:
            uid = await follow(socket)
            await ris.create()
            await hear(socket, 1)
        await ris.create()
        async with Subscriber(f"{server.specific(uid)}?{query}", alice) as socket:
            said = (await confirmed(socket))["subscription"]
            assert sorted(said["ignored"]) == sorted(ignored)
            assert said["resync"] is False
            assert await hear(socket, 1) == [2], "its own place counts"


async def test_a_purged_log_is_a_fresh_start_for_those_behind_it_only(backend, server, alice, ris):
    async with Subscriber(server.general, alice) as socket:
        behind = await follow(socket)
        workitems = [await ris.create()]
        await hear(socket, 1)
    async with Subscriber(server.general, alice) as socket:
        ahead = await follow(socket, {"worklistLabel": "*"})
        workitems += [await ris.create() for _ in range(3)]
        await hear(socket, 3)
    last = await ris.create()
    await change(backend, "Event.objects.filter(position__lte=3).delete()")
    async with Subscriber(server.specific(ahead), alice) as socket:
        assert (await confirmed(socket))["subscription"]["resync"] is False
        assert await hear(socket, 1) == [5]
    async with Subscriber(server.specific(behind), alice) as socket:
        assert await resynced(socket) == [*workitems, last]
        await ris.create()
        assert await hear(socket, 1) == [6]
    async with Subscriber(f"{server.specific(behind)}?after=0", alice) as socket:
        assert (await confirmed(socket))["subscription"]["resync"] is False
        assert await hear(socket, 3) == [4, 5, 6], "all that the log still holds"
    await change(backend, "Event.objects.all().delete()")
    async with Subscriber(server.specific(behind), alice) as socket:
        assert (await confirmed(socket))["subscription"]["resync"] is False
        assert await socket.hears_nothing()
        await ris.create()
        assert await hear(socket, 1) == [7], "a purge does not restart the count"


RESTORED = """
from django.core.management import call_command
from upsrs.models import Log
Event.objects.filter(position__gt=1).delete()
Log.objects.update(position=1)
call_command("ups_new_log")
"""
"""As a backup of the time when there was one event: what came later is not in it."""


async def test_a_restored_backup_closes_the_sockets_and_they_resync(backend, server, alice, ris):
    async with (
        Subscriber(server.general, alice) as socket,
        Subscriber(server.general, alice) as silent,
    ):
        confirmation = await socket.subscribe({}, initialState=False)
        uid = confirmation["subscriptionUID"]
        old_log = confirmation["subscription"]["logId"]
        await follow(silent, {"worklistLabel": "*"})
        workitems = [await ris.create() for _ in range(3)]
        last = (await hear(socket, 3))[-1]
        # It does not answer the close: its socket stays open for a while on the server.
        silent.connection.transport.pause_reading()
        await change(backend, RESTORED)
        assert await socket.closed() == 4013
        async with Subscriber(server.specific(uid), alice) as again:
            confirmation = await confirmed(again)
            assert confirmation["subscription"]["resync"] is True
            assert confirmation["subscription"]["logId"] != old_log
            reports = await again.initial_state()
            assert [report["workitemUID"] for report in reports] == workitems
            fresh = await ris.create()
            heard = await again.next()
            assert (heard["workitemUID"], heard["eventId"]) == (fresh, 2)
        query = f"?after={last}&log={old_log}"
        async with Subscriber(server.specific(uid) + query, alice) as again:
            assert await resynced(again) == [*workitems, fresh]
        await silent.drop()
