"""What a RIS and a performer do over REST: one HTTP client of one server, for one user."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import httpx

from tests import datasets
from tests.live.parts import PATIENCE_SECONDS
from tests.live.server import Backend, Server

DICOM_JSON = {"Content-Type": "application/dicom+json"}


class Performer:
    """One user at one server::

    async with Performer(server, backend) as ris:
        uid = await ris.create(WorklistLabel="AI")
        assert (await ris.claim(uid, "2.25.7", "AI1")).status_code == 200

    Only `create` fails the test when it is refused; the others answer what the server answered.
    """

    def __init__(self, server: Server, backend: Backend, user: str = "alice") -> None:
        self.url = server.rest
        self.http = httpx.AsyncClient(
            headers={"Authorization": f"Token {backend.tokens[user]}"},
            timeout=PATIENCE_SECONDS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def create(self, **changes: Any) -> str:
        """Create a workitem, by keyword; its UID."""
        uid = datasets.new_uid()
        answer = await self.send("POST", "", datasets.dataset(SOPInstanceUID=uid, **changes))
        assert answer.status_code == 201, answer.text
        return uid

    async def claim(
        self, workitem_uid: str, transaction_uid: str, requester: str = ""
    ) -> httpx.Response:
        return await self.move(workitem_uid, "IN PROGRESS", transaction_uid, requester)

    async def move(
        self, workitem_uid: str, state: str, transaction_uid: str, requester: str = ""
    ) -> httpx.Response:
        body = datasets.elements(ProcedureStepState=state, TransactionUID=transaction_uid)
        query = {"requester": requester} if requester else {}
        return await self.send("PUT", f"/{workitem_uid}/state", body, **query)

    async def update(
        self, workitem_uid: str, transaction_uid: str = "", **changes: Any
    ) -> httpx.Response:
        """Change attributes, by keyword."""
        query = {"transaction-uid": transaction_uid} if transaction_uid else {}
        return await self.send("POST", f"/{workitem_uid}", datasets.elements(**changes), **query)

    async def progress(
        self, workitem_uid: str, transaction_uid: str, percent: float
    ) -> httpx.Response:
        return await self.http.post(
            f"{self.url}/{workitem_uid}/progress",
            params={"transaction-uid": transaction_uid},
            json={"procedureStepProgress": percent},
        )

    async def request_cancel(self, workitem_uid: str, **reasons: Any) -> httpx.Response:
        return await self.send(
            "POST", f"/{workitem_uid}/cancelrequest", datasets.elements(**reasons)
        )

    async def retrieve(self, workitem_uid: str) -> httpx.Response:
        return await self.http.get(f"{self.url}/{workitem_uid}")

    async def send(
        self, method: str, path: str, body: datasets.JSONDataset | bytes, **query: str
    ) -> httpx.Response:
        """Any request, good or bad: bytes as they are, a dataset as DICOM JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.request(
            method, self.url + path, params=query, content=content, headers=DICOM_JSON
        )
