"""What a REST update takes while sockets are open that it does not concern, or Redis is silent.

Beside it the same with no socket anywhere, on a worklist of its own: the writer goes from one to
the next every few updates, so that all of them meet the same machine. Medians of one writer, who
waits for each answer; all servers share one core.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from tests import datasets
from tests.bench import kinds
from tests.bench.machine import Load, parser, report, serving, stage_with_redis, token
from tests.live.server import Server

NOBODY = "NOBODY"
"""A worklist that no socket follows."""

AT_A_TIME = 20
"""So many updates follow one another; those before do not count, that the last ones have left."""

UNCOUNTED = 3


class Writer:
    """Who has one workitem on one server, and changes it again and again."""

    def __init__(self, server: Server, env: dict[str, str], label: str = NOBODY) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port)
        self.headers = {**token(env), "Content-Type": "application/dicom+json"}
        self.uid = datasets.new_uid()
        created = datasets.dataset(SOPInstanceUID=self.uid, WorklistLabel=label)
        self.post(f"/ups-rs/workitems?{self.uid}", created, expected=201)
        self.times: list[float] = []

    def post(self, path: str, dataset: dict[str, Any], *, expected: int) -> None:
        self.connection.request("POST", path, json.dumps(dataset), self.headers)
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == expected, answer.status

    def change(self, step: str) -> float:
        """Change it once: how long the answer took, in milliseconds."""
        dataset = datasets.elements(ProcedureStepLabel=step)
        began = time.perf_counter()
        self.post(f"/ups-rs/workitems/{self.uid}", dataset, expected=200)
        return (time.perf_counter() - began) * 1000

    def update(self, times: int) -> None:
        taken = [self.change(str(number)) for number in range(UNCOUNTED + times)]
        self.times += taken[UNCOUNTED:]


def take_turns(writers: dict[str, Writer], rounds: int) -> Iterator[dict[str, Any]]:
    """What an update took each of them, the first of whom meets no socket; milliseconds."""
    for writer in writers.values():
        writer.update(UNCOUNTED)
        writer.times.clear()
    for _ in tqdm(range(rounds), unit="round"):
        for writer in writers.values():
            writer.update(AT_A_TIME)
    base, *_ = medians = [statistics.median(writer.times) for writer in writers.values()]
    for name, median in zip(writers, medians, strict=True):
        yield {"what": name, "ms": median, "times none": median / base}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sockets", type=int, default=1_000)
    asked = options.parse_args()
    sockets, rounds = (20, 1) if asked.quick else (asked.sockets, 20)
    with contextlib.ExitStack() as stack:
        quiet, _ = stack.enter_context(stage_with_redis())
        env, redis = stack.enter_context(stage_with_redis())
        nowhere, here, elsewhere = (
            stack.enter_context(serving(each)) for each in (quiet, env, env)
        )
        none = Writer(nowhere, quiet)
        load = stack.enter_context(Load())
        load.open(count=sockets, **kinds.following(elsewhere, env))
        rows: list[dict[str, Any]] = []

        def measure(among: Iterable[tuple[str, Server]]) -> None:
            writers = {name: Writer(server, env) for name, server in among}
            rows.extend(take_turns({"no socket": none} | writers, rounds))
            none.times.clear()

        measure(
            [
                (f"{sockets:,} sockets, of this process", elsewhere),
                (f"{sockets:,} sockets, of another process", here),
            ]
        )
        redis.silent()
        measure([("the same, and Redis is silent", here)])
        redis.silent(silent=False)
    report("writers", rows)


if __name__ == "__main__":
    main()
