"""A stand-in for the customer's channel: real sockets, and a script for each connection in turn."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve

LOG = "0190c5a4-0000-7000-8000-000000000001"
OTHER_LOG = "0190c5a4-0000-7000-8000-000000000002"
UID = "2.25.1"
PATIENCE_SECONDS = 10.0

GLOBAL = "1.2.840.10008.5.1.4.34.5.1"

Script = Callable[["Line"], Awaitable[None]]


class Line:
    """One connection, seen from the server."""

    def __init__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.socket = socket
        address = urlsplit(socket.request.path)
        self.path = address.path
        self.query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.headers = socket.request.headers

    async def request(self) -> dict[str, Any]:
        return json.loads(await self.socket.recv())

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def about_the_line(self, *, uid: str = UID, **members: Any) -> None:
        await self.send(
            eventType="STATE_REPORT", workitemUID=GLOBAL, subscriptionUID=uid, **members
        )

    async def confirm(self, *, uid: str = UID, log: str = LOG, **members: Any) -> None:
        subscription = {"status": "ACTIVE", "filter": {}, "ignored": [], "deleted": []}
        subscription |= {"resync": False, "logId": log, **members}
        await self.about_the_line(uid=uid, subscription=subscription)

    async def report(self, workitem: str, *, uid: str = UID) -> None:
        await self.send(
            eventType="STATE_REPORT", workitemUID=workitem, subscriptionUID=uid, report=True
        )

    async def complete(self, place: int, *, uid: str = UID) -> None:
        await self.about_the_line(uid=uid, initialStateComplete=True, eventId=place)

    async def event(self, number: int, workitem: str = "1.2", *, uid: str = UID) -> None:
        await self.send(
            eventType="UPDATED", workitemUID=workitem, subscriptionUID=uid, eventId=number
        )

    async def begin(self, place: int = 0) -> None:
        """A first connection: request, confirmation, nothing to report."""
        await self.request()
        await self.confirm()
        await self.complete(place)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.socket.close(code, reason)

    async def stay(self) -> None:
        await self.socket.wait_closed()

    def drop(self) -> None:
        """Gone without a word, as a cable that is pulled."""
        self.socket.transport.abort()


class Channel:
    """Plays one script after the other, one for each connection; the last one again and again."""

    def __init__(self, *scripts: Script, refuse: tuple[int, ...] = ()) -> None:
        self.scripts = list(scripts)
        self.refusals = list(refuse)
        """HTTP statuses of the first handshakes; 0 lets one in."""
        self.lines: list[Line] = []
        self.handshakes = 0
        self.server: Server

    async def __aenter__(self) -> Channel:
        self.server = await serve(
            self._play, "127.0.0.1", 0, process_request=self._greet, compression=None
        )
        port = next(iter(self.server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/ups-rs"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    def _greet(self, connection: ServerConnection, _request: object) -> Any:
        self.handshakes += 1
        status = self.refusals.pop(0) if self.refusals else 0
        return connection.respond(status, "") if status else None

    async def _play(self, socket: ServerConnection) -> None:
        line = Line(socket)
        self.lines.append(line)
        await self.scripts[min(len(self.lines), len(self.scripts)) - 1](line)


@contextmanager
def running(server: AbstractAsyncContextManager[Any]) -> Iterator[Any]:
    """A server in a thread of its own, so that this one may block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE_SECONDS)

    started = wait(server.__aenter__())
    try:
        yield started
    finally:
        wait(server.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
