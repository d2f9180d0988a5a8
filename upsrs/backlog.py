"""What the sockets of this process have been given and not taken yet, all together."""

from __future__ import annotations

import asyncio

from upsrs.conf import conf

__all__ = ["backlog"]

LOOKS = 5
LOOK_SECONDS = 0.001
"""So many looks, and so far apart, say that the backlog becomes no less. A turn of a busy loop takes
longer; it may need two until the answers to its pings are read."""

SETTLE_SECONDS = 0.1
"""Those who read well must not wait longer for those who read slowly."""


class Backlog:
    """What waits for the slow readers of this process."""

    def __init__(self) -> None:
        self.bytes = 0
        self.lanes = 0

    def changed(self, before: int, now: int) -> None:
        self.bytes += now - before
        self.lanes += bool(now) - bool(before)

    @property
    def is_much(self) -> bool:
        """Is it so much of what the process may hold that no more should be handed out for now?"""
        return self.bytes > conf.PROCESS_BUFFER_BYTES / 4

    async def settle(self) -> None:
        """Wait while it is much, as long as it becomes less: who stands still is not waited for."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLE_SECONDS
        looks, least = 0, self.bytes
        while self.is_much and looks < LOOKS and loop.time() < until:
            await asyncio.sleep(LOOK_SECONDS)
            looks = 0 if self.bytes < least else looks + 1
            least = min(least, self.bytes)

    def is_too_much(self, of_one: int) -> bool:
        """Is it more than the process may hold, and is this lane one of those with the most?"""
        return self.bytes > conf.PROCESS_BUFFER_BYTES and of_one * self.lanes >= self.bytes


backlog = Backlog()
