"""The transactions of a worklist (PS3.18 11.4 to 11.11), for performers and for those who order.

Standard library only, and blocking; `upsrs.client.worklist` is the same for an event loop. Datasets
are DICOM JSON objects. Nothing here needs a server of ours: what the standard leaves open, and what
servers do otherwise, is met where it comes up.
"""

from __future__ import annotations

import json
import re
import ssl as tls
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, unquote, urlencode

from upsrs.client.addresses import channel_address, credentials, http_address
from upsrs.client.errors import ClientError, Refused, Unreachable, refused

__all__ = ["Claim", "Code", "Dataset", "Subscribed", "Worklist"]

GLOBAL_SUBSCRIPTION = "1.2.840.10008.5.1.4.34.5"
FILTERED_GLOBAL_SUBSCRIPTION = "1.2.840.10008.5.1.4.34.5.1"
"""The whole worklist, and what a filter means of it, as targets of a subscription (PS3.4 CC.2.3)."""

DICOM_JSON = "application/dicom+json"

ALREADY_IN_PROGRESS = "C302"

PROGRESS_INFORMATION = "00741002"

WARNING = re.compile(r"299 \S+ ")
"""How each begins: who warns (PS3.18 8.3.4.2)."""

MORE_REMAIN = "additional results"
"""What a Search says that has left some out (PS3.18 8.3.4.4)."""

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


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What a server answered to a Subscribe."""

    channel: str
    """Where the AE hears its events."""
    warning: str
    """The server's words, if it granted no deletion lock; else empty."""


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
        becomes the performer of what is claimed, and is who subscribes. ``headers`` carry other
        credentials than a token.
        """
        self.ae_title = ae_title
        self._base = http_address(url)
        self._headers = credentials(token, headers)
        self._timeout = timeout_seconds
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if ssl is not None:
            handlers.append(urllib.request.HTTPSHandler(context=ssl))
        self._opener = urllib.request.build_opener(*handlers)

    def create(self, dataset: Dataset, workitem_uid: str | None = None) -> str:
        """Put a workitem on the worklist; its UID.

        That is the argument, else SOP Instance UID (0008,0018) of the dataset, else a new one; and
        what the server made of it.
        """
        [own, *_] = dataset.get("00080018", {}).get("Value") or [None]
        uid = workitem_uid or own or _new_uid()
        answer = self._ask("POST", f"/workitems?{_query({'workitem': uid})}", [dataset])
        # Some servers do not know the parameter, and give a UID of their own.
        given = answer.headers.get("Location", "").rstrip("/").rpartition("/workitems/")[2]
        return unquote(given) or uid

    def retrieve(self, workitem_uid: str) -> Dataset:
        [dataset] = self._ask("GET", f"/workitems/{quote(workitem_uid)}").datasets
        return dataset

    def search(
        self, keys: Mapping[str, str] | None = None, *, limit: int | None = None
    ) -> list[Dataset]:
        """The workitems that match, by keyword or tag (PS3.18 11.9); all of them, or ``limit``.

        ``{"ProcedureStepState": "SCHEDULED", "WorklistLabel": "AI"}``; with
        ``{"includefield": "all"}`` each is whole. A server that tells only some at once is asked
        again for the others.
        """
        found: list[Dataset] = []
        while limit is None or len(found) < limit:
            query = {**(keys or {}), "offset": len(found), "limit": limit and limit - len(found)}
            asked = _query({name: value for name, value in query.items() if value})
            answer = self._ask("GET", f"/workitems?{asked}" if asked else "/workitems")
            found += answer.datasets
            there_is_more = answer.status == 206 or MORE_REMAIN in answer.warning
            if not (there_is_more and answer.datasets):
                break
        return found

    def update(
        self, workitem_uid: str, dataset: Dataset, transaction_uid: str | None = None
    ) -> None:
        """Change attributes; sequences are replaced whole (PS3.18 11.6)."""
        key = f"?{_query({'transaction-uid': transaction_uid})}" if transaction_uid else ""
        self._ask("POST", f"/workitems/{quote(workitem_uid)}{key}", [dataset])

    def request_cancellation(self, workitem_uid: str, reason: str = "") -> None:
        """Ask for the end of a workitem that is not one's own. The performer may go on."""
        body = [{"00741238": {"vr": "LT", "Value": [reason]}}] if reason else None
        self._ask(
            "POST", f"/workitems/{quote(workitem_uid)}/cancelrequest{self._requester()}", body
        )

    def claim(self, workitem_uid: str, transaction_uid: str | None = None) -> Claim:
        """Take a workitem: IN PROGRESS, and nobody else's from now on.

        Whoever knows the Transaction UID holds the workitem. One is made here unless given: keep
        it where a restarted performer finds it. Raises `Refused` if somebody else was quicker.
        """
        claim = Claim(self, workitem_uid, transaction_uid or _new_uid())
        try:
            claim._change_state("IN PROGRESS")
        except Unreachable:
            claim._make_sure()
        return claim

    def subscribe(
        self,
        workitem_uid: str | None = None,
        *,
        filter: Mapping[str, str] | None = None,  # noqa: A002 - the standard's word
        deletion_lock: bool = False,
    ) -> Subscribed:
        """Have events of a workitem, of what ``filter`` means, or of all sent to `ae_title`.

        ``filter`` has the keys of a search: ``{"WorklistLabel": "AI"}`` (PS3.18 11.10). With a
        deletion lock the server keeps what it covers until it is unsubscribed from.
        """
        query = []
        if filter:
            # As the standard's grammar has it: what is inside a value is encoded, and no more.
            keys = (f"{quote(name)}={quote(value, safe='')}" for name, value in filter.items())
            query.append(f"filter={','.join(keys)}")
        if deletion_lock:
            query.append("deletionlock=true")
        path = self._subscriber(workitem_uid, filter)
        answer = self._ask("POST", f"{path}?{'&'.join(query)}" if query else path)
        told = [answer.headers.get(name, "") for name in ("Content-Location", "Location")]
        channel = channel_address(self._base, path, told)
        return Subscribed(channel, answer.warning)

    def unsubscribe(
        self,
        workitem_uid: str | None = None,
        *,
        filter: Mapping[str, str] | None = None,  # noqa: A002 - the standard's word
    ) -> None:
        """No more events of a workitem; without one, no more of any (PS3.18 11.11)."""
        self._ask("DELETE", self._subscriber(workitem_uid, filter))

    def _subscriber(self, workitem_uid: str | None, filter_: Mapping[str, str] | None) -> str:
        if not self.ae_title:
            raise ValueError("Only an AE title can be subscribed: give the worklist one.")
        target = FILTERED_GLOBAL_SUBSCRIPTION if filter_ else GLOBAL_SUBSCRIPTION
        title = quote(self.ae_title, safe="")
        return f"/workitems/{quote(workitem_uid or target)}/subscribers/{title}"

    def _requester(self) -> str:
        return f"?{_query({'requester': self.ae_title})}" if self.ae_title else ""

    def _ask(self, method: str, path: str, body: Any = None) -> _Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": DICOM_JSON, **self._headers}
        if data is not None:
            headers["Content-Type"] = DICOM_JSON
        elif method != "GET":
            headers["Content-Length"] = "0"
        request = urllib.request.Request(  # noqa: S310 - http_address lets http and https pass only
            self._base + path, data, headers, method=method
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return _Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                refusal = _Answer(error.code, error.headers, error.read())
                raise refusal.refusal(str(error.reason)) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error  # urllib wraps what it was
            cause = reason if isinstance(reason, Exception) else error
            raise Unreachable(f"The server did not answer: {reason}") from cause


@dataclass
class Claim:
    """A workitem that is ours to perform, until it is completed or canceled."""

    worklist: Worklist
    workitem_uid: str
    transaction_uid: str = field(repr=False)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _progress: Dataset | None = field(default=None, init=False, repr=False)
    """The item of Progress Information Sequence. Only who holds the claim changes it."""

    def report_progress(
        self,
        percent: float | None = None,
        description: str | None = None,
        *,
        completed: int | None = None,
        failed: int | None = None,
        warning: int | None = None,
        remaining: int | None = None,
    ) -> None:
        """Say how far the work is; what is not given stays as it was.

        The counts are of suboperations, and ours: other servers keep them, if they do, as they keep
        any private attribute.
        """
        said: Dataset = {}
        if percent is not None:
            # A DS has 16 characters: a third of 100 would have more.
            said["00741004"] = {"vr": "DS", "Value": [round(percent, 6)]}
        if description is not None:
            said["00741006"] = {"vr": "ST", "Value": [description]}
        for number, count in enumerate((completed, failed, warning, remaining)):
            if count is not None:
                said["00750010"] = {"vr": "LO", "Value": ["UPSRS"]}
                said[f"0075102{number}"] = {"vr": "UL", "Value": [count]}
        self._tell(said)

    def update(self, dataset: Dataset) -> None:
        self.worklist.update(self.workitem_uid, dataset, self.transaction_uid)

    def complete(
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
        self.update({"00741216": {"vr": "SQ", "Value": [dict(sorted(item.items()))]}})
        self._change_state("COMPLETED")

    def cancel(self, reason: Code = UNSPECIFIED, text: str = "") -> None:
        """Stop for good, and say why (PS3.4 Table CC.2.5-3, code X; PS3.16 CID 9300)."""
        said = {"0074100E": reason.sequence()}
        if text:
            said["00741238"] = {"vr": "LT", "Value": [text]}
        self._tell(said)
        self._change_state("CANCELED")

    def _tell(self, said: Dataset) -> None:
        """The sequence is replaced whole: what was told of the progress before is repeated."""
        if self._progress is None:
            dataset = self.worklist.retrieve(self.workitem_uid)
            [self._progress, *_] = dataset.get(PROGRESS_INFORMATION, {}).get("Value") or [{}]
        item = dict(sorted({**self._progress, **said}.items()))
        self.update({PROGRESS_INFORMATION: {"vr": "SQ", "Value": [item]}})
        self._progress = item

    def _change_state(self, state: str) -> None:
        body = {
            "00081195": {"vr": "UI", "Value": [self.transaction_uid]},
            "00741000": {"vr": "CS", "Value": [state]},
        }
        path = f"/workitems/{quote(self.workitem_uid)}/state{self.worklist._requester()}"
        self.worklist._ask("PUT", path, [body])

    def _make_sure(self) -> None:
        """The answer to the claim is lost, and perhaps only the answer: claim again.

        "Already IN PROGRESS" to the same Transaction UID means that it is ours (PS3.4 Table
        CC.1.1-2); a stranger's is "incorrect". A server that does not tell them apart lets only the
        holder update the workitem (PS3.4 CC.2.6.3), here to what it is.
        """
        try:
            self._change_state("IN PROGRESS")
        except Refused as refusal:
            status = refusal.problem.get("dicomStatus")
            if status is None and refusal.status in (400, 409):
                self._tell({})
            elif status != ALREADY_IN_PROGRESS:
                raise


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Message
    content: bytes = field(repr=False)

    @property
    def datasets(self) -> list[Dataset]:
        """DICOM JSON is an array (PS3.18 F.2); of one workitem, some servers send the object."""
        try:
            content = json.loads(self.content) if self.content else []
        except ValueError:
            raise ClientError("What answers at this address does not speak UPS-RS.") from None
        return content if isinstance(content, list) else [content]

    @property
    def warning(self) -> str:
        """What the Warning header says, without the server's address."""
        return WARNING.sub("", ", ".join(self.headers.get_all("Warning", [])))

    def refusal(self, reason: str) -> Refused:
        """A problem document says why (RFC 9457), else the Warning header, else the status."""
        try:
            problem = json.loads(self.content)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {}
        said = problem.get("detail") or self.warning or reason
        return refused(self.status, str(said), problem)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Following one would hand the token to wherever it points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _query(parameters: Mapping[str, Any]) -> str:
    """Percent-encoded: in a query of the standard a plus sign is no space (PS3.18 8.3.1)."""
    return urlencode(parameters, quote_via=quote)


def _new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def _moment(at: datetime) -> dict[str, Any]:
    return {"vr": "DT", "Value": [at.strftime("%Y%m%d%H%M%S.%f+0000")]}
