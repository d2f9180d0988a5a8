"""How much one user, one socket or one address may have of a server process.

Each process counts its own, in memory: a limit is there so that nobody takes a server away from
the others, and a server is what it protects. 0 is no limit.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rest_framework.exceptions import AuthenticationFailed, Throttled

from upsrs.conf import conf
from upsrs.errors import LimitReached

__all__ = ["FAILED_LOGINS", "MESSAGES", "MINUTE", "ROOM", "SOCKETS", "TICKETS", "credentials_of"]

K = TypeVar("K")
V = TypeVar("V")

MINUTE = 60.0

MOST_KNOWN = 20_000
"""So many users or addresses are remembered at once."""


class Known(OrderedDict[K, V]):
    """What is remembered of the last that were set, and of no more than `MOST_KNOWN`."""

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > MOST_KNOWN:
            self.popitem(last=False)


class Rate:
    """So many a minute for each: what was spent comes back evenly."""

    def __init__(self, name: str, most: Callable[[], int], what: str) -> None:
        self.name, self.most, self.what = name, most, what
        self._spent: Known[str, tuple[float, float]] = Known()
        """Who → how much was spent, and when that was so."""
        self._lock = threading.Lock()

    def wait(self, who: str) -> float:
        """In so many seconds there is room for one more; 0 if there is now."""
        most = self.most()
        return max(0.0, self._now(who) - most + 1) * MINUTE / most if most else 0.0

    def spend(self, who: str) -> None:
        with self._lock:
            self._spent[who] = (self._now(who) + 1, time.monotonic())

    def take(self, user: str, address: str) -> None:
        """One more of this user, and from this address. Raises `LimitReached` if that is too many."""
        whom = [f"user {user}", *([f"address {address}"] if address else [])]
        for who in whom:
            if seconds := self.wait(who):
                each = who.partition(" ")[0]
                raise LimitReached(
                    f"{self.what}: at most {self.most()} a minute for each {each} ({self.name}).",
                    name=self.name,
                    wait=seconds,
                )
        for who in whom:
            self.spend(who)

    def forget(self) -> None:
        """Everybody begins anew."""
        self._spent.clear()

    def _now(self, who: str) -> float:
        spent, at = self._spent.get(who, (0.0, 0.0))
        return max(0.0, spent - (time.monotonic() - at) * self.most() / MINUTE)


class Sockets:
    """The open sockets of this process, by user and by address."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def enter(self, user: str, address: str) -> Callable[[], None]:
        """One more; call what is returned when it is gone. Raises `LimitReached`."""
        limits = {f"user {user}": ("USER", conf.MAX_SOCKETS_PER_USER)}
        if address:
            limits[f"address {address}"] = ("ADDRESS", conf.MAX_SOCKETS_PER_ADDRESS)
        for who, (each, most) in limits.items():
            if most and self._open[who] >= most:
                name = f"UPSRS_MAX_SOCKETS_PER_{each}"
                raise LimitReached(
                    f"Too many open sockets: at most {most} for each {each.lower()} ({name}).",
                    name=name,
                )
        counted = list(limits)
        self._open.update(counted)
        return lambda: self._leave(counted)

    def _leave(self, counted: list[str]) -> None:
        while counted:  # once, however often it is called
            who = counted.pop()
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]


class Room:
    """For how many more of its rows somebody has room, without counting them each time."""

    def __init__(self) -> None:
        self._left: Known[str, int] = Known()
        self._lock = threading.Lock()

    def take(self, who: str, most: int, count: Callable[[], int]) -> bool:
        """One more, if there is room. Of what a count has left, a tenth is given without another.

        Other processes give as well: among ten of them the limit is not passed.
        """
        with self._lock:
            given = self._left.pop(who, 0)
        if given <= 0:
            left = most - count()
            if left <= 0:
                return False
            given = max(1, left // 10)
        with self._lock:
            self._left[who] = given - 1
        return True

    def forget(self) -> None:
        """Everybody is counted anew."""
        self._left.clear()


class FailedLogins(Rate):
    """Who guesses has to wait. Who is known to have come in with these credentials has not."""

    def __init__(self) -> None:
        super().__init__(
            "UPSRS_MAX_FAILED_LOGINS_PER_MINUTE",
            lambda: conf.MAX_FAILED_LOGINS_PER_MINUTE,
            "Too many failed logins from this address",
        )
        self._good: Known[bytes, None] = Known()

    @contextmanager
    def watched(self, address: str, credentials: str) -> Iterator[None]:
        """A login is tried in here. Raises DRF's `Throttled` if that has to wait.

        A session has no credentials in this sense: nobody guesses it.
        """
        digest = hashlib.sha256(credentials.encode()).digest()
        if credentials and digest not in self._good and (seconds := self.wait(address)):
            raise Throttled(seconds)
        try:
            yield
        except AuthenticationFailed:
            with self._lock:
                self._good.pop(digest, None)
            seconds = self.wait(address)
            self.spend(address)
            if seconds:
                raise Throttled(seconds) from None
            raise
        if credentials:
            with self._lock:
                self._good[digest] = None

    def forget(self) -> None:
        super().forget()
        self._good.clear()


def credentials_of(meta: Mapping[str, Any]) -> str:
    """What somebody who guesses would change."""
    return str(meta.get("HTTP_AUTHORIZATION", ""))


SOCKETS = Sockets()
ROOM = Room()
MESSAGES = Rate(
    "UPSRS_MAX_MESSAGES_PER_MINUTE", lambda: conf.MAX_MESSAGES_PER_MINUTE, "Too many messages"
)
TICKETS = Rate(
    "UPSRS_MAX_TICKETS_PER_MINUTE", lambda: conf.MAX_TICKETS_PER_MINUTE, "Too many tickets"
)
FAILED_LOGINS = FailedLogins()
