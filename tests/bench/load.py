"""The client of the benchmarks: thousands of sockets in one process, in C where it matters.

Started by `tests.bench.machine.Load`, it takes one command a line, as JSON, and answers each with one.
Times are those of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from collections import Counter
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class Receiver(WSListener):
    """One socket: it counts, or also notes when each frame came."""

    def __init__(self, load: Load, ready: str) -> None:
        self.load = load
        self.expected = ready.encode()
        self.ready = asyncio.get_running_loop().create_future()
        self.said = b""
        """The frame that made it ready."""
        self.times: array[float] | None = None
        self.close_code = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            if self.expected:
                if self.expected in frame.get_payload_as_bytes():
                    self.said, self.expected = frame.get_payload_as_bytes(), b""
                    self.ready.set_result(None)
                return
            if self.times is not None:
                self.times.append(time.monotonic())
            self.load.came(frame)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed before it was ready"))


class Load:
    def __init__(self) -> None:
        self.sockets: list[tuple[WSTransport, Receiver]] = []
        self.deliveries = self.wanted = self.frame_bytes = 0
        self.first = self.last = self.cpu_first = self.cpu_last = 0.0
        self.all_came = asyncio.Event()

    def came(self, frame: WSFrame) -> None:
        self.deliveries += 1
        if self.deliveries == 1:
            self.frame_bytes = len(frame.get_payload_as_bytes())
            self.first, self.cpu_first = time.monotonic(), time.process_time()
        if self.deliveries == self.wanted:
            self.last, self.cpu_last = time.monotonic(), time.process_time()
            self.all_came.set()

    async def open(
        self,
        url: str,
        count: int,
        headers: dict[str, str],
        say: str = "",
        ready: str = "",
        at_once: int = 100,
    ) -> dict[str, Any]:
        """Open sockets, at most so many at a time, and say the first words on each."""
        slots = asyncio.Semaphore(at_once)
        failed: list[str] = []

        async def open_one() -> None:
            async with slots:
                try:
                    transport, receiver = await ws_connect(
                        lambda: Receiver(self, ready),
                        url,
                        extra_headers=headers,
                        websocket_handshake_timeout=300,
                    )
                    self.sockets.append((transport, receiver))
                    if say:
                        transport.send(WSMsgType.TEXT, say.encode())
                    if ready:
                        await receiver.ready
                except Exception as error:  # all of them are counted, whatever they are
                    failed.append(repr(error)[:100])

        began = time.monotonic()
        await asyncio.gather(*(open_one() for _ in range(count)))
        return {"seconds": time.monotonic() - began, "failed": len(failed), "why": failed[:3]}

    async def come_back(self, url: str, headers: dict[str, str]) -> dict[str, Any]:
        """All at once, each to the channel of the subscription that it was told of."""
        gone, self.sockets = self.sockets, []
        failed: list[str] = []

        async def open_one(receiver: Receiver) -> None:
            uid = json.loads(receiver.said)["subscriptionUID"]
            try:
                transport, again = await ws_connect(
                    lambda: Receiver(self, '"ACTIVE"'),
                    f"{url}/{uid}",
                    extra_headers=headers,
                    websocket_handshake_timeout=300,
                )
                self.sockets.append((transport, again))
                await again.ready
            except Exception as error:  # all of them are counted, whatever they are
                failed.append(repr(error)[:100])

        began = time.monotonic()
        await asyncio.gather(*(open_one(receiver) for _, receiver in gone))
        return {"seconds": time.monotonic() - began, "failed": len(failed), "why": failed[:3]}

    async def arm(self, deliveries: int, times: bool = False) -> dict[str, Any]:
        """Wait for so many frames from now on."""
        self.deliveries, self.wanted = 0, deliveries
        self.all_came.clear()
        for _, receiver in self.sockets:
            receiver.times = array("d") if times else None
        return {}

    async def wait(self, seconds: float) -> dict[str, Any]:
        """Until they came, or for so long."""
        try:
            await asyncio.wait_for(self.all_came.wait(), seconds)
        except TimeoutError:
            self.last, self.cpu_last = time.monotonic(), time.process_time()
        return {
            "deliveries": self.deliveries,
            "last": self.last,
            "bytes": self.frame_bytes,
            "cpu_share": (self.cpu_last - self.cpu_first) / max(self.last - self.first, 1e-9),
            "closed": Counter(one.close_code for _, one in self.sockets if one.close_code),
        }

    async def latencies(self, published: list[float]) -> dict[str, Any]:
        """How long after its publishing each frame came, in milliseconds."""
        waited = sorted(
            (came - at) * 1000
            for _, receiver in self.sockets
            for came, at in zip(receiver.times or (), published, strict=False)
        )
        share = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        return {
            name: waited[min(int(len(waited) * at), len(waited) - 1)] for name, at in share.items()
        }

    async def cut(self, count: int) -> dict[str, Any]:
        """Cut the first so many sockets, without a word; no frame of theirs is waited for."""
        for transport, _ in self.sockets[:count]:
            transport.disconnect()
        del self.sockets[:count]
        return {}

    async def stall(self, count: int) -> dict[str, Any]:
        """Read no more from the last so many sockets; no frame of theirs is waited for."""
        for transport, _ in self.sockets[-count:]:
            transport.underlying_transport.pause_reading()
        del self.sockets[-count:]
        return {}


async def main() -> None:
    load, loop = Load(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, arguments = json.loads(line)
        answer = await getattr(load, name)(**arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
