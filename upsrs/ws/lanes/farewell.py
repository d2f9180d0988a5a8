"""What is done when a server goes down: places are stored, and the sockets are told to come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from upsrs.traces import trace
from upsrs.ws.lanes.lane import Lane

__all__ = ["GOING_AWAY", "before_goodbye", "say_goodbye"]

GOING_AWAY = 4001

FAREWELL_SECONDS = 1.0
"""How long a server that goes down waits for its sockets to hear of it."""

logger = logging.getLogger(__name__)

_farewells: set[Callable[[], Awaitable[None]]] = set()


def before_goodbye(farewell: Callable[[], Awaitable[None]]) -> None:
    """What is to be done before the sockets are told that the server goes down."""
    _farewells.add(farewell)


async def say_goodbye(lanes: Iterable[Lane]) -> None:
    for farewell in tuple(_farewells):
        try:
            await asyncio.wait_for(farewell(), FAREWELL_SECONDS)
        except Exception as error:  # whatever fails, the sockets are told
            logger.error("Not everything was stored before going down: %s", trace(error))
    for lane in lanes:
        lane.close(GOING_AWAY)
    await asyncio.sleep(FAREWELL_SECONDS)
