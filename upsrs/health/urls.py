"""``live`` and ``ready``; the portal chooses where."""

from __future__ import annotations

from django.urls import path

from upsrs.health.views import LivenessView, ReadinessView

app_name = "upsrs_health"

urlpatterns = [
    path("live", LivenessView.as_view(), name="live"),
    path("ready", ReadinessView.as_view(), name="ready"),
]
