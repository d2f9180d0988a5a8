"""The operations of the REST door, as a client should know them: one table, by view and method.

What a request and its answers look like is the standard's, and stands here. Statuses, Warnings and
their sentences are those of `refusals`, spellings those of `queries`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upsrs import errors
from upsrs.dicom.schemas import REQUIRED_KEYS
from upsrs.rest import examples, media, queries, refusals
from upsrs.rest.fragments import (
    ACCEPT,
    CHANNEL,
    DATASETS,
    FLAG,
    LOCATION,
    NATURAL,
    ONE_DATASET,
    REQUESTER,
    TEXT,
    VARY,
    WADL,
    Document,
    answer,
    bodies,
    linked,
    one_dataset,
    query,
    spellings,
    warning,
)

__all__ = ["OPERATIONS", "SERVICE", "SUBSCRIPTIONS", "WORKITEMS", "Operation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one resource, as a client should know it."""

    id: str
    tag: str
    answers: Mapping[int, Document]
    """The successes."""
    refusals: Sequence[type[errors.UPSError]] = ()
    """What the use case may refuse; the status of each is told by the view's ``refused_as``."""
    query: Sequence[Document] = ()
    body: Document | None = None
    text: str = ""
    also: Mapping[int, str] | None = None
    """Other failures that this operation has and others have not."""


WORKITEMS, SUBSCRIPTIONS, SERVICE = "Workitems", "Subscriptions", "Service"

NOT_ACCEPTABLE = {406: "It cannot be had in any type that Accept allows."}
GONE = {410: "There was such a workitem; it was removed."}

INVALID = (
    errors.InvalidDataset,
    errors.DatasetTooLarge,
    errors.MissingAttribute,
    errors.MissingAttributeValue,
    errors.AttributeNotAllowed,
    errors.InvalidArgument,
)
TO_UPDATE = (
    *INVALID,
    errors.TransactionUIDMissing,
    errors.TransactionUIDIncorrect,
    errors.NotAuthorized,
    errors.NoSuchWorkitem,
    errors.NotYetInProgress,
    errors.MayNoLongerBeUpdated,
)
TO_SUBSCRIBE = (
    errors.InvalidArgument,
    errors.NotAuthorized,
    errors.NoSuchWorkitem,
)
TO_UNSUBSCRIBE = (*TO_SUBSCRIBE, errors.NoSuchSubscription)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("CapabilitiesView", "OPTIONS"): Operation(
        id="retrieveCapabilities",
        tag=SERVICE,
        answers={
            200: answer(
                "The resources and what can be done with them.",
                {media.JSON: {"schema": {"type": "object"}}, WADL: {"schema": TEXT}},
                Vary=VARY,
            )
        },
        query=[ACCEPT],
        also=NOT_ACCEPTABLE,
    ),
    ("WorkitemsView", "POST"): Operation(
        id="createWorkitem",
        tag=WORKITEMS,
        text="Attributes of type 2 that are left out are stored empty.",
        query=spellings(
            queries.WORKITEM_UID,
            "The UID of the new workitem; else SOP Instance UID (0008,0018) of the dataset.",
            examples.WORKITEM_UID,
        ),
        body=one_dataset("WorkitemToCreate", examples.NEW),
        answers={
            201: linked(
                answer(
                    "Created.",
                    Location=LOCATION,
                    Content_Location=LOCATION,
                    Warning=warning(refusals.W1),
                ),
                {"workitem_uid": f"$request.query.{queries.WORKITEM_UID[0]}"},
                *("retrieveWorkitem", "updateWorkitem", "changeWorkitemState"),
                *("requestCancellation", "subscribe"),
            )
        },
        refusals=(
            *INVALID,
            errors.NotScheduledAtCreation,
            errors.NotAuthorized,
            errors.DuplicateWorkitem,
        ),
    ),
    ("WorkitemsView", "GET"): Operation(
        id="searchWorkitems",
        tag=WORKITEMS,
        text=(
            "Attributes are named by keyword or tag, within sequences with dots. All must match. "
            "Those that every server knows are listed; any other attribute may be given too."
        ),
        query=[
            *(query(key, "A matching key.", it) for key, it in REQUIRED_KEYS.items()),
            query(
                "attributes",
                "Any other attribute, each as a parameter of its own.",
                {"type": "object", "additionalProperties": TEXT},
                style="form",
                explode=True,
            ),
            query(
                "includefield",
                "Attributes to return besides, or all.",
                {"type": "array", "items": TEXT},
                style="form",
                explode=True,
            ),
            query("limit", "How many at most.", NATURAL, example=50),
            query("offset", "How many to skip.", NATURAL, example=0),
            query("fuzzymatching", "Names that sound alike; if it can.", FLAG),
            query("emptyvaluematching", '"" matches what has no value.', FLAG),
            query("multiplevaluematching", "A list matches what has all of it.", FLAG),
            ACCEPT,
        ],
        answers={
            200: answer(
                "What matches, in a stable order.",
                bodies(media.DATASET_TYPES, {**DATASETS, "minItems": 1}, None),
                Warning=warning(
                    "There are n additional results that can be requested",
                    "The fuzzymatching parameter is not supported. …",
                ),
                Vary=VARY,
            ),
            204: answer("Nothing matches, or nothing is left to send."),
        },
        refusals=(errors.InvalidArgument, errors.NotAuthorized),
        also=NOT_ACCEPTABLE,
    ),
    ("WorkitemView", "GET"): Operation(
        id="retrieveWorkitem",
        tag=WORKITEMS,
        text="The Transaction UID is never told.",
        query=[ACCEPT],
        answers={
            200: answer(
                "The workitem.",
                bodies(media.DATASET_TYPES, ONE_DATASET, None),
                Content_Location=LOCATION,
                Vary=VARY,
            )
        },
        refusals=(errors.InvalidArgument, errors.NotAuthorized, errors.NoSuchWorkitem),
        also={**NOT_ACCEPTABLE, **GONE},
    ),
    ("StateView", "PUT"): Operation(
        id="changeWorkitemState",
        tag=WORKITEMS,
        text="The first to claim invents the Transaction UID; it is the key to all that follows.",
        query=[REQUESTER],
        body=one_dataset("StateChange", examples.CLAIM),
        answers={
            200: linked(
                answer(
                    "The workitem is in this state.",
                    Warning=warning(*refusals.STATE_WARNINGS.values()),
                ),
                {
                    "workitem_uid": "$request.path.workitem_uid",
                    queries.TRANSACTION_UID[0]: "$request.body#/0/00081195/Value/0",
                },
                *("updateWorkitem", "reportProgress"),
            )
        },
        refusals=(
            *INVALID,
            errors.TransactionUIDMissing,
            errors.TransactionUIDIncorrect,
            errors.OnlyCreateSchedules,
            errors.NotAuthorized,
            errors.NoSuchWorkitem,
            errors.AlreadyInProgress,
            errors.NotYetInProgress,
            errors.MayNoLongerBeUpdated,
            errors.FinalStateNotReady,
        ),
        also=GONE,
    ),
    ("WorkitemView", "POST"): Operation(
        id="updateWorkitem",
        tag=WORKITEMS,
        text="Sequences are replaced as a whole.",
        query=spellings(
            queries.TRANSACTION_UID,
            "The performer's Transaction UID, unless the workitem is SCHEDULED; it may also be "
            "in the dataset.",
            examples.TRANSACTION_UID,
        ),
        body=one_dataset("DICOMDataset", examples.UPDATE),
        answers={200: answer("Updated.")},
        refusals=TO_UPDATE,
        also=GONE,
    ),
    ("ProgressView", "POST"): Operation(
        id="reportProgress",
        tag=WORKITEMS,
        text="Our extension: an Update of the progress, without touching tags.",
        query=spellings(
            queries.TRANSACTION_UID, "The performer's Transaction UID.", examples.TRANSACTION_UID
        ),
        body={
            "required": True,
            "content": bodies(
                media.JSON_TYPES,
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": False,
                    "properties": {
                        name: {"type": wanted.split()[-1]}
                        for name, (_, _, wanted) in queries.PROGRESS.items()
                    },
                },
                examples.PROGRESS,
            ),
        },
        answers={200: answer("Reported.")},
        refusals=TO_UPDATE,
        also=GONE,
    ),
    ("CancelRequestView", "POST"): Operation(
        id="requestCancellation",
        tag=WORKITEMS,
        text=(
            "A SCHEDULED workitem is canceled by the server. Of one IN PROGRESS the performer is "
            "told, and decides."
        ),
        query=[REQUESTER],
        body=one_dataset("DICOMDataset", examples.CANCELLATION, required=False),
        answers={
            202: answer(
                "Accepted, which is not yet canceled.",
                Warning=warning(*refusals.STATE_WARNINGS.values()),
            )
        },
        refusals=(
            *INVALID,
            errors.NotAuthorized,
            errors.NoSuchWorkitem,
            errors.AlreadyCompleted,
        ),
        also=GONE,
    ),
    ("SubscriberView", "POST"): Operation(
        id="subscribe",
        tag=SUBSCRIPTIONS,
        text=(
            "To one workitem, to the worklist (1.2.840.10008.5.1.4.34.5), or to what a filter "
            "means (1.2.840.10008.5.1.4.34.5.1). Opening the channel is another step."
        ),
        query=[
            query("deletionlock", "Keep workitems from removal while it lasts.", FLAG),
            query(
                "filter",
                "attribute=value, and more behind commas; the attributes may also be parameters "
                "of their own. Matched as in a search.",
            ),
        ],
        answers={
            201: answer(
                "Subscribed; also if it was before.",
                Location=CHANNEL,
                Content_Location=CHANNEL,
                Warning=warning("Deletion Lock not granted."),
            )
        },
        refusals=TO_SUBSCRIBE,
        also=GONE,
    ),
    ("SubscriberView", "DELETE"): Operation(
        id="unsubscribe",
        tag=SUBSCRIPTIONS,
        answers={200: answer("Unsubscribed; the deletion lock is released.")},
        refusals=TO_UNSUBSCRIBE,
        also=GONE,
    ),
    ("SuspendView", "POST"): Operation(
        id="suspend",
        tag=SUBSCRIPTIONS,
        text="New workitems are no longer subscribed to; those that are, stay so.",
        answers={200: answer("Suspended.")},
        refusals=TO_UNSUBSCRIBE,
    ),
    ("TicketsView", "POST"): Operation(
        id="issueTicket",
        tag=SUBSCRIPTIONS,
        text=(
            "Our extension, for browsers without our cookies: offer the subprotocols upsrs and "
            "upsrs.ticket.<ticket>. It is good for 30 seconds, once, on the channel at this path; "
            "the socket ends with the login that asked."
        ),
        body={
            "required": True,
            "content": bodies(
                media.JSON_TYPES,
                {
                    "type": "object",
                    "required": ["path"],
                    "additionalProperties": False,
                    "properties": {"path": TEXT},
                },
                examples.TICKET,
            ),
        },
        answers={
            201: answer(
                "The ticket.",
                {
                    media.JSON: {
                        "schema": {
                            "type": "object",
                            "required": ["ticket", "expiresInSeconds"],
                            "properties": {"ticket": TEXT, "expiresInSeconds": {"type": "integer"}},
                        }
                    }
                },
            )
        },
        refusals=(errors.InvalidArgument, errors.NotAuthorized),
    ),
    ("OpenAPIView", "GET"): Operation(
        id="describeREST",
        tag=SERVICE,
        answers={200: answer("OpenAPI 3.1.", {media.JSON: {"schema": {"type": "object"}}})},
    ),
    ("AsyncAPIView", "GET"): Operation(
        id="describeChannels",
        tag=SERVICE,
        answers={200: answer("AsyncAPI 2.6.", {media.JSON: {"schema": {"type": "object"}}})},
    ),
    ("AsyncAPI3View", "GET"): Operation(
        id="describeChannels3",
        tag=SERVICE,
        answers={200: answer("AsyncAPI 3.0.", {media.JSON: {"schema": {"type": "object"}}})},
    ),
    ("MetricsView", "GET"): Operation(
        id="readMetrics",
        tag=SERVICE,
        answers={200: answer("Prometheus.", {"text/plain": {"schema": TEXT}})},
        also={
            403: "You do not have the permission upsrs.view_metrics.",
            404: "Nothing is counted here: prometheus_client is not installed.",
        },
    ),
}
"""(name of the view, method) → what it does. The channels are described in AsyncAPI instead."""
