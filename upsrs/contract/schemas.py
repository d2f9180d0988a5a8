"""The messages of the channels as JSON Schemas: what the customer's document types, and ours.

Draft 7, which AsyncAPI speaks. `COMPONENTS` holds what others refer to by name, `MESSAGES` what
travels. What the server sends is typed to the letter and open to more members, as the customer has
it; what a client sends is typed as it should be sent, though the server forgives more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upsrs.contract import requests
from upsrs.contract.notifications import (
    CODE_SEQUENCES,
    COUNTS,
    INPUT_INFORMATION,
    REFERENCED_REQUEST,
)
from upsrs.dicom import schemas as dicom
from upsrs.dicom.changes import Kind
from upsrs.dicom.schemas import UID, Schema, ref
from upsrs.dicom.states import State
from upsrs.dicom.uids import FILTERED_GLOBAL_SUBSCRIPTION, GLOBAL_SUBSCRIPTION, UPS_PUSH

__all__ = ["COMPONENTS", "MESSAGES", "Message"]

JSON = "application/json"
DICOM_JSON = "application/dicom+json"

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer"}
DATE_TIME = {"type": "string", "format": "date-time"}
STATE = {"type": "string", "enum": [it.value for it in State]}
EVENT_TYPES = ("CREATED", "UPDATED", "STATE_REPORT", "CANCELED", "COMPLETED")
EVENT_ID = {
    "type": "integer",
    "minimum": 0,
    "description": "A place in the log: without gaps, in the order in which the log was written.",
}
LOG_ID = {"type": "string", "format": "uuid", "description": "Which log the places belong to."}
REQUEST_ID = {
    "type": "string",
    "maxLength": requests.REQUEST_ID_LENGTH,
    "description": "The client's own name for its request; the answer repeats it.",
}


def _object(
    properties: Mapping[str, Schema], required: Sequence[str] = (), text: str = ""
) -> Schema:
    made: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    if required:
        made["required"] = list(required)
    if text:
        made["description"] = text
    return made


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


WORKITEM = _object(
    {
        "workitemUID": TEXT,
        "procedureStepState": STATE,
        "scheduledProcedureStepStartDateTime": DATE_TIME,
        "scheduledWorkitemCodeSequence": ref("Code"),
        "inputInformationSequence": _list(_object(dict.fromkeys(INPUT_INFORMATION, TEXT))),
        **dict.fromkeys(CODE_SEQUENCES, ref("Code")),
        "scheduledHumanPerformersSequence": _list(
            _object({"humanPerformerCodeSequence": ref("Code"), "humanPerformerName": TEXT})
        ),
        "scheduledProcedureStepDescription": TEXT,
        "referencedRequestSequence": _list(_object(dict.fromkeys(REFERENCED_REQUEST, TEXT))),
        # Ours from here on.
        "worklistLabel": TEXT,
        "scheduledStationAETitle": TEXT,
        "performerAETitle": TEXT,
        "procedureStepLabel": TEXT,
        "scheduledProcedureStepPriority": TEXT,
        "expectedCompletionDateTime": DATE_TIME,
        "inputReadinessState": TEXT,
    },
    required=(
        "workitemUID",
        "procedureStepState",
        "scheduledProcedureStepStartDateTime",
        "scheduledWorkitemCodeSequence",
        "inputInformationSequence",
    ),
    text="The workitem as it is after the event, without anything of the patient.",
)

NOTIFICATION = _object(
    {
        "eventType": {"type": "string", "enum": list(EVENT_TYPES)},
        "workitemUID": TEXT,
        "subscriptionUID": TEXT,
        "procedureStepState": STATE,
        "progressInformation": ref("ProgressInformation"),
        "cancellationReason": TEXT,
        "workitem": ref("Workitem"),
        # Ours from here on.
        "eventId": EVENT_ID,
        "eventTime": DATE_TIME,
        "report": FLAG,
        "initialStateComplete": FLAG,
        "heartbeat": FLAG,
        "logId": LOG_ID,
        "requestId": REQUEST_ID,
        "subscription": ref("Subscription"),
    },
    required=("eventType", "workitemUID"),
    text="What all messages about workitems and subscriptions have in common.",
)

FILTER = {
    **_object(
        {
            "worklistLabel": TEXT,
            "procedureStepState": STATE,
            "scheduledStationAETitle": TEXT,
            "performerAETitle": TEXT,
        }
    ),
    "description": (
        "All fields must match; an empty one matches anything. * and ? are wildcards in the label "
        "and the AE titles. Keywords and tags of other matching keys count too."
    ),
}

COMPONENTS: Mapping[str, Schema] = {
    "DICOMElement": dicom.COMPONENTS["DICOMElement"],
    "DICOMDataset": dicom.COMPONENTS["DICOMDataset"],
    "Code": _object(
        {"codeValue": TEXT, "codingSchemeDesignator": TEXT, "codeMeaning": TEXT},
        required=("codeValue", "codingSchemeDesignator", "codeMeaning"),
        text="The first item of a code sequence; what it does not have is an empty string.",
    ),
    "ProgressInformation": _object(
        {
            **dict.fromkeys(COUNTS, COUNT),
            "procedureStepProgress": {"type": "number", "description": "In percent."},
            "procedureStepProgressDescription": TEXT,
        }
    ),
    "Workitem": WORKITEM,
    "Filter": FILTER,
    "Subscription": _object(
        {
            "status": {"type": "string", "enum": ["ACTIVE", "DELETED"]},
            "filter": {
                "type": "object",
                "description": "As understood; values of patient keys are withheld.",
                "additionalProperties": TEXT,
            },
            "ignored": {**_list(TEXT), "description": "Names that have no effect."},
            "deleted": {**_list(UID), "description": "The subscriptions that were ended."},
            "resync": {
                "type": "boolean",
                "description": "The log cannot go on from where you were: the reports come again.",
            },
            "logId": LOG_ID,
            "reason": {"type": "string", "description": "Why it ended."},
        },
        required=("status", "filter", "ignored", "deleted", "resync", "logId"),
    ),
    "Notification": NOTIFICATION,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message; a frame is of exactly one kind among those of its direction."""

    name: str
    title: str
    summary: str
    payload: Schema
    example: Mapping[str, Any]
    content_type: str = JSON


def _told(needed: Mapping[str, Schema], without: Sequence[str]) -> Schema:
    """A notification that has these members, and none of the others that make another kind."""
    own = _object({"subscriptionUID": UID, **needed}, required=("subscriptionUID", *needed))
    absent: Schema = {"not": {"anyOf": [{"required": [name]} for name in without]}}
    return {"allOf": [ref("Notification"), {**own, **absent}]}


TRUE = {"const": True}
STATE_REPORT = {"const": Kind.STATE_REPORT.value}
WORKLIST = {"const": FILTERED_GLOBAL_SUBSCRIPTION}

SUBSCRIPTION_UID = "2.25.210138309183571240846190226716406113000"
WORKITEM_UID = "2.25.329800735698586629295641978511506172918"
THE_LOG = "8d3f0d8e-4e1c-4b5e-9d34-0a8f7c1f2b11"
NOW = "2026-01-05T08:15:00.250000Z"

EXAMPLE_WORKITEM = {
    "workitemUID": WORKITEM_UID,
    "procedureStepState": "IN PROGRESS",
    "scheduledProcedureStepStartDateTime": "2026-01-05T09:00:00+01:00",
    "scheduledWorkitemCodeSequence": {
        "codeValue": "110004",
        "codingSchemeDesignator": "DCM",
        "codeMeaning": "Computer Aided Detection",
    },
    "inputInformationSequence": [
        {"studyInstanceUID": "2.25.71", "seriesInstanceUID": "2.25.72"},
    ],
    "worklistLabel": "AI chest",
    "performerAETitle": "AI1",
    "procedureStepLabel": "Triage",
    "scheduledProcedureStepPriority": "HIGH",
    "inputReadinessState": "READY",
}


def _example(event_type: str, workitem_uid: str, **members: Any) -> Mapping[str, Any]:
    head = {
        "subscriptionUID": SUBSCRIPTION_UID,
        "eventType": event_type,
        "workitemUID": workitem_uid,
        "eventTime": NOW,
    }
    return {**head, **members}


EVENT_PAYLOAD = _told(
    {"eventId": EVENT_ID, "eventTime": DATE_TIME},
    without=("subscription", "report", "initialStateComplete", "heartbeat"),
)
EXAMPLE_EVENT = _example(
    "UPDATED",
    WORKITEM_UID,
    eventId=105,
    procedureStepState="IN PROGRESS",
    progressInformation={
        "procedureStepProgress": 40,
        "numberOfCompletedSuboperations": 2,
        "numberOfRemainingSuboperations": 3,
    },
    workitem=EXAMPLE_WORKITEM,
)
EVENT_SUMMARY = (
    "One change of one workitem. UPDATED with the UID alone says that it has left your sight."
)

UNSUBSCRIPTION = _object(
    {
        "reason": {"type": "string", "enum": list(requests.REASONS)},
        "subscriptionUID": {"type": "string", "description": "The subscription to end."},
        "requestId": REQUEST_ID,
    },
    required=("reason",),
)


def _report_example(event_type: int, **elements: tuple[str, Any]) -> Mapping[str, Any]:
    """An event report; each attribute as tag (behind an underscore), VR and value."""
    told = {name[1:]: {"vr": vr, "Value": [value]} for name, (vr, value) in elements.items()}
    subject = GLOBAL_SUBSCRIPTION if event_type == 4 else WORKITEM_UID
    return {
        "00000002": {"vr": "UI", "Value": [UPS_PUSH]},
        "00000110": {"vr": "US", "Value": [23]},
        "00001000": {"vr": "UI", "Value": [subject]},
        "00001002": {"vr": "US", "Value": [event_type]},
        **told,
    }


REPORT_TITLES = {
    "UPSStateReport": "UPS State Report",
    "UPSCancelRequested": "UPS Cancel Requested",
    "UPSProgressReport": "UPS Progress Report",
    "SCPStatusChange": "SCP Status Change",
    "UPSAssigned": "UPS Assigned",
}
REPORT_EXAMPLES = {
    "UPSStateReport": _report_example(
        1,
        _00090010=("LO", "UPSRS"),
        _00091001=("UV", 105),
        _00404041=("CS", "READY"),
        _00741000=("CS", "SCHEDULED"),
    ),
    "UPSCancelRequested": _report_example(
        2, _00741236=("AE", "CT1"), _00741238=("LT", "The patient left")
    ),
    "UPSProgressReport": _report_example(
        3, _00741002=("SQ", {"00741004": {"vr": "DS", "Value": [40]}})
    ),
    "SCPStatusChange": _report_example(
        4,
        _00741242=("CS", "RESTARTED"),
        _00741244=("CS", "WARM START"),
        _00741246=("CS", "WARM START"),
    ),
    "UPSAssigned": _report_example(
        5,
        _00404025=(
            "SQ",
            {
                "00080100": {"vr": "SH", "Value": ["CT1"]},
                "00080102": {"vr": "SH", "Value": ["99HOSP"]},
                "00080104": {"vr": "LO", "Value": ["CT, ground floor"]},
            },
        ),
    ),
}

MESSAGES: Mapping[str, Message] = {
    "EventNotification": Message(
        "ups.workitem.event.notification.general",
        "General UPS Workitem Event Notification",
        EVENT_SUMMARY,
        EVENT_PAYLOAD,
        EXAMPLE_EVENT,
    ),
    "SpecificEventNotification": Message(
        "ups.workitem.event.notification.specific",
        "Specific UPS Workitem Event Notification",
        EVENT_SUMMARY,
        EVENT_PAYLOAD,
        EXAMPLE_EVENT,
    ),
    "WorkitemReport": Message(
        "ups.workitem.report",
        "Report of a workitem that matches now",
        "A part of the initial state; no event, and so without a place in the log.",
        _told(
            {"report": TRUE, "eventType": STATE_REPORT, "eventTime": DATE_TIME},
            without=("subscription", "eventId", "initialStateComplete", "heartbeat"),
        ),
        _example(
            "STATE_REPORT",
            WORKITEM_UID,
            report=True,
            procedureStepState="IN PROGRESS",
            workitem=EXAMPLE_WORKITEM,
        ),
    ),
    "InitialStateComplete": Message(
        "ups.subscription.initial.state.complete",
        "All reports have been sent",
        "What follows happened after the place that this tells.",
        _told(
            {
                "initialStateComplete": TRUE,
                "eventType": STATE_REPORT,
                "workitemUID": WORKLIST,
                "eventId": EVENT_ID,
                "eventTime": DATE_TIME,
            },
            without=("subscription", "report", "heartbeat"),
        ),
        _example(
            "STATE_REPORT", FILTERED_GLOBAL_SUBSCRIPTION, eventId=104, initialStateComplete=True
        ),
    ),
    "Heartbeat": Message(
        "ups.subscription.heartbeat",
        "Heartbeat",
        "The line lives, and this is where it stands; sent to who asked for it.",
        _told(
            {
                "heartbeat": TRUE,
                "eventType": STATE_REPORT,
                "workitemUID": WORKLIST,
                "eventId": EVENT_ID,
                "eventTime": DATE_TIME,
                "logId": LOG_ID,
            },
            without=("subscription", "report", "initialStateComplete"),
        ),
        _example(
            "STATE_REPORT",
            FILTERED_GLOBAL_SUBSCRIPTION,
            eventId=105,
            heartbeat=True,
            logId=THE_LOG,
        ),
    ),
    "Confirmation": Message(
        "ups.subscription.confirmation",
        "Confirmation of a subscription, or of its end",
        "Only confirmations have the member subscription. With initialStateComplete no reports "
        "come, and events follow from the place that it tells.",
        {
            "allOf": [
                _told(
                    {
                        "subscription": ref("Subscription"),
                        "eventType": STATE_REPORT,
                        "workitemUID": WORKLIST,
                        "eventTime": DATE_TIME,
                    },
                    without=("report", "heartbeat"),
                ),
                {
                    "dependencies": {
                        "eventId": ["initialStateComplete"],
                        "initialStateComplete": ["eventId"],
                    }
                },
            ]
        },
        _example(
            "STATE_REPORT",
            FILTERED_GLOBAL_SUBSCRIPTION,
            requestId="request-1",
            subscription={
                "status": "ACTIVE",
                "filter": {"worklistLabel": "AI*"},
                "ignored": [],
                "deleted": [],
                "resync": False,
                "logId": THE_LOG,
            },
        ),
    ),
    "Problem": Message(
        "ups.problem",
        "A request was refused",
        "Problem details (RFC 9457). Nothing has changed, and the socket stays open.",
        {
            **_object(
                {
                    "type": {"type": "string", "format": "uri-reference"},
                    "title": TEXT,
                    "status": {"type": "integer", "minimum": 400, "maximum": 599},
                    "detail": TEXT,
                    "requestId": REQUEST_ID,
                },
                required=("type", "title", "status", "detail"),
            ),
            "not": {"required": ["eventType"]},
        },
        {
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "filter must be an object.",
            "requestId": "request-1",
        },
    ),
    "SubscriptionRequest": Message(
        "ups.workitem.subscription.request",
        "UPS Workitem Subscription Request",
        "Ask for what matches the filter, now and from now on; or end such subscriptions.",
        _object(
            {
                "filter": ref("Filter"),
                "deleteSubscription": {
                    "type": "boolean",
                    "description": "End your subscriptions with an equal filter; make none.",
                },
                "requestId": REQUEST_ID,
                "initialState": {
                    "type": "boolean",
                    "default": True,
                    "description": "Report what matches now, before what happens next.",
                },
                "resume": {
                    "type": "boolean",
                    "default": True,
                    "description": "Take up an equal subscription that waits without a socket.",
                },
                "heartbeatSeconds": {
                    "type": "number",
                    "description": (
                        "The interval of heartbeats; outside of {} to {} the nearer of the two."
                    ).format(*requests.HEARTBEAT_SECONDS),
                },
            },
            required=("filter",),
        ),
        {
            "filter": {"worklistLabel": "AI*", "procedureStepState": "SCHEDULED"},
            "requestId": "request-1",
            "heartbeatSeconds": 30,
        },
    ),
    "GeneralUnsubscriptionRequest": Message(
        "ups.workitem.unsubscription.request.general",
        "UPS Workitem Unsubscription Request, by name",
        "End one of the subscriptions of this socket; the socket and the others go on.",
        {
            "allOf": [
                UNSUBSCRIPTION,
                {"required": ["subscriptionUID"], "not": {"required": ["filter"]}},
            ]
        },
        {"reason": "USER_REQUEST", "subscriptionUID": SUBSCRIPTION_UID},
    ),
    "UnsubscriptionRequest": Message(
        "ups.workitem.unsubscription.request",
        "UPS Workitem Unsubscription Request",
        "End the subscription of this channel; the server closes with 1000.",
        UNSUBSCRIPTION,
        {"reason": "USER_REQUEST"},
    ),
    **{
        name: Message(
            f"dicom.event.report.{name}",
            REPORT_TITLES[name],
            str(schema["description"]),
            schema,
            REPORT_EXAMPLES[name],
            DICOM_JSON,
        )
        for name, schema in dicom.EVENT_REPORTS.items()
    },
}
