"""One Chromium and one portal for each worker; each test opens pages of its own in them.

A page must say nothing to the console, break no policy and load all that it asks for: `visit`
looks at that when the test is over.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.browser.visiting import Site, Visits
from tests.live.parts import absent
from tests.live.server import Backend, populate, running

if TYPE_CHECKING:
    from playwright.async_api import Browser

SWITCHES = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # a sandbox needs a user other than root
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.live)
            if pytest_asyncio.is_async_test(item):
                # The loop of the browser, which lives as long as the worker.
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        absent("Chromium", "there is no program chromium (Debian: apt-get install chromium)")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """``make_site()``: a portal of one's own, on SQLite, with alice, bob and root in it."""
    template = tmp_path_factory.mktemp("template") / "db.sqlite3"
    tokens = populate({"DATABASE_URL": f"sqlite:///{template}"})
    with contextlib.ExitStack() as stack:

        def make(**env: str) -> Site:
            folder = tmp_path_factory.mktemp("site")
            database = shutil.copy(template, folder / "db.sqlite3")
            backend = Backend("sqlite", {"DATABASE_URL": f"sqlite:///{database}", **env}, tokens)
            server = stack.enter_context(running(backend.env, folder / "daphne.log"))
            return Site(backend, server)

        yield make


@pytest.fixture(scope="session")
def site(make_site: Callable[..., Site]) -> Site:
    """The portal that a worker's tests share: know your own workitems by a label of your own."""
    return make_site()


@pytest.fixture(scope="session")
def hospital(make_site: Callable[..., Site]) -> Site:
    """A portal with a day's work in it, for looking at; tests that change things have `site`."""
    busy = make_site()
    busy.change((Path(__file__).parent / "hospital.py").read_text())
    return busy


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visits]:
    visits = Visits(browser)
    yield visits
    await visits.leave()
