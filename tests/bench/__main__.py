"""The benchmarks, one after another: ``python -m tests.bench [NAME ...] [--quick]``.

Each prints a table, and the same as one line of JSON. ``--quick`` is small numbers, to see that
they run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

BENCHES = {
    "fan_out": "deliveries a second, beside a plain Channels app and nchan",
    "latency": "milliseconds on the way at 20 events a second, beside the same",
    "told": "one REST change to the last of 100 sockets, beyond the write itself",
    "stalled": "what a reader who stops costs the others",
    "memory": "what an idle socket holds, beside a plain Channels consumer",
    "soak": "what the memory does in an hour (--minutes) of sockets that hear, go and come",
    "storm": "thousands who connect at once, beside a bare authenticated consumer",
    "comeback": "thousands who return at once, each having missed some events",
    "writers": "a REST update with sockets open or Redis silent, beside none",
    "audit": "a REST update with the audit, beside none",
    "match": "whom an event concerns, of many subscriptions",
    "ingest": "workitems created a second, one by one and many at once",
    "sizing": "a calculation: the processes of a hospital group, from measured figures",
    "search": "a search by each key of every day",
    "admin": "the administrator's list with a million rows",
    "day": "the statistics of a day in a log of a million events",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=(__doc__ or "").splitlines()[0],
        epilog="\n".join(f"{name:12} {what}" for name, what in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, unless some are named")
    parser.add_argument("--quick", action="store_true", help="small numbers, which say little")
    asked = parser.parse_args()
    if unknown := set(asked.names) - BENCHES.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    failed = []
    for name in asked.names or BENCHES:
        print(f"--- {name}: {BENCHES[name]}", flush=True)
        # In a process of its own: each sets the portal up in its own way.
        command = [sys.executable, "-m", f"tests.bench.{name}", *["--quick"] * asked.quick]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
