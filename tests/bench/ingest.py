"""How many workitems a second one process puts on the worklist, one by one and many at once.

Through the functions that portal code calls, on PostgreSQL with Redis, a server with a socket that
hears of each beside it. Medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from tests import datasets
from tests.bench.kinds import LABEL, OURS
from tests.bench.machine import Load, arguments, report, set_up_django, stage


def dataset() -> datasets.JSONDataset:
    return datasets.dataset(
        WorklistLabel=LABEL,
        ScheduledStationNameCodeSequence=[datasets.code("CT1")],
        ReferencedRequestSequence=[
            datasets.elements(StudyInstanceUID=datasets.new_uid(), AccessionNumber="ACC-1")
        ],
    )


def one_by_one(made: Sequence[datasets.JSONDataset]) -> None:
    from upsrs import workitems

    for each in made:
        workitems.create(None, each)


def at_once(made: Sequence[datasets.JSONDataset]) -> None:
    from upsrs import workitems

    workitems.create_many(None, made)


def rate(load: Load, act: Callable[[Sequence[Any]], None], count: int) -> tuple[float, float]:
    """Workitems a second, written, and written and heard of."""
    made = [dataset() for _ in range(count)]
    load.do("arm", deliveries=count)
    began = time.monotonic()
    act(made)
    written = time.monotonic()
    came = load.do("wait", seconds=180)
    assert came["deliveries"] == count, f"lost some: {came}"
    return count / (written - began), count / (came["last"] - began)


def main() -> None:
    quick = arguments(__doc__).quick
    rounds = 1 if quick else 5
    plan: dict[str, tuple[Callable[[Sequence[Any]], None], int]] = {
        "create, one by one": (one_by_one, 20 if quick else 500),
        "create_many, 100 at once": (at_once, 20 if quick else 100),
        "create_many, 5,000 at once": (at_once, 50 if quick else 5_000),
    }
    rows: list[dict[str, Any]] = []
    with stage() as env:
        set_up_django(env)
        with OURS["daphne"](env) as kind, Load() as load:
            load.open(count=1, **kind.listening)
            for name, (act, count) in tqdm(plan.items(), unit="run"):
                rates = [rate(load, act, count) for _ in range(rounds + 1)][1:]
                written, heard = (statistics.median(column) for column in zip(*rates, strict=True))
                rows.append({"what": name, "per_second": written, "heard_per_second": heard})
    for row in rows:
        row["times one by one"] = row["per_second"] / rows[0]["per_second"]
    report("ingest", rows)


if __name__ == "__main__":
    main()
