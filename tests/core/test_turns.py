"""What is written in one turn of the loop leaves together, and what proves it leaves with it."""

from __future__ import annotations

import asyncio

import pytest

from upsrs.turns import Turn

pytestmark = pytest.mark.asyncio


class Written:
    def __init__(self, left: list[str], name: str) -> None:
        self.left = left
        self.name = name

    def flush(self) -> None:
        self.left.append(self.name)


async def turn_ends() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_what_is_said_last_is_said_before_anything_leaves():
    said: list[str] = []
    turn = Turn.running()
    turn.add(Written(said, "the frames"))
    turn.before_end(lambda: said.append("the ping"))
    assert said == [], "nothing leaves while the turn lasts"
    await turn_ends()
    assert said == ["the ping", "the frames"]


async def test_what_is_first_written_to_with_the_last_words_leaves_in_the_same_turn():
    said: list[str] = []
    turn = Turn.running()
    turn.before_end(lambda: turn.add(Written(said, "a ping")))
    await turn_ends()
    assert said == ["a ping"]
    await turn_ends()
    assert said == ["a ping"], "once"


async def test_what_leaves_before_the_end_does_so_without_the_last_words():
    said: list[str] = []
    turn = Turn.running()
    turn.before_end(lambda: said.append("the ping"))
    turn.add(Written(said, "the first"))
    turn.flush()
    turn.add(Written(said, "the second"))
    assert said == ["the first"]
    await turn_ends()
    assert said == ["the first", "the ping", "the second"]


async def test_one_that_fails_keeps_nothing_of_the_others(caplog):
    said: list[str] = []

    def fail() -> None:
        raise OSError("broken")

    turn = Turn.running()
    broken = Written(said, "")
    broken.flush = fail
    turn.before_end(fail)
    for written in (broken, Written(said, "the frames")):
        turn.add(written)
    await turn_ends()
    assert said == ["the frames"]
    assert caplog.text.count("Frames did not leave") == 2
