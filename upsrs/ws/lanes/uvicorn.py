"""uvicorn, below ASGI: its WebSocket protocol on websockets' sans-I/O layer, and asyncio's transport.

The transport writes at once what the network takes, and tells the protocol when it holds enough:
the fast lane only leaves out the work of the protocol for each message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from upsrs.ws.lanes.farewell import GOING_AWAY
from upsrs.ws.lanes.framed import FramedLane
from upsrs.ws.lanes.lane import CLOSE_SECONDS, Full, QueuedLane, Send, bound_kernel
from upsrs.ws.lanes.proofs import Proofs

__all__ = ["UvicornLane", "UvicornLine", "line_of"]

PROTOCOL = ("conn", "transport", "writable", "close_sent", "handle_pong", "shutdown")
CONNECTION = ("extensions", "send_ping", "send_close", "data_to_send")


def line_of(send: Any) -> UvicornLine | None:
    """What is behind uvicorn's own ``send``; None if it is another server's, or another protocol."""
    protocol = getattr(send, "__self__", None)
    if not all(hasattr(protocol, name) for name in PROTOCOL):
        return None
    if not all(hasattr(getattr(protocol, "conn", None), name) for name in CONNECTION):
        return None
    return UvicornLine(protocol, send)


class UvicornLine:
    def __init__(self, protocol: Any, send: Send) -> None:
        self._protocol = protocol
        self._send = send

    def fast_lane(self, full: Full) -> UvicornLane | None:
        """None if compression stands between a frame and the network."""
        if self._protocol.conn.extensions:
            return None
        return UvicornLane(self._protocol, self._send, full)

    def bound_intake(self) -> None:
        """uvicorn has bounds of its own: ``--ws-max-size``, and it reads on when a message is taken."""

    def hear_pongs(self, proofs: Proofs) -> None:
        _hear_pongs(self._protocol, proofs)

    def ping(self, payload: bytes) -> None:
        protocol = self._protocol
        if not protocol.close_sent and not protocol.transport.is_closing():
            protocol.conn.send_ping(payload)
            protocol.transport.write(b"".join(protocol.conn.data_to_send()))

    def say_goodbye_to(self, lane: QueuedLane) -> None:
        """uvicorn would close with 1012, before the application hears of anything."""
        protocol = self._protocol

        def shutdown() -> None:
            lane.pump()
            if not protocol.close_sent and not protocol.transport.is_closing():
                code = GOING_AWAY
                protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code})
                protocol.conn.send_close(code)
                protocol.transport.write(b"".join(protocol.conn.data_to_send()))
                protocol.close_sent = True
            type(protocol).shutdown(protocol)

        protocol.shutdown = shutdown


def _hear_pongs(protocol: Any, proofs: Proofs) -> None:
    def handle_pong(event: Any) -> None:
        type(protocol).handle_pong(protocol, event)
        proofs.answered(bytes(event.data))

    protocol.handle_pong = handle_pong


async def _quietly(close: Awaitable[None]) -> None:
    with suppress(Exception):  # uvicorn raises where the socket is gone already
        await close


class UvicornLane(FramedLane):
    __slots__ = ("_protocol", "_send", "_task", "_transport")

    def __init__(self, protocol: Any, send: Send, full: Full) -> None:
        super().__init__(full)
        self._protocol = protocol
        self._transport: Any = protocol.transport
        bound_kernel(self._transport.get_extra_info("socket"))
        self._send = send
        self._task: asyncio.Task[None] | None = None
        _hear_pongs(protocol, self._proofs)

    def outstanding(self) -> int:
        return self._bytes + int(self._transport.get_write_buffer_size())

    def pump(self) -> None:
        protocol, transport = self._protocol, self._transport
        if protocol.close_sent or transport.is_closing():
            self.drop()
            return
        writable = protocol.writable
        while self._queue and writable.is_set():
            transport.write(self.next_chunk())
        if self._queue and self._task is None:
            self._task = self._turn.loop.create_task(self._go_on())
        self.pumped()

    async def _go_on(self) -> None:
        await self._protocol.writable.wait()
        self._task = None
        self.pump()

    def say_close(self, code: int) -> None:
        close = self._send({"type": "websocket.close", "code": code})
        self._task = self._turn.loop.create_task(_quietly(close))
        self._turn.loop.call_later(CLOSE_SECONDS, self.give_up)

    def give_up(self) -> None:
        self._transport.abort()
