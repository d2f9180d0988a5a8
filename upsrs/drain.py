"""A server that goes down finishes what it has begun: the HTTP requests that it is answering.

daphne cancels every application at once when it is told to stop. A request that is changing a
workitem just then would be carried out, and its client would never hear of it. `Drain` around the
portal's ASGI application lets each finish, for a bounded time. uvicorn waits by itself.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

__all__ = ["DRAIN_SECONDS", "Drain", "is_going_down"]

DRAIN_SECONDS = 20.0
"""So long a server that goes down waits for its answers; service managers wait for longer."""

_answers: set[asyncio.Task[None]] = set()
"""The requests of this process that are being answered."""

_going_down = False
_is_hooked = False


def is_going_down() -> bool:
    """Has this process been told to stop?"""
    return _going_down


class Drain:
    """An ASGI application around another: its answers outlive the order to stop.

    It goes outermost, into ``asgi.py``. Sockets pass it by: they are told 4001.
    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        _hook()
        answer = asyncio.ensure_future(self.application(scope, receive, send))
        _answers.add(answer)
        answer.add_done_callback(_answers.discard)
        try:
            await asyncio.shield(answer)
        except asyncio.CancelledError:
            if not _going_down:
                answer.cancel()  # its client has gone, or it takes too long
            raise


def _hook() -> None:
    """Have daphne wait for the answers, once it runs; another server is left alone.

    Its reactor is imported wherever daphne is installed, and runs only where it serves.
    """
    global _is_hooked
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if _is_hooked or not getattr(reactor, "running", False):
        return
    _is_hooked = True
    reactor.addSystemEventTrigger("before", "shutdown", _go_down)


def _go_down() -> Any:
    """Called before any of daphne's cancellations arrives: they are delivered by the loop."""
    global _going_down
    _going_down = True
    from twisted.internet import defer

    return defer.Deferred.fromFuture(asyncio.ensure_future(_finish()))


async def _finish() -> None:
    if _answers:
        await asyncio.wait(tuple(_answers), timeout=DRAIN_SECONDS)
