"""The addresses of the statistics; the portal chooses where they begin."""

from __future__ import annotations

from django.urls import path

from upsrs.statistics import views

app_name = "upsrs_statistics"

urlpatterns = [
    path("", views.page, name="page"),
    path("<slug:name>.svg", views.chart, name="chart"),
]
