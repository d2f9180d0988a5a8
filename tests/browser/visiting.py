"""People who look at pages: each visit is a browser window of its own, logged in as one of them."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.live import making
from tests.live.parts import PATIENCE_SECONDS
from tests.live.server import Backend, Server

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

PATIENCE = PATIENCE_SECONDS * 1000
"""In milliseconds, as Playwright counts."""

ANY_PAGE = "/accounts/login/"
"""It has nothing to do with the board, and needs no login."""

BROKEN = ["WebSocket", "Failed to load", "ERR_"]
"""What the browser itself says to the console when a line breaks."""

RETURNS_SOON = "Math.random = () => 0.1;"
"""A script: of the pause after a lost line, this page waits the first tenth."""

DESKTOP, PHONE = (1440, 900), (390, 844)
LOOKS = {"light": (DESKTOP, "light"), "dark": (DESKTOP, "dark"), "narrow": (PHONE, "light")}
SCREENSHOTS = os.environ.get("UPSRS_TESTS_SCREENSHOTS", "")
"""Where pictures are kept; empty: none are taken."""


@dataclass
class Site:
    """A running portal, and what happens in it from other processes."""

    backend: Backend
    server: Server
    logins: dict[str, Any] = field(default_factory=dict)
    """User → the cookies of a login, so that each logs in once."""

    @property
    def url(self) -> str:
        return self.server.url

    def change(self, code: str) -> str:
        """Run code in a process of its own, as `tests.live.making`; what it printed."""
        return making.change(self.backend, code)

    def make(self, **changes: Any) -> str:
        """A process of its own creates a workitem, by keyword; its UID."""
        return making.create(self.backend, **changes)


class Visits:
    """``page = await visit(site, "/", "alice")``: a window of alice's, open at this address.

    What a page complains about is kept, and `leave` fails for it: errors and warnings of the
    console, so breaches of the Content-Security-Policy too, exceptions, and files that did not
    load. ``allow`` has patterns of what a test expects.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: list[BrowserContext] = []
        self.problems: list[str] = []
        self.allowed: list[str] = []

    async def __call__(
        self,
        site: Site,
        path: str = "/",
        user: str = "",
        *,
        dark: bool = False,
        size: tuple[int, int] = DESKTOP,
        allow: Iterable[str] = (),
        script: str = "",
        **options: Any,
    ) -> Page:
        """``user`` is alice, bob or root, or nobody. ``script`` runs before those of the page.

        ``options`` are those of `new_context`.
        """
        self.allowed += allow
        if user and user not in site.logins:
            site.logins[user] = await self._log_in(site, user)
        context = await self.browser.new_context(
            base_url=site.url,
            storage_state=site.logins.get(user),
            color_scheme="dark" if dark else "light",
            viewport={"width": size[0], "height": size[1]},
            locale="en-GB",
            timezone_id="UTC",
            **options,
        )
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = await context.new_page()
        if script:
            await page.add_init_script(script)
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("requestfailed", lambda asked: self._note_failure(asked))
        await page.goto(path)
        return page

    async def leave(self) -> None:
        for context in self.contexts:
            await context.close()
        unexpected = [
            problem
            for problem in self.problems
            if not any(re.search(pattern, problem) for pattern in self.allowed)
        ]
        assert not unexpected, unexpected

    async def _log_in(self, site: Site, user: str) -> Any:
        context = await self.browser.new_context(base_url=site.url)
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        await page.goto("/accounts/login/")
        await page.get_by_label("User name").fill(user)
        await page.get_by_label("Password").fill(user)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(lambda url: "/accounts/login/" not in url, wait_until="commit")
        state = await context.storage_state()
        await context.close()
        return state

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"{kind}: {text}")

    def _note_failure(self, request: Any) -> None:
        # A page that is left cancels what it was still loading.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.url}: {request.failure}")


async def look_over(page: Page, name: str) -> None:
    """A page in every look: nothing runs out of the window, and all may use it. Takes its pictures."""
    for look, ((width, height), scheme) in LOOKS.items():
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        # Links of Django's admin take their new colour in a while.
        await page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
        if await page.locator("picture").count():
            await page.reload()  # it has another file for this look: wait for that
        assert await overflow(page) == 0, look
        assert await violations(page) == [], look
        if SCREENSHOTS:
            _keep(await page.screenshot(), Path(SCREENSHOTS) / f"{name}-{look}.png")


def _keep(picture: bytes, path: Path) -> None:
    """With a palette: a page has few colours, and the file is a third of the size."""
    from PIL import Image

    shown = Image.open(io.BytesIO(picture)).convert("RGB")
    shown.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, in its own words; nothing, if all may use it."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).with_name("axe.min.js")
    # Evaluated by the debugger: a Content-Security-Policy does not hinder it.
    await page.evaluate(script.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [
        f"{violation['id']}: {violation['help']}: {json.dumps(node['target'])} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


async def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    wide: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide
