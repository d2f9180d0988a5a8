"""What Prometheus scrapes: the counts of this process, and how things are at this moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from upsrs import access, events, metrics, unattended
from upsrs.delivery import Attention
from upsrs.hub import Hub
from upsrs.rest.views import UPSView

__all__ = ["MetricsView"]


class MetricsView(UPSView):
    """``metrics``: for who has the permission ``upsrs.view_metrics``."""

    http_method_names = ["get", "head"]

    def get(self, request: Request) -> HttpResponse:
        """Read the metrics of this process, as Prometheus has them or OpenMetrics."""
        access.require(request.user, "view_metrics")
        if not metrics.INSTALLED:
            raise NotFound("Nothing is counted here: install django-upsrs[metrics].")
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(metrics.REGISTRY), content_type=content_type)


class Present:
    """What is not counted but looked at, when somebody asks."""

    def collect(self) -> Iterator[Any]:
        from prometheus_client.metrics_core import GaugeMetricFamily

        hubs = Hub.all()
        yield GaugeMetricFamily(
            "upsrs_sockets", "Open sockets.", value=sum(len(hub.outlets) for hub in hubs)
        )
        yield GaugeMetricFamily(
            "upsrs_subscriptions",
            "Subscriptions that the open sockets follow.",
            value=sum(hub.followed() for hub in hubs),
        )
        depth = events.depth()
        log = GaugeMetricFamily("upsrs_log_events", "Events in the log.", labels=["state"])
        log.add_metric(["retained"], depth.retained)
        log.add_metric(["unnumbered"], depth.unnumbered)
        yield log
        yield GaugeMetricFamily(
            "upsrs_log_position", "The last position given in the log.", value=depth.position
        )
        counted = unattended.counts()
        needing = GaugeMetricFamily(
            "upsrs_unattended_workitems",
            "Of the newest unfinished workitems, those that need somebody.",
            labels=["reason"],
        )
        for reason in Attention:
            needing.add_metric([reason.name.lower()], counted[reason])
        yield needing


if metrics.INSTALLED:
    metrics.REGISTRY.register(Present())
