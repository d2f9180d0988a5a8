"""Numbering the log and reading on, in SQL of our own and in few words to the database.

It is what each event costs each process, and to write the same statements anew takes Django several
times as long as all the rest. On PostgreSQL all of it is one message, and for who reads on again and
again it is planned once for many (`_Planned`).
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from django.db import connections

from upsrs.models import Event

__all__ = ["LOG", "Rows", "number_and_read"]

LOG = 1
"""The primary key of the counter row."""

NUMBER_AT_ONCE = 1_000
"""So many events are numbered in one transaction, so that the counter is never held for long."""

COLUMNS = tuple(str(field.column) for field in Event._meta.concrete_fields)

Rows = list[tuple[Any, ...]]

LOOK = f"SELECT log_id, position, 0 FROM upsrs_log WHERE id = {LOG}"  # noqa: S608 - of constants
"""On SQLite all are numbered as they are written."""

NEXT = f"""
SELECT {", ".join(COLUMNS)} FROM upsrs_event
WHERE position > {{after}} ORDER BY position LIMIT {{limit}}"""  # noqa: S608 - of constants

LOOK_AND_READ = f"""
SELECT log.log_id, log.position, EXISTS (SELECT 1 FROM upsrs_event WHERE position IS NULL), event.*
FROM upsrs_log AS log LEFT JOIN ({NEXT}) AS event ON TRUE
WHERE log.id = {LOG} ORDER BY event.position"""  # noqa: S608 - of constants
"""Both in one: a row without an event, if there is none."""

LAST = "upsrs.last"
"""A setting of the transaction: the last position given, if it has the counter; else empty."""

TAKE_COUNTER = f"""
SELECT set_config('{LAST}', COALESCE((
    SELECT CAST(position AS text) FROM upsrs_log WHERE id = {LOG} FOR UPDATE SKIP LOCKED
), ''), TRUE)"""  # noqa: S608 - of constants
"""Lock the counter row, or leave it to who has it."""

NUMBER = f"""
WITH fresh AS (
    SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS nth FROM (
        SELECT id FROM upsrs_event
        WHERE position IS NULL AND current_setting('{LAST}') <> ''
        ORDER BY id LIMIT {NUMBER_AT_ONCE}
    ) AS unnumbered
), numbered AS (
    UPDATE upsrs_event AS event SET position = CAST(current_setting('{LAST}') AS bigint) + nth
    FROM fresh WHERE event.id = fresh.id
    RETURNING event.position
)
UPDATE upsrs_log SET position = (SELECT MAX(position) FROM numbered)
WHERE id = {LOG} AND EXISTS (SELECT 1 FROM numbered)"""  # noqa: S608 - of constants
"""If we have the counter: number what is not, in order of id.

For one workitem that is its order of commit: the lock on its row lets the next event be written only
after the last one has committed.

A statement *behind* the one that took the counter, whose snapshot is younger than the lock. Above
READ COMMITTED, which a portal may have set, there is one snapshot for both. It misses no change of
the counter, since then the lock is refused (40001), and so the order holds all the same.
"""

SERIALIZATION_FAILURE = "40001"
NOT_PREPARED = "26000"

USES = 100
"""So often a plan is used: the log that it was made for may have been a short one."""

logger = logging.getLogger(__name__)


def number_and_read(using: str, *, after: int, limit: int, often: bool) -> tuple[Rows, Rows]:
    """The counter row, and the `COLUMNS` of the next events, once all is numbered that may be.

    The counter row is the log's id, its position, and whether some are not numbered yet; there is
    none if somebody emptied the table. ``often``: this connection asks so again and again.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # it would write the datasets down to join and sort them
            cursor.execute(LOOK)
            counter = cursor.fetchall()
            cursor.execute(NEXT.format(after=after, limit=limit))
            return counter, cursor.fetchall()
        _number_and_read(connection, cursor, after, limit, often=often)
        joined = cursor.fetchall()
        read = -len(COLUMNS)
        return [row[:read] for row in joined[:1]], [row[read:] for row in joined if row[read]]


def _number_and_read(connection: Any, cursor: Any, after: int, limit: int, *, often: bool) -> None:
    """Number some, and ask for what is to be read then, in one message to the database.

    Unless in a transaction of the caller's, what is numbered has committed before that is answered:
    who freezes while it is sent a page holds no counter.
    """
    number, read = f"{TAKE_COUNTER}; {NUMBER}", LOOK_AND_READ.format(after=after, limit=limit)
    if not connection.get_autocommit():
        # The caller's transaction has the counter until it ends: not if it freezes.
        _ask(cursor, f"SET LOCAL idle_in_transaction_session_timeout = '5s'; {number}; {read}")
        return
    line = connection.connection
    try:
        if often and line not in _forgetful:
            planned = _planned(line, cursor, limit)
            number, read = planned.number, planned.read(after)
        _ask(cursor, f"BEGIN; {number}; COMMIT; {read}")
    except BaseException as error:
        state = getattr(error.__cause__, "sqlstate", "")
        if state == SERIALIZATION_FAILURE:  # another process has just numbered, which is as good
            connection.rollback()
            cursor.execute(read)
        elif state == NOT_PREPARED:
            connection.rollback()
            _forgetful.add(line)
            logger.info("A pooler, perhaps, keeps no statements: each is planned anew.")
            _number_and_read(connection, cursor, after, limit, often=False)
        else:
            _plans.pop(line, None)  # a migration may have changed what it was made for
            connection.close()  # its transaction may be open
            raise


def _ask(cursor: Any, message: str) -> None:
    """Say several statements; the rows of the last are there to be fetched."""
    cursor.execute(message)
    # Those before have one column or none. psycopg 2 is at the last already.
    while len(cursor.description or ()) <= 1 and cursor.nextset():
        pass


@dataclass(slots=True)
class _Planned:
    """The statements, as one connection has them prepared."""

    limit: int
    """No parameter of the statement: planned for so many, and not for a share of the log."""
    name: str = field(default_factory=lambda: f"upsrs_{uuid.uuid4().hex}")
    """Nobody else's: behind a pooler another version may have prepared its own on the same line."""
    uses: int = 0

    @property
    def prepare(self) -> str:
        read = LOOK_AND_READ.format(after="$1", limit=self.limit)
        return (
            f"PREPARE {self.name}_take AS {TAKE_COUNTER}; "
            f"PREPARE {self.name}_number AS {NUMBER}; "
            f"PREPARE {self.name}_read (bigint) AS {read}"
        )

    @property
    def number(self) -> str:
        return f"EXECUTE {self.name}_take; EXECUTE {self.name}_number"

    def read(self, after: int) -> str:
        return f"EXECUTE {self.name}_read ({after})"

    @property
    def forget(self) -> str:
        return "; ".join(f"DEALLOCATE {self.name}_{part}" for part in ("take", "number", "read"))


_plans: WeakKeyDictionary[Any, _Planned] = WeakKeyDictionary()
"""By the driver's connection."""

_forgetful: WeakSet[Any] = WeakSet()
"""Connections that did not know any more what they had prepared."""


def _planned(line: Any, cursor: Any, limit: int) -> _Planned:
    """What this connection has prepared, to read so many; now and then anew."""
    known = _plans.get(line)
    if known is None or known.uses >= USES or known.limit != limit:
        if known is not None:
            cursor.execute(known.forget)
        known = _Planned(limit)
        cursor.execute(known.prepare)
        _plans[line] = known
    known.uses += 1
    return known
