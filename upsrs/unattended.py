"""What nobody listens to: workitems that need somebody, counted for alarms and told to portal code.

What counts as such is `upsrs.delivery.attention`: nobody was told that it was created, it is
unclaimed past its start, or the sockets of its performer are gone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

from django.db.models import QuerySet

from upsrs import delivery
from upsrs.delivery import Attention
from upsrs.dicom.states import State
from upsrs.models import Workitem, write_alias
from upsrs.signals import workitem_unattended

__all__ = ["announce", "counts", "unattended"]

PAGE = 500
NEWEST = 1_000
"""So many of those that are not finished are counted: a look costs tens of milliseconds."""

COUNTED_SECONDS = 15.0
"""Several scrapers do not make it look more often."""


def unattended() -> Iterator[tuple[str, tuple[Attention, ...]]]:
    """UID and reasons of each workitem that needs somebody, in order of creation."""
    last = 0
    while page := list(_unfinished().filter(pk__gt=last).order_by("pk")[:PAGE]):
        found = delivery.attention(page)
        yield from ((row.uid, found[row.pk]) for row in page if row.pk in found)
        last = page[-1].pk


def announce() -> Counter[Attention]:
    """Send `workitem_unattended` for each of them; how many there are for each reason."""
    counted: Counter[Attention] = Counter()
    for workitem_uid, reasons in unattended():
        counted.update(reasons)
        workitem_unattended.send_robust(
            Workitem, workitem_uid=workitem_uid, reasons=tuple(it.name for it in reasons)
        )
    return counted


def counts() -> Counter[Attention]:
    """How many of the newest there are for each reason, as of a few seconds ago at most."""
    global _counted
    with _counting:
        at, counted = _counted
        if time.monotonic() - at >= COUNTED_SECONDS:
            newest = list(_unfinished().order_by("-pk")[:NEWEST])
            counted = Counter(why for them in delivery.attention(newest).values() for why in them)
            _counted = (time.monotonic(), counted)
    return counted


_counting = threading.Lock()
_counted: tuple[float, Counter[Attention]] = (float("-inf"), Counter())


def _unfinished() -> QuerySet[Workitem]:
    open_ones = (State.SCHEDULED, State.IN_PROGRESS)
    return Workitem.objects.using(write_alias()).filter(state__in=open_ones).defer("dataset")
