"""A soak: listeners that come back whatever happens, writers that know what they wrote, one verdict.

The verdict compares three things: what the writers committed, the log, and what each listener
heard on each of its lines. Nothing is lost, nothing is skipped, and the order of the log holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import InvalidHandshake

from tests.live.parts import PATIENCE_SECONDS
from tests.live.server import CHECKOUT, Backend, Server, environment
from tests.subscriber import Message, Subscriber

__all__ = ["Listener", "Writer", "verdict"]

RETRY_SECONDS = 0.05
"""A client of a hospital waits longer before it comes back."""


class Writer:
    """A process of the portal beside the servers; `tests.live.writer` has its commands."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def __aenter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.writer"],
            cwd=CHECKOUT,
            env=environment(self.backend.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert await self.said() == "ready"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    async def said(self) -> Any:
        """The next thing that it says."""
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        assert line, "the writer ended"
        return json.loads(line)

    async def do(self, command: str, **named: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, named]) + "\n")
        self.process.stdin.flush()
        return await self.said()


class Listener:
    """A client that follows one filter through all its lines, and keeps what each has brought."""

    def __init__(
        self,
        servers: Sequence[Server],
        token: str,
        keys: Message | None = None,
        *,
        knows_its_place: bool = False,
        seed: int = 1,
    ) -> None:
        """With ``knows_its_place`` it says on return what it heard last; else the server must know."""
        self.servers = servers
        self.token = token
        self.keys = keys or {}
        self.knows_its_place = knows_its_place
        self.lines: list[Subscriber] = []
        self._chance = random.Random(seed)
        self._place = 0

    async def __aenter__(self) -> Self:
        line = Subscriber(self.servers[0].general, self.token)
        await line.__aenter__()
        self.lines.append(line)
        confirmation = await line.subscribe(self.keys, initialState=False, resume=False)
        self._uid = confirmation["subscriptionUID"]
        self._place = confirmation["eventId"]
        self._coming_back = asyncio.create_task(self._come_back())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._coming_back.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._coming_back
        await self.lines[-1].close()

    async def cut(self) -> None:
        """Its line is gone without a word, at whatever moment this is."""
        await self.lines[-1].drop()

    def heard(self) -> list[list[Message]]:
        """The events, line by line."""
        return [[message for message in line.messages if _is_event(message)] for line in self.lines]

    async def _come_back(self) -> None:
        while True:
            await self.lines[-1].closed(seconds=86_400)
            while True:
                line = Subscriber(self._address(), self.token)
                try:
                    await line.__aenter__()
                    break
                except (OSError, InvalidHandshake, TimeoutError, EOFError):
                    await asyncio.sleep(RETRY_SECONDS)
            self.lines.append(line)

    def _address(self) -> str:
        address = self._chance.choice(self.servers).specific(self._uid)
        if not self.knows_its_place:
            return address
        heard = [message["eventId"] for line in self.heard() for message in line]
        return f"{address}?after={max(heard, default=self._place)}"


def _is_event(message: Message) -> bool:
    return "eventId" in message and "initialStateComplete" not in message


@dataclass(frozen=True, slots=True)
class Told:
    """One event, as the log has it."""

    position: int
    workitem_uid: str
    label: str
    step: str

    def concerns(self, keys: Message) -> bool:
        return keys.get("worklistLabel") in (None, self.label)


async def verdict(listeners: Sequence[Listener], writers: Sequence[Writer]) -> int:
    """Wait until all has arrived, and compare it with what was written; how much that is."""
    log = [Told(*row) for row in await writers[0].do("history")]
    _compare_with_writers(log, [await writer.do("tell") for writer in writers])
    for listener in listeners:
        due = [event for event in log if event.concerns(listener.keys)]
        await _arrived(listener, {event.position for event in due})
        _compare_with_log(listener, due)
    return len(log)


def _compare_with_writers(log: Sequence[Told], written: Sequence[Sequence[Sequence[str]]]) -> None:
    assert [event.position for event in log] == list(range(1, len(log) + 1)), "gaps in the log"
    logged, committed = defaultdict(list), defaultdict(list)
    for event in log:
        logged[event.workitem_uid].append(event.step)
    for uid, step in (change for one in written for change in one):
        committed[uid].append(step)
    assert logged == committed, "the log is not what was committed"


async def _arrived(listener: Listener, due: set[int]) -> None:
    def missing() -> set[int]:
        return due - {message["eventId"] for line in listener.heard() for message in line}

    try:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while missing():
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise AssertionError(f"lost: {sorted(missing())[:10]} of {len(due)}") from None


def _compare_with_log(listener: Listener, due: Sequence[Told]) -> None:
    """On a line positions grow; on return it may go back, and never skips what is still unheard."""
    nth = {event.position: number for number, event in enumerate(due)}
    reached = 0
    for line in listener.heard():
        positions = [message["eventId"] for message in line]
        assert all(before < after for before, after in pairwise(positions)), "out of order"
        for message in line:
            number = nth.get(message["eventId"])
            assert number is not None, "told of what does not concern it"
            assert message["workitemUID"] == due[number].workitem_uid
            assert number <= reached, f"skipped {due[reached].position}"
            reached = max(reached, number + 1)
    for line in listener.lines[1:]:
        confirmations = [m["subscription"] for m in line.messages if "subscription" in m]
        assert not any(told.get("resync") for told in confirmations), "it could not go on"
