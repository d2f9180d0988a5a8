"""What this server process counts of itself, for Prometheus.

Each process counts its own and answers for itself alone: a collector scrapes each, and adds. What
is counted costs a few integer additions for each event, however many sockets hear it. Without
prometheus_client (the extra ``metrics``) nothing is counted, and all else is as it was.
"""

from __future__ import annotations

from typing import Any

try:
    import prometheus_client
except ImportError:
    prometheus_client = None  # type: ignore[assignment]

__all__ = ["INSTALLED", "REGISTRY", "closed"]

INSTALLED = prometheus_client is not None

LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class _Uncounted:
    """A metric where nothing counts."""

    def labels(self, *_: str) -> _Uncounted:
        return self

    def inc(self, amount: float = 1) -> None:
        pass

    def observe(self, amount: float) -> None:
        pass


REGISTRY: Any = prometheus_client.CollectorRegistry() if INSTALLED else None
"""Ours alone: a portal that counts for itself has one of its own, and may serve both."""


def _counter(name: str, says: str, *labels: str) -> Any:
    if not INSTALLED:
        return _Uncounted()
    return prometheus_client.Counter(f"upsrs_{name}", says, labels, registry=REGISTRY)


def _histogram(name: str, says: str, buckets: tuple[float, ...]) -> Any:
    if not INSTALLED:
        return _Uncounted()
    return prometheus_client.Histogram(f"upsrs_{name}", says, buckets=buckets, registry=REGISTRY)


EVENTS = _counter("events", "Events of the log that the open sockets here have passed.", "kind")
DELIVERIES = _counter(
    "deliveries",
    "Events handed to a socket: at once, or to one that catches up.",
    "when",
)
DELIVERED_LIVE, DELIVERED_LATE = DELIVERIES.labels("live"), DELIVERIES.labels("catching_up")
LAG = _histogram(
    "delivery_lag_seconds",
    "From the moment of an event until the sockets that are live here were handed it.",
    LAG_BUCKETS,
)
WAKEUPS_LOST = _counter("wakeups_lost", "Times that events were found by polling, unwoken.")
WAKEUPS_UNSENT = _counter("wakeups_unsent", "Wake-ups that the channel layer did not take.")
RESUMES = _counter("resumes", "Subscriptions taken up again at their place.")
RESYNCS = _counter("resyncs", "Subscriptions told to start from the present state.")
CLOSES = _counter("closes", "Sockets closed, by the close code.", "code")
AUDIT_FAILURES = _counter("audit_failures", "Audit records that could not be written at once.")
HANDSHAKES_REFUSED = _counter("handshakes_refused", "Sockets that were not let in.", "reason")

CLOSE_CODES = frozenset({1000, 1001, 1005, 1006, 1009, 1011})
"""Of the codes that clients and the network choose, those that are told apart."""


def closed(code: int, *, by_us: bool) -> None:
    """A socket is closed. A client may send any code: what nobody knows is ``other``."""
    is_known = by_us or code in CLOSE_CODES
    CLOSES.labels(str(code) if is_known else "other").inc()


if INSTALLED:
    prometheus_client.ProcessCollector(registry=REGISTRY)
