"""daphne, below ASGI: Autobahn's protocol and Twisted's transport. Nobody else knows of them.

Handing a message to daphne costs a trip through Autobahn's framing, and Twisted arms and disarms
its writer for each. The fast lane writes ready-made frames to the network itself: all that one turn
of the loop has for a socket, in one write. What the network does not take at once goes through
Twisted's buffer, in order; behind more than that holds, frames wait in the lane.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any
from weakref import WeakSet

from upsrs.conf import conf
from upsrs.ws.lanes.farewell import say_goodbye
from upsrs.ws.lanes.framed import FramedLane
from upsrs.ws.lanes.lane import CLOSE_SECONDS, Full, Lane, bound_kernel
from upsrs.ws.lanes.proofs import Proofs

__all__ = ["DaphneLane", "DaphneLine", "line_of"]

MOST_WAITING = 32
"""So many messages may wait for the application before the network has to wait for it."""

LOOK_AGAIN_SECONDS = 0.02

PROTOCOL = (
    *("state", "STATE_OPEN", "sendPing", "sendClose", "dropConnection", "onPong", "transport"),
    *("onMessageFrameBegin", "onMessage", "failedByMe", "application_queue"),
)
TRANSPORT = ("socket", "dataBuffer", "_tempDataLen", "write", "registerProducer")


def line_of(send: Any) -> DaphneLine | None:
    """What is behind daphne's own ``send``; None if it is another server's, or another daphne's."""
    if not isinstance(send, functools.partial) or not send.args:
        return None
    protocol = send.args[0]
    if not all(hasattr(protocol, name) for name in PROTOCOL):
        return None
    return DaphneLine(protocol)


class DaphneLine:
    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def fast_lane(self, full: Full) -> DaphneLane | None:
        """None if TLS or compression stands between a frame and the network."""
        protocol, transport = self._protocol, self._protocol.transport
        is_plain = (
            all(hasattr(transport, name) for name in TRANSPORT)
            and not getattr(transport, "TLS", False)
            and getattr(protocol, "_perMessageCompress", None) is None
            and not getattr(protocol, "send_queue", None)
        )
        return DaphneLane(protocol, full) if is_plain else None

    def bound_intake(self) -> None:
        """Take in no more than the application may be told of, and than it keeps up with."""
        Intake(self._protocol)

    def hear_pongs(self, proofs: Proofs) -> None:
        self._protocol.onPong = proofs.answered

    def ping(self, payload: bytes) -> None:
        self._protocol.sendPing(payload)

    def say_goodbye_to(self, lane: Lane) -> None:
        """When daphne goes down it cancels its applications, and a close from there does not arrive.

        So Twisted is asked to tell the sockets before it shuts down.
        """
        global _trigger
        _lanes.add(lane)
        if _trigger is None:
            # Not at import: which reactor there is, daphne decides when it starts.
            from twisted.internet import reactor

            running: Any = reactor
            _trigger = running.addSystemEventTrigger("before", "shutdown", _going_away)


class Intake:
    """What a client sends, before the application hears of it.

    daphne would drop the line for a message of more than a mebibyte, without a code, and keep any
    number of messages. Of one that is too large the application is told as soon as it is known to
    be, by a text that is no less too large, and nothing is kept of what follows. While many messages
    wait, nothing is read.
    """

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._begin = protocol.onMessageFrameBegin
        self._take = protocol.onMessage
        self._waiting = False
        protocol.onMessageFrameBegin = self._frame_begins
        protocol.onMessage = self._message

    def _frame_begins(self, length: int) -> None:
        protocol, most = self._protocol, conf.MAX_FRAME_BYTES
        if protocol.message_data_total_length + length > most and not protocol.failedByMe:
            protocol.failedByMe = True  # Autobahn's word for: keep nothing any more
            self._take(b" " * (most + 1), protocol.message_is_binary)
        self._begin(length)

    def _message(self, payload: bytes, is_binary: bool) -> None:
        self._take(payload, is_binary)
        if self._protocol.application_queue.qsize() >= MOST_WAITING:
            self._protocol.transport.pauseProducing()
            if not self._waiting:
                self._wait()

    def _wait(self) -> None:
        self._waiting = True
        asyncio.get_running_loop().call_later(LOOK_AGAIN_SECONDS, self._look)

    def _look(self) -> None:
        self._waiting = False
        protocol = self._protocol
        if protocol.application_queue.qsize() > MOST_WAITING // 2:
            self._wait()
        elif not protocol.transport.producerPaused:  # else its reader comes first
            protocol.transport.resumeProducing()


_lanes: WeakSet[Lane] = WeakSet()
_trigger: Any = None


def _going_away() -> Any:
    from twisted.internet import defer

    return defer.Deferred.fromFuture(asyncio.ensure_future(say_goodbye(tuple(_lanes))))


class DaphneLane(FramedLane):
    """It is also the transport's producer, in Twisted's sense: told when it holds enough."""

    __slots__ = ("_paused", "_protocol", "_socket", "_transport")

    def __init__(self, protocol: Any, full: Full) -> None:
        super().__init__(full)
        self._protocol = protocol
        self._transport: Any = protocol.transport
        self._socket: Any = protocol.transport.socket
        bound_kernel(self._socket)
        self._paused = False
        protocol.onPong = self._proofs.answered
        # Until now it was the HTTP channel that the socket began as, which has no more to say.
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, True)

    def outstanding(self) -> int:
        transport = self._transport
        buffered = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return self._bytes + int(buffered)

    def pump(self) -> None:
        protocol, transport = self._protocol, self._transport
        if protocol.state != protocol.STATE_OPEN:
            self.drop()  # nothing may follow a close
            return
        while self._queue and not self._paused:
            chunk = self.next_chunk()
            if not (transport.dataBuffer or transport._tempDataLen):
                sent = self._send(chunk)
                if sent == len(chunk):
                    continue
                chunk = chunk[sent:]
            transport.write(chunk)
        self.pumped()

    def _send(self, chunk: bytes) -> int:
        try:
            return int(self._socket.send(chunk))
        except OSError:
            # Full for now; or broken, which the transport will find and end in its own way.
            return 0

    def say_close(self, code: int) -> None:
        # A slow reader has much to take before it comes to the code: Autobahn waits a second.
        self._protocol.closeHandshakeTimeout = CLOSE_SECONDS
        self._protocol.sendClose(code=code)

    def give_up(self) -> None:
        if self._protocol.state == self._protocol.STATE_OPEN:
            self._protocol.dropConnection(abort=True)

    # As Twisted's transport sees it

    def pauseProducing(self) -> None:  # noqa: N802  (Twisted's names)
        """The transport holds enough. Who does not read is not read from either."""
        self._paused = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802
        """The network has taken all that the transport held."""
        self._paused = False
        self._transport.resumeProducing()
        self.pump()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is lost."""
        self.drop()
