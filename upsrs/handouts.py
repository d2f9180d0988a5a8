"""What is noted of an event that was handed out here: counted, timed, and one line in the log.

Once for each event and process, however many sockets heard it. A busy server must not write
hundreds of lines a second: a few of each second are at INFO, the rest at DEBUG, and how many those
were is told. That each event has its correlation id does not depend on it: the log's row has it.
"""

from __future__ import annotations

import logging
import time

from upsrs import metrics
from upsrs.events import LoggedEvent

__all__ = ["LINES_PER_SECOND", "note"]

LINES_PER_SECOND = 10
"""So many events of each second have their line at INFO."""

logger = logging.getLogger(__name__)


def note(event: LoggedEvent, deliveries: int) -> None:
    """All live sockets of this process that the event concerns have been handed it."""
    # Another machine's clock may be ahead of ours.
    lag = max(0.0, time.time() - event.time.timestamp())
    metrics.EVENTS.labels(event.kind.value).inc()
    metrics.DELIVERED_LIVE.inc(deliveries)
    metrics.LAG.observe(lag)
    level = _lines.level() if deliveries else logging.DEBUG
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "Event %d (%s) was handed to %d sockets after %.3f s.",
        event.position,
        event.kind.value,
        deliveries,
        lag,
        extra={
            "correlation_id": event.correlation_id,
            "position": event.position,
            "kind": event.kind.value,
            "workitem_uid": event.workitem_uid,
            "sockets": deliveries,
            "lag_seconds": round(lag, 6),
        },
    )


class _Lines:
    """The lines at INFO of the present second, and the events that had none."""

    def __init__(self) -> None:
        self._second = 0
        self._left = 0
        self._untold = 0

    def level(self) -> int:
        """At which level the next event is told."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._left = second, LINES_PER_SECOND
            if self._untold:
                logger.info(
                    "%d more events were handed out: at DEBUG each has its line.", self._untold
                )
                self._untold = 0
        if self._left:
            self._left -= 1
            return logging.INFO
        self._untold += 1
        return logging.DEBUG


_lines = _Lines()
