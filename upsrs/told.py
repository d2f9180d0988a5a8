"""What somebody was told, and when: asked of the audit and the log, by one query.

Nothing is written for each delivery. The audit has, of each socket, where it began, all that decided
what it was told (what it follows, and what its user might see), and what it is known to have taken;
the log has the events. So what was told is that much of the log:

at once      what happened while the socket was open
caught up    when it opened, what had happened behind its place
reports      when it opened, the present state of all that it follows, if it had no place yet; which
             workitems those were is not kept

The time is that of the change, or of the opening; a transaction that commits late is told late. What
cannot be known any more is told as possible, and never left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connections
from django.utils import timezone

from upsrs import access, contract, events, instants, subscribers, subscriptions
from upsrs.access import Sight
from upsrs.conf import conf
from upsrs.dicom.changes import Kind
from upsrs.dicom.matching import Keys
from upsrs.events import LoggedEvent
from upsrs.models import Event, Subscription, write_alias
from upsrs.numbering import LOG
from upsrs.subscribers import Hearing, Roster

__all__ = ["By", "How", "Proof", "Story", "Told", "told"]

AT_MOST = 20_000
"""So many pairs of a socket and an event are looked at."""

SERVER_LOST_SECONDS = 30
"""A server that was not heard of for so long, and two stores of places, has told nobody anything."""


class By(StrEnum):
    """What names whoever was told."""

    USER = "user"
    SUBSCRIPTION = "subscription"
    AE_TITLE = "AE title"


class How(StrEnum):
    AT_ONCE = "at once"
    CAUGHT_UP = "caught up"
    REPORTS = "reports"
    """The present state of all that is followed; no single workitem is named."""


class Proof(StrEnum):
    """What is known of it."""

    TAKEN = "taken"
    SENT = "sent"
    """The line may have been cut before the client had it."""
    POSSIBLE = "possible"
    """What decided it, a patient's value in a filter or what an AE was subscribed to, is gone."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event that one socket was told, or its reports."""

    at: datetime
    how: How
    proof: Proof
    kind: str
    """Of the event; empty for reports."""
    workitem_uid: str
    position: int | None
    """The ``eventId``."""
    uid_only: bool
    """The change took the workitem out of sight: no more than its UID was told."""
    user: str
    address: str
    """Where the socket came from."""
    subscription_uid: str
    ae_title: str
    connection: str
    """The socket, as the audit names it."""


@dataclass(frozen=True, slots=True)
class Story:
    """What was told, in order of time, and how much of it is known."""

    told: list[Told]
    begins: datetime | None
    """The log has been purged up to here: what was told before is not known any more."""
    is_cut: bool
    """There was more than is looked at: ask for a shorter time."""


def told(by: By, name: str, *, since: datetime, until: datetime) -> Story:
    """What the sockets of a user, a subscription or an AE title were told in ``[since, until)``.

    One query. For the subscriptions of AE titles among them three more each, since what an AE is
    subscribed to is known as it is now only: what it has unsubscribed from since is
    `Proof.POSSIBLE`.
    """
    rows = _rows(by, name, since, until)
    pairs = [row for row in rows if row.how][:AT_MOST]
    teller = _Teller()
    found = [one for row in pairs if (one := teller.told(row)) is not None]
    return Story(found, _begins(rows[0]), is_cut=len(rows) > AT_MOST)


NAMED = {
    By.USER: """opened."user" = %(name)s""",
    By.SUBSCRIPTION: "opened.subscription_uid = %(name)s AND opened.subscription_uid <> ''",
    By.AE_TITLE: "opened.detail ->> 'aeTitle' = %(name)s",
}

QUERY = """
WITH socket AS (
    SELECT opened.id AS socket_id, opened.time AS opened_at, opened."user" AS owner,
           opened.address, opened.subscription_uid, opened.place, opened.log_position,
           CAST(opened.connection AS text) AS connection, CAST(opened.detail AS text) AS said,
           later.act AS later_act, later.time AS later_at, later.place AS later_place,
           CAST(later.detail AS text) AS later_said, COALESCE(last.place, line.place) AS taken,
           line.closed_at, server.seen_at, CAST(followed.filter AS text) AS filter,
           (SELECT MAX(ended.time) FROM upsrs_auditrecord AS ended
            WHERE ended.subscription_uid = opened.subscription_uid
              AND ended.subscription_uid <> '' AND ended.act = 'unsubscribe') AS unsubscribed_at
    FROM upsrs_auditrecord AS opened
    LEFT JOIN upsrs_auditrecord AS later ON later.id = (
        SELECT MIN(id) FROM upsrs_auditrecord
        WHERE connection = opened.connection AND id > opened.id)
    LEFT JOIN upsrs_auditrecord AS last ON last.act <> 'open' AND last.id = (
        SELECT MAX(id) FROM upsrs_auditrecord WHERE connection = opened.connection)
    LEFT JOIN upsrs_connection AS line ON line.id = opened.connection
    LEFT JOIN upsrs_server AS server ON server.id = line.server_id
    LEFT JOIN upsrs_subscription AS followed ON followed.uid = opened.subscription_uid
    WHERE opened.act = 'open' AND {named} AND opened.time < %(until)s
      AND (later.time IS NULL OR later.time >= %(since)s)
), told AS (
    SELECT event.*, socket.*, 'at once' AS how, event.time AS told_at
    FROM socket JOIN upsrs_event AS event
      ON event.time >= %(since)s AND event.time < %(until)s AND event.position > log_position
     AND (later_at IS NULL OR event.time <= later_at)
     AND (later_act IS NULL OR later_act <> 'open' OR later_place IS NULL
          OR event.position <= later_place)
    UNION ALL
    SELECT event.*, socket.*, 'caught up', opened_at
    FROM socket JOIN upsrs_event AS event
      ON opened_at >= %(since)s AND event.position > place AND event.position <= log_position
     AND event.position > (SELECT MIN(place) FROM socket WHERE opened_at >= %(since)s)
     AND event.position <= (SELECT MAX(log_position) FROM socket WHERE opened_at >= %(since)s)
     AND (later_act IS NULL OR later_act <> 'open' OR later_place IS NULL
          OR event.position <= later_place)
    UNION ALL
    SELECT event.*, socket.*, 'reports', opened_at
    FROM socket LEFT JOIN upsrs_event AS event ON 1 = 0
    WHERE opened_at >= %(since)s
)
SELECT told.*, log.*
FROM (
    SELECT (SELECT position FROM upsrs_event WHERE position IS NOT NULL
            ORDER BY position LIMIT 1) AS first_position,
           (SELECT time FROM upsrs_event WHERE position IS NOT NULL
            ORDER BY position LIMIT 1) AS first_time,
           (SELECT position FROM upsrs_log WHERE id = %(log)s) AS log_end
) AS log
LEFT JOIN (SELECT * FROM told ORDER BY told_at, position LIMIT %(limit)s) AS told ON 1 = 1
ORDER BY told.told_at, told.position
"""
"""The sockets, each until it ended or its user's sight became another; and what each was told.

There is a row in any case: it says how far back the log goes. That the positions of all are between
the lowest place and the highest end is said for PostgreSQL: it then takes the index.
"""


def _rows(by: By, name: str, since: datetime, until: datetime) -> list[Any]:
    connection = connections[write_alias()]
    instant = Event._meta.get_field("time")
    asked = {
        "name": name,
        "since": instant.get_db_prep_value(since, connection),
        "until": instant.get_db_prep_value(until, connection),
        "log": LOG,
        "limit": AT_MOST + 1,
    }
    query = QUERY.format(named=NAMED[by])
    return list(Event.objects.using(write_alias()).raw(query, asked))


def _instant(value: Any) -> datetime | None:
    """A moment that is no field of the model, as the model's own would come."""
    connection = connections[write_alias()]
    column: Any = Event._meta.get_field("time").cached_col
    for convert in (
        *connection.ops.get_db_converters(column),
        *column.get_db_converters(connection),
    ):
        value = convert(value, column, connection)
    moment: datetime | None = value
    return moment


def _begins(row: Any) -> datetime | None:
    if row.first_position is None:
        return instants.now() if row.log_end else None
    return _instant(row.first_time) if row.first_position > 1 else None


@dataclass(frozen=True, slots=True)
class _Followed:
    """What decided what a socket was told."""

    keys: Keys | None
    """None: it is an AE's."""
    sight: Sight
    is_certain: bool
    """Nothing of both was a patient's and so left out."""
    gone_at: datetime | None
    """It was told nothing later, whatever else is not known of its end."""


class _Teller:
    """Works out what the rows amount to; what many rows share, once."""

    def __init__(self) -> None:
        self._events: dict[int, LoggedEvent] = {}
        self._followed: dict[int, _Followed] = {}
        self._rosters: dict[str, Roster | None] = {}

    def told(self, row: Any) -> Told | None:
        """What the socket of this row was told of its event; None if it did not concern it."""
        said = json.loads(row.said)
        if row.how == How.REPORTS:
            return _one(row, said, Proof.SENT) if said.get("reports") else None
        followed, event = self._of(row, said), self._event(row)
        if followed.gone_at is not None and row.time > followed.gone_at:
            return None
        before, after, is_certain = self._concerned(row, said, followed, event)
        saw, sees = (
            access.sees(followed.sight, event.before),
            access.sees(followed.sight, event.after),
        )
        if followed.keys is None and not sees:
            return None  # an AE is told no UID alone
        if not ((before and saw) or (after and sees)):
            return None
        if not (is_certain and followed.is_certain):
            proof = Proof.POSSIBLE
        else:
            is_taken = row.taken is not None and event.position <= row.taken
            proof = Proof.TAKEN if is_taken else Proof.SENT
        return _one(row, said, proof, uid_only=not sees)

    def _event(self, row: Any) -> LoggedEvent:
        if row.pk not in self._events:
            self._events[row.pk] = events.logged(row)
        return self._events[row.pk]

    def _of(self, row: Any, said: dict[str, Any]) -> _Followed:
        if row.socket_id not in self._followed:
            sight, sure_of_sight = _sight(said.get("sight"))
            keys, sure_of_keys = None, True
            if "aeTitle" not in said:
                keys, sure_of_keys = _keys(said, row.filter)
            self._followed[row.socket_id] = _Followed(
                keys, sight, sure_of_sight and sure_of_keys, _gone_at(row)
            )
        return self._followed[row.socket_id]

    def _concerned(
        self, row: Any, said: dict[str, Any], followed: _Followed, event: LoggedEvent
    ) -> tuple[bool, bool, bool]:
        """Did it follow the workitem just before the event, and just after it; is that certain?"""
        if followed.keys is not None:
            if event.kind is Kind.SUBSCRIPTION:
                return False, False, True
            return *followed.keys.matched(event.before, event.after), True
        if event.kind is Kind.SUBSCRIPTION:
            due = event.reports_due and event.subscriber == said["aeTitle"]
            return due, due, True
        roster = self._roster(row.subscription_uid)
        if roster is not None and roster.hears(event) is not Hearing.NOTHING:
            return True, True, True
        unsubscribed_at = _instant(row.unsubscribed_at)
        perhaps = roster is None or (unsubscribed_at is not None and unsubscribed_at >= row.time)
        return perhaps, perhaps, False

    def _roster(self, uid: str) -> Roster | None:
        if uid not in self._rosters:
            try:
                self._rosters[uid] = subscribers.roster(uid)
            except Subscription.DoesNotExist:
                self._rosters[uid] = None
        return self._rosters[uid]


def _keys(said: dict[str, Any], now: str | None) -> tuple[Keys, bool]:
    """The filter of a subscription. Once that is removed, without the values about patients."""
    if now is not None:
        return subscriptions.compile_filter(json.loads(now))[0], True
    known, is_whole = _without_withheld(said.get("filter", {}))
    return subscriptions.compile_filter(known)[0], is_whole and "filter" in said


def _sight(noted: Iterable[dict[str, dict[str, str]]] | None) -> tuple[Sight, bool]:
    """What the user might see, as the audit has kept it."""
    if noted is None:
        return access.EVERYTHING, True
    zone = timezone.get_default_timezone()
    sight, is_certain = [], True
    for one in noted:
        attributes, is_whole = _without_withheld(one["attributes"])
        sight.append(Keys(one["everyday"], attributes, zone))
        is_certain = is_certain and is_whole
    return tuple(sight), is_certain


def _without_withheld(values: dict[str, str]) -> tuple[dict[str, str], bool]:
    known = {name: value for name, value in values.items() if value != contract.WITHHELD}
    return known, len(known) == len(values)


def _gone_at(row: Any) -> datetime | None:
    """When the socket was gone, as far as that is known beside its own record."""
    if row.later_act == "lose":
        heard_of = json.loads(row.later_said).get("heardOf")
        return datetime.fromisoformat(heard_of) + _slack() if heard_of else None
    if row.later_act is not None:
        return None  # the query has it
    if row.closed_at is not None:
        return _instant(row.closed_at)
    seen_at = _instant(row.seen_at)
    return seen_at + _slack() if seen_at else None


def _slack() -> timedelta:
    return timedelta(seconds=SERVER_LOST_SECONDS + 2 * conf.PLACE_SECONDS)


def _one(row: Any, said: dict[str, Any], proof: Proof, *, uid_only: bool = False) -> Told:
    at = _instant(row.told_at)
    assert at is not None, "whatever was told was told at a time"
    return Told(
        at=at,
        how=How(row.how),
        proof=proof,
        kind=row.kind or "",
        workitem_uid=row.workitem_uid or "",
        position=row.position,
        uid_only=uid_only,
        user=row.owner,
        address=row.address,
        subscription_uid=row.subscription_uid,
        ae_title=said.get("aeTitle", ""),
        connection=str(uuid.UUID(row.connection)),
    )
