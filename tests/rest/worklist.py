"""A client of the worklist service, one method per transaction, and what it sends.

It speaks HTTP only: the tests that use it would hold for any implementation.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import async_to_sync
from channels.testing import HttpCommunicator
from django.core.asgi import get_asgi_application
from django.db import connection
from django.http import HttpResponse
from rest_framework.test import APIClient

from tests.datasets import MINIMAL, JSONDataset, code, elements, new_uid
from tests.live.parts import PATIENCE_SECONDS

BASE = "/ups-rs"
SERVICE = "http://testserver/ups-rs"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
MULTIPART_XML = f'multipart/related; type="{DICOM_XML}"'

STATES = ("SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")

T = "2.25.4711471147114711471147114711"
"""The performer's Transaction UID."""
T2 = "2.25.8150815081508150815081508150"
"""Somebody else's."""


def text(vr: str, *values: Any) -> JSONDataset:
    """An attribute as sent; ``elements`` of `tests.datasets` makes valid ones from keywords."""
    return {"vr": vr, "Value": list(values)}


def payload(changes: Mapping[str, Any] | None = None, *, without: str = "") -> JSONDataset:
    """A complete Create payload without a UID, changed by tag, and without one attribute."""
    stations = [code("CT1"), code("CT2")]
    named = elements(WorklistLabel="TRIAGE", ScheduledStationNameCodeSequence=stations)
    dataset = {**copy.deepcopy(MINIMAL), **named, **(changes or {})}
    dataset.pop(without, None)
    return dataset


PERFORMED = elements(
    UnifiedProcedureStepPerformedProcedureSequence=[
        elements(
            PerformedWorkitemCodeSequence=[code("110001", "DCM", "Image Processing")],
            PerformedStationNameCodeSequence=[code("WS1")],
            OutputInformationSequence=[],
            PerformedProcedureStepStartDateTime="20260105081500",
            PerformedProcedureStepEndDateTime="20260105082210",
        )
    ]
)
"""The update that makes a workitem ready for COMPLETED."""

REASON = elements(
    ProcedureStepProgressInformationSequence=[
        elements(
            ProcedureStepDiscontinuationReasonCodeSequence=[
                code("110513", "DCM", "Discontinued for unspecified reason")
            ]
        )
    ]
)
"""The update that makes a workitem ready for CANCELED."""


class Worklist:
    """The service as one user sees it."""

    def __init__(self, user: Any = None, **options: Any) -> None:
        self.http = APIClient(**options)
        if user is not None:
            self.http.force_login(user)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = DICOM_JSON,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """``body`` as it is if it is bytes, else as JSON; None is no body and no Content-Type."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return self.http.generic(
            method,
            f"{BASE}/workitems{path}",
            data or b"",
            content_type="" if data is None else content_type,
            headers=headers,
        )

    def create(self, dataset: Any, query: str = "", **options: Any) -> HttpResponse:
        return self.send("POST", query, [dataset], **options)

    def retrieve(self, uid: str, query: str = "", **options: Any) -> HttpResponse:
        return self.send("GET", f"/{uid}{query}", **options)

    def update(self, uid: str, dataset: Any, query: str = "", **options: Any) -> HttpResponse:
        return self.send("POST", f"/{uid}{query}", [dataset], **options)

    def change_state(
        self, uid: str, state: str, transaction_uid: str | None, rest: str = "", **options: Any
    ) -> HttpResponse:
        change = {"00741000": text("CS", state)}
        if transaction_uid is not None:
            change["00081195"] = text("UI", transaction_uid)
        return self.send("PUT", f"/{uid}/state{rest}", [change], **options)

    def request_cancel(
        self, uid: str, dataset: Any = None, rest: str = "", **options: Any
    ) -> HttpResponse:
        body = None if dataset is None else [dataset]
        return self.send("POST", f"/{uid}/cancelrequest{rest}", body, **options)

    def report_progress(
        self, uid: str, members: Any, query: str = "", **options: Any
    ) -> HttpResponse:
        options = {"content_type": "application/json", **options}
        return self.send("POST", f"/{uid}/progress{query}", members, **options)

    def through_asgi(
        self, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> HttpResponse:
        """Create by way of Django's ASGI handler: there are chunked bodies, and path prefixes.

        It runs in a thread of its own, so the test needs rows that are committed.
        """
        csrf = "a" * 32
        cookies = f"sessionid={self.http.cookies['sessionid'].value}; csrftoken={csrf}"
        common = [
            (b"host", b"testserver"),
            (b"cookie", cookies.encode()),
            (b"x-csrftoken", csrf.encode()),
            (b"content-type", DICOM_JSON.encode()),
        ]
        path = f"{BASE}/workitems?workitem={new_uid()}"

        async def send() -> dict[str, Any]:
            communicator = HttpCommunicator(
                get_asgi_application(), "POST", path, body=body, headers=[*common, *headers]
            )
            answer = await communicator.get_response(timeout=PATIENCE_SECONDS)
            await communicator.wait(timeout=PATIENCE_SECONDS)  # it puts the body away last
            return answer

        answer = async_to_sync(send)()
        names = {name.decode(): value.decode() for name, value in answer["headers"]}
        return HttpResponse(answer["body"], status=answer["status"], headers=names)

    def dataset(self, uid: str) -> JSONDataset:
        """The workitem as it is now."""
        response = self.retrieve(uid)
        assert response.status_code == 200, response.content
        [dataset] = response.json()
        return dataset

    def state(self, uid: str) -> str:
        return self.dataset(uid)["00741000"]["Value"][0]

    def workitem(self, state: str = "SCHEDULED", **changes: Any) -> str:
        """The UID of a new workitem that was brought to ``state`` with `T`, step by step."""
        uid = new_uid()
        steps = [lambda: self.create(payload(changes), f"?workitem={uid}")]
        if state != "SCHEDULED":
            steps.append(lambda: self.change_state(uid, "IN PROGRESS", T))
        if state == "COMPLETED":
            steps.append(lambda: self.update(uid, PERFORMED, f"?{T}"))
        if state == "CANCELED":
            steps.append(lambda: self.update(uid, REASON, f"?{T}"))
        if state in ("COMPLETED", "CANCELED"):
            steps.append(lambda: self.change_state(uid, state, T))
        for step in steps:
            response = step()
            assert response.status_code in (200, 201), response.content
        return uid


def at_once(*requests: Callable[[], HttpResponse]) -> list[HttpResponse]:
    """The answers to requests that start together, each in a thread of its own."""
    start = threading.Barrier(len(requests))

    def send(request: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            start.wait(PATIENCE_SECONDS)
            return request()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(send, requests))


def problem(response: HttpResponse, status: int) -> dict[str, Any]:
    """The RFC 9457 body of a refusal; ``status`` is what it must be."""
    assert response.status_code == status, (response.status_code, response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    assert body["detail"]
    return body


def warns(response: HttpResponse, sentence: str) -> None:
    """The response has exactly this Warning (PS3.18 8.3.4.2)."""
    assert response["Warning"] == f"299 {SERVICE}: {sentence}"
