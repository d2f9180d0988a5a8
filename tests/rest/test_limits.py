"""Limits of the REST door: 429, and when to come back."""

from __future__ import annotations

import pytest
from rest_framework.authtoken.models import Token

from tests.rest.worklist import Worklist, problem
from upsrs import limits

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(settings):
    settings.UPSRS_MAX_FAILED_LOGINS_PER_MINUTE = 3


def guess(key, address="10.0.0.1"):
    worklist = Worklist()
    worklist.http.defaults["REMOTE_ADDR"] = address
    return worklist.retrieve("1.2.3", headers={"Authorization": f"Token {key}"})


def test_the_fourth_wrong_login_of_an_address_waits(three):
    assert [guess(f"wrong-{number}").status_code for number in range(4)] == [401, 401, 401, 429]
    response = guess("another")
    problem(response, 429)
    assert 1 <= int(response["Retry-After"]) <= 40
    assert guess("wrong", address="10.0.0.2").status_code == 401


def test_who_is_known_goes_on_and_who_is_new_waits_without_being_asked(three, alice, superuser):
    known, new = (Token.objects.create(user=user).key for user in (alice, superuser))
    assert guess(known).status_code == 404
    for number in range(3):
        guess(f"wrong-{number}")
    assert guess(known).status_code == 404
    assert guess(new).status_code == 429
    assert guess(new, address="10.0.0.2").status_code == 404


def test_a_credential_that_was_good_is_no_key_for_guessing(three, alice):
    token = Token.objects.create(user=alice)
    assert guess(token.key).status_code == 404
    token.delete()
    assert [guess(token.key).status_code for _ in range(4)] == [401, 401, 401, 429]


def test_nobody_is_no_failed_login(three, alice):
    for _ in range(5):
        problem(Worklist().retrieve("1.2.3"), 401)
    assert Worklist(alice).retrieve("1.2.3").status_code == 404


def test_an_ae_is_a_subscription_of_its_user(settings, worklist):
    settings.UPSRS_MAX_SUBSCRIPTIONS_PER_USER = 1
    uid = worklist.workitem()
    path = f"/{uid}/subscribers"
    assert worklist.send("POST", f"{path}/AI1").status_code == 201
    assert worklist.send("POST", f"{path}/AI1").status_code == 201
    response = worklist.send("POST", f"{path}/AI2")
    assert "UPSRS_MAX_SUBSCRIPTIONS_PER_USER" in problem(response, 429)["detail"]
    assert int(response["Retry-After"]) == 60


def test_zero_is_no_limit(settings):
    settings.UPSRS_MAX_FAILED_LOGINS_PER_MINUTE = 0
    assert {guess("wrong").status_code for _ in range(100)} == {401}


def test_what_was_spent_comes_back(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    rate = limits.Rate("UPSRS_X", lambda: 6, "Too many")
    for _ in range(6):
        rate.take("alice", "")
    with pytest.raises(limits.LimitReached) as reached:
        rate.take("alice", "")
    assert reached.value.wait == pytest.approx(10)
    rate.take("bob", "")
    now[0] += 10
    rate.take("alice", "")
    assert rate.wait("user alice") == pytest.approx(10)


def test_an_address_has_the_same_limit_and_a_refusal_spends_nothing():
    rate = limits.Rate("UPSRS_X", lambda: 2, "Too many")
    for user in ("alice", "bob"):
        rate.take(user, "10.0.0.1")
    with pytest.raises(limits.LimitReached, match="each address"):
        rate.take("root", "10.0.0.1")
    for _ in range(2):
        rate.take("root", "10.0.0.2")
    with pytest.raises(limits.LimitReached, match="each user"):
        rate.take("root", "10.0.0.3")


def test_room_is_counted_now_and_then():
    room, rows, counted = limits.Room(), [], []

    def count():
        counted.append(1)
        return len(rows)

    while room.take("alice", 1000, count):
        rows.append(1)
    assert len(rows) == 1000
    assert len(counted) < 120
