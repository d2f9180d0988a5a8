"""The client without an event loop: the same names, and nothing to await.

    with follow("wss://portal.example/ups-rs", token=token) as worklist:
        for notification in worklist:
            print(notification.event_type, notification.workitem_uid)

The line lives in a thread of its own. It reads no further than it is asked to, but for a few frames
that are on their way: who takes their time holds the server back, as on the event loop, and loses
nothing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

from upsrs.client import following, listening
from upsrs.client.errors import Unreachable
from upsrs.client.lines import Line
from upsrs.client.notifications import Place
from upsrs.client.rest import Claim, Worklist

__all__ = ["Claim", "Heard", "Worklist", "follow", "listen"]

Given = ParamSpec("Given")
Said = TypeVar("Said")
Result = TypeVar("Result")

INTERRUPTIBLE_SECONDS = 1.0
"""On Windows nothing else than its end interrupts a wait: so long may Ctrl-C take there."""


class Heard(Generic[Said]):
    """What a line hears: an iterator, and a context manager. Errors are raised to who iterates.

    Ctrl-C interrupts the waiting and loses nothing: who goes on iterating goes on hearing. Another
    thread may call `close` or `unsubscribe`; the iteration then ends. ``on_state`` is called in the
    thread of the line.
    """

    def __init__(self, line: Line[Said]) -> None:
        self._line = line
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="upsrs.client", daemon=True
        )
        self._thread.start()
        self._is_open = True
        self._ending = threading.Lock()
        """Held to begin something, and to end all: what is begun is not left waiting for ever."""
        self._next: concurrent.futures.Future[Said | None] | None = None
        self._asking: asyncio.Task[Any] | None = None

    @property
    def place(self) -> Place | None:
        """Where the listener stands. Keep it, and a later run goes on from there. None: nowhere."""
        return self._line.place

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Said:
        self._next = self._next or self._begin(self._ask())
        if self._next is None:
            raise StopIteration
        try:
            heard = self._wait(self._next)
        except concurrent.futures.CancelledError:
            raise StopIteration from None  # another thread closed it
        self._next = None  # not before: who was interrupted asks for the same again
        if heard is None:
            raise StopIteration
        return heard

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go away. What was subscribed to stays so, and `place` returns to it."""
        leaving = self._begin(self._leave(), last=True)
        if leaving is None:
            return
        try:
            self._wait(leaving)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def unsubscribe(self) -> None:
        """End the subscription itself; the iteration then ends."""
        unsubscribing = self._begin(self._line.unsubscribe())
        if unsubscribing is None:
            raise Unreachable("The line is closed already.")
        self._wait(unsubscribing)

    async def _ask(self) -> Said | None:
        self._asking = asyncio.current_task()
        return await anext(self._line, None)

    async def _leave(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await self._line.aclose()

    def _begin(
        self, work: Coroutine[Any, Any, Result], *, last: bool = False
    ) -> concurrent.futures.Future[Result] | None:
        """Have it done in the thread of the line; None if that is over."""
        with self._ending:
            if not self._is_open:
                work.close()
                return None
            self._is_open = not last
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: concurrent.futures.Future[Result]) -> Result:
        while not concurrent.futures.wait([work], INTERRUPTIBLE_SECONDS).done:
            pass
        return work.result()


def _heard(begin: Callable[Given, Line[Said]]) -> Callable[Given, Heard[Said]]:
    """The same line, heard without an event loop."""

    @functools.wraps(begin)
    def heard(*given: Given.args, **named: Given.kwargs) -> Heard[Said]:
        return Heard(begin(*given, **named))

    return heard


follow = _heard(following.follow)
listen = _heard(listening.listen)
