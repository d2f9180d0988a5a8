"""The portal's and the admin's pages in a browser; and "why did it not arrive?", asked of the admin."""

from __future__ import annotations

import pytest

from tests.browser.visiting import look_over

FOLLOWERS = """
from django.contrib.auth.models import User
from tests.core.following import drop, follow
from upsrs import subscriptions
alice = User.objects.get(username="alice")
follow(alice, worklistLabel="WHY-OTHER")
drop(follow(alice, worklistLabel="WHY-AWAY*"))
ended = follow(alice, worklistLabel="WHY-ENDED*")
subscriptions.end(alice, ended.uid, "CONNECTION_CLOSURE")
"""
WORKITEM = """
uid = workitems.create(None, datasets.dataset(WorklistLabel={label!r})).workitem_uid
print(Workitem.objects.get(uid=uid).pk, uid)
"""


@pytest.fixture(scope="session")
def followed(site):
    """A follower of each kind, and a workitem that concerns the first three of them differently."""
    site.change(FOLLOWERS)
    made = {}
    for label in ("WHY-AWAY-1", "WHY-ENDED-1"):
        key, uid = site.change(WORKITEM.format(label=label)).split()
        made[label] = (key, uid)
    return made


PAGES = {
    "orders": "/orders/",
    "order-new": "/orders/new/",
    "admin": "/admin/",
    "admin-workitem-new": "/admin/upsrs/workitem/add/",
    "admin-history": "/admin/upsrs/workitem/{key}/history/",
    "admin-subscriptions": "/admin/upsrs/subscription/",
    "admin-subscription": "/admin/upsrs/subscription/1/change/",
    "admin-match": "/admin/upsrs/subscription/match/?workitem={uid}",
    "admin-audit": "/admin/upsrs/auditrecord/",
    "admin-audit-record": "/admin/upsrs/auditrecord/1/change/",
    "admin-told": "/admin/upsrs/auditrecord/told/?by=user&name=alice",
    "workitem": "/workitems/{uid}/",
    "admin-events": "/admin/upsrs/event/",
    "admin-event": "/admin/upsrs/event/1/change/",
    "not-found": "/nowhere",
}
"""Name, of its picture too → address."""


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_can_be_used_by_everybody(site, followed, visit, name):
    key, uid = followed["WHY-AWAY-1"]
    allowed = ["status of 404"] if name == "not-found" else []
    page = await visit(site, PAGES[name].format(key=key, uid=uid), "root", allow=allowed)
    await page.locator("h1").first.wait_for()
    await page.wait_for_load_state("networkidle")
    await look_over(page, name)


async def ask(visit, site, uid, follows):
    """Find the workitem in the admin, and the line of its timeline about this follower."""
    page = await visit(site, "/admin/upsrs/workitem/", "root")
    await page.get_by_role("textbox", name="Search").fill(uid)
    await page.get_by_role("button", name="Search").click()
    await page.locator("#result_list tbody th a").click()
    for summary in await page.locator(".upsrs-timeline summary").all():
        await summary.click()
    return page, page.locator(".upsrs-told tr", has_text=follows)


async def test_it_did_not_arrive_because_the_filter_did_not_match(site, followed, visit):
    _, uid = followed["WHY-AWAY-1"]
    page, line = await ask(visit, site, uid, "label WHY-OTHER")
    assert "The filter did not match" in await line.inner_text()
    await line.get_by_role("link", name="field by field").click()
    await page.get_by_text("It does not match.").wait_for()
    field = await page.locator(".upsrs-match tbody tr").inner_text()
    assert "WHY-OTHER" in field
    assert "WHY-AWAY-1" in field
    assert "no" in field


async def test_it_did_not_arrive_because_the_subscriber_is_away(site, followed, visit):
    _, uid = followed["WHY-AWAY-1"]
    _, line = await ask(visit, site, uid, "label WHY-AWAY*")
    assert "Waits: the subscriber is away since" in await line.inner_text()


async def test_it_did_not_arrive_because_the_subscription_ended(site, followed, visit):
    _, uid = followed["WHY-ENDED-1"]
    page, line = await ask(visit, site, uid, "label WHY-ENDED*")
    said = await line.inner_text()
    assert "The subscription had ended at" in said
    assert "CONNECTION_CLOSURE" in said
    await line.get_by_role("link", name="field by field").click()
    await page.get_by_text("It matches.").wait_for()
    await page.get_by_text("nothing is told any more").wait_for()


async def test_an_order_is_placed_and_taken_back(site, visit):
    page = await visit(site, "/orders/", "root")
    await page.get_by_role("link", name="New order").click()
    await page.get_by_label("Procedure").select_option(label="Reading")
    await page.get_by_label("Accession number").fill("A-77")
    await page.get_by_label("Patient ID").fill("PID-77")
    await page.get_by_label("Family name").fill("Doe")
    await page.get_by_role("button", name="Order").click()
    await page.get_by_text("A-77 was ordered.").wait_for()
    await page.get_by_role("button", name="Cancel A-77").click()
    await page.get_by_text("A-77: is canceled.").wait_for()
