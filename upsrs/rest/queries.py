"""What a request says outside of its dataset: UIDs and AE titles in the query or the path.

Editions and implementations spell the same parameter differently (PS3.18 11.4.1.2, 11.6.1.2); the
spellings that we understand are in two tables here and nowhere else. Other parameters are ignored
(PS3.18 8.3). A refusal names the parameter, never the value: it may be a Transaction UID.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus

from django.http import QueryDict

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.uids import check_ae_title, check_uid
from upsrs.errors import InvalidArgument, InvalidDataset, MissingAttribute, MissingAttributeValue
from upsrs.searching import Search

__all__ = [
    "PROGRESS",
    "TRANSACTION_UID",
    "WORKITEM_UID",
    "StateChange",
    "SubscriptionQuery",
    "progress",
    "requester",
    "search",
    "state_change",
    "subscription",
    "target",
    "transaction_uid",
    "workitem_uid",
]

# In each table the first spelling is the one that refusals use. Both parameters also come bare,
# as in ``?2.25.1``: the standard's templates name the value only.
WORKITEM_UID = (
    "workitem",  # 2019c and later
    "AffectedSOPInstanceUID",  # before
)
TRANSACTION_UID = (
    "transaction-uid",  # 2019c and later
    "Transaction-uid",  # 2025e and later
    "transaction",  # before 2019c
    "TransactionUID",  # the keyword
    "TransactionUid",
    "00081195",  # the tag
)

BARE_UID = re.compile(r"[0-9]+\.[0-9.]*")
"""Meant as a UID, valid or not. A number without a dot is somebody's way around a cache."""

PROGRESS: Mapping[str, tuple[str, tuple[type, ...], str]] = {
    "procedureStepProgress": ("progress", (int, float), "a number"),
    "procedureStepProgressDescription": ("description", (str,), "a string"),
    "numberOfCompletedSuboperations": ("completed", (int,), "an integer"),
    "numberOfFailedSuboperations": ("failed", (int,), "an integer"),
    "numberOfWarningSuboperations": ("warning", (int,), "an integer"),
    "numberOfRemainingSuboperations": ("remaining", (int,), "an integer"),
}
"""The members of a progress report, as in the contract: our word for each, and its type."""


NO_KEY = (
    *("accept", "charset", "includefield", "limit", "offset", "requester"),
    *("fuzzymatching", "emptyvaluematching", "multiplevaluematching"),
)
"""What Search may say beside the matching keys (PS3.18 11.9.1.2)."""

NO_FILTER = ("accept", "charset", "deletionlock", "filter", "requester")
"""What Subscribe may say beside the matching keys (PS3.18 11.10.1.2)."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """What the body of a Change Workitem State says (PS3.18 11.7.1.4)."""

    state: str
    transaction_uid: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionQuery:
    """What the query of a Subscribe says (PS3.18 11.10.1.2)."""

    deletion_lock: bool
    filter: list[tuple[str, str]]
    """Pairs of attribute and value, as they were given."""


def target(workitem_uid: str) -> str:
    """The workitem that the path names."""
    return check_uid(workitem_uid, "workitem")


def workitem_uid(query: QueryDict) -> str | None:
    """The UID for a new workitem, if the query has one; else the dataset has it."""
    return _uid(query, WORKITEM_UID)


def transaction_uid(query: QueryDict) -> str | None:
    """The performer's Transaction UID, if the query has one; else the dataset may have it."""
    return _uid(query, TRANSACTION_UID)


def requester(query: QueryDict, in_path: str | None) -> str:
    """Who asks, by AE title; empty if the request does not say."""
    given = query.getlist("requester") + ([] if in_path is None else [in_path])
    return _one({check_ae_title(title, "requester") for title in given}, "requester") or ""


def state_change(dataset: JSONDataset) -> StateChange:
    """Procedure Step State (0074,1000) and Transaction UID (0008,1195) of the body."""
    element = "ProcedureStepState"
    if "00741000" not in dataset:
        raise MissingAttribute(element=element)
    states = dicom_json.values(dataset, element)
    if not states:
        raise MissingAttributeValue(element=element)
    if len(states) > 1:
        raise InvalidDataset("It has one value.", element=element)
    return StateChange(states[0], dicom_json.pop_transaction_uid(dataset))


def search(query: QueryDict, query_string: str) -> tuple[Search, bool]:
    """What a Search asks for (PS3.18 8.3.4), and whether it wants names matched fuzzily.

    ``query_string`` is the same query as it was sent: there a comma parts several values, and one
    that is encoded belongs to its value (PS3.18 8.3.1).
    """
    fields = [name for value in query.getlist("includefield") for name in value.split(",")]
    everything = "all" in fields
    if everything and len(fields) > 1:
        raise InvalidArgument("all is all: no other includefield beside it.", name="includefield")
    several = _switch(query, "multiplevaluematching")
    pairs = _parted(query_string) if several else _decoded(query)
    asked = Search(
        pairs=tuple((name, value) for name, value in pairs if name not in NO_KEY),
        include=frozenset() if everything else frozenset(filter(None, fields)),
        everything=everything,
        limit=_number(query, "limit"),
        offset=_number(query, "offset") or 0,
        empty_values=_switch(query, "emptyvaluematching"),
        several_values=several,
    )
    return asked, _switch(query, "fuzzymatching")


def _decoded(query: QueryDict) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, values in query.lists() for value in values)


def _parted(query_string: str) -> Iterator[tuple[str, str]]:
    """With a backslash, which no value has, between several values: so DICOM itself parts them."""
    for parameter in filter(None, query_string.split("&")):
        name, _, value = parameter.partition("=")
        yield unquote_plus(name), "\\".join(map(unquote_plus, value.split(",")))


def _number(query: QueryDict, name: str) -> int | None:
    given = _one(set(query.getlist(name)), name)
    if given is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", given):
        raise InvalidArgument(f"{name} is a number, 0 or more.", name=name)
    return int(given)


def _switch(query: QueryDict, name: str) -> bool:
    given = _one(set(query.getlist(name)), name)
    if given not in (None, "true", "false"):
        raise InvalidArgument(f"{name} is true or false.", name=name)
    return given == "true"


def subscription(query_string: str) -> SubscriptionQuery:
    """Deletion lock and filter of a Subscribe, from the query as it was sent.

    The standard's ``filter=a=v,b=v`` breaks its own rule that ``=`` and ``,`` in a value are
    encoded, so clients differ: some send it as it stands, with what is inside a value encoded, and
    some encode it whole. Editions before 2019c have the keys as parameters of their own.
    """
    locks: set[str] = set()
    pairs: list[tuple[str, str]] = []
    for parameter in filter(None, query_string.split("&")):
        name, _, value = parameter.partition("=")
        name = unquote_plus(name)
        if name == "deletionlock":
            locks.add(unquote_plus(value))
        elif name == "filter":
            pairs += _filter(value)
        elif name not in NO_FILTER:
            pairs.append((name, unquote_plus(value)))
    if locks - {"true", "false"}:
        raise InvalidArgument("deletionlock is true or false.", name="deletionlock")
    return SubscriptionQuery(_one(locks, "deletionlock") == "true", pairs)


def _filter(value: str) -> list[tuple[str, str]]:
    if "=" not in value:
        value = quote(unquote_plus(value), safe=",=")
    pairs = []
    for pair in filter(None, value.split(",")):
        name, equals, wanted = pair.partition("=")
        if not equals:
            raise InvalidArgument(
                "A filter is attribute=value, and more behind commas.", name="filter"
            )
        pairs.append((unquote_plus(name), unquote_plus(wanted)))
    return pairs


def progress(members: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``workitems.report_progress`` that the body gives."""
    if not members:
        raise InvalidArgument(f"The body says nothing; it may say {', '.join(PROGRESS)}.")
    arguments: dict[str, Any] = {}
    for name, value in members.items():
        if name not in PROGRESS:
            raise InvalidArgument(f"The body may have {', '.join(PROGRESS)}, and nothing else.")
        argument, types, wanted = PROGRESS[name]
        if isinstance(value, bool) or not isinstance(value, types):
            raise InvalidArgument(f"{name} is not {wanted}.", name=name)
        arguments[argument] = value
    return arguments


def _uid(query: QueryDict, spellings: tuple[str, ...]) -> str | None:
    given = [value for name in spellings for value in query.getlist(name)]
    given += [
        name for name, values in query.lists() if BARE_UID.fullmatch(name) and not any(values)
    ]
    return _one({check_uid(value, spellings[0]) for value in given}, spellings[0])


def _one(values: set[str], name: str) -> str | None:
    """Two sources of the same thing may agree, and must."""
    if len(values) > 1:
        raise InvalidArgument(f"The request gives {name} twice, differently.", name=name)
    return next(iter(values), None)
