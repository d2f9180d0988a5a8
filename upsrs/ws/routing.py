"""The addresses of the channels; the portal mounts them under its prefix."""

from __future__ import annotations

from typing import Any

from django.urls import path

from upsrs.ws.consumers import GeneralChannel, SpecificChannel
from upsrs.ws.event_channel import EventChannel

__all__ = ["websocket_urlpatterns"]

general: Any = GeneralChannel.as_asgi()
specific: Any = SpecificChannel.as_asgi()
events: Any = EventChannel.as_asgi()

websocket_urlpatterns = [
    path("workitems/subscription", general),
    path("workitems/subscription/<str:subscription_uid>", specific),
    path("subscribers/<path:ae_title>", events),
    path("ws/subscribers/<path:ae_title>", events),  # as many clients of older editions have it
]
