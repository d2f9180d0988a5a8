"""A client of the customer's channels that believes nothing.

``Subscriber`` is one open socket. Every message that reaches it, asked for or not, is checked
against the customer's schemas, our own document of the channel, and the decisions we made where
they leave room; what breaks them fails the test, at the next wait or at the end of the block.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jsonschema import Draft202012Validator, FormatChecker
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests import channels
from tests.live.parts import PATIENCE_SECONDS

Message = dict[str, Any]

SILENCE_SECONDS = 0.5
"""How long nothing must come before it counts as nothing."""

JUDGED_CHARACTERS = 8_192
"""Longer ones say the same, only more of it: judging them takes longer than the tests allow."""

UID_OF_SUBSCRIPTION = re.compile(r'"subscriptionUID": ?"2\.25\.(?:0|[1-9]\d{0,38})"')

FILTERED_GLOBAL = "1.2.840.10008.5.1.4.34.5.1"
FORMATS = FormatChecker(["date-time"])
DATE_TIME = Draft202012Validator({"type": "string", "format": "date-time"}, format_checker=FORMATS)


def schema(name: str) -> Draft202012Validator:
    """One of the customer's three schemas, with the formats checked, not only noted."""
    assert "date-time" in FORMATS.checkers, "rfc3339-validator is not installed"
    text = (Path(__file__).parent / "schemas" / f"{name}.schema.json").read_text()
    return Draft202012Validator(json.loads(text), format_checker=FORMATS)


NOTIFICATION = schema("event-notification")
SUBSCRIPTION_REQUEST = schema("subscription-request")
UNSUBSCRIPTION_REQUEST = schema("unsubscription-request")


def checked(
    frame: str | bytes, forbidden: Iterable[str] = (), channel: str = channels.GENERAL
) -> Message:
    """The message in a frame, if the contract allows it; ``forbidden`` texts must not be in it."""
    assert isinstance(frame, str), "the contract has text frames only"
    message = json.loads(frame, parse_constant=_no_json)
    assert isinstance(message, dict), "a message is one JSON object"
    # Both spellings: as it was sent, and with its escapes read.
    plain = json.dumps(message, ensure_ascii=False)
    for text in forbidden:
        assert text not in frame, "a forbidden text is in the frame"
        assert text not in plain, "a forbidden text is in the message"
    _judge(frame, message, channel)
    return message


_judged: set[tuple[str, str]] = set()
"""What has been found good: fifty sockets hear the same, each with its own subscriptionUID."""


def _judge(frame: str, message: Message, channel: str) -> None:
    anonymous = UID_OF_SUBSCRIPTION.sub('"subscriptionUID":"2.25.0"', frame, count=1)
    if (channel, anonymous) in _judged:
        return
    if "eventType" in message:
        _check_notification(message)
    else:
        _check_problem(message)
    if len(frame) <= JUDGED_CHARACTERS:
        channels.judge(message, channel)
    _judged.add((channel, anonymous))


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def _check_notification(message: Message) -> None:
    NOTIFICATION.validate(message)
    assert message.get("subscriptionUID", "").startswith("2.25."), (
        "every notification names its subscription"
    )
    if "eventId" in message:
        assert type(message["eventId"]) is int, "eventId is an integer"
    if "eventTime" in message:
        DATE_TIME.validate(message["eventTime"])
    if message.get("report"):
        assert message["eventType"] == "STATE_REPORT", "a report is a STATE_REPORT"
        assert "eventId" not in message, "a report carries no eventId"
    if "subscription" in message:
        _check_confirmation(message)
    if message.get("initialStateComplete") or message.get("heartbeat"):
        assert message["workitemUID"] == FILTERED_GLOBAL
        assert "eventId" in message, "it tells the place"
    if "workitem" in message:
        assert message["workitem"]["workitemUID"] == message["workitemUID"]


def _check_confirmation(message: Message) -> None:
    assert message["eventType"] == "STATE_REPORT"
    assert message["workitemUID"] == FILTERED_GLOBAL
    assert message["subscription"]["status"] in {"ACTIVE", "DELETED"}
    assert message.get("initialStateComplete") or "eventId" not in message, (
        "a confirmation tells the place only where no reports follow"
    )


def _check_problem(message: Message) -> None:
    """RFC 9457, with the members that the design names."""
    for name, kind in {"type": str, "title": str, "status": int, "detail": str}.items():
        assert isinstance(message.get(name), kind), f"an error has a {name}: {sorted(message)}"
    assert 400 <= message["status"] < 600
    assert isinstance(message.get("requestId", ""), str)


class Refused(AssertionError):
    """A request was answered with an error, which is ``problem``."""

    def __init__(self, problem: Message) -> None:
        self.problem = problem
        super().__init__(f"{problem['status']} {problem['title']}: {problem['detail']}")


class Gone(AssertionError):
    """The socket closed while a message was awaited; ``code`` is its close code."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        super().__init__(f"the socket closed with {code}")


class Subscriber:
    """One open socket, speaking the customer's contract::

    async with Subscriber(server.general, token) as ct1:
        await ct1.subscribe({"scheduledStationAETitle": "CT1"})
        assert await ct1.initial_state() == []
        ...
        assert (await ct1.next())["eventType"] == "CREATED"
    """

    def __init__(
        self, url: str, token: str | None = None, *, forbidden: Iterable[str] = (), **options: Any
    ) -> None:
        """``options`` go to ``websockets``: origin, subprotocols, additional_headers, ..."""
        self.url = url
        self.channel = channels.channel_of(url)
        self.forbidden = tuple(forbidden)
        self.options = {"open_timeout": PATIENCE_SECONDS, "close_timeout": 2, **options}
        if token:
            headers = {"Authorization": f"Token {token}", **options.get("additional_headers", {})}
            self.options["additional_headers"] = headers
        self.messages: list[Message] = []
        """Everything that came, in order, since the socket opened."""
        self._unread: list[Message] = []
        self._news = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._request_ids = (f"request-{number}" for number in itertools.count(1))

    async def __aenter__(self) -> Self:
        self.connection: ClientConnection = await connect(self.url, **self.options)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()
        # What came unasked counts too; but the first failure is the one to show.
        if kind is None:
            self._raise_violation()

    # --- Speaking ---------------------------------------------------------------------------------

    async def send(self, message: object) -> None:
        """Send any message, good or bad: text and bytes as they are, the rest as JSON."""
        frame = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.connection.send(frame)

    async def subscribe(
        self, keys: Message | None = None, *, request_id: bool = True, **extras: Any
    ) -> Message:
        """Ask for a subscription; its confirmation. ``extras`` go beside the filter.

        Without ``request_id`` the request says nothing that the customer's document lacks, and
        the next confirmation or error is taken for the answer.
        """
        request: Message = {"filter": keys or {}, **extras}
        if request_id:
            request.setdefault("requestId", next(self._request_ids))
        await self.send(request)
        expected = request.get("requestId")
        answer = await self._take(lambda message: _answers(message, expected))
        if "subscription" not in answer:
            raise Refused(answer)
        return answer

    async def unsubscribe(self, reason: str = "USER_REQUEST", **extras: Any) -> int | None:
        """End the subscription of a specific channel; the close code that the server answers."""
        await self.send({"reason": reason, **extras})
        return await self.closed()

    # --- Hearing ----------------------------------------------------------------------------------

    async def next(self, seconds: float = PATIENCE_SECONDS) -> Message:
        """The next message; fails when none comes in time or the socket closes."""
        return await self._take(lambda message: True, seconds)

    async def until(
        self, claim: Callable[[Message], bool], seconds: float = PATIENCE_SECONDS
    ) -> list[Message]:
        """The next messages, up to and with the first for which the claim holds."""
        last = await self._take(claim, seconds, leave_others=True)
        end = next(index for index, message in enumerate(self._unread) if message is last)
        found, self._unread = self._unread[: end + 1], self._unread[end + 1 :]
        return found

    async def initial_state(self, seconds: float = PATIENCE_SECONDS) -> list[Message]:
        """The reports of what matches now; the message that completes them is taken too."""
        found = await self.until(lambda message: "initialStateComplete" in message, seconds)
        assert all(message.get("report") for message in found[:-1]), "an event among the reports"
        return found[:-1]

    async def hears_nothing(self, seconds: float = SILENCE_SECONDS) -> bool:
        """Whether silence lasts, on a line that is open: nothing unread, nothing new."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._unread and not self._reader.done():
                    await self._wait()
        if self._reader.done():
            self._raise_violation()
            raise Gone(self.connection.close_code)
        return not self._unread

    def pause(self) -> None:
        """Stop taking frames off the line, as a browser tab that sleeps does."""
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    # --- Going away -------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close politely, and end reading."""
        self.resume()
        await self.connection.close()
        await self._reader_end()

    async def drop(self) -> None:
        """Be gone without a word, as a laptop that loses its network."""
        self.connection.transport.abort()
        self.resume()
        await self._reader_end()

    async def closed(self, seconds: float = PATIENCE_SECONDS) -> int | None:
        """Wait until the server closes the socket; its close code."""
        self.resume()
        async with asyncio.timeout(seconds):
            await self._reader_end()
        self._raise_violation()
        return self.connection.close_code

    async def _reader_end(self) -> None:
        await asyncio.wait([self._reader])

    # --- Reading ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while True:
                await self._may_read.wait()
                message = checked(await self.connection.recv(), self.forbidden, self.channel)
                self.messages.append(message)
                self._unread.append(message)
                self._news.set()
        except ConnectionClosed:
            pass
        finally:
            self._news.set()

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _take(
        self,
        claim: Callable[[Message], bool],
        seconds: float = PATIENCE_SECONDS,
        *,
        leave_others: bool = False,
    ) -> Message:
        """The first unread message for which the claim holds, taken unless all are left."""
        seen = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    for message in self._unread[seen:]:
                        seen += 1
                        if claim(message):
                            if not leave_others:
                                self._unread.remove(message)
                            return message
                    if self._reader.done():
                        self._raise_violation()
                        raise Gone(self.connection.close_code)
                    await self._wait()
        except TimeoutError:
            raise AssertionError(
                f"nothing such within {seconds:g} s; unread: {self._unread[-5:]}"
            ) from None

    def _raise_violation(self) -> None:
        """Fail with the broken rule that ended the reading, if one did."""
        if self._reader.done() and not self._reader.cancelled():
            violation = self._reader.exception()
            if violation is not None:
                raise violation


def _answers(message: Message, request_id: str | None) -> bool:
    is_answer = "subscription" in message or "eventType" not in message
    return is_answer and (request_id is None or message.get("requestId") == request_id)
