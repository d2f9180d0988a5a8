"""The resources of the worklist service (PS3.18 11.1.1); the portal chooses the base path.

No address ends in a slash: the standard's templates have none.
"""

from __future__ import annotations

from django.urls import path

from upsrs.rest import capabilities, documents, metrics, subscribers, tickets, views

app_name = "upsrs"

channel = capabilities.ChannelView.as_view()

urlpatterns = [
    path("", capabilities.CapabilitiesView.as_view(), name="service"),
    # The channels are opened by WebSocket (``upsrs.ws.routing``): who comes without is told so.
    path("workitems/subscription", channel),
    path("workitems/subscription/<str:subscription_uid>", channel),
    path("subscribers/<path:ae_title>", channel),
    path("ws/subscribers/<path:ae_title>", channel),
    path("openapi.json", documents.OpenAPIView.as_view(), name="openapi"),
    path("asyncapi.json", documents.AsyncAPIView.as_view(), name="asyncapi"),
    path("asyncapi-3.json", documents.AsyncAPI3View.as_view(), name="asyncapi-3"),
    path("tickets", tickets.TicketsView.as_view(), name="tickets"),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("workitems", views.WorkitemsView.as_view(), name="workitems"),
    path("workitems/<str:workitem_uid>", views.WorkitemView.as_view(), name="workitem"),
    path("workitems/<str:workitem_uid>/state", views.StateView.as_view(), name="state"),
    path(
        "workitems/<str:workitem_uid>/state/<str:requester>",
        views.StateView.as_view(),
        name="state",
    ),
    path(
        "workitems/<str:workitem_uid>/cancelrequest",
        views.CancelRequestView.as_view(),
        name="cancelrequest",
    ),
    path(
        "workitems/<str:workitem_uid>/cancelrequest/<str:requester>",
        views.CancelRequestView.as_view(),
        name="cancelrequest",
    ),
    # An AE title may have slashes in it.
    path(
        "workitems/<str:workitem_uid>/subscribers/<path:ae_title>/suspend",
        subscribers.SuspendView.as_view(),
        name="suspend",
    ),
    path(
        "workitems/<str:workitem_uid>/subscribers/<path:ae_title>",
        subscribers.SubscriberView.as_view(),
        name="subscriber",
    ),
    path("workitems/<str:workitem_uid>/progress", views.ProgressView.as_view(), name="progress"),
]
