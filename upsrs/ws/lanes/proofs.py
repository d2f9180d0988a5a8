"""What an answered ping proves: TCP keeps the order, so all that was written before it was taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["Proofs"]

PREFIX = b"upsrs-"


class Proofs:
    """The pings of one socket that wait for their answer."""

    __slots__ = ("_asked", "_number")

    def __init__(self) -> None:
        self._asked: deque[tuple[int, Callable[[], None]]] = deque()
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._asked)

    def ask(self, taken: Callable[[], None]) -> bytes:
        """The payload of a ping whose answer calls ``taken``."""
        self._number += 1
        self._asked.append((self._number, taken))
        return PREFIX + b"%d" % self._number

    def answered(self, payload: bytes) -> None:
        """A pong came. It answers the earlier pings as well (RFC 6455 5.5.3)."""
        number = payload[len(PREFIX) :]
        if not payload.startswith(PREFIX) or not number.isdigit():
            return  # an answer to the server's own ping, or one that nobody asked for
        while self._asked and self._asked[0][0] <= int(number):
            _, taken = self._asked.popleft()
            taken()
