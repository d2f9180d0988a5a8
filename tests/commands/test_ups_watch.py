"""``manage.py ups_watch`` as its user has it: a process, real sockets, signals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.channel import UID, Channel, Line

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30.0


@contextlib.asynccontextmanager
async def watching(*arguments: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "manage.py",
        "ups_watch",
        *arguments,
        cwd=CHECKOUT,
        # A database that cannot be: whoever watches needs none.
        env={
            **os.environ,
            "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
            "DJANGO_SETTINGS_MODULE": "portal.settings",  # those of the tests bring a database
            **env,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def events(line: Line) -> None:
    await line.begin()
    for number in (1, 2):
        await line.event(number, f"1.2.{number}")


async def test_each_notification_is_a_line_and_a_broken_line_is_taken_up_again():
    async def breaks(line: Line) -> None:
        await events(line)
        await line.close(4001)

    async def goes_on(line: Line) -> None:
        await line.confirm()
        await line.event(3, "1.2.3")
        await line.stay()

    async with (
        Channel(breaks, goes_on) as channel,
        watching("--url", channel.url) as process,
    ):
        lines = [(await process.stdout.readline()).decode() for _ in range(3)]
    assert [line.split()[-1] for line in lines] == ["1.2.1", "1.2.2", "1.2.3"]
    assert channel.lines[1].query["after"] == "2"


async def test_json_is_the_frame_as_it_came_one_a_line():
    async def script(line: Line) -> None:
        await events(line)
        await line.stay()

    async with Channel(script) as channel, watching("--json", "--url", channel.url) as process:
        frames = [json.loads(await process.stdout.readline()) for _ in range(2)]
    assert [frame["eventId"] for frame in frames] == [1, 2]
    assert frames[0]["subscriptionUID"] == UID


async def test_the_options_are_the_filter_and_the_token():
    async def script(line: Line) -> None:
        requests.set_result(await line.request())
        await line.stay()

    requests: asyncio.Future[dict] = asyncio.get_running_loop().create_future()
    options = ["--label", "AI*", "--state", "SCHEDULED", "--station", "WS1", "--performer", "P?"]
    async with (
        Channel(script) as channel,
        watching(*options, "--url", channel.url, UPSRS_TOKEN="from-the-environment"),
    ):
        request = await requests
    assert request["filter"] == {
        "worklistLabel": "AI*",
        "procedureStepState": "SCHEDULED",
        "scheduledStationAETitle": "WS1",
        "performerAETitle": "P?",
    }
    assert channel.lines[0].headers["Authorization"] == "Token from-the-environment"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly_and_leaves_no_subscription_waiting(number):
    async def script(line: Line) -> None:
        await events(line)
        said.append(await line.request())
        await line.confirm(status="DELETED", reason="USER_REQUEST")
        await line.stay()

    said: list[dict] = []
    async with Channel(script) as channel, watching("--url", channel.url) as process:
        await process.stdout.readline()
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert said == [{"reason": "USER_REQUEST", "subscriptionUID": UID}]


async def test_a_signal_while_the_server_is_away_ends_it_too():
    async with watching("--url", "ws://127.0.0.1:1/ups-rs") as process:
        while b"waiting" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in err


async def test_a_refused_login_is_a_sentence_and_exit_code_1():
    async with (
        Channel(Line.stay, refuse=(403,)) as channel,
        watching("--url", channel.url) as process,
    ):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"log in again" in err
    assert b"UPSRS_TOKEN" in err
    assert b"Traceback" not in err


async def test_a_label_that_the_terminal_cannot_write_does_not_end_the_watch():
    async def script(line: Line) -> None:
        await line.begin()
        workitem = {"worklistLabel": "放射線", "procedureStepLabel": "قراءة"}
        await line.send(eventType="CREATED", workitemUID="1.2.1", eventId=1, workitem=workitem)
        await line.event(2, "1.2.2")
        await line.stay()

    latin = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    async with Channel(script) as channel, watching("--url", channel.url, **latin) as process:
        lines = [await process.stdout.readline() for _ in range(2)]
    assert [line.split()[-1] for line in lines] == [b"1.2.1", b"1.2.2"]


async def test_an_address_that_is_none_is_a_sentence():
    async with watching("--url", "portal.example") as process:
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"address of the service" in err


async def test_a_reader_that_has_enough_ends_it_without_complaint():
    async def script(line: Line) -> None:
        await line.begin()
        number = 0
        with contextlib.suppress(Exception):  # until the watcher has gone
            while True:
                await line.event(number := number + 1)
                await asyncio.sleep(0.01)

    async with Channel(script) as channel, watching("--url", channel.url) as process:
        await process.stdout.readline()
        process.stdout._transport.close()  # as head does
        async with asyncio.timeout(PATIENCE_SECONDS):
            err = await process.stderr.read()
        await process.wait()
    assert process.returncode == 0
    assert b"BrokenPipe" not in err
