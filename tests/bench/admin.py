"""The administrator's list with 10,000 and with 1,000,000 workitems, on a PostgreSQL of its own.

    python -m tests.bench.admin [--rows 1000000]

For each page: the queries it asks, the median time in the process with few rows and with many, and
the ratio of the two. The last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

from tqdm import tqdm

from tests import datasets
from tests.live.parts import Postgres

FEW = 10_000
AT_ONCE = 50_000
ROUNDS = 15

PAGES = {
    "first page": "",
    "page 10": "?p=10",
    "by start": "?o=8",
    "SCHEDULED": "?state=SCHEDULED",
    "IN PROGRESS": "?state=IN+PROGRESS",
    "priority HIGH": "?priority=HIGH",
    "label": "?label=LABEL7",
    "label pattern": "?label=LABEL?",
    "station": "?station=STATION7",
    "one day": "?starts_at__year=2026&starts_at__month=1&starts_at__day=5",
    "late": "?attention=LATE",
    "nobody told": "?attention=UNHEARD",
    "search patient": "?q=PID-77",
    "search accession": "?q=ACC-77",
    "search label": "?q=LABEL7",
}

WORKITEMS = """
INSERT INTO upsrs_workitem (uid, state, dataset, transaction_uid, performer, version, created_at,
    changed_at, worklist_label, step_label, priority, readiness, starts_at, patient_id)
SELECT '2.25.' || n,
    CASE WHEN n %% 20 = 0 THEN 'IN PROGRESS' WHEN n %% 4 = 0 THEN 'SCHEDULED' ELSE 'COMPLETED' END,
    %s::jsonb,
    CASE WHEN n %% 20 <> 0 AND n %% 4 = 0 THEN '' ELSE '2.25.1' END,
    CASE WHEN n %% 20 = 0 THEN 'ENGINE1' ELSE '' END,
    1, now(), now(), 'LABEL' || n %% 10, 'STEP' || n %% 100,
    CASE n %% 3 WHEN 0 THEN 'HIGH' WHEN 1 THEN 'MEDIUM' ELSE 'LOW' END,
    'READY', timestamptz '2026-01-01' + n %% 525600 * interval '1 minute', 'PID-' || n / 10
FROM generate_series(%s, %s) AS n
"""

KEYS = """
INSERT INTO upsrs_workitemkey (workitem_id, name, value)
SELECT id, kind.name, kind.value FROM upsrs_workitem, LATERAL (VALUES
    ('station', 'STATION' || id %% 50), ('accession', 'ACC-' || id / 2)) AS kind (name, value)
WHERE id BETWEEN %s AND %s
"""

EVENTS = """
INSERT INTO upsrs_event (position, time, workitem_uid, kind, actor, state_before, state_after,
    label_before, label_after, stations_before, stations_after, performers_before,
    performers_after, dataset)
SELECT id, now(), uid, 'CREATED', '', '', 'SCHEDULED', '', worklist_label, '', '', '', '', dataset
FROM upsrs_workitem WHERE id BETWEEN %s AND %s
"""


def fill(first: int, last: int) -> None:
    from django.db import connection

    dataset = json.dumps(datasets.dataset())
    with connection.cursor() as cursor, tqdm(total=last - first + 1, unit="workitem") as done:
        for start in range(first, last + 1, AT_ONCE):
            end = min(start + AT_ONCE - 1, last)
            cursor.execute(WORKITEMS, [dataset, start, end])
            cursor.execute(KEYS, [start, end])
            cursor.execute(EVENTS, [start, end])
            done.update(end - start + 1)
        cursor.execute("UPDATE upsrs_log SET position = %s", [last])
        cursor.execute("VACUUM ANALYZE")


def use(database: str) -> None:
    """From here on the portal works on this database."""
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = database


def look(client: Any, name: str) -> tuple[int, float]:
    """The queries that a page asks, and its milliseconds. The first look warms up."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    address = f"/admin/upsrs/workitem/{PAGES[name]}"
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
    # Now: the next request empties the list.
    queries = len(asked)
    assert answer.status_code == 200
    assert answer.context["cl"].result_list, f"{name}: a page without rows measures nothing"
    assert queries > 0, f"{name}: no query was seen"
    began = time.perf_counter()
    client.get(address)
    return queries, (time.perf_counter() - began) * 1000


def measure(client: Any) -> dict[str, dict[str, float]]:
    """Page → queries and median milliseconds, with few rows and with many.

    By turns: whatever else the machine does slows both.
    """
    found = {}
    for name in tqdm(PAGES, unit="page"):
        looks: dict[str, list[tuple[int, float]]] = {"few": [], "many": []}
        for _ in range(ROUNDS):
            for database, seen in looks.items():
                use(database)
                seen.append(look(client, name))
        few, many = (statistics.median(ms for _, ms in looks[one]) for one in ("few", "many"))
        queries = max(asked for seen in looks.values() for asked, _ in seen)
        found[name] = {"queries": queries, "few_ms": few, "many_ms": many, "ratio": many / few}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="small numbers, which say little")
    asked = parser.parse_args()
    rows = FEW + 1_000 if asked.quick else asked.rows
    postgres = Postgres()
    try:
        run(postgres, rows)
    finally:
        postgres.stop()


def run(postgres: Postgres, rows: int) -> None:
    os.environ |= {
        "DATABASE_URL": postgres.create("few"),
        "DATABASE_POOL_SIZE": "0",  # a pool would stay with its database
        "DEBUG": "0",  # with it on, Django keeps each query
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": "of-the-bench",
    }
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import setup_test_environment

    setup_test_environment()
    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    fill(1, FEW)
    use("many")
    postgres.create("many", template="few")
    fill(FEW + 1, rows)
    pages = measure(client)
    connection.close()

    tqdm.write(f"{'page':18} queries {f'{FEW:,} rows':>14} {f'{rows:,} rows':>16}  ratio")
    for name, page in pages.items():
        tqdm.write(
            f"{name:18} {page['queries']:7} {page['few_ms']:11.1f} ms "
            f"{page['many_ms']:13.1f} ms {page['ratio']:6.2f}"
        )
    tqdm.write(json.dumps({"bench": "admin", "few": FEW, "rows": rows, "pages": pages}))


if __name__ == "__main__":
    main()
