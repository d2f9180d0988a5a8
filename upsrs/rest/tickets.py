"""Our extension: one-time tickets for sockets of browsers without our cookies."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from upsrs import tickets
from upsrs.audit import Act
from upsrs.errors import InvalidArgument
from upsrs.logins import login_of
from upsrs.rest import media
from upsrs.rest.views import UPSView

__all__ = ["TicketsView"]


class TicketsView(UPSView):
    """``tickets``: for who may subscribe."""

    acts = {"POST": Act.ISSUE_TICKET}

    def post(self, request: Request) -> Response:
        """Issue a one-time ticket for a channel."""
        asked = media.read_json(request)
        path = asked.get("path")
        if set(asked) != {"path"} or not isinstance(path, str):
            raise InvalidArgument("The body must give a path, and nothing else.", name="path")
        ticket = tickets.issue(request.user, login_of(request), path)
        answer = {"ticket": ticket, "expiresInSeconds": tickets.SECONDS}
        return Response(answer, status=201, content_type=media.JSON)
