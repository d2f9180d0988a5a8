"""HTTP and WebSocket by hand, so that what is sent may be as wrong as it likes."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from types import TracebackType
from typing import Any, Self

from tests.live.parts import PATIENCE_SECONDS
from tests.live.server import Server

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
ABNORMAL = 1006
NO_CODE = 1005

MASK = b"\x00\x00\x00\x00"
"""A mask that changes nothing is a mask."""


class Line:
    """One TCP connection to a server. What takes too long fails the test."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.server.port, limit=2**24
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    async def write(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def answer(self, *, to_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """The next HTTP answer: status, headers and body; one to HEAD has none."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip().split("\r\n")
            status = int(first.split(" ", 2)[1])
            named = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in named}
            if to_head:
                return status, headers, b""
            if headers.get("transfer-encoding") == "chunked":
                return status, headers, await self._chunks()
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def _chunks(self) -> bytes:
        found = b""
        while size := int(await self.reader.readline(), 16):
            found += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return found

    async def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        await self.write(request(method, path, {**headers, "Content-Length": len(body)}), body)
        return await self.answer(to_head=method == "HEAD")


class Socket(Line):
    """A WebSocket. Frames are written as they are told, and read until the server closes."""

    def __init__(self, server: Server, path: str, token: str) -> None:
        super().__init__(server)
        self.handshake = request("GET", path, {**UPGRADE, "Authorization": f"Token {token}"})

    async def open(self, *, trickle: bool = False) -> int:
        """The status of the handshake. A trickle is one byte at a time."""
        for at in range(0, len(self.handshake), 1 if trickle else len(self.handshake)):
            await self.write(self.handshake[at : at + (1 if trickle else len(self.handshake))])
            if trickle:
                await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1])

    async def frame(self) -> tuple[int, bytes]:
        """The next frame that is no ping, which is answered. No frame is a close without a word."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                kind, payload = await self._frame()
                while kind in (PING, PONG):
                    if kind == PING:
                        await self.write(framed(PONG, payload))
                    kind, payload = await self._frame()
                return kind, payload
        except (asyncio.IncompleteReadError, ConnectionError):
            return CLOSE, struct.pack("!H", ABNORMAL)

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        return first & 0x0F, await self.reader.readexactly(size)

    async def until_closed(self) -> int:
        """The code that the server closes with, whatever comes before."""
        while True:
            kind, payload = await self.frame()
            if kind == CLOSE:
                return close_code(payload)

    async def bye(self) -> int:
        """Close politely."""
        with contextlib.suppress(ConnectionError):
            await self.write(framed(CLOSE, struct.pack("!H", 1000)))
        return await self.until_closed()


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def request(method: str, path: str, headers: dict[str, Any]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def framed(
    kind: int,
    payload: bytes = b"",
    *,
    last: bool = True,
    reserved: int = 0,
    masked: bool = True,
    told: int | None = None,
) -> bytes:
    """One frame; ``told`` is the length that it claims to have."""
    size = len(payload) if told is None else told
    first = (0x80 if last else 0) | reserved << 4 | kind
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (MASK if masked else b"") + payload


def close_code(payload: bytes) -> int:
    return int.from_bytes(payload[:2]) if len(payload) >= 2 else NO_CODE
