"""What the audit costs a REST change: beside the same portal that records nothing.

One update each, in turn, so that the machine is the same for all. Medians of one writer, who waits
for each answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests import datasets
from tests.bench.machine import arguments, report, serving, set_up_django, stage, token
from tests.live.server import Server, with_settings

NONE, ROWS, MESSAGES = "no audit", "rows", "rows, and messages to a file"


def logging_to(path: Path, *loggers: str) -> dict[str, str]:
    """An environment in which these loggers write to this file, and no other writes at all."""
    logger = {"handlers": ["file"], "level": "INFO", "propagate": False}
    return with_settings(
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"file": {"class": "logging.FileHandler", "filename": str(path)}},
            "loggers": dict.fromkeys(loggers, logger),
        }
    )


def milliseconds(server: Server, headers: dict[str, str], uid: str, label: str) -> float:
    """What one update takes, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.connect()
    body = json.dumps(datasets.elements(ProcedureStepLabel=label))
    headers = {**headers, "Content-Type": "application/dicom+json"}
    began = time.perf_counter()
    connection.request("POST", f"/ups-rs/workitems/{uid}", body, headers)
    answer = connection.getresponse()
    answer.read()
    took = (time.perf_counter() - began) * 1000
    assert answer.status == 200, answer.status
    connection.close()
    return took


def main() -> None:
    updates = 10 if arguments(__doc__).quick else 1_500
    with stage() as env, contextlib.ExitStack() as stack:
        set_up_django(env)
        from upsrs import workitems

        messages = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "messages"
        quiet = env | logging_to(messages)
        unaudited = serving(quiet, application="tests.bench.unaudited:application")
        servers: dict[str, Server] = {
            NONE: stack.enter_context(unaudited),
            ROWS: stack.enter_context(serving(quiet)),
            MESSAGES: stack.enter_context(serving(env | logging_to(messages, "upsrs.audit"))),
        }
        uid = workitems.create(None, datasets.dataset()).workitem_uid
        found: dict[str, list[float]] = {name: [] for name in servers}
        names = list(servers)
        for number in range(updates):
            random.shuffle(names)  # whoever comes next meets what the one before has left to do
            for name in names:
                label = f"{name[:9]} {number}"
                found[name].append(milliseconds(servers[name], token(env), uid, label))
    warm = updates // 10
    medians = {name: statistics.median(times[warm:]) for name, times in found.items()}
    rows: list[dict[str, Any]] = [
        {"what": name, "ms": ms, "times none": ms / medians[NONE]} for name, ms in medians.items()
    ]
    report("audit", rows)


if __name__ == "__main__":
    main()
