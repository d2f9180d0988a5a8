"""Two performers want the same workitem at the same moment: one gets it, the other is told so."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from tests.datasets import new_uid
from tests.live import making
from tests.live.parts import PATIENCE_SECONDS
from tests.live.performing import Performer
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

WORKITEMS = {"sqlite": 50, "postgres+redis": 200}
"""SQLite has one writer at a time: there is little to race for."""

SCHEDULED = """
import json
uids = [datasets.new_uid() for _ in range({count})]
workitems.create_many(None, [
    datasets.dataset(SOPInstanceUID=uid, WorklistLabel="AI") for uid in uids
])
print(json.dumps(uids))
"""


async def test_of_two_performers_at_once_one_gets_the_workitem_200_times(backend, start):
    """Each performer at a server process of its own, so that nothing but the database decides."""
    servers = [start(backend), start(backend)]
    code = SCHEDULED.format(count=WORKITEMS[backend.name])
    uids = json.loads(await asyncio.to_thread(making.change, backend, code))
    async with (
        Performer(servers[0], backend, "alice") as alice,
        Performer(servers[1], backend, "root") as root,
        Subscriber(servers[0].general, backend.tokens["alice"]) as all_of_them,
        Subscriber(servers[1].general, backend.tokens["root"]) as scheduled_ones,
    ):
        await all_of_them.subscribe({}, initialState=False)
        await scheduled_ones.subscribe({"procedureStepState": "SCHEDULED"}, initialState=False)
        rivals = [(alice, "AI-ALICE"), (root, "AI-ROOT")]
        winners: dict[str, str] = {}
        for number, uid in enumerate(uids):
            # Who is asked first takes turns, so that both get their share.
            order = rivals if number % 2 else rivals[::-1]
            winners[uid] = await _race(uid, order, prove_key=number % 10 < 2)
        assert set(Counter(winners.values())) == {"AI-ALICE", "AI-ROOT"}
        for socket in (all_of_them, scheduled_ones):
            claims = await _claims(socket, len(uids))
            assert [claim["workitemUID"] for claim in claims] == uids
            for claim in claims:
                assert claim["procedureStepState"] == "IN PROGRESS"
                performer = claim["workitem"]["performerAETitle"]
                assert performer == winners[claim["workitemUID"]]
        places = [claim["eventId"] for claim in all_of_them.messages if "report" not in claim]
        assert places == sorted(set(places))


async def _race(uid: str, rivals: list[tuple[Performer, str]], *, prove_key: bool) -> str:
    """Both claim at once; the AE title of the winner, whose key alone opens."""
    keys = [new_uid(), new_uid()]
    answers = await asyncio.gather(
        *(
            rival.claim(uid, key, requester)
            for (rival, requester), key in zip(rivals, keys, strict=True)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400], [
        answer.text for answer in answers
    ]
    won = [answer.status_code for answer in answers].index(200)
    lost = 1 - won
    refusal = answers[lost]
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert refusal.json()["dicomStatus"] == "C301"
    _warns(refusal, "The Transaction UID is incorrect.")
    if prove_key:
        await _prove_key(uid, keys, rivals, lost, won)
    return rivals[won][1]


async def _prove_key(
    uid: str, keys: list[str], rivals: list[tuple[Performer, str]], lost: int, won: int
) -> None:
    refused, done = [await rivals[turn][0].progress(uid, keys[turn], 50) for turn in (lost, won)]
    assert refused.status_code == 400, refused.text
    assert refused.headers["Warning"].startswith("299 ")
    assert done.status_code == 200, done.text


def _warns(answer, text):
    assert answer.headers["Warning"].startswith("299 http://127.0.0.1")
    assert answer.headers["Warning"].endswith(f": {text}")


async def _claims(socket: Subscriber, count: int) -> list[dict]:
    """Every STATE_REPORT of a change that came, once no more comes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(_is_claim(message) for message in socket.messages) < count:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    return [message for message in socket.messages if _is_claim(message)]


def _is_claim(message: dict) -> bool:
    return message["eventType"] == "STATE_REPORT" and "workitem" in message
