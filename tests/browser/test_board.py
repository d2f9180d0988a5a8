"""The board: what a person sees and does there, and what a second person sees of it."""

from __future__ import annotations

import asyncio
import json
import re

from playwright.async_api import expect

from tests.browser.visiting import BROKEN, PATIENCE, RETURNS_SOON, violations
from tests.datasets import PATIENT_VALUES
from tests.live.performing import Performer

expect.set_options(timeout=PATIENCE)


def column(page, name):
    return page.locator(f'.ups-column[data-column="{name}"]')


def card(page, uid):
    return page.locator(f'.ups-card[data-uid="{uid}"]')


async def live(page):
    await expect(page.locator("#ups-line")).to_have_attribute("data-state", "live")


async def test_a_workitem_from_another_process_appears_is_claimed_and_completed(site, visit):
    """Alice and root at the board, each in a browser of their own; the order comes by REST."""
    alice = await visit(site, "/?label=MOVES", "alice")
    root = await visit(site, "/?label=MOVES", "root")
    for page in (alice, root):
        await live(page)
        await expect(column(page, "scheduled").locator(".ups-nothing")).to_be_visible()
    async with Performer(site.server, site.backend) as ris:
        uid = await ris.create(WorklistLabel="MOVES", ProcedureStepLabel="Find the fracture")
        await ris.create(WorklistLabel="ELSEWHERE", ProcedureStepLabel="Not on this board")
    for page in (alice, root):
        await expect(column(page, "scheduled").locator(".ups-card")).to_have_count(1)
        await expect(column(page, "scheduled")).to_contain_text("Find the fracture")
        await expect(column(page, "scheduled").locator("h2 .ups-count")).to_have_text("1")

    await alice.get_by_role("link", name="Find the fracture").click()
    drawer = alice.locator("#ups-drawer")
    await expect(drawer).to_contain_text("Doe, Jane")  # who may see it, sees the patient here
    await drawer.get_by_role("button", name="Claim").click()
    await expect(alice.locator("#ups-said")).to_have_text("You have claimed it.")
    await expect(drawer).to_contain_text("Yours")
    for page in (alice, root):
        await expect(column(page, "in-progress").locator(".ups-card")).to_contain_text("alice")
        await expect(column(page, "scheduled").locator(".ups-card")).to_have_count(0)

    await drawer.locator("summary", has_text="Report progress").click()
    await drawer.get_by_label("Done, in percent").fill("40")
    await drawer.get_by_label("What is being done").fill("Looking at the wrist")
    await drawer.get_by_role("button", name="Report progress").click()
    await expect(card(root, uid)).to_contain_text("40 % · Looking at the wrist")
    await expect(drawer.locator(".ups-history")).to_contain_text("40 %: Looking at the wrist")

    await drawer.locator("summary", has_text="Complete").click()
    await drawer.get_by_role("button", name="Complete").click()
    await expect(alice.locator("#ups-said")).to_have_text("It is completed.")
    for page in (alice, root):
        await expect(column(page, "finished").locator(".ups-card")).to_contain_text("Completed")
        await expect(column(page, "in-progress").locator(".ups-card")).to_have_count(0)
    kinds = drawer.locator(".ups-history li")
    await expect(kinds.first).to_contain_text("Completed")
    await expect(kinds.last).to_contain_text("Created")

    later = await visit(site, "/?label=MOVES", "alice")  # a page that was not there meanwhile
    await expect(column(later, "finished").locator(".ups-card")).to_contain_text("Completed")


APPEARED = """
addEventListener("DOMContentLoaded", () => {
  window.appeared = {};
  new MutationObserver(() => {
    for (const { dataset } of document.querySelectorAll(".ups-card"))
      window.appeared[dataset.uid] ??= Date.now() / 1000;
  }).observe(document.body, { childList: true, subtree: true });
});
"""
MADE = """
import time
for _ in range(5):
    uid = workitems.create(None, datasets.dataset(WorklistLabel="QUICK")).workitem_uid
    print(uid, time.time())
    time.sleep(0.3)
"""


async def test_it_appears_within_a_second_of_its_commit_in_another_process(site, visit):
    page = await visit(site, "/?label=QUICK", "alice", script=APPEARED)
    await live(page)
    made = [line.split() for line in (await asyncio.to_thread(site.change, MADE)).splitlines()]
    await expect(page.locator(".ups-card")).to_have_count(len(made))
    seen = await page.evaluate("window.appeared")
    waits = sorted(seen[uid] - float(committed) for uid, committed in made)
    print(f"on the board after {', '.join(f'{1000 * wait:.0f} ms' for wait in waits)}")  # noqa: T201
    assert waits[len(waits) // 2] < 1  # whatever else this machine was busy with


MANY = """
from django.db import models
from upsrs.models import WorkitemKey
first = Workitem.objects.get(
    uid=workitems.create(
        None,
        datasets.dataset(WorklistLabel="MANY", ScheduledProcedureStepStartDateTime="20990101080000"),
    ).workitem_uid
)
rows = [Workitem(**{field.attname: getattr(first, field.attname) for field in Workitem._meta.fields})
        for _ in range(1999)]
for row in rows:
    row.pk, row.uid = None, datasets.new_uid()
    row.dataset = {**row.dataset, "00080018": {"vr": "UI", "Value": [row.uid]}}
models.QuerySet(Workitem).bulk_create(rows)  # they were there before: nobody is told
"""
CHANGED = """
still = Workitem.objects.filter(worklist_label="MANY", priority="MEDIUM").exclude(step_label="Changed now")
for row in still[:100]:
    workitems.update(None, row.uid, datasets.elements(ProcedureStepLabel="Changed now"))
workitems.create(
    None, datasets.dataset(WorklistLabel="MANY", ProcedureStepLabel="The last", ScheduledProcedureStepPriority="HIGH")
)
"""
LONGEST_MS = 200


async def test_two_thousand_rows_scroll_and_change_without_a_long_task(browser, site, visit):
    """By the time that a task of the page's main thread computed, and measured once more if one did
    for long: this machine may be busy with something else."""
    await asyncio.to_thread(site.change, MANY)
    page = await visit(site, "/?label=MANY", "alice")
    longest = await longest_task(browser, site, page, 1)
    if longest >= LONGEST_MS:
        await page.reload()
        longest = await longest_task(browser, site, page, 2)
    assert longest < LONGEST_MS


async def longest_task(browser, site, page, attempt):
    """In ms, while all are scrolled through, a hundred more of them change, and one is added."""
    rows = 1999 + attempt
    count = column(page, "scheduled").locator("h2 .ups-count")
    await expect(count).to_have_text(str(rows))
    await browser.start_tracing(page=page, categories=["toplevel"])
    try:
        changing = asyncio.create_task(asyncio.to_thread(site.change, CHANGED))
        await column(page, "scheduled").locator(".ups-scroll").hover()
        # A look that is cheap: what Playwright does in the page counts as well.
        while await page.evaluate("document.getElementsByClassName('ups-card').length") < rows:
            await page.mouse.wheel(0, 6000)
            await asyncio.sleep(0.05)
        await changing
        await expect(count).to_have_text(str(rows + 1))
    finally:
        traced = json.loads(await browser.stop_tracing())["traceEvents"]
    await expect(page.get_by_text("Changed now")).to_have_count(100 * attempt)
    threads = {
        (it["pid"], it["tid"])
        for it in traced
        if it["name"] == "thread_name" and it["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        it["tdur"] / 1000
        for it in traced
        if "RunTask" in it["name"] and "tdur" in it and (it["pid"], it["tid"]) in threads
    ]
    print(f"the longest of {len(tasks)} tasks computed {max(tasks):.0f} ms")  # noqa: T201
    return max(tasks)


async def test_of_two_who_claim_at_once_one_is_told_who_was_quicker(site, visit):
    uid = await asyncio.to_thread(site.make, WorklistLabel="RACE", ProcedureStepLabel="Wanted")
    pages = [await visit(site, "/?label=RACE", user, allow=["409"]) for user in ("alice", "root")]
    both_have_claimed = asyncio.Barrier(len(pages))

    async def go_on_together(route):
        if route.request.method == "POST":  # else the quicker one takes the other's button away
            await both_have_claimed.wait()
        await route.continue_()

    for page in pages:
        await page.route("**/*", go_on_together)
        await page.get_by_role("link", name="Wanted").click()
        await page.get_by_role("button", name="Claim").wait_for()
    await asyncio.gather(*(page.get_by_role("button", name="Claim").click() for page in pages))
    said = []
    for page in pages:
        await expect(page.locator("#ups-said")).not_to_be_empty()
        said.append(await page.locator("#ups-said").text_content())
        await expect(page.locator(".ups-details")).to_have_attribute("data-state", "IN PROGRESS")
    assert sorted(said) == sorted(
        {
            "alice": ["You have claimed it.", "alice was quicker and has claimed it."],
            "root": ["root was quicker and has claimed it.", "You have claimed it."],
        }[await card(pages[0], uid).locator(".ups-performer span").last.text_content()]
    )


async def test_what_nobody_claimed_is_canceled_and_a_performer_is_asked(site, visit):
    async with Performer(site.server, site.backend) as ris:
        scheduled = await ris.create(WorklistLabel="ENDS", ProcedureStepLabel="Not needed")
        other = await ris.create(WorklistLabel="ENDS", ProcedureStepLabel="Underway")
        await ris.claim(other, "2.25.77", "AI-7")
    page = await visit(site, "/?label=ENDS", "alice", allow=["400"])
    await page.get_by_role("link", name="Not needed").click()
    drawer = page.locator("#ups-drawer")
    await drawer.locator("summary", has_text="Cancel").click()
    await drawer.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#ups-said")).to_have_text("Reason: This field is required.")
    await drawer.get_by_label("Reason").fill("Ordered twice")
    await drawer.get_by_role("button", name="Cancel").click()
    await expect(card(page, scheduled)).to_contain_text("Ordered twice")
    await page.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()

    await page.get_by_role("link", name="Underway").click()
    await expect(drawer.get_by_role("button", name="Complete")).to_have_count(0)  # it is not hers
    await drawer.locator("summary", has_text="Ask to cancel").click()
    await drawer.get_by_label("Reason").fill("The patient was moved")
    await drawer.get_by_role("button", name="Ask to cancel").click()
    await expect(card(page, other)).to_contain_text("Asked to cancel: The patient was moved")
    async with Performer(site.server, site.backend) as ai:
        await ai.progress(other, "2.25.77", 70)
    later = await visit(site, "/?label=ENDS", "root")
    for one in (page, later):  # it stands, also for who comes later
        await expect(card(one, other)).to_contain_text("70 %")
        await expect(card(one, other)).to_contain_text("Asked to cancel: The patient was moved")


async def test_changes_during_a_restart_of_the_server_appear_by_themselves(make_site, visit):
    site = await asyncio.to_thread(make_site)
    async with Performer(site.server, site.backend) as ris:
        kept = await ris.create(WorklistLabel="CUT", ProcedureStepLabel="Stays")
        taken = await ris.create(WorklistLabel="CUT", ProcedureStepLabel="Is taken")
    page = await visit(site, "/?label=CUT", "alice", allow=BROKEN, script=RETURNS_SOON)
    await live(page)
    await page.evaluate("document.body.dataset.witness = 'never reloaded'")
    await asyncio.to_thread(site.server.kill)
    await expect(page.locator("#ups-line")).to_contain_text("Connection lost")
    await expect(page.locator("#ups-line")).to_contain_text("Not live since")
    code = f"""
workitems.change_state(None, {taken!r}, "IN PROGRESS", transaction_uid="2.25.9", requester="AI-9")
print(workitems.create(None, datasets.dataset(WorklistLabel="CUT", ProcedureStepLabel="Comes")).workitem_uid)
"""
    comes = (await asyncio.to_thread(site.change, code)).strip()
    await asyncio.to_thread(site.server.start)
    await expect(column(page, "in-progress").locator(f'[data-uid="{taken}"]')).to_contain_text(
        "AI-9"
    )
    for uid in (kept, comes):
        await expect(column(page, "scheduled").locator(f'[data-uid="{uid}"]')).to_be_visible()
    await live(page)
    assert await page.evaluate("document.body.dataset.witness") == "never reloaded"


async def test_all_is_done_by_keyboard(site, visit):
    async with Performer(site.server, site.backend) as ris:
        for day, name in enumerate(("First", "Second", "Third"), start=1):
            await ris.create(
                WorklistLabel="KEYS",
                ProcedureStepLabel=name,
                ScheduledProcedureStepStartDateTime=f"2099010{day}",
            )
        await ris.claim(
            await ris.create(WorklistLabel="KEYS", ProcedureStepLabel="Busy"), "2.25.5", "AI"
        )
    page = await visit(site, "/?label=KEYS", "alice")
    await expect(page.locator(".ups-card")).to_have_count(4)
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.matches('.ups-card-title')"):
            break
    focused = page.locator(":focus")
    await expect(focused).to_have_text("First")
    for key, name in (
        ("ArrowDown", "Second"),
        ("ArrowDown", "Third"),
        ("ArrowDown", "Third"),
        ("Home", "First"),
        ("ArrowRight", "Busy"),
        ("ArrowLeft", "First"),
    ):
        await page.keyboard.press(key)
        await expect(focused).to_have_text(name)
    await page.keyboard.press("Enter")
    drawer = page.locator("#ups-drawer")
    await expect(drawer).to_be_visible()
    claim = drawer.get_by_role("button", name="Claim")
    await claim.wait_for()
    for _ in range(10):
        await page.keyboard.press("Tab")
        if await claim.evaluate("button => button === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    await expect(page.locator("#ups-said")).to_have_text("You have claimed it.")
    await expect(page.locator("#ups-said")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()
    await expect(focused).to_have_text("First")  # back where it was opened, in its new column


async def test_the_filters_are_in_the_address_and_hold_for_what_comes(site, visit):
    async with Performer(site.server, site.backend) as ris:
        await ris.create(
            WorklistLabel="AI-CHEST",
            ProcedureStepLabel="Chest",
            ScheduledProcedureStepPriority="HIGH",
        )
        leaving = await ris.create(WorklistLabel="AI-HEAD", ProcedureStepLabel="Head")
        page = await visit(site, "/?label=AI-*", "alice")
        await expect(page.locator(".ups-card")).to_have_count(2)
        await page.get_by_label("Priority").select_option("HIGH")
        await expect(page.locator(".ups-card")).to_have_count(1)
        await expect(page).to_have_url(re.compile(r"\?label=AI-\*&priority=HIGH$"))
        await page.reload()
        await expect(page.locator(".ups-card")).to_have_count(1)
        await page.get_by_role("button", name="Clear").click()
        await page.get_by_label("Worklist", exact=True).fill("AI-*")
        await expect(page.locator(".ups-card")).to_have_count(2)
        await ris.update(leaving, WorklistLabel="BACK OFFICE")
        await expect(card(page, leaving)).to_have_count(0)
        await page.locator(".ups-views label", has_text="List").click()
        await expect(page).to_have_url(re.compile("view=list"))
        await expect(page.locator("#ups-board")).to_have_attribute("data-view", "list")


async def test_late_and_urgent_ones_stand_out_in_words(site, visit):
    async with Performer(site.server, site.backend) as ris:
        uid = await ris.create(
            WorklistLabel="STAT",
            ScheduledProcedureStepPriority="HIGH",
            ScheduledProcedureStepStartDateTime="20260105080000",
        )
        other = await ris.create(
            WorklistLabel="STAT", ScheduledProcedureStepStartDateTime="20990105080000"
        )
    page = await visit(site, "/?label=STAT", "alice")
    await expect(card(page, uid)).to_contain_text(re.compile(r"high.*\d+ days late", re.S))
    await expect(card(page, other)).not_to_contain_text("late")
    await expect(page.locator("#ups-attention")).to_contain_text("1 urgent")
    await expect(page.locator("#ups-attention")).to_contain_text("1 late")
    assert await page.locator(".ups-card").first.get_attribute("data-uid") == uid
    assert await violations(page) == []


async def test_a_screen_reader_hears_what_is_new(site, visit):
    page = await visit(site, "/?label=NEWS", "alice")
    await live(page)
    async with Performer(site.server, site.backend) as ris:
        for _ in range(3):
            await ris.create(
                WorklistLabel="NEWS",
                ProcedureStepLabel="Stroke",
                ScheduledProcedureStepPriority="HIGH",
            )
    news = page.locator("#ups-news")
    await expect(news).to_have_attribute("aria-live", "polite")
    await expect(news).to_have_text("3 new, urgent: Stroke")  # once, not three times


async def test_who_logs_out_elsewhere_is_told_to_log_in_again(make_site, visit):
    site = await asyncio.to_thread(make_site)
    page = await visit(site, "/", "alice", allow=BROKEN, script=RETURNS_SOON)
    await live(page)
    await asyncio.to_thread(site.server.terminate)
    await page.context.clear_cookies()
    await asyncio.to_thread(site.server.start)
    await expect(page.locator("#ups-line")).to_have_text("Not live")
    await expect(page.locator("#ups-notice")).to_contain_text("log in again")
    await page.get_by_role("link", name="Log in again").click()
    await expect(page).to_have_url(re.compile("/accounts/login/"))


async def test_nothing_about_a_patient_is_on_the_board_itself(site, visit):
    async with Performer(site.server, site.backend) as ris:
        uid = await ris.create(WorklistLabel="QUIET", ProcedureStepLabel="Private")
    page = await visit(site, "/?label=QUIET", "alice")
    frames = []
    page.on(
        "websocket", lambda socket: socket.on("framereceived", lambda text: frames.append(text))
    )
    await page.reload()
    await expect(card(page, uid)).to_be_visible()
    assert frames
    for text in (await page.content(), *map(str, frames)):
        for value in PATIENT_VALUES:
            assert value not in text
