"""Remove what has been kept long enough."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from upsrs.retention import PURGES, Batch, Purge

INTERRUPTED = 130
"""As shells have it for a process that Ctrl-C ended."""

HELP = {
    "log": "events older than UPSRS_LOG_RETENTION_SECONDS, from the beginning of the log",
    "workitems": "workitems that ended UPSRS_WORKITEM_RETENTION_SECONDS ago, if nothing keeps them",
    "tombstones": "the UIDs of workitems removed UPSRS_TOMBSTONE_RETENTION_SECONDS ago",
    "subscriptions": "subscriptions that ended or waited longer than "
    "UPSRS_SUBSCRIPTION_TTL_SECONDS, and what is left of sockets and servers long gone",
    "audit": "records of the audit older than UPSRS_AUDIT_RETENTION_SECONDS",
}


class Command(BaseCommand):
    help = (
        "Remove what has been kept long enough: everything, or what is named. It may be run at "
        "any time beside the servers, twice at once, and stopped; run again, it goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        for name in PURGES:
            parser.add_argument(f"--{name}", action="store_true", help=HELP[name])
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, *args: Any, **options: Any) -> None:
        named = [name for name in PURGES if options[name]] or list(PURGES)
        dry_run = options["dry_run"]
        removed: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        stopped = None
        try:
            for name in named:
                for batch in _with_progress(name, PURGES[name], dry_run=dry_run):
                    removed += batch.removed
                    kept += batch.kept
        except KeyboardInterrupt:
            stopped = CommandError("Interrupted; run it again.", returncode=INTERRUPTED)
        except DatabaseError as error:
            # Not in its own words: a database quotes the row in them.
            kind = type(error).__name__
            stopped = CommandError(f"The database stopped it ({kind}); run it again.")
        self.stdout.write(_summary(removed, kept, "would remove" if dry_run else "removed"))
        if stopped:
            raise stopped


def _summary(removed: Counter[str], kept: Counter[str], verb: str) -> str:
    going = ", ".join(f"{what} {count}" for what, count in removed.items())
    staying = "".join(f"; {reason}: {count}" for reason, count in kept.items())
    return f"{verb}: {going or 'nothing'}{staying}"


def _with_progress(name: str, purge: Purge, *, dry_run: bool) -> Iterator[Batch]:
    """The batches, with a progress bar on a terminal."""
    batches = purge.batches(dry_run)
    if not sys.stderr.isatty():
        return batches
    try:
        from tqdm import tqdm
    except ImportError:  # an optional convenience, see the extra "files"
        return batches
    return _drawn(batches, tqdm(total=purge.due(), desc=name, unit="row", leave=False))


def _drawn(batches: Iterator[Batch], bar: Any) -> Iterator[Batch]:
    with bar:
        for batch in batches:
            bar.update(batch.size)
            yield batch
