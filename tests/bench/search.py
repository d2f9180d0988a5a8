"""How long a search takes by each key of every day, beside a look-up of the same page.

``python -m tests.bench.search [WORKITEMS]``: a PostgreSQL of its own, 100,000 workitems unless
told otherwise. Prints a table, and the same as one line of JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ["UPSRS_TEST_DATABASE"] = "postgres"
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

LIMIT = 50
ROUNDS = 20


def milliseconds(act: Callable[[], object]) -> float:
    """The median of some rounds, after one to warm up."""
    act()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return round(statistics.median(times) * 1000, 2)


def main(rows: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from tqdm import tqdm

    from tests.bench.worklist import EVERYDAY, fill
    from upsrs.models import Workitem
    from upsrs.searching import Search, returned, search

    def look_up(pks: list[int]) -> object:
        page = Workitem.objects.filter(pk__in=pks).order_by("pk")
        return [returned(row, ()) for row in page]

    call_command("migrate", verbosity=0)
    print(f"Filling the worklist with {rows:,} workitems ...", file=sys.stderr, flush=True)
    fill(rows)
    measured = []
    for name, pairs in tqdm(EVERYDAY.items(), unit="key", file=sys.stderr):
        asked = Search(tuple(pairs), limit=LIMIT)
        found = search(None, asked)
        uids = [dataset["00080018"]["Value"][0] for dataset in found.datasets]
        pks = list(Workitem.objects.filter(uid__in=uids).values_list("pk", flat=True))
        measured.append(
            {
                "key": name,
                "matches": len(found.datasets) + found.remaining,
                "search_ms": milliseconds(lambda asked=asked: search(None, asked)),
                "look_up_ms": milliseconds(lambda pks=pks: look_up(pks)),
            }
        )
    print(f"{'key':20}{'matches':>10}{'search, ms':>12}{'look-up, ms':>13}")
    for row in measured:
        print(
            f"{row['key']:20}{row['matches']:>10,}{row['search_ms']:>12.2f}{row['look_up_ms']:>13.2f}"
        )
    print(json.dumps({"workitems": rows, "limit": LIMIT, "keys": measured}))


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
    main(*numbers or [1_000 if "--quick" in sys.argv else 100_000])
