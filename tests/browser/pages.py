"""Every page that people look at. Who adds a page adds it here, and it is looked at in each look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """A page as somebody has it before them."""

    name: str
    """Of its picture, too."""
    path: str
    user: str = "alice"
    ready: str = "h1"
    """A CSS selector: there is something to see once this is visible."""
    click: str = ""
    """What to open then, if not the page as it comes."""
    then: str = ""
    """A CSS selector: there is something to see of that once this is visible."""
    refused: bool = False
    """The page is a refusal, which the console tells as well."""


PAGES = [
    Look("log-in", "/accounts/login/", user=""),
    Look("board", "/", ready=".ups-card"),
    Look("board-list", "/?view=list", ready=".ups-card"),
    Look("board-empty", "/?label=NOBODY+HAS+THIS", ready=".ups-nothing:visible"),
    Look("board-drawer", "/", ready=".ups-card", click=".ups-card-title", then=".ups-details"),
    Look(
        "board-claimed",
        "/",
        ready=".ups-card",
        click=".ups-column[data-column=in-progress] .ups-card-title",
        then=".ups-details",
    ),
    Look("statistics", "/statistics/", ready="picture img"),
    Look("admin-workitems", "/admin/upsrs/workitem/", user="root"),
    Look(
        "admin-workitem",
        "/admin/upsrs/workitem/?q=Read+CT+chest",
        user="root",
        click="#result_list tbody th a",
        then=".upsrs-timeline",
    ),
    Look("board-forbidden", "/", user="bob", refused=True),
]
