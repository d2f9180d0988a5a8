"""A client that knows nothing but the standard: subscriptions over REST, and an AE's event channel.

Every frame is checked: one DICOM JSON object with the command attributes of an event report.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests import datasets
from tests.live.parts import PATIENCE_SECONDS
from tests.live.server import Backend, Server

GLOBAL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"

SILENCE_SECONDS = 0.6
VRS = {"00000002": "UI", "00000110": "US", "00001000": "UI", "00001002": "US"}
STATE, READINESS, EVENT_ID = "00741000", "00404041", "00091001"

Report = dict[str, Any]


def value(report: Report, tag: str) -> Any:
    """The first value of an attribute; None if it has none."""
    return (report.get(tag, {}).get("Value") or [None])[0]


def told(report: Report) -> tuple[Any, ...]:
    """What a report says, in short: its type, whose, and the state if it is a State Report."""
    short = (value(report, "00001002"), value(report, "00001000"))
    return (*short, value(report, STATE)) if short[0] == 1 else short


class AE:
    """One AE title of one user at one server::

    async with AE(server, backend, "AI1") as ai1:
        await ai1.subscribe(uid)
        assert told(await ai1.next()) == (1, uid, "SCHEDULED")
    """

    def __init__(
        self,
        server: Server,
        backend: Backend,
        title: str,
        *,
        user: str = "alice",
        query: str = "",
        path: str = "subscribers",
    ) -> None:
        self.title = title
        self.service = server.rest.removesuffix("/workitems")
        self.headers = {"Authorization": f"Token {backend.tokens[user]}"}
        ws = self.service.replace("http", "ws", 1)
        self.channel = f"{ws}/{path}/{quote(title, safe='')}{query}"
        self.http = httpx.AsyncClient(headers=self.headers, timeout=PATIENCE_SECONDS)
        self.reports: list[Report] = []
        self._unread: asyncio.Queue[Report] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self.connection: ClientConnection = await connect(
            self.channel, additional_headers=self.headers, open_timeout=PATIENCE_SECONDS
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()
        if kind is None:
            self._raise_violation()

    async def close(self) -> None:
        await self.connection.close()
        await asyncio.wait([self._reader])
        await self.http.aclose()

    async def drop(self) -> None:
        """Be gone without a word."""
        self.connection.transport.abort()
        await asyncio.wait([self._reader])

    def address(self, target: str, suffix: str = "") -> str:
        title = quote(self.title, safe="")
        return f"{self.service}/workitems/{target}/subscribers/{title}{suffix}"

    async def subscribe(self, target: str, query: str = "") -> httpx.Response:
        return await self.http.post(self.address(target) + query)

    async def unsubscribe(self, target: str) -> httpx.Response:
        return await self.http.delete(self.address(target))

    async def suspend(self, target: str = GLOBAL) -> httpx.Response:
        return await self.http.post(self.address(target, "/suspend"))

    async def next(self, seconds: float = PATIENCE_SECONDS) -> Report:
        """The next report; fails when none comes in time or the socket closes."""
        async with asyncio.timeout(seconds):
            waiting = asyncio.create_task(self._unread.get())
            await asyncio.wait([waiting, self._reader], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                self._raise_violation()
                raise AssertionError(f"the socket closed with {self.connection.close_code}")
            return waiting.result()

    async def next_told(self, count: int = 1) -> list[tuple[Any, ...]]:
        return [told(await self.next()) for _ in range(count)]

    async def hears_nothing(self, seconds: float = SILENCE_SECONDS) -> bool:
        """Whether silence lasts, on a line that is open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.wait([self._reader])
        assert not self._reader.done(), f"closed with {self.connection.close_code}"
        return self._unread.empty()

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                report = checked(await self.connection.recv())
                self.reports.append(report)
                self._unread.put_nowait(report)

    def _raise_violation(self) -> None:
        if self._reader.done() and not self._reader.cancelled():
            self._reader.result()


def checked(frame: str | bytes) -> Report:
    """The report in a frame, if PS3.18 8.10.5 and PS3.4 Table CC.2.4-1 allow it."""
    assert isinstance(frame, str), "reports come in text frames"
    report = json.loads(frame)
    assert isinstance(report, dict), "one report is one JSON object"
    assert list(report) == sorted(report), "attributes come in ascending order"
    for tag, vr in VRS.items():
        assert report[tag]["vr"] == vr
        assert len(report[tag]["Value"]) == 1
    assert value(report, "00000002") == UPS_PUSH
    assert 1 <= value(report, "00000110") <= 65_535
    assert "00081195" not in frame, "the Transaction UID never leaves the server"
    for patient in datasets.PATIENT_VALUES:
        assert patient not in frame
    match value(report, "00001002"):
        case 1:
            assert report[STATE]["vr"] == report[READINESS]["vr"] == "CS"
            assert value(report, STATE)
            assert value(report, READINESS)
        case 2:
            assert value(report, "00741236")
        case 3:
            assert report["00741002"]["vr"] == "SQ"
        case 4:
            assert [value(report, tag) for tag in ("00741242", "00741244", "00741246")] == [
                *("RESTARTED", "WARM START", "WARM START")
            ]
        case 5:
            assert report.keys() & {"00404025", "00404009", "00404036"} or len(report) <= 6
        case other:
            raise AssertionError(f"there is no event type {other}")
    return report
