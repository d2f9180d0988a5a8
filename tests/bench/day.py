"""The statistics of one day, in a log of a week and in one of more than half a year.

    python -m tests.bench.day [--days 200]

A day has 5,000 events. The last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from datetime import date, timedelta

from tqdm import tqdm

from tests import datasets
from tests.bench.admin import WORKITEMS, use
from tests.live.parts import Postgres

FIRST = date(2026, 1, 1)
FEW_DAYS = 7
A_DAY = 5_000
"""Events: a third of them each is a creation, a claim and a completion."""
ROUNDS = 15

EVENTS = """
INSERT INTO upsrs_event (position, time, workitem_uid, kind, actor, state_before, state_after,
    label_before, label_after, stations_before, stations_after, performers_before,
    performers_after, dataset)
SELECT 3 * n + step, timestamptz '2026-01-01' + ((n * 3.0 + step) / %s) * interval '1 day',
    '2.25.' || n, (ARRAY['CREATED', 'STATE_REPORT', 'COMPLETED'])[step + 1], 'bench',
    (ARRAY['', 'SCHEDULED', 'IN PROGRESS'])[step + 1],
    (ARRAY['SCHEDULED', 'IN PROGRESS', 'COMPLETED'])[step + 1], '', 'LABEL' || n %% 10, '', '', '', '',
    '{}'::jsonb
FROM generate_series(%s, %s) AS n, generate_series(0, 2) AS step
"""


def fill(first_day: int, days: int) -> None:
    from django.db import connection

    dataset = json.dumps(datasets.dataset())
    with connection.cursor() as cursor:
        for day in tqdm(range(first_day, days), unit="day"):
            numbers = [day * A_DAY // 3 + 1, (day + 1) * A_DAY // 3]
            cursor.execute(WORKITEMS, [dataset, *numbers])
            cursor.execute(EVENTS, [A_DAY, *numbers])
        cursor.execute("VACUUM ANALYZE")


def run(postgres: Postgres, days: int) -> None:
    os.environ |= {
        "DATABASE_URL": postgres.create("few"),
        "DATABASE_POOL_SIZE": "0",  # a pool would stay with its database
        "DEBUG": "0",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": "of-the-bench",
    }
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from upsrs.statistics import figures

    call_command("migrate", verbosity=0)
    somebody = User.objects.create_superuser("bench")
    fill(0, FEW_DAYS)
    use("many")
    postgres.create("many", template="few")
    fill(FEW_DAYS, days)
    took: dict[str, list[float]] = {"few": [], "many": []}
    # By turns: whatever else the machine does slows both. The first round warms up.
    for _ in tqdm(range(ROUNDS + 1), unit="round"):
        for database, times in took.items():
            use(database)
            began = time.perf_counter()
            day = figures.day(somebody, FIRST + timedelta(days=FEW_DAYS - 2))
            times.append((time.perf_counter() - began) * 1000)
            assert day.completed > A_DAY // 4, "a day without events measures nothing"
    connection.close()
    few, many = (statistics.median(times[1:]) for times in took.values())
    tqdm.write(f"a day among {FEW_DAYS:4} {few:8.1f} ms")
    tqdm.write(f"a day among {days:4} {many:8.1f} ms, {many / few:.2f} times as long")
    measured = {"few_days": FEW_DAYS, "few_ms": few, "days": days, "many_ms": many}
    tqdm.write(json.dumps({"bench": "day", "events_a_day": A_DAY, **measured}))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="small numbers, which say little")
    asked = parser.parse_args()
    postgres = Postgres()
    try:
        run(postgres, FEW_DAYS + 1 if asked.quick else asked.days)
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
