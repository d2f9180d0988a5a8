"""One event and many sockets: it has left for the first before the last are handed it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests import datasets
from tests.core.test_turns import turn_ends
from upsrs.access import EVERYTHING
from upsrs.dicom import matching
from upsrs.dicom.changes import Kind
from upsrs.dicom.matching import Keys
from upsrs.events import LoggedEvent
from upsrs.hub import AT_ONCE, Hub
from upsrs.listeners import Follower
from upsrs.places import PROOFS_SAVED
from upsrs.turns import Turn

pytestmark = pytest.mark.asyncio

SOCKETS = AT_ONCE + 8


class Socket:
    """Keeps what it is handed until it is flushed, and answers each ping at once."""

    can_prove = True

    def __init__(self, said: list[str], number: int) -> None:
        self.said, self.number = said, number
        self.heard: list[bytes] = []
        self.due = False

    def hand(self, frame: tuple[bytes, bytes]) -> None:
        self.said.append(f"{self.number} is handed it")
        self.heard.append(frame[1])
        if not self.due:
            self.due = True
            Turn.running().add(self)

    def flush(self) -> None:
        self.due = False
        self.said.append(f"it leaves for {self.number}")

    def prove(self, taken: Callable[[], None]) -> None:
        self.said.append(f"{self.number} is asked for a proof")
        taken()


class Crowd:
    """A hub, and so many live listeners, each at a socket of its own."""

    def __init__(self, sockets: int = SOCKETS) -> None:
        self.said: list[str] = []
        self.hub = Hub.running()
        self.sockets = [Socket(self.said, number) for number in range(sockets)]
        self.listeners = [self._listener(socket) for socket in self.sockets]

    def _listener(self, socket: Socket) -> Follower:
        listener = Follower(
            subscription_uid=f"2.25.{socket.number + 1}",
            connection_id=uuid.uuid4(),
            sight=EVERYTHING,
            outlet=socket,  # type: ignore[arg-type]
            position=0,
            keys=Keys({"label": "CT"}, {}),
            live=True,
        )
        self.hub.add(listener)
        listener.file(self.hub._index)
        return listener


def event(position: int) -> LoggedEvent:
    after = matching.snapshot(datasets.dataset(WorklistLabel="CT", ProcedureStepState="SCHEDULED"))
    now = datetime.now(UTC)
    return LoggedEvent(position, now, Kind.CREATED, "2.25.9", None, after, None)


async def test_it_leaves_for_the_first_before_the_last_are_handed_it():
    crowd = Crowd()
    await crowd.hub._hand_out([event(1)])
    said = crowd.said
    assert said.index("it leaves for 0") < said.index(f"{SOCKETS - 1} is handed it")
    assert said.index(f"{AT_ONCE - 1} is handed it") < said.index("it leaves for 0")
    await turn_ends()
    assert said.index("it leaves for 0") < said.index("0 is asked for a proof")
    assert [listener.proven for listener in crowd.listeners] == [1] * SOCKETS


async def test_of_very_many_none_is_asked_for_a_proof_at_once():
    """A few of them would gain nothing, and the next event would wait for all."""
    crowd = Crowd(PROOFS_SAVED + 1)
    await crowd.hub._hand_out([event(1)])
    await turn_ends()
    assert not [step for step in crowd.said if "proof" in step]
    assert all(listener.dirty for listener in crowd.listeners), "they are asked a little later"


async def test_of_several_read_at_once_what_a_socket_gets_leaves_together():
    crowd = Crowd()
    await crowd.hub._hand_out([event(1), event(2)])
    assert crowd.said.count("0 is handed it") == 2
    assert not [step for step in crowd.said if "leaves" in step], "but at the end of the turn"
    await turn_ends()
    assert crowd.said.count("it leaves for 0") == 1


async def test_whoever_falls_behind_while_it_leaves_for_others_catches_up_with_it():
    crowd = Crowd()
    first, last = crowd.listeners[0], crowd.listeners[-1]

    def full() -> None:  # both are subscriptions of one socket, that has too much before it
        for listener in (first, last):
            crowd.hub.suspend(listener)

    crowd.sockets[0].flush = full  # type: ignore[method-assign]
    await crowd.hub._hand_out([event(1)])
    assert [len(socket.heard) for socket in crowd.sockets] == [1] * (SOCKETS - 1) + [0]
    assert (first.live, last.live) == (False, False)
    assert last.position == 0, "it was not handed the event: it goes on before it"
    assert first.position == 0, "twice is allowed, never is not"
    assert crowd.hub.position == 1
