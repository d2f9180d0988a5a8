"""An AI service, as the demo has one: it lives on the customer's socket and knows no Django.

It hears of a workitem for one of its stations, claims it, reports its progress, and completes or
cancels it. How it works is what a real one would do; what it computes is nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys

from upsrs.client import Claim, Code, Notification, Refused, Unreachable, Worklist, follow

STATIONS = "AI_*"
"""The AE titles that it works for: the filter of its subscription."""

AT_ONCE = 2
"""How many workitems it has in hand."""

STEPS = {
    "AI_TRIAGE": ("Fetching the images", "Finding the lungs", "Looking for bleeding", "Ranking"),
    "AI_3D": ("Fetching the images", "Segmenting", "Building the surface", "Smoothing"),
}
OTHER_STEPS = ("Fetching the images", "Measuring the noise", "Comparing with the protocol")

FAILURES = (
    Code("110521", "DCM", "Objects incorrectly formatted"),
    Code("110523", "DCM", "Object Set incomplete"),
    Code("110501", "DCM", "Equipment failure"),
)
"""Some of the reasons for which a performer discontinues a step (PS3.16 CID 9300)."""

URGENCY = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}

STEP_SECONDS = (1.5, 4.0)
"""How long a step takes: long enough to watch."""

RANDOM = random.SystemRandom()


class Performer:
    """Takes what is scheduled for its stations, a few at once."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.waiting: asyncio.PriorityQueue[tuple[int, int, Notification]]
        self.waiting = asyncio.PriorityQueue()
        """By urgency, then in the order in which they were heard of."""
        self.numbers = itertools.count()
        self.asked_to_cancel: dict[str, asyncio.Event] = {}
        """Workitem UID → set once somebody asks for its end; of what is in hand."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.listen())
            for _ in range(AT_ONCE):
                tasks.create_task(self.work())

    async def listen(self) -> None:
        keys = {"scheduledStationAETitle": STATIONS}
        async with follow(self.url, token=self.token, filter=keys) as worklist:
            async for notification in worklist:
                if notification.state == "SCHEDULED":
                    urgency = URGENCY.get(notification.priority, len(URGENCY))
                    self.waiting.put_nowait((urgency, next(self.numbers), notification))
                asked = self.asked_to_cancel.get(notification.workitem_uid)
                if asked is not None and notification.cancellation_reason is not None:
                    asked.set()

    async def work(self) -> None:
        while True:
            *_, notification = await self.waiting.get()
            try:
                await self.perform(notification)
            except Refused as refusal:
                # Somebody else was quicker, or it was canceled meanwhile.
                say(f"left {notification.workitem_uid}: {refusal.detail}")
            except Unreachable as error:
                say(f"lost {notification.workitem_uid}: {error}")
                await asyncio.sleep(1)

    async def perform(self, notification: Notification) -> None:
        station = next(iter(notification.stations), "")
        worklist = Worklist(self.url, token=self.token, ae_title=station)
        claim = await worklist.claim(notification.workitem_uid)
        asked = self.asked_to_cancel[claim.workitem_uid] = asyncio.Event()
        try:
            await self.take_steps(claim, notification, station, asked)
        finally:
            del self.asked_to_cancel[claim.workitem_uid]

    async def take_steps(
        self, claim: Claim, notification: Notification, station: str, asked: asyncio.Event
    ) -> None:
        steps = STEPS.get(station, OTHER_STEPS)
        fails_at = RANDOM.randrange(len(steps) * 8)
        for done, step in enumerate(steps):
            await claim.report_progress(
                round(100 * done / len(steps)), step, completed=done, remaining=len(steps) - done
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), RANDOM.uniform(*STEP_SECONDS))
            if asked.is_set():
                return await claim.cancel(text="Canceled on request.")
            if done == fails_at:
                return await claim.cancel(RANDOM.choice(FAILURES))
        await claim.report_progress(100, "Done", completed=len(steps), remaining=0)
        code = notification.workitem["scheduledWorkitemCodeSequence"]
        await claim.complete(
            Code(code["codeValue"], code["codingSchemeDesignator"], code["codeMeaning"]),
            Code(station, "99LOCAL", station),
        )


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def main(url: str) -> None:
    """Work until SIGTERM."""
    performing = asyncio.create_task(Performer(url, os.environ["UPSRS_TOKEN"]).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, performing.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await performing


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
