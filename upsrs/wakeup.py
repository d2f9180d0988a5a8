"""The wake-ups through the channel layer: sending them, and hearing those of other processes.

Sending sets a flag, coalesces, and never makes a writer wait.

A wake-up carries no news: the log carries the truth, and who misses a wake-up polls. So one
pending wake-up is enough for any number of commits, those of a busy process follow one another at
a distance, and one that cannot be sent within a second is let go. It names its sender, who need not
wake itself twice. As long as no other process has a hub, none is sent: to send one and take it up
again costs more than to hand out the event.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from upsrs import metrics

__all__ = ["GROUP", "TYPE", "expect_others", "flush", "hear", "listen", "unlisten", "wake"]

GROUP = "upsrs.hubs"
"""The one group that every hub's channel is in."""

TYPE = "upsrs.wake"

SEND_SECONDS = 1.0
"""A layer that takes longer is not waited for."""

APART_SECONDS = 0.025
"""Between two that a process sends: each costs every process a millisecond, whoever is concerned."""

REJOIN_SECONDS = 10.0
"""Membership in a group ends with a restart of Redis, a flush, a fail-over, or after a day."""

JOIN_SECONDS = 5.0
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)

_others = True
"""May another process have a hub?"""

_listeners: set[Callable[[], bool]] = set()
"""The hubs of this process: they need no layer to hear of a commit."""


def listen(callback: Callable[[], bool]) -> None:
    """Call back at each commit of this process, from the committing thread.

    It must only set a flag, and say whether it was not set before.
    """
    _listeners.add(callback)


def unlisten(callback: Callable[[], bool]) -> None:
    _listeners.discard(callback)


def expect_others(others: bool) -> None:
    """Say whether another process may have a hub; a wake-up from one says so too."""
    global _others
    _others = others


def wake() -> None:
    """Tell every hub, here and in the other processes, that the log has grown."""
    woken = [callback() for callback in tuple(_listeners)]
    if any(woken):
        # They ask the database while this thread goes on: else they would wait for the interpreter
        # until the request is answered.
        time.sleep(0)
    if not _others:
        return
    layer = get_channel_layer()
    if layer is not None and not isinstance(layer, InMemoryChannelLayer):
        # An in-memory layer reaches this process only, and this process knows already.
        _bridge().pending.set()


def flush(seconds: float = SEND_SECONDS) -> None:
    """Wait until a pending wake-up has been sent, or for so long."""
    if _current is not None and _current.pid == os.getpid():
        _current.flush(seconds)


class _Bridge:
    """One thread with one event loop, and so one connection to the layer, for the process's life."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.message = {"type": TYPE, "sender": uuid.uuid4().hex}
        self.pending = threading.Event()
        self.idle = threading.Event()
        self.failing = False
        threading.Thread(target=self._run, name="upsrs-wakeup", daemon=True).start()

    def flush(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.pending.is_set() or not self.idle.is_set():
            if time.monotonic() >= deadline:
                return
            time.sleep(0.005)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        self.idle.set()
        while True:
            self.pending.wait()
            self.idle.clear()
            self.pending.clear()
            try:
                loop.run_until_complete(asyncio.wait_for(self._send(), SEND_SECONDS))
            except Exception as error:  # whatever a layer raises, the next wake-up is tried again
                metrics.WAKEUPS_UNSENT.inc()
                if not self.failing:
                    logger.warning(
                        "The channel layer takes no wake-ups (%s): events arrive by polling.",
                        type(error).__name__,
                    )
                self.failing = True
            else:
                if self.failing:
                    logger.warning("The channel layer takes wake-ups again.")
                self.failing = False
            self.idle.set()
            time.sleep(APART_SECONDS)

    async def _send(self) -> None:
        layer = get_channel_layer()
        assert layer is not None, "the layer was there when the wake-up was asked for"
        await layer.group_send(GROUP, self.message)


async def hear(wake: Callable[[], object]) -> None:
    """Call back when another process has woken us, without end; without a layer we poll."""
    layer = get_channel_layer()
    if layer is None or isinstance(layer, InMemoryChannelLayer):
        return
    channel = await layer.new_channel()
    failing = False
    while True:
        receiving = None
        try:
            while True:
                async with asyncio.timeout(JOIN_SECONDS):
                    await layer.group_add(GROUP, channel)
                # Whatever was sent while we were not in the group is in the log.
                wake()
                if failing:
                    logger.warning("The channel layer wakes us again.")
                failing = False
                rejoin_at = time.monotonic() + REJOIN_SECONDS
                while (remaining := rejoin_at - time.monotonic()) > 0:
                    receiving = receiving or asyncio.ensure_future(layer.receive(channel))
                    await asyncio.wait({receiving}, timeout=remaining)
                    if receiving.done():
                        if not _is_ours(receiving.result()):
                            expect_others(True)
                            wake()
                        receiving = None
        except Exception as error:  # whatever a layer raises: we poll, and try again
            if not failing:
                logger.warning(
                    "The channel layer does not wake us (%s): events arrive by polling.",
                    type(error).__name__,
                )
            failing = True
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            if receiving is not None:
                receiving.cancel()


def _is_ours(message: Any) -> bool:
    """Did this process send it? Then `wake` has told the hubs here already."""
    bridge = _current
    return bridge is not None and bridge.pid == os.getpid() and bridge.message == message


# Nobody looks around in a child: it wakes all.
os.register_at_fork(after_in_child=lambda: expect_others(True))

_current: _Bridge | None = None
_starting = threading.Lock()


def _bridge() -> _Bridge:
    """The bridge of this process; a forked child needs its own."""
    global _current
    with _starting:
        if _current is None or _current.pid != os.getpid():
            _current = _Bridge()
            atexit.register(flush)
        return _current
