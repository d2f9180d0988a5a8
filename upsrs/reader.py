"""The one reader of the log in a server process: a thread with a database connection of its own.

Handshake storms on the thread pools and restarts of PostgreSQL must not stop it: it heals itself,
says so in the log, and goes on from where it was.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from django.db import connections

from upsrs import events, metrics
from upsrs.conf import conf
from upsrs.events import LoggedEvent, Place
from upsrs.models import write_alias
from upsrs.traces import trace

__all__ = ["Reader"]

PAGE = 50
"""So many events are read and handed on at once: a workitem may have a megabyte."""

COUNTER_BUSY_SECONDS = 0.02
"""Another process numbers the log just now: look again after this."""

SQLITE_LOOK_SECONDS = 0.05
"""How often SQLite is asked whether another process has committed: 0.2 ms, most of it to wake up."""

RETRY_SECONDS = (0.1, 5.0)
"""After an error: the first pause, doubled up to the last."""

logger = logging.getLogger(__name__)


class Reader(threading.Thread):
    """Reads the log behind a place, in order, without a gap, and hands on what it reads.

    ``hand_on`` is called from this thread with a page of events and returns when they are handed
    out. ``lost`` is called once if the log is not the one it was (a restored backup, a purge past
    the place): then nothing can be promised but a fresh start.
    """

    def __init__(
        self,
        place: Place,
        *,
        hand_on: Callable[[list[LoggedEvent]], None],
        lost: Callable[[], None],
    ) -> None:
        super().__init__(name="upsrs-log-reader", daemon=True)
        self.place = place
        self.hand_on = hand_on
        self.lost = lost
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._data_version: int | None = None
        self._unwoken = False
        """It looks because it was time to, and nobody has said that there is anything."""

    def wake(self) -> bool:
        """There may be more to read. Called from any thread; is this the first to say so?"""
        first = not self._woken.is_set()
        self._woken.set()
        return first

    def stop(self) -> None:
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        pause = RETRY_SECONDS[0]
        failing = False
        try:
            while not self._stopped.is_set():
                try:
                    if not self._read_on():
                        self.lost()
                        return
                    if failing:
                        logger.warning("The log is read again, from position %d.", self._position)
                    failing, pause = False, RETRY_SECONDS[0]
                    self._wait()
                except Exception as error:  # the thread must outlive whatever happens
                    logger.error(
                        "Reading the log failed, trying again in %.1f s: %s", pause, trace(error)
                    )
                    failing = True
                    with suppress(Exception):  # a dead connection may not even close
                        connections[write_alias()].close()
                    self._stopped.wait(pause)
                    pause = min(pause * 2, RETRY_SECONDS[1])
        finally:
            connections.close_all()

    @property
    def _position(self) -> int:
        return self.place.position

    def _read_on(self) -> bool:
        """Number and read until nothing is left. False if the log is another than it was."""
        while not self._stopped.is_set():
            self._woken.clear()
            now, all_numbered, page = events.read_on(self._position, PAGE, often=True)
            if now.log_id != self.place.log_id or now.position < self._position:
                return False
            if self._stopped.is_set():
                return True
            if page:
                if page[0].position != self._position + 1:
                    return False
                if self._unwoken:
                    self._unwoken = False
                    metrics.WAKEUPS_LOST.inc()
                self.hand_on(page)
                self.place = Place(self.place.log_id, page[-1].position)
            if len(page) == PAGE:
                continue
            if not all_numbered:
                self._stopped.wait(COUNTER_BUSY_SECONDS)
            elif not self._woken.is_set():
                # Who commits after this look wakes us. What the counter had given before it must
                # have been there to read.
                return now.position <= self._position
        return True

    def _wait(self) -> None:
        """Until woken, or until it is time to look anyway."""
        remaining = conf.POLL_SECONDS
        if connections[write_alias()].vendor != "sqlite":
            self._unwoken = not self._woken.wait(remaining)
            return
        while remaining > 0 and not self._woken.wait(min(SQLITE_LOOK_SECONDS, remaining)):
            remaining -= SQLITE_LOOK_SECONDS
            if self._sqlite_changed():
                return

    def _sqlite_changed(self) -> bool:
        with connections[write_alias()].cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version = cursor.fetchone()[0]
        changed = version != self._data_version
        self._data_version = version
        return bool(changed)
