"""The client without an event loop: what is heard, in which thread, and how it ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.channel import LOG, PATIENCE_SECONDS, UID, Channel, Line, running
from tests.client.foreign import Foreign
from upsrs.client import LineState, NotAllowed, Place, Unreachable
from upsrs.client.sync import Heard, Worklist, follow, listen

QUICK = {"first_delay_seconds": 0.01, "longest_delay_seconds": 0.05}


def take(heard: Heard[Any], count: int) -> list[Any]:
    return [next(heard) for _ in range(count)]


async def breaks(line: Line) -> None:
    await line.begin(5)
    await line.event(6)
    await line.event(7)
    await line.close(1012)


async def goes_on(line: Line) -> None:
    await line.confirm()
    await line.event(7)
    await line.event(8)
    await line.stay()


def test_a_worklist_is_followed_over_a_line_that_breaks():
    with running(Channel(breaks, goes_on)) as channel:
        heard = []
        with follow(channel.url, token="secret", **QUICK) as worklist:
            for notification in worklist:
                heard.append(notification.event_id)
                if len(heard) == 3:
                    break
            assert worklist.place == Place(UID, 8, LOG)
        assert list(worklist) == [], "what is closed is over"
    assert heard == [6, 7, 8]
    assert channel.lines[0].headers["Authorization"] == "Token secret"
    assert channel.lines[1].query["after"] == "7"


def test_an_error_is_raised_to_who_iterates():
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        await line.close(4403)

    with running(Channel(script)) as channel, follow(channel.url) as worklist:
        assert next(worklist).event_id == 1
        with pytest.raises(NotAllowed):
            next(worklist)


def test_a_slow_reader_holds_the_server_back():
    """So many MiB are more than sockets and buffers hold: it is read as it is asked for."""
    frames = 96
    frame = json.dumps({"eventType": "UPDATED", "workitemUID": "1.2", "filler": "x" * 2**20})
    sent = 0

    async def script(line: Line) -> None:
        nonlocal sent
        await line.begin()
        for _ in range(frames):
            await line.socket.send(frame)
            sent += 1
        await line.event(9)
        await line.stay()

    with running(Channel(script)) as channel, follow(channel.url) as worklist:
        first = next(worklist)
        time.sleep(0.3)  # the server has every occasion to send
        assert sent < frames
        assert first.event_id is None
        assert take(worklist, frames)[-1].event_id == 9


def test_ctrl_c_interrupts_the_waiting_and_loses_nothing():
    go_on = threading.Event()

    async def script(line: Line) -> None:
        await line.begin()
        await asyncio.to_thread(go_on.wait, PATIENCE_SECONDS)
        await line.event(1)
        await line.stay()

    main = threading.main_thread().ident

    def interrupt(state: LineState, _detail: str) -> None:
        if state is LineState.LIVE:
            while sys._current_frames()[main].f_code.co_name != "wait":
                time.sleep(0.001)
            signal.pthread_kill(main, signal.SIGINT)

    with running(Channel(script)) as channel, follow(channel.url, on_state=interrupt) as worklist:
        with pytest.raises(KeyboardInterrupt):
            next(worklist)
        go_on.set()
        assert next(worklist).event_id == 1


@pytest.mark.parametrize("end", [Heard.close, Heard.unsubscribe])
def test_another_thread_ends_the_iteration(end: Callable[[Heard[Any]], None]):
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(1)
        said.extend([json.loads(message) async for message in line.socket])

    async def ends(line: Line) -> None:
        await line.begin()
        await line.event(1)
        said.append(await line.request())
        await line.close(1000)

    said: list[dict] = []
    chosen = script if end is Heard.close else ends
    with (
        running(Channel(chosen)) as channel,
        concurrent.futures.ThreadPoolExecutor() as threads,
        follow(channel.url) as worklist,
    ):
        [ending] = [threads.submit(end, worklist) for _ in worklist]
        ending.result(PATIENCE_SECONDS)
    wanted = [] if end is Heard.close else [{"reason": "USER_REQUEST", "subscriptionUID": UID}]
    assert said == wanted


def test_what_is_closed_cannot_be_unsubscribed():
    with running(Channel(goes_on)) as channel:
        with follow(channel.url) as worklist:
            pass
        worklist.close()
        with pytest.raises(Unreachable, match="closed already"):
            worklist.unsubscribe()
    assert channel.lines == [], "nothing is opened before it is asked for"


def test_no_thread_is_left_behind():
    with running(Channel(goes_on)) as channel, follow(channel.url) as worklist:
        next(worklist)
        assert "upsrs.client" in [thread.name for thread in threading.enumerate()]
    assert "upsrs.client" not in [thread.name for thread in threading.enumerate()]


def test_an_ae_listens_and_works_on_a_server_of_others():
    with running(Foreign()) as server:
        server.add("1.2.3")
        worklist = Worklist(server.url, ae_title="AI1")
        heard = []
        with listen(server.url, ae_title="AI1", workitem_uid="1.2.3", **QUICK) as reports:
            for report in reports:
                heard.append(report.state)
                if report.state == "SCHEDULED":
                    claim = worklist.claim(report.workitem_uid)
                elif report.state == "IN PROGRESS":
                    claim.report_progress(50, "Half of it")
                    claim.cancel(text="No images")
                else:
                    break
            reports.unsubscribe()
    assert heard == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
    assert server.subscribed == []
