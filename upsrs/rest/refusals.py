"""How the REST door says no: one table per transaction, from refusal to status and Warning.

PS3.18 says it in prose, transaction by transaction: the same workitem in its final state is 400 to
Update (11.6.3.1) and 409 to Request Cancellation (11.8.3.1). Every refusal has an RFC 9457 body,
whatever the request would have accepted. Knows HTTP; decides nothing.
"""

from __future__ import annotations

import json
import logging
import math
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import responses
from typing import Any

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework.exceptions import APIException

from upsrs import errors
from upsrs.dicom.states import Warning as StateWarning

__all__ = [
    "CHANGE_STATE",
    "CREATE",
    "GENERAL",
    "PROGRESS",
    "REQUEST_CANCEL",
    "RETRIEVE",
    "SEARCH",
    "STATE_WARNINGS",
    "UPDATE",
    "W1",
    "W13",
    "W15",
    "W18",
    "Refusals",
    "answer",
    "warning",
]

logger = logging.getLogger(__name__)

W1 = "The Workitem was created with modifications."
W4 = "The target URI did not reference a claimed Workitem."
W5 = "The submitted request is inconsistent with the current state of the Workitem."
W6 = "The UPS is already in the requested state of CANCELED."
W7 = "The UPS is already in the requested state of COMPLETED."
W8 = "The Transaction UID is missing."
W9 = "The Transaction UID is incorrect."
W10 = "The submitted request is inconsistent with the state of the UPS Instance."
W12 = "The UPS is already COMPLETED."
W13 = "Deletion Lock not granted."
W15 = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
W18 = "There are {remaining} additional results that can be requested"

STATE_WARNINGS: Mapping[StateWarning, str] = {
    StateWarning.ALREADY_CANCELED: W6,
    StateWarning.ALREADY_COMPLETED: W7,
}
"""A warning is no refusal: these travel with a success (PS3.18 11.7.3.2, 11.8.3.2)."""

STATUSES: Mapping[type[errors.UPSError], HTTPStatus] = {
    errors.UPSError: HTTPStatus.BAD_REQUEST,
    errors.InvalidDataset: HTTPStatus.BAD_REQUEST,
    errors.InvalidArgument: HTTPStatus.BAD_REQUEST,
    errors.DuplicateWorkitem: HTTPStatus.CONFLICT,
    errors.NotAuthorized: HTTPStatus.FORBIDDEN,
    errors.MayNoLongerBeUpdated: HTTPStatus.CONFLICT,
    errors.TransactionUIDRefused: HTTPStatus.BAD_REQUEST,
    errors.AlreadyInProgress: HTTPStatus.CONFLICT,
    errors.OnlyCreateSchedules: HTTPStatus.BAD_REQUEST,
    errors.FinalStateNotReady: HTTPStatus.CONFLICT,
    errors.NoSuchWorkitem: HTTPStatus.NOT_FOUND,
    errors.WorkitemGone: HTTPStatus.GONE,
    errors.NotScheduledAtCreation: HTTPStatus.BAD_REQUEST,
    errors.NotYetInProgress: HTTPStatus.CONFLICT,
    errors.AlreadyCompleted: HTTPStatus.CONFLICT,
    errors.StaleWorkitem: HTTPStatus.CONFLICT,
    errors.NotNotified: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.NoSuchSubscription: HTTPStatus.NOT_FOUND,
    errors.LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
}
"""What you sent or who you are: 400, 403, 404. Where the workitem is in its life: 409, 410."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """How one transaction refuses; a class that is not named is refused like its parent."""

    statuses: Mapping[type[errors.UPSError], HTTPStatus] = field(default_factory=lambda: STATUSES)
    warnings: Mapping[type[errors.UPSError], str] = field(default_factory=dict)
    otherwise: str = ""
    """The Warning of a failure that has none of its own, where the standard wants one on each."""

    def status(self, refusal: errors.UPSError) -> HTTPStatus:
        return next(self.statuses[cls] for cls in type(refusal).__mro__ if cls in self.statuses)

    def warning(self, refusal: Exception) -> str:
        named = (self.warnings[cls] for cls in type(refusal).__mro__ if cls in self.warnings)
        return next(named, self.otherwise)


GENERAL = Refusals()

CREATE = Refusals()
"""PS3.18 11.4.3.1."""

SEARCH = Refusals()
"""PS3.18 11.9.3.1."""

RETRIEVE = Refusals()
"""PS3.18 11.5.3.1."""

UPDATE = Refusals(
    statuses={**STATUSES, errors.MayNoLongerBeUpdated: HTTPStatus.BAD_REQUEST},
    warnings={errors.NoSuchWorkitem: W4, errors.NotYetInProgress: W4},
    otherwise=W5,
)
"""PS3.18 11.6.3: a failure shall carry one of the two, "whichever fits best"."""

CHANGE_STATE = Refusals(
    warnings={errors.TransactionUIDMissing: W8, errors.TransactionUIDRefused: W9},
    otherwise=W10,
)
"""PS3.18 11.7.3: a failure shall carry one of the three."""

REQUEST_CANCEL = Refusals(warnings={errors.AlreadyCompleted: W12})
"""PS3.18 11.8.3."""

PROGRESS = UPDATE
"""Our extension is an Update in other words."""


def warning(service: str, text: str) -> str:
    """A Warning header, in the form of PS3.18 8.3.4.2."""
    return f"299 {service}: {text}"


def answer(
    error: Exception, *, refusals: Refusals, service: str, method: str, path: str
) -> HttpResponse:
    """The answer to a request that failed with ``error``.

    ``service`` is the base URL, or empty when the request failed before it was anybody's: then it
    was not yet this transaction that failed, and there is no Warning of it.
    """
    if isinstance(error, errors.UPSError) and not isinstance(error, errors.NotNotified):
        response = _problem(refusals.status(error), **_members(error))
        _retry_after(response, error)
    else:
        status, detail = _http(error)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return _fault(error, method=method, path=path)
        response = _problem(status, detail=detail)
        if header := getattr(error, "auth_header", ""):
            response["WWW-Authenticate"] = header
        _retry_after(response, error)
        if status == HTTPStatus.UPGRADE_REQUIRED:
            response["Upgrade"] = "websocket"
    if service and (text := refusals.warning(error)):
        response["Warning"] = warning(service, text)
    return response


def _retry_after(response: HttpResponse, error: Exception) -> None:
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(math.ceil(wait))


def _members(refusal: errors.UPSError) -> dict[str, Any]:
    members: dict[str, Any] = {"detail": refusal.detail}
    if refusal.status is not None:
        members["dicomStatus"] = f"{refusal.status:04X}"
    if element := getattr(refusal, "element", ""):
        members["element"] = element
    if elements := getattr(refusal, "elements", ()):
        members["elements"] = list(elements)
    return members


def _http(error: Exception) -> tuple[int, str]:
    """What the framework, or the portal's own classes, refused."""
    match error:
        case APIException():
            return error.status_code, " ".join(_sentences(error.detail))
        case Http404():
            return HTTPStatus.NOT_FOUND, "There is no such resource."
        case PermissionDenied():
            return HTTPStatus.FORBIDDEN, "You do not have the permission that this needs."
        case RequestDataTooBig():
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than accepted."
        case UnreadablePostError():
            return HTTPStatus.BAD_REQUEST, "The body could not be read to its end."
        case BadRequest() | SuspiciousOperation() | MultiPartParserError():
            return HTTPStatus.BAD_REQUEST, "The request is not valid."
    return HTTPStatus.INTERNAL_SERVER_ERROR, ""


def _sentences(detail: Any) -> Iterator[str]:
    """DRF nests the details of a refusal in lists and objects."""
    if isinstance(detail, Mapping):
        detail = detail.values()
    elif isinstance(detail, str) or not hasattr(detail, "__iter__"):
        yield str(detail)
        return
    for part in detail:
        yield from _sentences(part)


def _fault(error: Exception, *, method: str, path: str) -> HttpResponse:
    """Log what went wrong, and answer without a word of it."""
    logger.error("%s %s failed.\n%s", method, path, _places(error))
    response = _problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail="The server failed; it is logged.")
    # Django would log it again with the whole request, and mail its query (Transaction UIDs,
    # patient names) to the administrators.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _places(error: BaseException) -> str:
    """Classes and places of an exception and of what caused it, never its words.

    A database quotes the values of the row in its messages: patient data.
    """
    chain: list[str] = []
    link: BaseException | None = error
    while link is not None:
        frames = "".join(traceback.format_list(traceback.extract_tb(link.__traceback__)))
        chain.append(f"{frames}{type(link).__module__}.{type(link).__qualname__}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\nwhich was caused by:\n".join(chain)


def _problem(status: int, **members: Any) -> HttpResponse:
    """RFC 9457; ``about:blank`` says that the status is the type."""
    title = responses.get(status, "Refused")  # the portal's own classes may use any status
    body = {"type": "about:blank", "title": title, "status": int(status), **members}
    return HttpResponse(
        json.dumps(body, ensure_ascii=False).encode(),
        status=status,
        content_type="application/problem+json",
    )
