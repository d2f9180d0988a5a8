"""A process of the portal that writes as it is told, and says what it has committed.

Started by `tests.live.soak.Writer`, it takes one command a line, as JSON, and answers each with
one. Every change numbers itself in the Procedure Step Label, so that the log can be compared with
what was written, workitem by workitem.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import django

django.setup()

from django.db import Error, connections, transaction  # noqa: E402

from tests import datasets  # noqa: E402
from upsrs import events, instants, workitems  # noqa: E402
from upsrs.models import Event, Workitem  # noqa: E402

LABELS = ("AI", "CT", "MR")
RETRY_SECONDS = 0.1

written: list[tuple[str, str]] = []
"""What was committed, in order: the workitem, and its Procedure Step Label from then on."""


def burst(count: int, seed: int, undone: int = 0, pause: float = 0.0) -> int:
    """So many changes, each committed by itself; before each, so many are rolled back."""
    chance = random.Random(seed)
    mine: list[str] = []
    for _ in range(count):
        for _ in range(undone):
            _roll_back()
        if mine and chance.random() < 0.6:
            _keep_trying(chance.choice(mine), _update)
        else:
            uid = f"2.25.{chance.getrandbits(120)}"
            _keep_trying(uid, lambda uid, step: _create(uid, step, chance.choice(LABELS)))
            mine.append(uid)
        time.sleep(pause)
    return count


def _keep_trying(uid: str, change: Callable[[str, str], None]) -> None:
    """As a worker does whose database restarts: try again, unless it was committed after all."""
    step = str(len(written))
    failed = False
    while True:
        try:
            if not (failed and Workitem.objects.filter(uid=uid, step_label=step).exists()):
                change(uid, step)
            written.append((uid, step))
            return
        except Error:
            failed = True
            connections.close_all()
            time.sleep(RETRY_SECONDS)


def _create(uid: str, step: str, label: str) -> None:
    workitems.create(
        None,
        datasets.dataset(SOPInstanceUID=uid, WorklistLabel=label, ProcedureStepLabel=step),
    )


def _update(uid: str, step: str) -> None:
    workitems.update(None, uid, datasets.elements(ProcedureStepLabel=step))


def _roll_back() -> None:
    with transaction.atomic():
        _create(datasets.new_uid(), "undone", "AI")
        transaction.set_rollback(True)


def hold(uid: str) -> None:
    """Create a workitem and keep the transaction open; `let_go` commits it."""
    transaction.set_autocommit(False)
    _create(uid, "held", "AI")
    written.append((uid, "held"))


def let_go() -> None:
    transaction.commit()
    transaction.set_autocommit(True)


def freeze_while_numbering() -> None:
    """Number within a transaction, and stand still before its commit: stopped, not gone."""
    say("freezing")
    try:
        with transaction.atomic():
            events.number()
            os.kill(os.getpid(), signal.SIGSTOP)
    except Error:
        connections.close_all()  # the database has let it go


def set_clock_back(hours: int) -> None:
    now = instants.now

    def earlier() -> datetime:
        return now() - timedelta(hours=hours)

    instants.now = earlier


def tell() -> list[tuple[str, str]]:
    """What this process has committed."""
    return written


def history() -> list[list[Any]]:
    """The log, in order: position, workitem, worklist, Procedure Step Label."""
    while not events.number()[1]:
        time.sleep(RETRY_SECONDS)
    return [
        [row.position, row.workitem_uid, row.label_after, row.dataset["00741204"]["Value"][0]]
        for row in Event.objects.order_by("position")
    ]


def say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    commands = (burst, hold, let_go, freeze_while_numbering, set_clock_back, tell, history)
    known = {command.__name__: command for command in commands}
    say("ready")
    for line in sys.stdin:
        name, arguments = json.loads(line)
        say(known[name](**arguments))  # type: ignore[operator]


if __name__ == "__main__":
    main()
