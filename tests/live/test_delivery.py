"""Nothing lost, nothing doubled, in order: many sockets, many writers, real processes."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from fnmatch import fnmatchcase

import pytest

from tests.live import making
from tests.live.parts import PATIENCE_SECONDS
from tests.live.server import CHECKOUT, environment, shell
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

SUBSCRIBERS = 50
WRITERS = 5
CHANGES = 100

WRITER = """
import random
from tests import datasets
from upsrs import workitems
random = random.Random({seed})
mine = []
for change in range({changes}):
    if not mine or random.random() < 0.5:
        uid = datasets.new_uid()
        workitems.create(None, datasets.dataset(
            SOPInstanceUID=uid,
            WorklistLabel=random.choice(["AI", "AI-2", "CT", "MR"]),
            ScheduledStationNameCodeSequence=[
                datasets.code(station) for station in random.sample(["CT1", "CT2", "MR1"], 2)
            ],
        ))
        mine.append([uid, "SCHEDULED", f"2.25.{{change + 1}}"])
        continue
    item = random.choice(mine)
    uid, state, key = item
    if state == "SCHEDULED":
        workitems.change_state(None, uid, "IN PROGRESS", transaction_uid=key, requester="AE{seed}")
        item[1] = "IN PROGRESS"
    else:
        workitems.report_progress(None, uid, transaction_uid=key, completed=change)
"""

EVENTS = """
import json, time
from upsrs.models import Event
while Event.objects.filter(position=None).exists():
    time.sleep(0.05)  # the server has yet to number what was just committed
fields = ["position", "workitem_uid", "kind"]
for name in ["state", "label", "stations", "performers"]:
    fields += [f"{name}_before", f"{name}_after"]
print(json.dumps(list(Event.objects.order_by("position").values(*fields))))
"""

FILTERS = [
    {},
    {"worklistLabel": "AI"},
    {"worklistLabel": "AI*"},
    {"worklistLabel": "?T"},
    {"procedureStepState": "SCHEDULED"},
    {"procedureStepState": "IN PROGRESS", "worklistLabel": "C*"},
    {"scheduledStationAETitle": "CT1"},
    {"scheduledStationAETitle": "CT?", "worklistLabel": "MR"},
    {"performerAETitle": "AE1"},
    {"performerAETitle": "AE*", "scheduledStationAETitle": "MR1"},
]


def concerns(event: dict, keys: dict[str, str]) -> bool:
    """What the design says, in the plainest words: it matched just before, or just after."""

    def matched(when: str) -> bool:
        values = {
            "worklistLabel": [event[f"label_{when}"]],
            "procedureStepState": [event[f"state_{when}"]],
            "scheduledStationAETitle": event[f"stations_{when}"].strip("\\").split("\\"),
            "performerAETitle": event[f"performers_{when}"].strip("\\").split("\\"),
        }
        return all(
            any(fnmatchcase(value, pattern) for value in values[name])
            for name, pattern in keys.items()
        )

    return matched("after") or (event["kind"] != "CREATED" and matched("before"))


async def test_fifty_sockets_hear_exactly_what_concerns_them(backend, server):
    wanted = [FILTERS[number % len(FILTERS)] for number in range(SUBSCRIBERS)]
    async with AsyncExitStack() as open_sockets:
        sockets = [
            await open_sockets.enter_async_context(
                Subscriber(server.general, backend.tokens["alice"])
            )
            for _ in wanted
        ]
        for socket, keys in zip(sockets, wanted, strict=True):
            await socket.subscribe(keys, resume=False)
            assert await socket.initial_state() == []
        writers = [
            asyncio.to_thread(shell, backend.env, WRITER.format(seed=seed, changes=CHANGES))
            for seed in range(WRITERS)
        ]
        await asyncio.gather(*writers)
        events = json.loads(await asyncio.to_thread(shell, backend.env, EVENTS))
        assert [e["position"] for e in events] == list(range(1, WRITERS * CHANGES + 1))
        for socket, keys in zip(sockets, wanted, strict=True):
            due = [e["position"] for e in events if concerns(e, keys)]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(heard(socket)) < len(due):
                    await asyncio.sleep(0.05)
            assert heard(socket) == due
            assert not any("status" in message for message in socket.messages)


def heard(socket: Subscriber) -> list[int]:
    return [message["eventId"] for message in socket.messages if is_event(message)]


def is_event(message: dict) -> bool:
    return "eventId" in message and "initialStateComplete" not in message


KILLED_INSIDE_THE_RECEIVER = """
import os, signal
from django.db.models.signals import post_save
from tests import datasets
from upsrs import workitems
from upsrs.models import Workitem
{before}
workitems.create(None, datasets.dataset(SOPInstanceUID="2.25.1"))
post_save.connect(
    lambda **_: os.kill(os.getpid(), signal.SIGKILL), sender=Workitem, weak=False
)
{after}
workitem = Workitem.objects.get()
workitem.dataset["00741204"]["Value"] = ["Half done"]
workitem.save()
"""


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_process_killed_inside_post_save_leaves_both_row_and_event_or_neither(
    backend, moment
):
    """In autocommit Django alone would have committed the row by then."""
    reorder = "post_save.receivers.reverse(); post_save.sender_receivers_cache.clear()"
    code = KILLED_INSIDE_THE_RECEIVER.format(before="", after=reorder if moment == "before" else "")
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "manage.py", "shell", "-v0", "--command", code],
        cwd=CHECKOUT,
        env=environment(backend.env),
        check=False,
        capture_output=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    found = await asyncio.to_thread(
        making.change,
        backend,
        "print(Workitem.objects.filter(step_label='Half done').count(), Event.objects.count())",
    )
    assert found.split() == ["0", "1"]


async def test_lost_wakeups_cost_a_second_and_nothing_else(postgres_backend, start, redis):
    """Redis is gone: the hub polls, and the writer does not notice."""
    server = start(postgres_backend)
    async with Subscriber(server.general, postgres_backend.tokens["alice"]) as socket:
        await socket.subscribe({})
        await socket.initial_state()
        redis.kill()
        uids = [await asyncio.to_thread(making.create, postgres_backend) for _ in range(3)]
        assert [(await socket.next())["workitemUID"] for _ in uids] == uids
        redis.start()
        uid = await asyncio.to_thread(making.create, postgres_backend)
        assert (await socket.next())["workitemUID"] == uid


async def test_a_killed_server_loses_nothing(backend, server):
    alice = backend.tokens["alice"]
    async with Subscriber(server.general, alice) as socket:
        uid = (await socket.subscribe({}, initialState=False))["subscriptionUID"]
        before = [await asyncio.to_thread(making.create, backend) for _ in range(2)]
        last = [(await socket.next())["eventId"] for _ in before][-1]
        await asyncio.to_thread(server.kill)
        await socket.closed()
    missed = await asyncio.to_thread(making.create, backend)
    await asyncio.to_thread(server.start)
    async with Subscriber(f"{server.specific(uid)}?after={last}", alice) as socket:
        await socket.next()
        assert (await socket.next())["workitemUID"] == missed
    async with Subscriber(server.general, alice) as socket:
        await socket.subscribe({})
        uids = [
            message["workitemUID"]
            for message in await socket.until(lambda m: "initialStateComplete" in m)
        ]
        assert missed in uids


async def test_a_late_commit_is_not_skipped(postgres_backend, start):
    """Numbers of a sequence are not in order of commit: who began first may commit last."""
    server = start(postgres_backend)
    async with Subscriber(server.general, postgres_backend.tokens["alice"]) as socket:
        await socket.subscribe({})
        await socket.initial_state()
        slow = subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v0", "--command", HOLDS_ITS_TRANSACTION],
            cwd=CHECKOUT,
            env=environment(postgres_backend.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert await asyncio.to_thread(slow.stdout.readline) == b"held\n"
        quick = await asyncio.to_thread(making.create, postgres_backend)
        assert (await socket.next())["workitemUID"] == quick
        await asyncio.to_thread(slow.communicate, b"\n")
        late = await socket.next()
        assert late["workitemUID"] == "2.25.77"
        assert late["eventId"] == 2


HOLDS_ITS_TRANSACTION = """
from django.db import transaction
from tests import datasets
from upsrs import workitems
with transaction.atomic():
    workitems.create(None, datasets.dataset(SOPInstanceUID="2.25.77"))
    print("held", flush=True)
    input()
"""


async def test_a_history_replayed_from_notifications_ends_in_the_true_worklist(backend, server):
    """Take a worklist, change it, apply what was told to the old copy, compare with the rows."""
    keys = {"worklistLabel": "AI*"}
    async with Subscriber(server.general, backend.tokens["alice"]) as socket:
        await asyncio.to_thread(shell, backend.env, WRITER.format(seed=7, changes=60))
        await socket.subscribe(keys)
        writing = asyncio.create_task(
            asyncio.to_thread(shell, backend.env, WRITER.format(seed=8, changes=60))
        )
        await asyncio.sleep(random.random())
        await socket.drop()
        async with Subscriber(server.general, backend.tokens["alice"]) as again:
            await again.subscribe(keys)
            await writing
            rows = dict(json.loads(await asyncio.to_thread(making.change, backend, WORKLIST)))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while told(socket.messages, again.messages) != rows:
                    await asyncio.sleep(0.05)


WORKLIST = """
import json
print(json.dumps(list(
    Workitem.objects.filter(worklist_label__startswith="AI").values_list("uid", "state")
)))
"""


def told(*heard: list[dict]) -> dict[str, str]:
    """The worklist, UID to state, as these notifications alone have it."""
    return {
        message["workitemUID"]: message["procedureStepState"]
        for messages in heard
        for message in messages
        if "workitem" in message
    }
