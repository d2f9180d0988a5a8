"""The addresses of the board; the portal chooses where they begin."""

from __future__ import annotations

from django.urls import path

from upsrs.board import views

app_name = "upsrs_board"

urlpatterns = [
    path("", views.board, name="board"),
    path("asked/", views.asked, name="asked"),
    path("finished/", views.finished, name="finished"),
    path("workitems/<str:workitem_uid>/", views.workitem, name="workitem"),
    path("workitems/<str:workitem_uid>/<str:name>/", views.act, name="act"),
]
