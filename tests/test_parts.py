"""The tests' own ground: a missing part is loud, a wait ends, and what comes never waits in vain."""

from __future__ import annotations

import pytest

from tests.live.parts import absent, wait_until


def test_an_absent_part_is_a_skip_that_says_why(monkeypatch):
    monkeypatch.delenv("UPSRS_TESTS_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Redis is not available here: no wheel"):
        absent("Redis", "no wheel")


def test_an_absent_part_fails_where_everything_is_required(monkeypatch):
    monkeypatch.setenv("UPSRS_TESTS_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="PostgreSQL is not available here: no user"):
        absent("PostgreSQL", "no user")


def test_a_wait_ends_with_what_was_waited_for():
    with pytest.raises(AssertionError, match=r"the moon is full: not within 0\.05 s"):
        wait_until(lambda: False, "the moon is full", seconds=0.05)
    with pytest.raises(AssertionError, match="it accepts: the process ended"):
        wait_until(lambda: False, "it accepts", alive=lambda: False)
    answers = iter([False, False, True])
    wait_until(lambda: next(answers), "the third time", seconds=5)
    assert list(answers) == []
