"""The benchmarks run: with numbers too small to say anything, so that none of them rots."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.bench.machine import PREPARED
from tests.live.server import CHECKOUT

pytestmark = [pytest.mark.postgres, pytest.mark.redis]


@pytest.mark.parametrize(
    "name",
    [
        *("match", "fan_out", "ingest", "latency", "told", "stalled", "memory", "storm"),
        *("comeback", "writers", "audit", "sizing", "soak"),
    ],
)
def test_a_benchmark_runs_and_ends_with_a_line_of_json(name, postgres_backend):
    lent = {
        "DATABASE_URL": postgres_backend.env["DATABASE_URL"],
        "BENCH_TOKEN": postgres_backend.tokens["alice"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", name, "--quick"],
        cwd=CHECKOUT,
        env={**os.environ, PREPARED: json.dumps(lent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["bench"] == name
    assert told["rows"]
