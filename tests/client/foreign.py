"""Somebody else's UPS-RS server: the standard, and nothing of ours.

It keeps nothing for who is not listening, tells no places, ignores queries that it does not know,
says why in the Warning header and in HTML, and has the errors of the standard's printed examples.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import uvicorn

GLOBAL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
STATE, READINESS, KEY = "00741000", "00404041", "00081195"
PAGE = 2
"""So many results of a search are told at once."""

Dataset = dict[str, Any]


def first(dataset: Dataset, tag: str) -> Any:
    return (dataset.get(tag, {}).get("Value") or [None])[0]


class Foreign:
    """One server; ``told`` makes the headers that tell where the channel is, of the port and the AE.

    ``channel`` is where it really is, below the root.
    """

    def __init__(
        self,
        told: Callable[[int, str], dict[str, str]] = lambda port, ae: {
            "Content-Location": f"ws://127.0.0.1:{port}/dicom-web/subscribers/{ae}"
        },
        channel: str = "/dicom-web/subscribers/",
    ) -> None:
        self.told = told
        self.channel = channel
        self.workitems: dict[str, Dataset] = {}
        self.keys: dict[str, str] = {}
        self.subscribed: list[tuple[str, str, str]] = []
        """(AE title, target, query) of each Subscribe that there is."""
        self.requests: list[tuple[str, str]] = []
        """(method, path) of each request."""
        self.lines: list[asyncio.Queue[Dataset | int]] = []
        """Of each connection what is to be sent; a number closes it."""
        self.opened: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        """(path, query, headers) of each connection that was let in."""
        self.refuse: list[int] = []
        """Statuses of the next answers to Subscribe, instead of doing it; 0 does it."""

    async def __aenter__(self) -> Foreign:
        config = uvicorn.Config(
            self, port=0, lifespan="off", ws="websockets-sansio", log_level="critical"
        )
        self.server = uvicorn.Server(config)
        self.serving = asyncio.create_task(self.server.serve())
        while not self.server.started:
            assert not self.serving.done(), "it does not start"
            await asyncio.sleep(0.005)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/dicom-web"
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self.lines:
            line.put_nowait(1001)
        self.server.should_exit = True
        await self.serving

    def add(self, uid: str, state: str = "SCHEDULED") -> None:
        self.workitems[uid] = {
            "00080018": {"vr": "UI", "Value": [uid]},
            READINESS: {"vr": "CS", "Value": ["READY"]},
            STATE: {"vr": "CS", "Value": [state]},
        }

    def report(self, uid: str, number: int = 1, **members: Any) -> Dataset:
        """As the standard prints it: another SOP class, and the wrong VRs (PS3.18 11.13)."""
        return {
            "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.4"]},
            "00000100": {"vr": "US", "Value": [256]},
            "00000110": {"vr": "US", "Value": [23]},
            "00001000": {"vr": "UI", "Value": [uid]},
            "00001002": {"vr": "US", "Value": [number]},
            **members,
        }

    def state_report(self, uid: str) -> Dataset:
        workitem = self.workitems[uid]
        told = {READINESS: {**workitem[READINESS], "vr": "US"}, STATE: workitem[STATE]}
        return self.report(uid, **told)

    def tell(self, report: Dataset | int) -> None:
        """To whoever listens now."""
        for line in self.lines:
            line.put_nowait(report)

    # ASGI

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._channel(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        query = scope["query_string"].decode().replace("+", "%2B")  # it is no form
        self.requests.append((scope["method"], scope["path"]))
        parts = scope["raw_path"].decode().removeprefix("/dicom-web/").split("/")
        status, headers, content = self._answer(scope["method"], parts, query, body)
        if status >= 400:
            content = b"<h1>No</h1>"
        sent = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        sent.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": content})

    def _answer(
        self, method: str, parts: list[str], query: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        said: Dataset = json.loads(body)[0] if body else {}
        match method, parts:
            case "POST", ["workitems"]:
                uid = f"1.2.3.{len(self.workitems)}"  # its own, whatever is wished
                self.add(uid)
                return 201, {"Location": f"/dicom-web/workitems/{uid}", **warning("Changed.")}, b""
            case "GET", ["workitems"]:
                return self._search(parse_qs(query))
            case "GET", ["workitems", uid] if uid in self.workitems:
                return 200, {}, json.dumps(self.workitems[uid]).encode()  # not in an array
            case "POST", ["workitems", uid] if uid in self.workitems:
                key = parse_qs(query).get("transaction-uid", [""])[0]
                if key != self.keys.get(uid, ""):
                    return 400, warning("The Transaction UID is incorrect."), b""
                self.workitems[uid] |= said
                return 200, {}, b""
            case "PUT", ["workitems", uid, "state"] if uid in self.workitems:
                return self._change_state(uid, first(said, STATE), first(said, KEY))
            case "POST", ["workitems", uid, "cancelrequest"] if uid in self.workitems:
                return 202, warning("The UPS is already in the requested state of CANCELED."), b""
            case "POST", ["workitems", target, "subscribers", ae]:
                return self._subscribe(unquote(ae), target, query)
            case "DELETE", ["workitems", target, "subscribers", ae]:
                kept = [it for it in self.subscribed if it[:2] != (unquote(ae), target)]
                gone, self.subscribed = len(kept) < len(self.subscribed), kept
                return (200 if gone else 404), {}, b""
        return 404, {}, b""

    def _search(self, query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        offset = int(query.get("offset", ["0"])[0])
        limit = min(PAGE, int(query.get("limit", [str(PAGE)])[0]))
        state = query.get("ProcedureStepState", [None])[0]
        found = [it for it in self.workitems.values() if state in (None, first(it, STATE))]
        page, remaining = found[offset : offset + limit], len(found) - offset - limit
        if not page:
            return 204, {}, b""
        text = f"There are {remaining} additional results that can be requested"
        return 200, warning(text) if remaining > 0 else {}, json.dumps(page).encode()

    def _change_state(self, uid: str, state: str, key: str) -> tuple[int, dict[str, str], bytes]:
        known = self.keys.setdefault(uid, key)
        if key != known:
            return 400, warning("The Transaction UID is incorrect."), b""
        if first(self.workitems[uid], STATE) == state:
            return 409, warning("The submitted request is inconsistent with the state."), b""
        self.workitems[uid][STATE] = {"vr": "CS", "Value": [state]}
        self.tell(self.state_report(uid))
        return 200, {}, b""

    def _subscribe(self, ae: str, target: str, query: str) -> tuple[int, dict[str, str], bytes]:
        status = self.refuse.pop(0) if self.refuse else 0
        if status:
            return status, warning("Filtered Worklist Subscriptions are not supported."), b""
        self.subscribed.append((ae, target, query))
        if target in self.workitems:
            self.tell(self.state_report(target))
        refused = warning("Deletion Lock not granted.") if "deletionlock=true" in query else {}
        return 201, {**self.told(self.port, quote(ae)), **refused}, b""

    async def _channel(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if not scope["path"].startswith(self.channel):
            body = {"type": "websocket.http.response.body", "body": b""}
            await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
            await send(body)
            return
        await send({"type": "websocket.accept"})
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        line: asyncio.Queue[Dataset | int] = asyncio.Queue()
        self.lines.append(line)
        self.opened.append((scope["path"], query, headers))
        gone = asyncio.create_task(receive())
        while True:
            sending = asyncio.create_task(line.get())
            await asyncio.wait([gone, sending], return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                sending.cancel()
                break
            report = sending.result()
            if isinstance(report, int):
                gone.cancel()
                await send({"type": "websocket.close", "code": report})
                break
            await send({"type": "websocket.send", "text": json.dumps(report)})
        self.lines.remove(line)


def warning(text: str) -> dict[str, str]:
    return {"Warning": f'299 pacs.example:80 "{text}"'}
