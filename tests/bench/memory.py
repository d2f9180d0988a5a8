"""What an idle socket holds of its server's memory, each with a subscription of its own.

Beside it a plain Channels consumer behind AuthMiddlewareStack. The growth of the resident memory,
after some sockets that warm up.
"""

from __future__ import annotations

from typing import Any

import psutil
from tqdm import tqdm

from tests.bench import kinds
from tests.bench.machine import Load, arguments, report, set_up_django, stage


def kib_per_socket(kind: kinds.Kind, warm_up: int, count: int) -> float:
    process = psutil.Process(kind.pid)
    with Load() as load:
        load.open(count=warm_up, **kind.listening)
        before = process.memory_info().rss
        load.open(count=count, **kind.listening)
        return (process.memory_info().rss - before) / count / 1024


def main() -> None:
    quick = arguments(__doc__).quick
    warm_up, count = (20, 50) if quick else (500, 2_000)
    rows: list[dict[str, Any]] = []
    with stage() as env:
        set_up_django(env)
        servers = ["daphne"] if quick else ["daphne", "uvicorn"]
        compared: dict[str, Any] = {
            "Channels": lambda: kinds.channels(env, 100),
            **{name: lambda o=kinds.OURS[name]: o(env) for name in servers},
        }
        for name, serve in tqdm(compared.items(), unit="run"):
            with serve() as kind:
                found = kib_per_socket(kind, warm_up, count)
            rows.append({"what": name, "sockets": count, "KiB a socket": found})
    for row in rows:
        row["beyond Channels"] = row["KiB a socket"] - rows[0]["KiB a socket"]
    report("memory", rows)


if __name__ == "__main__":
    main()
