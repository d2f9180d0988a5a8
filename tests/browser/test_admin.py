"""What an administrator does in a browser: each act asks, tells what became of it, and can be refused."""

from __future__ import annotations

from tests.browser.visiting import violations

LABEL = "ADMINISTERED"
READY = f"""
station = [datasets.code("WS1", meaning="Workstation 1")]
for step in ("Mine", "Theirs"):
    uid = workitems.create(
        None,
        datasets.dataset(
            WorklistLabel={LABEL!r}, ProcedureStepLabel=step, ScheduledStationNameCodeSequence=station
        ),
    ).workitem_uid
workitems.change_state(None, uid, "IN PROGRESS", transaction_uid="2.25.77", requester="AI9")
"""
LIST = f"/admin/upsrs/workitem/?label={LABEL}"


async def choose(page, act, *steps):
    """In the list: tick these workitems and choose the act; its form is before us then."""
    await page.goto(LIST)
    for step in steps:
        await page.locator("#result_list tr", has_text=step).get_by_role("checkbox").check()
    await page.get_by_label("Action:").select_option(label=act)
    await page.get_by_role("button", name="Go").click()
    await page.get_by_role("heading", name=act).wait_for()
    assert await violations(page) == []


async def confirm(page, act):
    """Send the form; what the administrator is told."""
    await page.get_by_role("button", name=act, exact=True).click()
    await page.locator(".messagelist li").first.wait_for()
    assert await violations(page) == []
    return await page.locator(".messagelist li").all_inner_texts()


async def test_acts_ask_and_tell_what_became_of_them(site, visit):
    site.change(READY)
    page = await visit(site, LIST, "root")

    await choose(page, "Reschedule", "Mine", "Theirs")
    await page.get_by_label("New start").fill("2031-05-09T08:30")
    done, refused = sorted(
        await confirm(page, "Reschedule"), key=lambda said: "rescheduled" not in said
    )
    assert "rescheduled" in done
    assert "Somebody else is its performer" in refused
    await page.get_by_text("2031-05-09 08:30").wait_for()

    await choose(page, "Change priority", "Mine")
    await page.get_by_label("Priority").select_option("HIGH")
    [said] = await confirm(page, "Change priority")
    assert "given its new priority" in said

    await choose(page, "Claim", "Mine", "Theirs")
    claimed, refused = sorted(await confirm(page, "Claim"), key=lambda said: "claimed." not in said)
    assert claimed.endswith("claimed.")
    assert "Somebody else is its performer" in refused

    await choose(page, "Cancel", "Theirs")
    await page.get_by_label("Reason").fill("Ordered twice")
    [said] = await confirm(page, "Cancel")
    assert "its performer is asked to cancel it" in said

    await choose(page, "Complete", "Theirs")
    [said] = await confirm(page, "Complete")
    assert "Somebody else is its performer" in said

    await page.goto(LIST)
    await page.get_by_role("link", name="Mine").click()
    await page.get_by_role("button", name="Complete", exact=True).click()
    [said] = await confirm(page, "Complete")  # from its page, and back to it
    assert said.endswith("completed.")
    await page.locator(".upsrs-head", has_text="COMPLETED").wait_for()
    assert await page.get_by_role("button", name="Cancel", exact=True).count() == 0

    await choose(page, "Repair: cancel for a lost performer", "Theirs")
    [said] = await confirm(page, "Repair: cancel for a lost performer")
    assert "canceled for its performer" in said


async def test_the_form_makes_no_invalid_workitem(site, visit):
    page = await visit(site, "/admin/upsrs/workitem/add/", "root")
    await page.get_by_label("Worklist:").fill("MADE-BY-HAND")
    await page.get_by_label("Workitem UID").fill("1.02")
    await page.get_by_label("code").first.fill("110001")
    await page.get_by_label("Accession number").fill("ACC-1")
    await page.get_by_role("button", name="Create").click()
    await page.get_by_text("Nothing was created yet").wait_for()
    for field, rule in (
        ("ProcedureStepLabel", "This field is required."),
        ("SOPInstanceUID", "UID"),
        ("ScheduledWorkitemCodeSequence", "A code needs its value, its scheme and its meaning."),
        ("StudyInstanceUID", "An order names its study."),
    ):
        row = page.locator(f".form-row.errors.field-{field}")
        assert rule in await row.locator(".errorlist").inner_text()
    assert await violations(page) == []

    await page.get_by_label("Step:", exact=True).fill("Look again")
    await page.get_by_label("Workitem UID").fill("")
    await page.get_by_label("scheme").first.fill("DCM")
    await page.get_by_label("meaning").first.fill("Image Processing")
    await page.get_by_label("Study Instance UID").fill("2.25.1234")
    await page.get_by_role("button", name="Create").click()
    await page.locator(".messagelist li", has_text="created.").wait_for()
    await page.get_by_role("heading", name="Look again").wait_for()
    await page.locator(".upsrs-head", has_text="SCHEDULED").wait_for()
