"""What is noted of an event that was handed out here: counted, timed, and one line in the log.

Once for each event and process, however many sockets heard it.
"""

from __future__ import annotations

import logging
import time

from upsrs import metrics
from upsrs.events import LoggedEvent

__all__ = ["note"]

logger = logging.getLogger(__name__)


def note(event: LoggedEvent, deliveries: int) -> None:
    """All live sockets of this process that the event concerns have been handed it."""
    # Another machine's clock may be ahead of ours.
    lag = max(0.0, time.time() - event.time.timestamp())
    metrics.EVENTS.labels(event.kind.value).inc()
    metrics.DELIVERED_LIVE.inc(deliveries)
    metrics.LAG.observe(lag)
    logger.log(
        logging.INFO if deliveries else logging.DEBUG,
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
