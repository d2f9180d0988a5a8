"""The transactions of a worklist (PS3.18 11.4 to 11.8), for performers and for those who order.

Standard library only: each request runs in a thread of its own, so that the loop never waits.
Datasets are DICOM JSON objects.
"""

from __future__ import annotations

import asyncio
import json
import ssl as tls
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from upsrs.client.addresses import credentials, http_address
from upsrs.client.errors import Refused, Unreachable, refused

__all__ = ["Claim", "Code", "Worklist"]

DICOM_JSON = "application/dicom+json"

ALREADY_IN_PROGRESS = "C302"

Dataset = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8)."""

    value: str
    scheme: str
    meaning: str

    def sequence(self) -> dict[str, Any]:
        """As a sequence of one item. A value of more than 16 characters is a Long Code Value."""
        value = (
            {"00080100": {"vr": "SH", "Value": [self.value]}}
            if len(self.value) <= 16
            else {"00080119": {"vr": "UC", "Value": [self.value]}}
        )
        item = {
            **value,
            "00080102": {"vr": "SH", "Value": [self.scheme]},
            "00080104": {"vr": "LO", "Value": [self.meaning]},
        }
        return {"vr": "SQ", "Value": [item]}


UNSPECIFIED = Code("110513", "DCM", "Discontinued for unspecified reason")
"""PS3.16 CID 9300."""


class Worklist:
    """One user's hands on a worklist."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        ae_title: str = "",
        headers: Mapping[str, str] | None = None,
        ssl: tls.SSLContext | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        """``url`` is the base of the service, ``https://portal.example/ups-rs``; ``ae_title``
        becomes the performer of what is claimed.
        """
        self.ae_title = ae_title
        self._base = http_address(url)
        self._headers = credentials(token, headers)
        self._timeout = timeout_seconds
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if ssl is not None:
            handlers.append(urllib.request.HTTPSHandler(context=ssl))
        self._opener = urllib.request.build_opener(*handlers)

    async def create(self, dataset: Dataset, workitem_uid: str | None = None) -> str:
        """Put a workitem on the worklist; its UID.

        That is the argument, else SOP Instance UID (0008,0018) of the dataset, else a new one.
        """
        [own, *_] = dataset.get("00080018", {}).get("Value") or [None]
        uid = workitem_uid or own or _new_uid()
        await self._ask("POST", f"/workitems?{urlencode({'workitem': uid})}", [dataset])
        return uid

    async def retrieve(self, workitem_uid: str) -> Dataset:
        [dataset] = await self._ask("GET", f"/workitems/{quote(workitem_uid)}")
        return dict(dataset)

    async def update(
        self, workitem_uid: str, dataset: Dataset, transaction_uid: str | None = None
    ) -> None:
        """Change attributes; sequences are replaced whole (PS3.18 11.6)."""
        key = f"?{urlencode({'transaction-uid': transaction_uid})}" if transaction_uid else ""
        await self._ask("POST", f"/workitems/{quote(workitem_uid)}{key}", [dataset])

    async def request_cancellation(self, workitem_uid: str, reason: str = "") -> None:
        """Ask for the end of a workitem that is not one's own. The performer may go on."""
        body = [{"00741238": {"vr": "LT", "Value": [reason]}}] if reason else None
        await self._ask(
            "POST", f"/workitems/{quote(workitem_uid)}/cancelrequest{self._requester()}", body
        )

    async def claim(self, workitem_uid: str, transaction_uid: str | None = None) -> Claim:
        """Take a workitem: IN PROGRESS, and nobody else's from now on.

        Whoever knows the Transaction UID holds the workitem. One is made here unless given: keep
        it where a restarted performer finds it. Raises `Refused` if somebody else was quicker.
        """
        claim = Claim(self, workitem_uid, transaction_uid or _new_uid())
        try:
            await claim._change_state("IN PROGRESS")
        except Unreachable:
            # The answer is lost, and perhaps only the answer. "Already IN PROGRESS" to the same
            # Transaction UID means that it is ours (PS3.4 Table CC.1.1-2); a stranger's is
            # "incorrect".
            try:
                await claim._change_state("IN PROGRESS")
            except Refused as refusal:
                if refusal.problem.get("dicomStatus") != ALREADY_IN_PROGRESS:
                    raise
        return claim

    def _requester(self) -> str:
        return f"?{urlencode({'requester': self.ae_title})}" if self.ae_title else ""

    async def _ask(
        self, method: str, path: str, body: Any = None, media_type: str = DICOM_JSON
    ) -> Any:
        return await asyncio.to_thread(self._ask_now, method, path, body, media_type)

    def _ask_now(self, method: str, path: str, body: Any, media_type: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": DICOM_JSON, **self._headers}
        if data is not None:
            headers["Content-Type"] = media_type
        elif method != "GET":
            headers["Content-Length"] = "0"
        request = urllib.request.Request(  # noqa: S310 - http_address lets http and https pass only
            self._base + path, data, headers, method=method
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(), str(error.reason)) from None
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise Unreachable(f"The server did not answer: {reason}") from error
        return json.loads(content) if content else None


@dataclass
class Claim:
    """A workitem that is ours to perform, until it is completed or canceled."""

    worklist: Worklist
    workitem_uid: str
    transaction_uid: str = field(repr=False)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def report_progress(
        self,
        percent: float | None = None,
        description: str | None = None,
        *,
        completed: int | None = None,
        failed: int | None = None,
        warning: int | None = None,
        remaining: int | None = None,
    ) -> None:
        """Say how far the work is; what is not given stays as it was."""
        said = {
            "procedureStepProgress": percent,
            "procedureStepProgressDescription": description,
            "numberOfCompletedSuboperations": completed,
            "numberOfFailedSuboperations": failed,
            "numberOfWarningSuboperations": warning,
            "numberOfRemainingSuboperations": remaining,
        }
        key = urlencode({"transaction-uid": self.transaction_uid})
        await self.worklist._ask(
            "POST",
            f"/workitems/{quote(self.workitem_uid)}/progress?{key}",
            {name: value for name, value in said.items() if value is not None},
            "application/json",
        )

    async def update(self, dataset: Dataset) -> None:
        await self.worklist.update(self.workitem_uid, dataset, self.transaction_uid)

    async def complete(
        self,
        performed: Code,
        station: Code,
        *,
        output: list[Dataset] | None = None,
        description: str = "",
    ) -> None:
        """Done. What was performed, where, from when to when, and what came of it.

        These are the attributes that COMPLETED needs (PS3.4 Table CC.2.5-3, code P); ``output``
        are items of Output Information Sequence (0040,4033), none if nothing was made.
        """
        item: Dataset = {
            "00404019": performed.sequence(),
            "00404028": station.sequence(),
            "00404033": {"vr": "SQ", **({"Value": output} if output else {})},
            "00404050": _moment(self.began),
            "00404051": _moment(datetime.now(UTC)),
        }
        if description:
            item["00400254"] = {"vr": "LO", "Value": [description]}
        await self.update({"00741216": {"vr": "SQ", "Value": [dict(sorted(item.items()))]}})
        await self._change_state("COMPLETED")

    async def cancel(self, reason: Code = UNSPECIFIED, text: str = "") -> None:
        """Stop for good, and say why (PS3.4 Table CC.2.5-3, code X; PS3.16 CID 9300)."""
        dataset = await self.worklist.retrieve(self.workitem_uid)
        # The sequence is replaced whole: what was reported of the progress must be repeated.
        item = dict(next(iter(dataset.get("00741002", {}).get("Value", ())), {}))
        item["0074100E"] = reason.sequence()
        if text:
            item["00741238"] = {"vr": "LT", "Value": [text]}
        await self.update({"00741002": {"vr": "SQ", "Value": [dict(sorted(item.items()))]}})
        await self._change_state("CANCELED")

    async def _change_state(self, state: str) -> None:
        body = {
            "00081195": {"vr": "UI", "Value": [self.transaction_uid]},
            "00741000": {"vr": "CS", "Value": [state]},
        }
        path = f"/workitems/{quote(self.workitem_uid)}/state{self.worklist._requester()}"
        await self.worklist._ask("PUT", path, [body])


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Following one would hand the token to wherever it points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _refusal(status: int, body: bytes, reason: str) -> Refused:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    return refused(status, str(problem.get("detail") or reason), problem)


def _new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def _moment(at: datetime) -> dict[str, Any]:
    return {"vr": "DT", "Value": [at.strftime("%Y%m%d%H%M%S.%f+0000")]}
