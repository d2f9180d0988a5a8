"""The pages in the bar at the top: those that this user may open."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse

PAGES = (
    ("Board", "upsrs_board:board", "upsrs.view_workitem"),
    ("Statistics", "upsrs_statistics:page", "upsrs.view_workitem"),
    ("Orders", "orders:list", "orders.view_order"),
)
"""Title, name of the address, permission."""


class Page(NamedTuple):
    title: str
    address: str
    is_here: bool


def pages(request: HttpRequest) -> dict[str, Any]:
    """For the templates; worked out only where one shows it."""

    def found() -> list[Page]:
        user = request.user
        shown = [(title, reverse(name)) for title, name, right in PAGES if user.has_perm(right)]
        if user.is_staff:
            shown.append(("Admin", reverse("admin:index")))
        return [Page(title, address, request.path == address) for title, address in shown]

    return {"pages": found}
