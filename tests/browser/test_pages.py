"""Every page, as people have it before them: light, dark, and on a phone.

With UPSRS_TESTS_SCREENSHOTS=docs/screenshots in the environment, pictures of them are kept there.
"""

from __future__ import annotations

import pytest

from tests.browser.pages import PAGES
from tests.browser.visiting import look_over


@pytest.mark.parametrize("shown", PAGES, ids=lambda shown: shown.name)
async def test_a_page_can_be_used_by_everybody(hospital, visit, shown):
    allowed = ["Failed to load resource"] if shown.refused else []
    page = await visit(hospital, shown.path, shown.user, allow=allowed, reduced_motion="reduce")
    await page.locator(shown.ready).first.wait_for()
    if shown.click:
        await page.locator(shown.click).first.click()
    if shown.then:
        await page.locator(shown.then).first.wait_for()
    await look_over(page, shown.name)
