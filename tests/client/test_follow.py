"""Following a worklist over lines that break: nothing lost, nothing twice, and clear last words."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from tests.client.channel import LOG, OTHER_LOG, PATIENCE_SECONDS, UID, Channel, Line
from upsrs.client import (
    ClientError,
    Following,
    LineState,
    LoginRequired,
    NotAllowed,
    Notification,
    Place,
    Refused,
    SubscriptionEnded,
    follow,
)


def following(channel: Channel, **options: object) -> Following:
    quick = {"first_delay_seconds": 0.01, "longest_delay_seconds": 0.05}
    return follow(channel.url, **{**quick, **options})


async def take(followed: Following, count: int) -> list[Notification]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [await anext(followed) for _ in range(count)]


def numbers(notifications: list[Notification]) -> list[int | None]:
    return [notification.event_id for notification in notifications]


async def test_a_subscription_begins_with_the_customers_request():
    async def script(line: Line) -> None:
        requests.append(await line.request())
        await line.confirm()
        await line.report("1.2.3")
        await line.stay()

    requests: list[dict] = []
    async with (
        Channel(script) as channel,
        following(channel, token="secret", filter={"worklistLabel": "AI*"}) as worklist,
    ):
        [report] = await take(worklist, 1)
    [line] = channel.lines
    [request] = requests
    assert line.path == "/ups-rs/workitems/subscription"
    assert line.headers["Authorization"] == "Token secret"
    assert request.pop("requestId")
    assert request == {"filter": {"worklistLabel": "AI*"}, "heartbeatSeconds": 20}
    assert (report.workitem_uid, report.report, report.event_id) == ("1.2.3", True, None)
    assert worklist.subscription_uid == UID
    assert worklist.place is None, "before the reports are complete there is no place"


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_the_base_address_is_understood_as_socket_or_as_http(scheme):
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        await line.stay()

    async with (
        Channel(script) as channel,
        follow(channel.url.replace("ws", scheme, 1) + "/") as worklist,
    ):
        assert numbers(await take(worklist, 1)) == [1]


@pytest.mark.parametrize("url", ["ftp://h/ups-rs", "h/ups-rs", "wss:///ups-rs", "ws://h/u?token=1"])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ValueError, match="address of the service"):
        follow(url)


@pytest.mark.parametrize("code", [1011, 1012, 4001, 4013, 1000, None])
async def test_a_broken_line_goes_on_after_the_last_event(code):
    async def breaks(line: Line) -> None:
        await line.begin(5)
        await line.event(6)
        await line.event(9)
        if code is None:
            await line.socket.ping()  # what was sent has been read once this is answered
            await asyncio.sleep(0.05)
            line.drop()
        else:
            await line.close(code)

    async def goes_on(line: Line) -> None:
        await line.confirm()
        await line.event(10)
        await line.stay()

    async with Channel(breaks, goes_on) as channel, following(channel) as worklist:
        heard = await take(worklist, 3)
    assert numbers(heard) == [6, 9, 10]
    assert channel.lines[1].path.endswith(f"/workitems/subscription/{UID}")
    assert channel.lines[1].query == {"after": "9", "log": LOG, "heartbeatSeconds": "20"}
    assert worklist.place == Place(UID, 10, LOG)


async def test_a_line_that_breaks_before_any_event_goes_on_after_the_reported_state():
    async def breaks(line: Line) -> None:
        await line.begin(41)
        await line.close(4001)

    async def goes_on(line: Line) -> None:
        await line.confirm()
        await line.event(42)
        await line.stay()

    async with Channel(breaks, goes_on) as channel, following(channel) as worklist:
        assert numbers(await take(worklist, 1)) == [42]
    assert channel.lines[1].query["after"] == "41"


async def test_a_line_that_breaks_amid_the_reports_asks_for_them_again():
    async def breaks(line: Line) -> None:
        await line.request()
        await line.confirm()
        await line.report("1.1")
        await line.close(4013)

    async def again(line: Line) -> None:
        await line.confirm()
        await line.report("1.1")
        await line.report("1.2")
        await line.complete(3)
        await line.event(4)
        await line.stay()

    async with Channel(breaks, again) as channel, following(channel) as worklist:
        heard = await take(worklist, 4)
    assert [it.workitem_uid for it in heard] == ["1.1", "1.1", "1.2", "1.2"]
    assert "after" not in channel.lines[1].query
    assert worklist.place == Place(UID, 4, LOG)


async def test_what_comes_twice_is_heard_once():
    async def breaks(line: Line) -> None:
        await line.begin()
        for number in (1, 2, 2):
            await line.event(number)
        await line.close(1012)

    async def repeats(line: Line) -> None:
        await line.confirm()
        for number in (1, 2, 3):
            await line.event(number)
        await line.stay()

    async with Channel(breaks, repeats) as channel, following(channel) as worklist:
        assert numbers(await take(worklist, 3)) == [1, 2, 3]


async def test_a_missed_event_of_a_subscription_taken_up_is_not_repeated_before_the_reports_end():
    """It has a number, but no place: the state was not yet reported."""

    async def breaks(line: Line) -> None:
        await line.request()
        await line.confirm()
        await line.event(7)
        await line.close(1012)

    async def repeats(line: Line) -> None:
        await line.confirm()
        await line.event(7)
        await line.event(8)
        await line.complete(8)
        await line.stay()

    async with Channel(breaks, repeats) as channel, following(channel) as worklist:
        assert numbers(await take(worklist, 2)) == [7, 8]
    assert "after" not in channel.lines[1].query


async def test_a_resync_tells_that_reports_come_again_and_forgets_the_old_numbers():
    async def breaks(line: Line) -> None:
        await line.begin(900)
        await line.event(901)
        await line.close(4001)

    async def restored(line: Line) -> None:
        await line.confirm(resync=True, log=OTHER_LOG)
        await line.report("1.5")
        await line.complete(12)
        await line.event(13)
        await line.close(4001)

    async def goes_on(line: Line) -> None:
        await line.confirm(log=OTHER_LOG)
        await line.event(14)
        await line.stay()

    states: list[LineState] = []
    async with (
        Channel(breaks, restored, goes_on) as channel,
        following(channel, on_state=lambda state, _: states.append(state)) as worklist,
    ):
        heard = await take(worklist, 4)
    assert numbers(heard) == [901, None, 13, 14]
    assert states.index(LineState.RESYNC) > states.index(LineState.LIVE)
    assert channel.lines[2].query["after"] == "13"
    assert channel.lines[2].query["log"] == OTHER_LOG


async def test_a_subscription_that_is_gone_is_asked_for_anew():
    async def breaks(line: Line) -> None:
        await line.begin(3)
        await line.event(4)
        await line.close(4001)

    async def gone(line: Line) -> None:
        await line.close(4404)

    async def anew(line: Line) -> None:
        assert "filter" in await line.request()
        await line.confirm(uid="2.25.2")
        await line.report("1.1", uid="2.25.2")
        await line.complete(2, uid="2.25.2")
        await line.event(4, uid="2.25.2")
        await line.stay()

    states: list[LineState] = []
    async with (
        Channel(breaks, gone, anew) as channel,
        following(channel, on_state=lambda state, _: states.append(state)) as worklist,
    ):
        heard = await take(worklist, 3)
    assert numbers(heard) == [4, None, 4], "equal numbers of two subscriptions are no doubles"
    assert channel.lines[2].path.endswith("/workitems/subscription")
    assert LineState.RESYNC in states
    assert worklist.place == Place("2.25.2", 4, LOG)


async def test_a_place_kept_from_an_earlier_run_is_returned_to():
    async def script(line: Line) -> None:
        await line.confirm()
        await line.event(7)
        await line.event(8)
        await line.stay()

    async with (
        Channel(script) as channel,
        following(channel, place=Place(UID, 7, LOG)) as worklist,
    ):
        assert numbers(await take(worklist, 1)) == [8]
    assert channel.lines[0].query["after"] == "7"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_handshake_says_log_in_again(status):
    async with Channel(Line.stay, refuse=(status,)) as channel:
        with pytest.raises(LoginRequired, match="log in again"):
            await take(following(channel), 1)
    assert channel.handshakes == 1, "trying again would only lock the account"


@pytest.mark.parametrize(("code", "error"), [(4401, LoginRequired), (4403, NotAllowed)])
async def test_a_login_that_ended_stops_the_following(code, error):
    async def script(line: Line) -> None:
        await line.begin()
        await line.close(code)

    async with Channel(script) as channel:
        with pytest.raises(error):
            await take(following(channel), 1)
    assert len(channel.lines) == 1


async def test_an_address_without_a_channel_is_said_so_and_not_tried_for_ever():
    async with Channel(Line.stay, refuse=(404,)) as channel:
        with pytest.raises(Refused, match="no UPS-RS subscription channel"):
            await take(following(channel), 1)


async def test_a_server_that_is_not_ready_is_waited_for():
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        await line.stay()

    async with Channel(script, refuse=(503, 502, 429)) as channel:
        assert numbers(await take(following(channel), 1)) == [1]
    assert channel.handshakes == 4


async def test_a_refused_request_is_raised_with_the_servers_sentence():
    async def script(line: Line) -> None:
        request = await line.request()
        await line.send(
            type="about:blank",
            title="Bad Request",
            status=400,
            detail="filter must be an object.",
            requestId=request["requestId"],
        )
        await line.stay()

    async with Channel(script) as channel:
        with pytest.raises(Refused, match="filter must be an object") as refusal:
            await take(following(channel), 1)
    assert refusal.value.status == 400


async def test_a_request_that_comes_too_early_is_made_again():
    async def busy(line: Line) -> None:
        await line.request()
        await line.send(type="about:blank", title="Busy", status=503, detail="Full.")
        await line.stay()

    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        await line.stay()

    async with Channel(busy, script) as channel, following(channel) as worklist:
        assert numbers(await take(worklist, 1)) == [1]


async def test_a_subscription_ended_elsewhere_is_said_so():
    async def script(line: Line) -> None:
        await line.begin()
        await line.confirm(status="DELETED", reason="ended by a request to delete")
        await line.close(1000)

    async with Channel(script) as channel:
        with pytest.raises(SubscriptionEnded, match="request to delete"):
            await take(following(channel), 1)


async def test_heartbeats_that_stop_mean_a_dead_line():
    async def falls_silent(line: Line) -> None:
        await line.begin(1)
        await line.about_the_line(heartbeat=True, eventId=50, logId=LOG)
        await line.stay()

    async def goes_on(line: Line) -> None:
        await line.confirm()
        await line.event(51)
        await line.stay()

    async with (
        Channel(falls_silent, goes_on) as channel,
        following(channel, heartbeat_seconds=0.1) as worklist,
    ):
        assert numbers(await take(worklist, 1)) == [51]
    assert channel.lines[1].query["after"] == "50", "a heartbeat moves the place along"


async def test_a_quiet_line_without_heartbeats_is_kept_while_it_answers():
    async def quiet(line: Line) -> None:
        await line.begin()
        await asyncio.sleep(0.5)
        await line.event(1)
        await line.stay()

    async with Channel(quiet) as channel, following(channel, heartbeat_seconds=0.05) as worklist:
        assert numbers(await take(worklist, 1)) == [1]
    assert len(channel.lines) == 1


async def test_unsubscribing_ends_the_subscription_and_the_iteration():
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        said.append(await line.request())
        await line.close(1000)

    said: list[dict] = []
    async with Channel(script) as channel, following(channel) as worklist:
        await take(worklist, 1)
        await worklist.unsubscribe()
        with pytest.raises(StopAsyncIteration):
            await take(worklist, 1)
    assert said == [{"reason": "USER_REQUEST", "subscriptionUID": UID}]


async def test_on_the_general_channel_the_end_is_confirmed_and_the_socket_left_open():
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        await line.request()
        await line.confirm(status="DELETED", reason="USER_REQUEST")
        await line.stay()

    async with Channel(script) as channel, following(channel) as worklist:
        await take(worklist, 1)
        await worklist.unsubscribe()
        with pytest.raises(StopAsyncIteration):
            await take(worklist, 1)


async def test_going_away_closes_the_line_and_ends_nothing():
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        said.extend([json.loads(message) async for message in line.socket])

    said: list[dict] = []
    async with Channel(script) as channel:
        async with following(channel) as worklist:
            await take(worklist, 1)
        await asyncio.wait_for(channel.lines[0].stay(), PATIENCE_SECONDS)
    assert said == []


async def test_pauses_grow_are_random_and_have_a_limit(monkeypatch):
    spans: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        spans.append((low, high))
        return 0.0

    monkeypatch.setattr("upsrs.client.lines.random.uniform", uniform)

    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        await line.stay()

    async with Channel(script, refuse=(503,) * 9) as channel, follow(channel.url) as worklist:
        await take(worklist, 1)
    assert [high for _, high in spans] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert {low for low, _ in spans} == {0}


async def test_each_step_of_the_line_is_told():
    async def breaks(line: Line) -> None:
        await line.request()
        await line.confirm(ignored=["Colour"])
        await line.complete(1)
        await line.event(2)
        await line.close(4013)

    async def goes_on(line: Line) -> None:
        await line.confirm()
        await line.event(3)
        await line.stay()

    told: list[tuple[str, str]] = []
    async with (
        Channel(breaks, goes_on) as channel,
        following(channel, on_state=lambda *what: told.append(what)) as worklist,
    ):
        await take(worklist, 2)
    states = [state.value for state, _ in told]
    assert states == [
        "connecting",
        "subscribed",
        "live",
        "waiting",
        "connecting",
        "subscribed",
        "live",
    ]
    assert "Colour" in told[1][1]
    assert "too slow" in told[3][1]
    assert "4013" in told[3][1]


@pytest.mark.parametrize("text", ["hello", "[1]", '"x"'])
async def test_what_does_not_speak_the_contract_is_said_so(text):
    async def script(line: Line) -> None:
        await line.socket.send(text)
        await line.stay()

    async with Channel(script) as channel:
        with pytest.raises(ClientError, match="does not speak UPS-RS"):
            await take(following(channel), 1)


async def test_a_server_that_restarts_often_costs_no_event():
    """Forty drops at the worst moments: every event once, in order."""
    log = itertools.count(1)
    last = 0

    async def script(line: Line) -> None:
        nonlocal last
        if "after" not in line.query:
            await line.begin(0)
        else:
            await line.confirm()
            for number in range(int(line.query["after"]), last + 1):  # one of them a double
                if number:
                    await line.event(number)
        for _ in range(5):
            last = next(log)
            await line.event(last)
        line.drop() if last % 2 else await line.close(1012)

    async with Channel(script) as channel, following(channel) as worklist:
        assert numbers(await take(worklist, 200)) == list(range(1, 201))
