"""What a client is sent: every field of the customer's notification, filled from a dataset.

Nothing about the patient is ever in a notification: who may know retrieves the workitem. What is
not known is left out; what the contract requires and DICOM leaves empty is an empty string. Each
message is built without its Subscription UID, which `frames.beginning` tells.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from upsrs.contract.requests import shown
from upsrs.dicom import dataset as dicom_json, uids, vrs
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.matching import Snapshot
from upsrs.dicom.states import State

__all__ = [
    "cancellation_reason",
    "confirmation",
    "heartbeat",
    "initial_state_complete",
    "notification",
    "report",
]

Message = dict[str, Any]

STATES = frozenset(State)

CODE_SEQUENCES = {
    "scheduledStationNameCodeSequence": "ScheduledStationNameCodeSequence",
    "scheduledStationClassCodeSequence": "ScheduledStationClassCodeSequence",
    "scheduledStationGeographicLocationCodeSequence": (
        "ScheduledStationGeographicLocationCodeSequence"
    ),
    "scheduledProtocolCodeSequence": "ScheduledProtocolCodeSequence",
}
"""The optional ones: member of ``workitem`` → keyword."""

INPUT_INFORMATION = {
    "studyInstanceUID": "StudyInstanceUID",
    "seriesInstanceUID": "SeriesInstanceUID",
}

REFERENCED_REQUEST = {
    "studyInstanceUID": "StudyInstanceUID",
    "accessionNumber": "AccessionNumber",
    "requestedProcedureID": "RequestedProcedureID",
    "requestedProcedureDescription": "RequestedProcedureDescription",
}

PRIVATE_CREATOR = "00750010"
CREATOR = "UPSRS"
COUNTS = {
    "numberOfCompletedSuboperations": "00751020",
    "numberOfFailedSuboperations": "00751021",
    "numberOfWarningSuboperations": "00751022",
    "numberOfRemainingSuboperations": "00751023",
}
"""The contract's four counts have no DICOM attribute: they live in our private block (VR UL)."""

DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?", re.ASCII)


def notification(
    *,
    kind: Kind | str,
    workitem_uid: str,
    time: datetime,
    position: int | None,
    snapshot: Snapshot | None,
    cancellation: JSONDataset | None = None,
    timezone: tzinfo = UTC,
) -> Message:
    """One event of the log.

    ``snapshot`` is the workitem after the change; None says that the workitem has left the
    reader's sight, who then hears its UID only. ``cancellation`` is what came with a request to
    cancel, addressed to the performer: the member ``cancellationReason`` then is there in any
    case, since it is all that tells such an UPDATED from others. ``timezone`` is that of a
    date-time without offset.
    """
    message = _head(Kind(kind), workitem_uid, time, position)
    if snapshot is not None:
        message.update(_body(workitem_uid, snapshot, cancellation, timezone))
    return message


def report(
    workitem_uid: str, time: datetime, snapshot: Snapshot, timezone: tzinfo = UTC
) -> Message:
    """A workitem as it stands, told to a new subscription. It has no place in the log."""
    message = _head(Kind.STATE_REPORT, workitem_uid, time, None)
    return {**message, "report": True, **_body(workitem_uid, snapshot, None, timezone)}


def confirmation(
    *,
    time: datetime,
    keys: Mapping[str, str],
    log_id: str,
    status: str = "ACTIVE",
    ignored: Iterable[str] = (),
    deleted: Iterable[str] = (),
    resync: bool = False,
    reason: str | None = None,
    request_id: str | None = None,
    complete_at: int | None = None,
) -> Message:
    """The answer to a subscription request, and the end of a subscription (DELETED).

    ``keys`` is the canonical filter; values of patient keys are not repeated. ``complete_at`` is
    the place from which events follow, if no reports come first.
    """
    message = _head(Kind.STATE_REPORT, uids.FILTERED_GLOBAL_SUBSCRIPTION, time, complete_at)
    if complete_at is not None:
        message["initialStateComplete"] = True
    if request_id is not None:
        message["requestId"] = request_id
    subscription: Message = {
        "status": status,
        "filter": shown(keys),
        "ignored": list(ignored),
        "deleted": list(deleted),
        "resync": resync,
        "logId": log_id,
    }
    if reason is not None:
        subscription["reason"] = reason
    return {**message, "subscription": subscription}


def initial_state_complete(*, time: datetime, position: int) -> Message:
    """All reports have been sent; ``position`` is the place at which their state was read."""
    message = _head(Kind.STATE_REPORT, uids.FILTERED_GLOBAL_SUBSCRIPTION, time, position)
    return {**message, "initialStateComplete": True}


def heartbeat(*, time: datetime, position: int, log_id: str) -> Message:
    """The line lives, and this is where it stands."""
    message = _head(Kind.STATE_REPORT, uids.FILTERED_GLOBAL_SUBSCRIPTION, time, position)
    return {**message, "heartbeat": True, "logId": log_id}


def _head(kind: Kind, workitem_uid: str, time: datetime, position: int | None) -> Message:
    message: Message = {"eventType": kind.value, "workitemUID": workitem_uid}
    if position is not None:
        message["eventId"] = position
    message["eventTime"] = time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return message


def _body(
    workitem_uid: str, snapshot: Snapshot, cancellation: JSONDataset | None, timezone: tzinfo
) -> Message:
    ds = snapshot.dataset
    progress_item = _first_item(ds, "ProcedureStepProgressInformationSequence")
    body: Message = {}
    if snapshot.state in STATES:
        body["procedureStepState"] = snapshot.state
    if progress := _progress(progress_item):
        body["progressInformation"] = progress
    if cancellation is not None:
        body["cancellationReason"] = cancellation_reason(cancellation)
    elif reason := cancellation_reason(progress_item):
        body["cancellationReason"] = reason
    if workitem := _workitem(workitem_uid, snapshot, timezone):
        body["workitem"] = workitem
    return body


def _workitem(workitem_uid: str, snapshot: Snapshot, timezone: tzinfo) -> Message | None:
    """The contract's ``workitem``, or None if the dataset cannot fill what it requires."""
    ds = snapshot.dataset
    start = _date_time(ds, "ScheduledProcedureStepStartDateTime", timezone)
    if start is None or snapshot.state not in STATES:
        return None
    workitem: Message = {
        "workitemUID": workitem_uid,
        "procedureStepState": snapshot.state,
        "scheduledProcedureStepStartDateTime": start,
        "scheduledWorkitemCodeSequence": _code(_first_item(ds, "ScheduledWorkitemCodeSequence")),
        "inputInformationSequence": [
            _known(item, INPUT_INFORMATION)
            for item in dicom_json.items(ds, "InputInformationSequence")
        ],
    }
    for member, keyword in CODE_SEQUENCES.items():
        code = _code(_first_item(ds, keyword))
        if any(code.values()):
            workitem[member] = code
    optional: Message = {
        "scheduledHumanPerformersSequence": [
            _human_performer(item)
            for item in dicom_json.items(ds, "ScheduledHumanPerformersSequence")
        ],
        "scheduledProcedureStepDescription": (
            _text(ds, "ScheduledProcedureStepDescription") or _text(ds, "ProcedureStepLabel")
        ),
        "referencedRequestSequence": [
            _known(item, REFERENCED_REQUEST)
            for item in dicom_json.items(ds, "ReferencedRequestSequence")
        ],
        "worklistLabel": snapshot.label,
        "scheduledStationAETitle": "\\".join(snapshot.stations),
        "performerAETitle": "\\".join(snapshot.performers),
        "procedureStepLabel": _text(ds, "ProcedureStepLabel"),
        "scheduledProcedureStepPriority": _text(ds, "ScheduledProcedureStepPriority"),
        "expectedCompletionDateTime": _date_time(ds, "ExpectedCompletionDateTime", timezone),
        "inputReadinessState": _text(ds, "InputReadinessState"),
    }
    return workitem | {member: value for member, value in optional.items() if value}


def _code(item: JSONDataset) -> dict[str, str]:
    """A code (PS3.3 Table 8.8-1): short, long or URN, whichever of the three it has."""
    return {
        "codeValue": (
            _text(item, "CodeValue") or _text(item, "LongCodeValue") or _text(item, "URNCodeValue")
        ),
        "codingSchemeDesignator": _text(item, "CodingSchemeDesignator"),
        "codeMeaning": _text(item, "CodeMeaning"),
    }


def _human_performer(item: JSONDataset) -> Message:
    performer: Message = {}
    code = _code(_first_item(item, "HumanPerformerCodeSequence"))
    if any(code.values()):
        performer["humanPerformerCodeSequence"] = code
    name = dicom_json.first(item, "HumanPerformerName", {})
    for group in ("Alphabetic", "Ideographic", "Phonetic"):
        if name.get(group):
            performer["humanPerformerName"] = name[group]
            break
    return performer


def _progress(item: JSONDataset) -> Message:
    progress: Message = {}
    percent = _number(dicom_json.first(item, "ProcedureStepProgress", None))
    if percent is not None:
        progress["procedureStepProgress"] = percent
    if description := _text(item, "ProcedureStepProgressDescription"):
        progress["procedureStepProgressDescription"] = description
    if _text(item, PRIVATE_CREATOR) == CREATOR:
        for member, tag in COUNTS.items():
            count = dicom_json.first(item, tag, None)
            if isinstance(count, int) and not isinstance(count, bool):
                progress[member] = count
    return progress


def cancellation_reason(item: JSONDataset) -> str:
    """Why, in words: of a request to cancel, or of what was canceled; empty if nobody said."""
    return _text(item, "ReasonForCancellation") or _text(
        item, "ProcedureStepDiscontinuationReasonCodeSequence.CodeMeaning"
    )


def _known(item: JSONDataset, members: Mapping[str, str]) -> dict[str, str]:
    """These members of an item, as far as they have a value. An item may know none of them."""
    return {member: text for member, keyword in members.items() if (text := _text(item, keyword))}


def _first_item(ds: JSONDataset, keyword: str) -> JSONDataset:
    return next(iter(dicom_json.items(ds, keyword)), {})


def _text(ds: JSONDataset, path: str) -> str:
    value = dicom_json.first(ds, path, "")
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    """A DS is a number or its text in DICOM JSON (PS3.18 F.2.3). None if it is neither."""
    if isinstance(value, str) and DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    return value


def _date_time(ds: JSONDataset, keyword: str, timezone: tzinfo) -> str | None:
    """A DT as RFC 3339: its first instant, with the offset it has. None if it is no date-time.

    Without an offset of its own it has that of Timezone Offset From UTC (0008,0201), else that
    of ``timezone``.
    """
    value, offset = _text(ds, keyword), _text(ds, "TimezoneOffsetFromUTC")
    if not value:
        return None
    try:
        instant = vrs.instant(value, vrs.parse_offset(offset) if offset else timezone)
        # Local mean times of old have seconds in their offset; RFC 3339 has no room for them.
        if (instant.utcoffset() or timedelta()) % timedelta(minutes=1):
            instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant.isoformat()
