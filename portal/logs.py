"""What the portal writes down: that something was asked, of whom and where, never with which query.

Transaction UIDs and patient names travel in queries (PS3.18 8.3.4, 11.6.1.2), and a log is read by
more people than a worklist. So nothing that leaves through our handlers has one, whoever logged it:
Django, daphne, or a traceback that repeats a request.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Any
from urllib.parse import quote

from upsrs.logs import JSONFormatter
from upsrs.origin import coming_from, meta_of

QUERY = re.compile(r"(/[^\s?]*)\?\S*")

access = logging.getLogger("portal.access")


class WithoutQueries(logging.Formatter):
    """Cuts each query off its path, in the finished line: message, arguments and traceback alike.

    A query ends at the first white space; a raw quotation mark does not end it.
    """

    def format(self, record: logging.LogRecord) -> str:
        return QUERY.sub(r"\1", super().format(record))


class JSONWithoutQueries(JSONFormatter):
    """The same, for lines that machines read."""

    def cleaned(self, text: str) -> str:
        return QUERY.sub(r"\1", text)


class AccessLog:
    """Logs each request and each socket with its path, in the place of the server's access log.

    What is logged within has one correlation id, from here on.
    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            with coming_from("", meta_of(scope)):
                await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            with coming_from("", meta_of(scope)):
                await self._socket(scope, receive, send)
        else:
            await self.application(scope, receive, send)

    async def _request(self, scope: Any, receive: Any, send: Any) -> None:
        status: int | None = None

        async def observed(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.monotonic()
        try:
            await self.application(scope, receive, observed)
        finally:
            access.info(
                "%s %s %s %s %.0f ms",
                _peer(scope),
                scope["method"],
                quote(scope["path"]),
                status or "gone",  # the peer left before the answer
                (time.monotonic() - began) * 1000,
            )

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        """``send`` goes through untouched: the sockets' back-pressure looks behind it."""
        peer, path, began = _peer(scope), quote(scope["path"]), time.monotonic()
        access.info("%s SOCKET %s", peer, path)
        try:
            await self.application(scope, receive, send)
        finally:
            access.info("%s SOCKET %s ended after %.0f s", peer, path, time.monotonic() - began)


def _peer(scope: Any) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "-"
