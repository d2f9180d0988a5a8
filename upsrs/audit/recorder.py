"""The recorder: writes what needs no transaction of its caller, behind everybody's back.

A thread with a database connection of its own takes what was recorded, a batch at a time. So a
request that is rolled back leaves its trace, a read waits for no write, and a thousand sockets
that open at once are a few statements. What cannot be written is tried again; beyond `WAITING`
records the rest is let go, loudly: a worklist that stops because its audit does helps no patient.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass

from django.db import connections, transaction

from upsrs import metrics
from upsrs.audit import messages
from upsrs.audit.messages import Refusal
from upsrs.conf import conf
from upsrs.models import AuditRecord, Workitem, write_alias
from upsrs.traces import trace

__all__ = ["AT_ONCE", "Entry", "emit", "flush", "is_heard", "logger", "record"]

AT_ONCE = 500
"""So many records are one statement."""

GATHER_SECONDS = 0.05
"""So long a batch gathers before it is written."""

WAITING = 20_000
"""So many records wait at most for a database that does not take them."""

RETRY_SECONDS = (0.1, 5.0)
"""After an error: the first pause, doubled up to the last."""

EXIT_SECONDS = 5.0
"""So long a process that ends waits for its last records."""

logger = logging.getLogger("upsrs.audit")
"""The messages, one a line. They name patients, so they go where the portal sends this logger,
and nowhere else: they never reach the handlers of all the other lines."""
logger.propagate = False
logger.addHandler(logging.NullHandler())

problems = logging.getLogger("upsrs.auditing")


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, and what its message says beyond it."""

    record: AuditRecord
    is_written: bool = False
    """It was written with the change that it is of; only its message is still to be sent."""
    patient_id: str | None = None
    """None: whatever the workitem has."""
    refusal: Refusal | None = None


def is_heard() -> bool:
    """Does the portal send the messages anywhere?"""
    return any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers)


def record(entry: Entry) -> None:
    """Write a record, soon. Never blocks, never raises.

    Within a test case of Django's nothing is ever committed: there it goes into its transaction.
    """
    connection = connections[write_alias()]
    if any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        entry.record.save(force_insert=True, using=write_alias())
        _send([entry])
    else:
        _recorder().put(entry)


def emit(entry: Entry) -> None:
    """Send the message of a record that is written."""
    _recorder().put(entry)


def flush(seconds: float = EXIT_SECONDS) -> bool:
    """Wait until everything is written, or for so long. True if it is."""
    if _current is None or _current.pid != os.getpid():
        return True
    return _current.flush(seconds)


class _Recorder:
    """The thread of this process, and what waits for it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._waiting: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._hurried = False
        self._lost = 0
        threading.Thread(target=self._run, name="upsrs-audit", daemon=True).start()

    def put(self, entry: Entry) -> None:
        with self._changed:
            if len(self._waiting) >= WAITING:
                self._lost += 1
                metrics.AUDIT_FAILURES.inc()
                if self._lost == 1:
                    problems.error("Audit records are lost: the database takes none.")
                return
            self._waiting.append(entry)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            while self._waiting or self._busy:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    break
            self._hurried = False
            return not (self._waiting or self._busy)

    def _run(self) -> None:
        pause = RETRY_SECONDS[0]
        while True:
            batch = self._next()
            try:
                _write(batch)
            except Exception as error:  # the thread must outlive whatever happens
                metrics.AUDIT_FAILURES.inc()
                problems.error(
                    "Audit records wait, trying again in %.1f s: %s", pause, trace(error)
                )
                with self._changed:
                    self._waiting.extendleft(reversed(batch))
                    self._busy = False
                    self._changed.notify_all()
                connections[write_alias()].close()
                time.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])
                continue
            pause = RETRY_SECONDS[0]
            _send(batch)
            with self._changed:
                self._busy = False
                if self._lost:
                    problems.error("%d audit records were lost.", self._lost)
                    self._lost = 0
                if not self._waiting:
                    connections[write_alias()].close()
                self._changed.notify_all()

    def _next(self) -> list[Entry]:
        """The next batch; it gathers a moment, unless somebody waits for it."""
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            if not self._hurried and len(self._waiting) < AT_ONCE:
                self._changed.wait_for(
                    lambda: self._hurried or len(self._waiting) >= AT_ONCE, GATHER_SECONDS
                )
            self._busy = True
            return [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]


def _write(batch: list[Entry]) -> None:
    rows = [entry.record for entry in batch if not entry.is_written]
    if rows:
        with transaction.atomic(using=write_alias()):
            AuditRecord.objects.using(write_alias()).bulk_create(rows)


def _send(batch: list[Entry]) -> None:
    """The messages, to wherever the portal sends them."""
    if not is_heard():
        return
    try:
        unknown = {
            entry.record.workitem_uid
            for entry in batch
            if entry.patient_id is None and entry.record.workitem_uid
        }
        known = Workitem.objects.using(write_alias()).filter(uid__in=unknown)
        patients = dict(known.values_list("uid", "patient_id")) if unknown else {}
        for entry in batch:
            patient_id = entry.patient_id
            if patient_id is None:
                patient_id = patients.get(entry.record.workitem_uid, "")
            logger.log(
                logging.WARNING if entry.refusal else logging.INFO,
                "%s",
                messages.xml(
                    entry.record,
                    source=conf.AUDIT_SOURCE_ID or _HOST,
                    patient_id=patient_id,
                    refusal=entry.refusal,
                ),
            )
    except Exception as error:  # the rows are written; the rest must not suffer
        metrics.AUDIT_FAILURES.inc()
        problems.error("Audit messages could not be sent: %s", trace(error))


_HOST = os.uname().nodename
_current: _Recorder | None = None
_starting = threading.Lock()


def _recorder() -> _Recorder:
    """The recorder of this process; a forked child needs its own."""
    global _current
    with _starting:
        if _current is None or _current.pid != os.getpid():
            _current = _Recorder()
            atexit.register(flush)
        return _current
