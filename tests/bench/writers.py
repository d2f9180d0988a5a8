"""What a REST update takes while sockets are open that it does not concern, or Redis is silent.

Beside it the same with no socket anywhere, before and after. Medians of one writer, who waits for
each answer.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from typing import Any

from tests import datasets
from tests.bench import kinds
from tests.bench.machine import (
    Load,
    parser,
    report,
    serving,
    set_up_django,
    stage_with_redis,
    token,
)
from tests.live.server import Server

NOBODY = "NOBODY"
"""A worklist that no socket follows."""


def milliseconds(server: Server, headers: dict[str, str], uid: str, updates: int) -> float:
    """The median of so many updates."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {**headers, "Content-Type": "application/dicom+json"}
    times = []
    for number in range(updates + 5):
        body = json.dumps(datasets.elements(ProcedureStepLabel=str(number % 1_000)))
        began = time.perf_counter()
        connection.request("POST", f"/ups-rs/workitems/{uid}", body, headers)
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
    connection.close()
    return statistics.median(times[5:])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sockets", type=int, default=1_000)
    asked = options.parse_args()
    sockets, updates = (20, 5) if asked.quick else (asked.sockets, 300)
    found: dict[str, float] = {}
    with stage_with_redis() as (env, redis):
        set_up_django(env)
        from upsrs import workitems

        uid = workitems.create(None, datasets.dataset(WorklistLabel=NOBODY)).workitem_uid
        with serving(env) as here, serving(env) as elsewhere:

            def note(name: str, server: Server) -> None:
                found[name] = milliseconds(server, token(env), uid, updates)

            note("no socket", here)
            with Load() as load:
                load.open(count=sockets, **kinds.following(elsewhere, env))
                note(f"{sockets:,} sockets, of this process", elsewhere)
                note(f"{sockets:,} sockets, of another process", here)
                redis.silent()
                note("the same, and Redis is silent", here)
                redis.silent(silent=False)
            if not asked.quick:
                time.sleep(20)  # the sockets that have just gone are still being seen off
            note("no socket, after all", here)
    base = (found["no socket"] + found["no socket, after all"]) / 2
    rows: list[dict[str, Any]] = [
        {"what": name, "ms": ms, "times none": ms / base} for name, ms in found.items()
    ]
    report("writers", rows)


if __name__ == "__main__":
    main()
