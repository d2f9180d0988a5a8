"""Subscribe, Unsubscribe and Suspend (PS3.18 11.10 to 11.12), as DRF views."""

from __future__ import annotations

from urllib.parse import quote

from rest_framework.request import Request
from rest_framework.response import Response

from upsrs import subscribers
from upsrs.audit import Act
from upsrs.rest import queries, refusals
from upsrs.rest.views import UPSView

__all__ = ["SubscriberView", "SuspendView"]


class SubscriberView(UPSView):
    """One AE, as the subscriber of a workitem or of the worklist."""

    acts = {"POST": Act.SUBSCRIBE, "DELETE": Act.UNSUBSCRIBE}

    def post(self, request: Request, workitem_uid: str, ae_title: str) -> Response:
        """Subscribe (PS3.18 11.10)."""
        asked = queries.subscription(request.META.get("QUERY_STRING", ""))
        granted = subscribers.subscribe(
            request.user,
            ae_title,
            queries.target(workitem_uid),
            deletion_lock=asked.deletion_lock,
            filter=asked.filter,
        )
        channel = self.channel(ae_title)
        headers = {
            "Content-Location": channel,
            "Location": channel,
            **self.warning("" if granted else refusals.W13),
        }
        return Response(status=201, headers=headers)

    def delete(self, request: Request, workitem_uid: str, ae_title: str) -> Response:
        """Unsubscribe (PS3.18 11.11)."""
        subscribers.unsubscribe(request.user, ae_title, queries.target(workitem_uid))
        return Response()

    def channel(self, ae_title: str) -> str:
        """Where this AE hears its events: the whole address (PS3.18 11.10.3.2)."""
        # http becomes ws, and https wss.
        service = self.service.replace("http", "ws", 1)
        return f"{service}/subscribers/{quote(ae_title.strip(' '), safe='')}"


class SuspendView(UPSView):
    """The end of what an AE will be subscribed to, but not of what it is."""

    acts = {"POST": Act.SUSPEND}

    def post(self, request: Request, workitem_uid: str, ae_title: str) -> Response:
        """Suspend Global Subscription (PS3.18 11.12)."""
        subscribers.suspend(request.user, ae_title, queries.target(workitem_uid))
        return Response()
