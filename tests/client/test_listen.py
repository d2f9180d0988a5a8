"""The standard's channel: on a server that knows no more than the standard, and on one like ours."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.client.channel import PATIENCE_SECONDS
from tests.client.foreign import FILTERED, GLOBAL, Foreign
from upsrs.client import (
    EventReport,
    EventType,
    LineState,
    Listening,
    LoginRequired,
    NotAllowed,
    Place,
    Refused,
    Unreachable,
    Worklist,
    listen,
)
from upsrs.client.addresses import channel_address


def listening(server: Foreign, **options: Any) -> Listening:
    quick = {"first_delay_seconds": 0.01, "longest_delay_seconds": 0.05}
    return listen(server.url, **{"ae_title": "AI 1", **quick, **options})


async def take(reports: Listening, count: int) -> list[EventReport]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [await anext(reports) for _ in range(count)]


class Live:
    """An ``on_state`` that can be waited for: `live` connections so far."""

    def __init__(self) -> None:
        self.states: list[LineState] = []
        self.changed = asyncio.Event()

    def __call__(self, state: LineState, _detail: str) -> None:
        self.states.append(state)
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.states.count(LineState.LIVE) < count:
                self.changed.clear()
                await self.changed.wait()


CHANNELS = {
    "as the standard has it": lambda port, ae: {
        "Content-Location": f"ws://127.0.0.1:{port}/dicom-web/subscribers/{ae}"
    },
    "without a host": lambda _, ae: {"Content-Location": f"/dicom-web/subscribers/{ae}"},
    "below the service": lambda _, ae: {"Content-Location": f"subscribers/{ae}"},
    "from the resource": lambda _, ae: {"Content-Location": f"../../../subscribers/{ae}"},
    "in Location": lambda port, ae: {
        "Location": f"ws://127.0.0.1:{port}/dicom-web/subscribers/{ae}"
    },
    "beside the subscription": lambda port, ae: {
        "Content-Location": f"http://127.0.0.1:{port}/dicom-web/workitems/1.2/subscribers/{ae}",
        "Location": f"ws://127.0.0.1:{port}/dicom-web/subscribers/{ae}",
    },
    "with a space": lambda _port, _ae: {"Content-Location": "/dicom-web/subscribers/AI 1"},
    "nowhere": lambda _port, _ae: {},
    "as until 2019": lambda port, _: {"Content-Location": f"ws://127.0.0.1:{port}/dicom-web"},
}


@pytest.mark.parametrize("told", CHANNELS.values(), ids=CHANNELS.keys())
async def test_the_channel_is_found_wherever_the_answer_tells_it(told):
    async with Foreign(told) as server:
        server.add("1.2.3")
        async with listening(server, workitem_uid="1.2.3", token="secret") as reports:
            [report] = await take(reports, 1)
    assert (report.event_type, report.workitem_uid) == (EventType.STATE_REPORT, "1.2.3")
    assert (report.state, report.readiness) == ("SCHEDULED", "READY")
    assert report.event_id is None
    assert reports.place is None
    [(path, _, headers)] = server.opened
    assert path == "/dicom-web/subscribers/AI 1"
    assert headers["authorization"] == "Token secret"


def test_a_token_never_goes_bare_where_the_service_is_encrypted():
    told = ["ws://pacs.example/subscribers/AI1"]
    address = channel_address("https://pacs.example/u", "/workitems/1/subscribers/AI1", told)
    assert address == "wss://pacs.example/subscribers/AI1"


@pytest.mark.parametrize(
    ("wanted", "subscribed"),
    [
        ({}, (GLOBAL, "")),
        ({"deletion_lock": True}, (GLOBAL, "deletionlock=true")),
        ({"workitem_uid": "1.2.3"}, ("1.2.3", "")),
        (
            {
                "filter": {
                    "WorklistLabel": "A, B=C",
                    "ScheduledStationNameCodeSequence.CodeValue": "1",
                }
            },
            (
                FILTERED,
                "filter=WorklistLabel=A%2C%20B%3DC,ScheduledStationNameCodeSequence.CodeValue=1",
            ),
        ),
    ],
)
async def test_what_is_subscribed_to(wanted, subscribed):
    live = Live()
    async with Foreign() as server:
        server.add("1.2.3")
        async with listening(server, on_state=live, **wanted) as reports:
            first = asyncio.create_task(anext(reports))
            await live.until(1)
            assert set(server.subscribed) == {("AI 1", *subscribed)}
            server.tell(server.state_report("1.2.3"))
            assert (await first).workitem_uid == "1.2.3"


async def test_each_kind_of_report_is_read():
    def code(meaning: str) -> dict:
        return {
            "vr": "SQ",
            "Value": [{"00080100": {"Value": [meaning]}, "00080104": {"Value": [meaning]}}],
        }

    server = Foreign()
    progress = {"00741004": {"vr": "DS", "Value": ["40"]}, "00741006": {"Value": ["Segmenting"]}}
    canceled = {"00741000": {"vr": "LT", "Value": ["CANCELED"]}, "0074100E": code("Broken")}
    frames = [
        server.report("1.2", 1, **canceled),
        server.report("1.2", 2, **{"00741236": {"Value": ["RIS"]}, "00741238": {"Value": ["No"]}}),
        server.report("1.2", 3, **{"00741002": {"vr": "SQ", "Value": [progress]}}),
        server.report(GLOBAL, 4, **{"00741242": {"Value": ["GOING DOWN"]}}),
        server.report("1.2", 5, **{"00404025": code("CT1"), "00404009": code("Ann")}),
    ]
    state, asked, told, status, assigned = (EventReport.of(frame) for frame in frames)
    assert [report.event_type for report in (state, asked, told, status, assigned)] == [*EventType]
    assert (state.state, state.cancellation_reason) == ("CANCELED", "Broken")
    assert (asked.requester, asked.cancellation_reason) == ("RIS", "No")
    assert (told.progress, told.progress_description) == (40, "Segmenting")
    assert status.server_status == "GOING DOWN"
    assert (assigned.stations, assigned.human_performer) == (("CT1",), "Ann")
    # What is empty is empty, of whatever kind it is.
    empty = EventReport.of(server.report("1.2", 3, **{"00741002": {"vr": "SQ"}}))
    assert (empty.progress, empty.progress_description, empty.stations) == (None, "", ())
    assert (empty.state, empty.cancellation_reason, empty.human_performer) == ("", None, "")


@pytest.mark.parametrize("number", [0, 6, "x", None])
def test_what_is_no_event_report_is_passed_over(number):
    assert EventReport.of(Foreign().report("1.2", number)) is None
    assert EventReport.of({"hello": 1}) is None


async def test_a_server_that_kept_nothing_is_subscribed_to_again_and_looked_at():
    live = Live()
    async with Foreign() as server:
        server.add("1.2.3")
        async with listening(server, on_state=live, workitem_uid="1.2.3") as reports:
            assert (await take(reports, 1))[0].state == "SCHEDULED"
            server.subscribed.clear()  # it restarts, and forgets
            server.tell(1012)
            server.add("1.2.3", "IN PROGRESS")
            assert (await take(reports, 1))[0].state == "IN PROGRESS"
    assert live.states == [
        *("connecting", "subscribed", "live", "waiting"),
        *("connecting", "subscribed", "resync", "live"),
    ]
    assert [query for _, query, _ in server.opened] == [{"place": ["1"]}] * 2


def placed(server: Foreign, uid: str, place: int, message_id: int, number: int = 1) -> dict:
    """A report as servers of ours send it with ``?place=1``."""
    return {
        **server.report(uid, number),
        "00000110": {"vr": "US", "Value": [message_id]},
        "00090010": {"vr": "LO", "Value": ["UPSRS"]},
        "00091001": {"vr": "UV", "Value": [place]},
    }


async def test_a_server_of_ours_goes_on_within_an_event_of_several_reports():
    live = Live()
    async with Foreign() as server, listening(server, on_state=live) as reports:
        first = asyncio.create_task(take(reports, 2))
        await live.until(1)
        server.tell(placed(server, "1.2", 6, 1))
        server.tell(placed(server, "1.3", 7, 2))
        assert [report.event_id for report in await first] == [6, 7]
        assert reports.place == Place("", 6), "of the event 7 there may be more"

        server.tell(1011)
        second = asyncio.create_task(take(reports, 2))
        await live.until(2)
        server.tell(placed(server, "1.3", 7, 1))  # a double, with the Message ID of another line
        server.tell(placed(server, "1.3", 7, 2, number=5))
        server.tell(placed(server, "1.2", 8, 3))
        heard = [(report.event_type, report.event_id) for report in await second]
    assert heard == [(EventType.ASSIGNED, 7), (EventType.STATE_REPORT, 8)]
    assert [query for _, query, _ in server.opened] == [
        {"place": ["1"]},
        {"place": ["1"], "after": ["6"]},
    ]
    assert LineState.RESYNC not in live.states
    assert len(server.subscribed) == 3, "to learn the address, and on each line"


async def test_a_log_that_begins_anew_is_heard_from_its_first_event():
    live = Live()
    async with Foreign() as server, listening(server, on_state=live) as reports:
        first = asyncio.create_task(take(reports, 3))
        await live.until(1)
        server.tell(placed(server, "1.2", 900, 1))
        server.tell(server.report(GLOBAL, 4))
        server.tell(placed(server, "1.2", 3, 3))
        assert [report.event_id for report in await first] == [900, None, 3]
        assert reports.place == Place("", 2)


async def test_a_place_kept_from_an_earlier_run_is_returned_to():
    live = Live()
    async with (
        Foreign() as server,
        listening(server, on_state=live, place=Place("", 41)) as reports,
    ):
        first = asyncio.create_task(take(reports, 1))
        await live.until(1)
        server.tell(placed(server, "1.2", 42, 1))
        await first
    [(_, query, _)] = server.opened
    assert query == {"place": ["1"], "after": ["41"]}


async def test_unsubscribing_ends_the_iteration_even_if_the_server_knows_of_nothing():
    for forgets in (False, True):
        async with Foreign() as server:
            server.add("1.2.3")
            async with listening(server, workitem_uid="1.2.3") as reports:
                await take(reports, 1)
                if forgets:
                    server.subscribed.clear()
                await reports.unsubscribe()
                with pytest.raises(StopAsyncIteration):
                    await take(reports, 1)
            assert server.subscribed == []
            assert server.requests[-1] == ("DELETE", "/dicom-web/workitems/1.2.3/subscribers/AI 1")


async def test_going_away_ends_no_subscription():
    async with Foreign() as server:
        server.add("1.2.3")
        async with listening(server, workitem_uid="1.2.3") as reports:
            await take(reports, 1)
        assert server.subscribed


@pytest.mark.parametrize(
    ("status", "error"), [(401, LoginRequired), (403, NotAllowed), (404, Refused), (400, Refused)]
)
async def test_a_refused_subscription_says_why(status, error):
    async with Foreign() as server:
        server.refuse = [status]
        with pytest.raises(error, match="are not supported") as refusal:
            await take(listening(server, filter={"WorklistLabel": "AI"}), 1)
    assert refusal.value.status == status


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_is_busy_is_waited_for(status):
    async with Foreign() as server:
        server.add("1.2.3")
        server.refuse = [status, 0, status]
        async with listening(server, workitem_uid="1.2.3") as reports:
            assert len(await take(reports, 1)) == 1


@pytest.mark.parametrize(
    ("code", "error"), [(4401, LoginRequired), (4403, NotAllowed), (4404, Refused)]
)
async def test_a_login_that_ended_stops_the_listening(code, error):
    live = Live()
    async with Foreign() as server, listening(server, on_state=live) as reports:
        first = asyncio.create_task(take(reports, 1))
        await live.until(1)
        server.tell(code)
        with pytest.raises(error):
            await first


async def test_a_server_without_the_channel_is_said_so():
    async with Foreign(channel="/elsewhere/") as server:
        with pytest.raises(Refused, match="no UPS-RS subscription channel"):
            await take(listening(server), 1)


async def test_only_an_ae_title_is_subscribed():
    with pytest.raises(ValueError, match="AE title"):
        await Worklist("http://127.0.0.1:1/u").subscribe()


async def test_a_certificate_that_is_not_trusted_is_not_waited_out(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = make_certificate(tmp_path)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable, match="not trusted"):
            await take(listen(f"https://127.0.0.1:{port}/u", ae_title="AI1"), 1)
