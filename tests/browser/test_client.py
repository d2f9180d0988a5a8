"""upsrs.js, the client for pages, in a page that has nothing to do with the board.

Time is made where a test would wait for it: Playwright's clock moves the timers of the page. Where a
server must say what ours does not, a proxy in the page's own line says it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.visiting import ANY_PAGE, BROKEN, RETURNS_SOON, Site
from tests.live.parts import PATIENCE_SECONDS
from tests.live.performing import Performer
from tests.subscriber import FILTERED_GLOBAL

CHECKOUT = Path(__file__).resolve().parents[2]
FOLLOW = """async (options) => {
  const { follow } = await import("/static/upsrs/upsrs.js");
  const following = follow("/ups-rs", options);
  Object.assign(globalThis, { following, heard: [], lines: [] });
  for (const type of ["state", "notification"])
    following.addEventListener(type, ({ detail }) => heard.push([type, detail]));
  following.addEventListener("line", ({ detail }) => lines.push({ ...detail, at: Date.now() }));
}"""

LIVE = "following.line.state === 'live'"
STOPPED = "following.line.state === 'stopped'"
WAITING = "following.line.state === 'waiting'"


class Follower:
    """A page that follows a worklist, and what it has heard."""

    def __init__(self, page) -> None:
        self.page = page

    async def follow(self, *, until=LIVE, **options):
        await self.page.evaluate(FOLLOW, {"heartbeatSeconds": 15, **options})
        await self.until(until)

    async def until(self, claim):
        """Look again until this expression holds in the page."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not await self.page.evaluate(claim):
            line = await self.page.evaluate("globalThis.following?.line")
            assert time.monotonic() < deadline, f"not yet: {claim}; the line: {line}"
            await asyncio.sleep(0.02)

    async def line(self):
        return await self.page.evaluate("following.line")

    async def place(self):
        return await self.page.evaluate("following.place")

    async def states(self):
        """Each present state that was told: the UIDs in it."""
        told = await self.page.evaluate(
            "heard.filter(([type]) => type === 'state').map(([, it]) => it)"
        )
        return [[report["workitemUID"] for report in state] for state in told]

    async def changes(self, number=0):
        """The notifications so far, once there are so many."""
        await self.until(f"heard.filter(([type]) => type === 'notification').length >= {number}")
        return await self.page.evaluate(
            "heard.filter(([type]) => type === 'notification').map(([, it]) => it)"
        )

    async def heard_of(self, uid):
        """Wait until something was told of this workitem; all that was told until then."""
        await self.until(f"heard.some(([, {{ workitemUID }}]) => workitemUID === {uid!r})")
        return [(it["eventType"], it["workitemUID"]) for it in await self.changes()]


@pytest_asyncio.fixture(loop_scope="session")
async def follower(site, visit) -> Callable:
    async def open_page(user="alice", on: Site = site, **options) -> Follower:
        return Follower(await visit(on, ANY_PAGE, user, **options))

    return open_page


def performer(site):
    return Performer(site.server, site.backend)


@pytest.fixture(scope="module")
def fragile(make_site) -> Site:
    """A portal whose server may be killed; each test leaves it running."""
    return make_site()


async def fate(site, uid, *expected):
    """Wait until the server has the subscription so: a reason to have ended, "waits", "followed"."""
    path = site.backend.env["DATABASE_URL"].removeprefix("sqlite:///")
    query = "SELECT end_reason, waits_since FROM upsrs_subscription WHERE uid = ?"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.closing(sqlite3.connect(path)) as database:
            reason, waits = database.execute(query, [uid]).fetchone()
        found = reason or ("waits" if waits else "followed")
        if found in expected:
            return
        assert time.monotonic() < deadline, f"it is {found}, not {expected}"
        await asyncio.sleep(0.05)


TICKETS = """async (place) => {
  const { follow } = await import("/static/upsrs/upsrs.js");
  const csrf = document.cookie.match(/csrftoken=(\\w+)/)[1];
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrf };
  globalThis.asked = [];
  const ticket = async (path) => {
    asked.push(path);
    const body = JSON.stringify({ path });
    const answer = await fetch("/ups-rs/tickets", { method: "POST", headers, body });
    return (await answer.json()).ticket;
  };
  globalThis.following = follow("/ups-rs", { heartbeatSeconds: 15, keep: true, place, ticket });
}"""


async def test_a_one_time_ticket_opens_each_socket_on_its_own_path(follower):
    page = await follower()
    await page.page.evaluate(TICKETS, None)
    await page.until(LIVE)
    assert await page.page.evaluate("asked") == ["/ups-rs/workitems/subscription"]
    place = await page.place()
    await page.page.evaluate("following.close()")
    await page.page.evaluate(TICKETS, place)
    await page.until(LIVE)
    uid = place["subscriptionUID"]
    assert await page.page.evaluate("asked") == [f"/ups-rs/workitems/subscription/{uid}"]


@pytest.mark.parametrize("guide", ["README.md", "docs/browser-client.md"])
async def test_five_lines_follow_a_worklist_from_any_page(site, visit, guide):
    """As they stand in the guide, as a file of the portal: no policy is in their way."""
    uid = await asyncio.to_thread(site.make, WorklistLabel="AI-FIVE")
    lines = re.findall(r"```js\n(import .*?)```", (CHECKOUT / guide).read_text(), re.S)[0]
    assert len(lines.splitlines()) == 5
    page = await visit(site, ANY_PAGE, "alice")
    said = []
    page.on("console", lambda message: said.append(message.text))
    await page.route(
        "**/five.js", lambda it: it.fulfill(body=lines, content_type="text/javascript")
    )
    await page.evaluate(
        """document.head.append(
          Object.assign(document.createElement("script"), { type: "module", src: "/five.js" }),
        )"""
    )
    await heard(said, lambda texts: "Live" in texts and any("open now" in it for it in texts))
    async with performer(site) as ris:
        await ris.claim(uid, "2.25.8", "AI1")
    await heard(said, lambda texts: f"STATE_REPORT {uid}" in texts)


async def heard(said, claim):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not claim(said):
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.02)


async def test_the_state_comes_first_and_then_each_change_in_order(site, follower):
    async with performer(site) as ris:
        there = await ris.create(WorklistLabel="JS-ORDER")
        await ris.create(WorklistLabel="JS-ELSEWHERE")
        page = await follower()
        await page.follow(filter={"worklistLabel": "JS-ORDER"})
        assert await page.states() == [[there]]
        assert await page.changes() == []
        comes = await ris.create(WorklistLabel="JS-ORDER", ProcedureStepLabel="New")
        await ris.create(WorklistLabel="JS-ELSEWHERE")
        await ris.claim(there, "2.25.3", "AI1")
        changes = await page.changes(2)
    assert [(it["eventType"], it["workitemUID"]) for it in changes] == [
        ("CREATED", comes),
        ("STATE_REPORT", there),
    ]
    assert changes[0]["workitem"]["procedureStepLabel"] == "New"
    place = await page.place()
    assert place["eventId"] == changes[-1]["eventId"]
    assert {it["subscriptionUID"] for it in changes} == {place["subscriptionUID"]}


async def test_another_page_goes_on_where_the_first_one_stood(site, follower):
    page = await follower()
    await page.follow(filter={"worklistLabel": "JS-PLACE"}, keep=True)
    place = await page.place()
    await page.page.evaluate("following.close()")
    assert (await page.line())["reason"] == "closed"
    await fate(site, place["subscriptionUID"], "waits")
    async with performer(site) as ris:
        missed = [await ris.create(WorklistLabel="JS-PLACE") for _ in range(3)]
    later = await follower()
    await later.follow(place=place)
    changes = await later.changes(3)
    assert [it["workitemUID"] for it in changes] == missed
    assert await later.states() == []  # there was no need to tell it
    assert (await later.place())["subscriptionUID"] == place["subscriptionUID"]


async def test_a_place_that_the_log_does_not_have_brings_the_whole_state(site, follower):
    uid = await asyncio.to_thread(site.make, WorklistLabel="JS-AHEAD")
    page = await follower()
    await page.follow(filter={"worklistLabel": "JS-AHEAD"})
    place = await page.place()
    await page.page.evaluate("following.close()")
    later = await follower()
    await later.follow(place=place | {"eventId": place["eventId"] + 1_000_000})
    assert await later.states() == [[uid]]
    assert (await later.place())["eventId"] < place["eventId"] + 1_000_000


async def test_what_comes_twice_is_told_once(site, follower):
    page = await follower()

    def stutter(line):
        server = line.connect_to_server()
        server.on_message(lambda text: [line.send(text), line.send(text)])

    await page.page.route_web_socket("**/workitems/subscription**", stutter)
    await page.follow(filter={"worklistLabel": "JS-TWICE"})
    async with performer(site) as ris:
        made = [await ris.create(WorklistLabel="JS-TWICE") for _ in range(3)]
    told = await page.heard_of(made[-1])
    assert told == [("CREATED", uid) for uid in made]


async def test_after_a_kill_it_comes_back_and_misses_nothing(fragile, follower):
    page = await follower(on=fragile, allow=BROKEN, script=RETURNS_SOON)
    await page.follow(filter={"worklistLabel": "JS-KILL"})
    before = await page.place()
    await asyncio.to_thread(fragile.server.kill)
    await page.until(WAITING)
    made = [await asyncio.to_thread(fragile.make, WorklistLabel="JS-KILL") for _ in range(2)]
    await asyncio.to_thread(fragile.server.start)
    await page.until(LIVE)
    assert [it["workitemUID"] for it in await page.changes(2)] == made
    assert len(await page.states()) == 1  # the one at the beginning
    assert (await page.place())["subscriptionUID"] == before["subscriptionUID"]


async def stopped_clock(page):
    """Time goes on in this page only when it is told to."""
    await page.clock.install(time=0)
    await page.clock.pause_at(1000)


@pytest.mark.parametrize("luck", [1, 0.25])
async def test_the_pauses_grow_and_no_two_pages_wait_alike(site, follower, luck):
    """A server that is full sends everybody away: each waits longer, by a luck of its own."""
    page = await follower(script=f"Math.random = () => {luck};")
    lines = []

    async def send_away(line):
        lines.append(line)
        await line.close(code=4013)

    await page.page.route_web_socket("**/workitems/subscription", send_away)
    await stopped_clock(page.page)
    await page.follow(until=WAITING)
    for attempt, seconds in enumerate((0.5, 1, 2, 4, 8, 16, 30, 30), start=1):
        pause = int(seconds * luck * 1000)
        await page.page.clock.run_for(pause - 1)
        assert (await page.line())["state"] == "waiting"
        assert len(lines) == attempt
        await page.page.clock.run_for(1)
        await page.until(WAITING)
        assert len(lines) == attempt + 1


async def test_a_line_that_died_without_a_word_is_noticed(fragile, follower):
    """A frozen server closes nothing. Two and a half heartbeats of silence say enough."""
    page = await follower(on=fragile, allow=BROKEN)
    await stopped_clock(page.page)
    await page.follow(filter={"worklistLabel": "JS-DEAD"})
    fragile.server.send_signal(signal.SIGSTOP)
    try:
        await page.page.clock.run_for(37_400)
        assert (await page.line())["state"] == "live"
        await page.page.clock.run_for(100)
        assert (await page.line())["reason"] == "broke"
    finally:
        fragile.server.send_signal(signal.SIGCONT)
    await page.page.clock.resume()
    await page.until(LIVE)
    uid = await asyncio.to_thread(fragile.make, WorklistLabel="JS-DEAD")
    assert await page.heard_of(uid) == [("CREATED", uid)]


async def test_heartbeats_keep_a_quiet_line_and_move_its_place(site, follower):
    page = await follower()
    heartbeats = []

    def beat(line):
        server = line.connect_to_server()
        heartbeats.append(line)
        server.on_message(line.send)

    await page.page.route_web_socket("**/workitems/subscription", beat)
    await stopped_clock(page.page)
    await page.follow(filter={"worklistLabel": "JS-QUIET"})
    place = await page.place()
    for number in range(1, 6):
        await page.page.clock.run_for(30_000)
        heartbeats[0].send(
            json.dumps(
                {
                    "eventType": "STATE_REPORT",
                    "workitemUID": FILTERED_GLOBAL,
                    "subscriptionUID": place["subscriptionUID"],
                    "heartbeat": True,
                    "eventId": place["eventId"] + number,
                    "logId": place["logId"],
                }
            )
        )
        await page.until(f"following.place.eventId === {place['eventId'] + number}")
    assert (await page.line())["state"] == "live"
    assert await page.changes() == []
    assert len(heartbeats) == 1  # on one and the same line


async def test_a_refused_handshake_is_not_tried_for_ever(site, follower):
    """Somebody logged out in another tab; the line breaks, and may not come back."""
    page = await follower(allow=BROKEN)
    lines = []
    page.page.on("websocket", lambda line: lines.append(line))
    await page.page.context.clear_cookies()
    await page.follow(until=STOPPED)
    assert (await page.line())["reason"] == "login"
    assert "log in again" in (await page.line())["detail"]
    number = len(lines)
    await page.page.clock.install()
    await page.page.clock.fast_forward("10:00")
    assert len(lines) == number


async def test_a_logout_in_another_tab_reaches_it(site, visit):
    page = await visit(site, ANY_PAGE, allow=BROKEN)
    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password").fill("alice")
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(lambda url: "/accounts/login/" not in url)
    follower = Follower(page)
    await follower.follow(filter={"worklistLabel": "JS-LOGOUT"})
    other = await page.context.new_page()
    await other.goto("/statistics/")
    await other.get_by_role("button", name="Log out").click()
    await follower.until(STOPPED)
    assert (await follower.line())["reason"] == "login"


async def test_who_may_not_see_the_worklist_is_told_so(site, follower):
    page = await follower("bob", allow=BROKEN)
    await page.follow(until=STOPPED)
    line = await page.line()
    assert (line["reason"], line["detail"]) == (
        "login",
        "Your login has ended, or may not see this worklist: log in again.",
    )


async def test_unsubscribing_ends_the_subscription_and_closing_lets_it_wait(site, follower):
    for act, reason, left in (
        ("unsubscribe", "ended", "USER_REQUEST"),
        ("close", "closed", "waits"),
    ):
        page = await follower()
        await page.follow(filter={"worklistLabel": f"JS-{act}"})
        uid = (await page.place())["subscriptionUID"]
        await page.page.evaluate(f"following.{act}()")
        assert (await page.line())["reason"] == reason
        await fate(site, uid, left)
        made = await asyncio.to_thread(site.make, WorklistLabel=f"JS-{act}")
        assert made not in str(await page.changes())


async def test_a_subscription_that_was_ended_elsewhere_is_not_begun_anew(site, follower):
    page, other = await follower(), await follower()
    for one in (page, other):
        await one.follow(filter={"worklistLabel": "JS-END"})
    await other.page.evaluate(
        """new Promise((resolve) => {
          const socket = new WebSocket("/ups-rs/workitems/subscription");
          const filter = { worklistLabel: "JS-END" };
          socket.onopen = () => socket.send(JSON.stringify({ filter, deleteSubscription: true }));
          socket.onmessage = resolve;
        })"""
    )
    for one in (page, other):
        await one.until(STOPPED)
        assert (await one.line())["reason"] == "ended"


@pytest.mark.parametrize(("keep", "left"), [(False, "CONNECTION_CLOSURE"), (True, "waits")])
async def test_whoever_leaves_the_page_leaves_nothing_behind_unless_they_ask(
    site, follower, keep, left
):
    page = await follower()
    await page.follow(filter={"worklistLabel": f"JS-LEAVE-{keep}"}, keep=keep)
    uid = (await page.place())["subscriptionUID"]
    await page.page.goto("/accounts/login/?next=/")
    await fate(site, uid, left)


async def test_an_error_of_the_server_is_told_with_its_words(site, follower):
    page = await follower()
    refusal = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "Not yours."}
    await page.page.route_web_socket(
        "**/workitems/subscription",
        lambda line: line.on_message(lambda _: line.send(json.dumps(refusal))),
    )
    await page.follow(until=STOPPED)
    line = await page.line()
    assert (line["reason"], line["detail"]) == ("forbidden", "Not yours.")
