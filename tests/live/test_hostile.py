"""A real server under hostile requests, frames and lines, and what the others notice of it: nothing.

The seeds are fixed; what the rules alone make of hostile texts is in ``test_hostile.py`` beside this
directory. ``UPSRS_TESTS_FUZZ=10`` does it ten times, each with seeds and a server of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections import Counter

import psutil
import pytest

from tests.hostile import BAD_BYTES, FACTOR, SECRETS, TRANSACTION_UID, Hostile
from tests.live.parts import PATIENCE_SECONDS
from tests.live.performing import Performer
from tests.live.raw import (
    ABNORMAL,
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    Line,
    Socket,
    close_code,
    framed,
    request,
)
from tests.subscriber import Subscriber
from upsrs.conf import conf

pytestmark = pytest.mark.asyncio

REQUESTS = 300
MESSAGES = 300
LINES = 50
"""In each of two halves. A message is a request of the contract's; a line is broken by its frames."""

AT_ONCE = 50
"""So many messages are written before their answers are read."""

PAUSE_SECONDS = 0.2
"""Between two changes by a user who has nothing to do with it."""

GROWTH_BYTES = 24 * 1_048_576
"""From half to half. Caches that fill and what the allocator keeps were up to 13 MiB in fifty runs, and
the number of objects in the process stayed the same."""

MOST = conf.MAX_FRAME_BYTES

HALF = b'{"filter":{"worklistLabel":"never fin'
DROPPED = {ABNORMAL}
"""Who does not speak the protocol is let go without a word, and without 1011."""
TOO_LARGE = {4009}

# What is written on an open socket, and the codes that it may be closed with.
BREACHES: dict[str, tuple[list[bytes], set[int]]] = {
    "a binary frame": ([framed(BINARY, b"\x00\xff")], {4003}),
    "a binary frame with a request": ([framed(BINARY, b'{"filter":{}}')], {4003}),
    "more than a frame may hold": ([framed(TEXT, b" " * (MOST + 1))], TOO_LARGE),
    "much more than a frame may hold": ([framed(TEXT, b"[" * 3_000_000)], TOO_LARGE),
    "a length beyond everything": ([framed(TEXT, HALF, told=2**62)], TOO_LARGE),
    "a large frame that never ends": ([framed(TEXT, HALF, told=10**9)], TOO_LARGE),
    "fragments without end": (
        [framed(TEXT, HALF, last=False)] + [framed(CONTINUATION, b"x" * 10_000, last=False)] * 300,
        TOO_LARGE,
    ),
    "empty fragments, then too much": (
        [
            framed(TEXT, last=False),
            *([framed(CONTINUATION, last=False)] * 300),
            framed(CONTINUATION, b"x" * (MOST + 1)),
        ],
        TOO_LARGE,
    ),
    "no mask": ([framed(TEXT, b"{}", masked=False)], DROPPED),
    "reserved bits": ([framed(TEXT, b"{}", reserved=4)], DROPPED),
    "a kind that is none": ([framed(0x3, b"{}")], DROPPED),
    "a control frame that is none": ([framed(0xF, b"{}")], DROPPED),
    "a long ping": ([framed(PING, b"x" * 126)], DROPPED),
    "a ping in fragments": ([framed(PING, b"x", last=False)], DROPPED),
    "a continuation of nothing": ([framed(CONTINUATION, b"{}")], DROPPED),
    "a message within a message": (
        [framed(TEXT, HALF, last=False), framed(TEXT, b"{}")],
        DROPPED,
    ),
    "a close of one byte": ([framed(CLOSE, b"\x03")], DROPPED),
    "a close with no such code": ([framed(CLOSE, struct.pack("!H", 1005))], DROPPED),
    "a close that explains itself in Latin-1": (
        [framed(CLOSE, struct.pack("!H", 1000) + b"\xe4\xff")],
        DROPPED,
    ),
    "a close with a code of ours": ([framed(CLOSE, struct.pack("!H", 4401))], {1000}),
    "a close without a code": ([framed(CLOSE)], {NO_CODE, 1000}),
    "bytes of another protocol": ([b"GET / HTTP/1.1\r\n\r\n" * 3], DROPPED),
    **{
        f"text that is not UTF-8: {bad!r}": ([framed(TEXT, b'{"a":"' + bad + b'"}')], DROPPED)
        for bad in BAD_BYTES
        if bad != b"\x00"
    },
    "pings and pongs of nobody": (
        [framed(PING, bytes(range(125))), framed(PONG, b"\xff" * 125), framed(PING)] * 20
        + [framed(CLOSE, struct.pack("!H", 1000))],
        {1000},
    ),
}

HANDSHAKES = {
    "no key": {"Sec-WebSocket-Key": ""},
    "a short key": {"Sec-WebSocket-Key": "AAAA"},
    "a version that is none": {"Sec-WebSocket-Version": "99"},
    "a version in words": {"Sec-WebSocket-Version": "thirteen"},
    "no connection": {"Connection": "close"},
    "another protocol": {"Upgrade": "h2c"},
    "a ticket of nobody": {"Sec-WebSocket-Protocol": "upsrs, upsrs.ticket.x"},
    "an origin of nowhere": {"Origin": "null"},
    "a foreign origin": {"Origin": "https://evil.example"},
    "an origin that is none": {"Origin": "http://[::1"},
    "a protocol twice": {"Sec-WebSocket-Protocol": "upsrs,upsrs"},
    "an extension of nobody": {"Sec-WebSocket-Extensions": "x-unknown; a=1"},
    "another host": {"Host": "evil.example"},
    "credentials in Latin-1": {"Authorization": "Token \xff\xfe"},
    "half of credentials": {"Authorization": "Token"},
}
NO_HTTP = [
    *(
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 99,
    ),
    b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000,
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2_000,
    b"GET " + b"/" * 100_000,
    b"POST /ups-rs/workitems HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /ups-rs/workitems HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST /ups-rs/workitems HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /ups-rs/workitems HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
]
UNFINISHED = [
    b"GET /ups-rs/wor",
    b"POST /ups-rs/workitems HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n[",
    b"POST /ups-rs/workitems HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    request("GET", "/ups-rs/workitems/subscription", UPGRADE)[:-2],
]


def no_secret(text: str) -> None:
    assert not any(secret in text for secret in SECRETS)


def check_problem(problem: dict, status: int) -> None:
    """RFC 9457, with a sentence that says what was wrong."""
    assert problem["status"] == status
    assert 400 <= status < 500
    assert problem["title"]
    assert problem["detail"]
    no_secret(json.dumps(problem, ensure_ascii=False))


class Attack:
    """One server, and everything that is thrown at it."""

    def __init__(self, server, backend, seed: int) -> None:
        self.server = server
        self.token = backend.tokens["alice"]
        self.seed = seed
        self.seen: Counter[str] = Counter()

    async def run(self, workitems: list[str]) -> None:
        async with asyncio.TaskGroup() as tasks, contextlib.AsyncExitStack() as held:
            for start in UNFINISHED:
                line = await held.enter_async_context(Line(self.server))
                await line.write(start)
            for number in range(2):
                tasks.create_task(self.requests(REQUESTS // 2, 10 * self.seed + number, workitems))
            for number in range(2):
                tasks.create_task(self.messages(MESSAGES // 2, 10 * self.seed + number))
            tasks.create_task(self.breaches())
            tasks.create_task(self.handshakes())

    async def requests(self, count: int, seed: int, workitems: list[str]) -> None:
        hostile = Hostile(seed)
        async with Line(self.server) as line:
            for number in range(count):
                method, path, headers, body = hostile.request(workitems)
                told = {"Authorization": f"Token {self.token}", **headers}
                with telling(
                    f"seed {seed}, request {number}: {method} {path} {headers} {body[:900]!r}"
                ):
                    status, told, answer = await line.ask(method, f"/ups-rs{path}", told, body)
                    self.seen[f"status {status}"] += 1
                    if status >= 400 and method != "HEAD":
                        assert told["content-type"] == "application/problem+json", answer
                        check_problem(json.loads(answer), status)

    async def messages(self, count: int, seed: int) -> None:
        hostile = Hostile(seed)
        made = [hostile.message() for _ in range(count)]
        for at in range(0, len(made), AT_ONCE):
            async with Socket(self.server, "/ups-rs/workitems/subscription", self.token) as socket:
                assert await socket.open() == 101
                texts = [it.decode("utf-8", "replace").encode() for it in made[at : at + AT_ONCE]]
                with telling(f"seed {seed}, messages {at} to {at + AT_ONCE}"):
                    await socket.write(*(framed(TEXT, text) for text in texts))
                    await socket.write(framed(TEXT, b'{"requestId":"last"}'))
                    await self._read_until_last(socket)
                    assert await socket.bye() in (1000, ABNORMAL)  # or it was quicker

    async def _read_until_last(self, socket: Socket) -> None:
        while True:
            kind, payload = await socket.frame()
            assert kind == TEXT, (kind, payload, close_code(payload))
            found = json.loads(payload)
            self.seen[found.get("eventType", f"problem {found.get('status')}")] += 1
            if "eventType" not in found:
                check_problem(found, found["status"])
                if found.get("requestId") == "last":
                    return

    async def breaches(self) -> None:
        table = list(BREACHES.items())
        paths = ["/ups-rs/workitems/subscription", "/ups-rs/subscribers/HOSTILE"]
        for number in range(LINES):
            name, (parts, codes) = table[number % len(table)]
            path = paths[number // len(table) % 2]
            async with Socket(self.server, path, self.token) as socket:
                with telling(f"{name} on {path}"):
                    assert await socket.open(trickle=number % 7 == 0) == 101
                    with contextlib.suppress(ConnectionError):  # it was closed meanwhile
                        for part in parts:
                            await socket.write(part)
                    code = await socket.until_closed()
                    self.seen[f"closed {code}"] += 1
                    assert code in codes

    async def handshakes(self) -> None:
        for name, changed in HANDSHAKES.items():
            async with Line(self.server) as line:
                with telling(name):
                    headers = {**UPGRADE, "Authorization": f"Token {self.token}", **changed}
                    await line.write(request("GET", "/ups-rs/workitems/subscription", headers))
                    status = await self._status(line)
                    self.seen[f"handshake {status}"] += 1
                    assert status < 500
        for start in NO_HTTP:
            async with Line(self.server) as line:
                with telling(repr(start[:100])), contextlib.suppress(ConnectionError):
                    await line.write(start)
                    line.writer.write_eof()
                    status = await self._status(line)
                    self.seen[f"no HTTP {status}"] += 1
                    assert status < 500

    async def _status(self, line: Line) -> int:
        """0 if the server closes without an answer."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            first = await line.reader.readline()
        return int(first.split(b" ", 2)[1]) if first else 0


@contextlib.contextmanager
def telling(what: str):
    """What was sent, where the answer is not as it should be."""
    try:
        yield
    except Exception as error:
        error.add_note(what[:1_500])
        raise


class Others:
    """A user who has nothing to do with it writes, and another socket of his hears it all."""

    def __init__(self, server, backend) -> None:
        self.server, self.backend = server, backend
        self.longest = 0.0
        self.count = 0

    async def __aenter__(self) -> Others:
        self.socket = Subscriber(self.server.general, self.backend.tokens["root"])
        await self.socket.__aenter__()
        await self.socket.subscribe({"worklistLabel": "OTHERS"})
        await self.socket.initial_state()
        self.task = asyncio.create_task(self._work())
        return self

    async def _work(self) -> None:
        async with Performer(self.server, self.backend, "root") as writer:
            while True:
                began = time.monotonic()
                uid = await writer.create(WorklistLabel="OTHERS")
                heard = await self.socket.next()
                self.longest = max(self.longest, time.monotonic() - began)
                self.count += 1
                assert (heard["eventType"], heard["workitemUID"]) == ("CREATED", uid)
                await asyncio.sleep(PAUSE_SECONDS)

    async def __aexit__(self, kind, error, _) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.socket.__aexit__(kind, error, _)


@pytest.mark.parametrize("again", range(max(1, int(FACTOR))))
async def test_nobody_else_notices(backend, start, again):
    server = start(
        backend,
        env={"UPSRS_MAX_BAD_MESSAGES": "1000", "UPSRS_MAX_MESSAGES_PER_MINUTE": "0"},
    )
    sizes = []
    async with Performer(server, backend) as performer:
        workitems = [await performer.create(WorklistLabel="HOSTILE") for _ in range(6)]
        for uid in workitems[:3]:
            assert (await performer.claim(uid, TRANSACTION_UID)).status_code == 200
    async with Others(server, backend) as others:
        for seed in (2 * again + 1, 2 * again + 2):
            attack = Attack(server, backend, seed)
            await attack.run(workitems)
            sizes.append(psutil.Process(server.process.pid).memory_info().rss)
            print(sorted(attack.seen.items()), others.count, others.longest, sizes)  # noqa: T201
    assert others.count
    assert sizes[1] - sizes[0] < GROWTH_BYTES
    assert "ERROR" not in server.log
    assert "Traceback" not in server.log
    no_secret(server.log)
