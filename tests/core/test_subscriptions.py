"""Subscriptions and their sockets in the database, under several processes at once."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from django.db import connection, connections, transaction

from tests.live.parts import PATIENCE_SECONDS
from upsrs import subscriptions
from upsrs.models import Connection, Subscription
from upsrs.subscriptions import Here

WAITS_FOR_A_LOCK = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(WAITS_FOR_A_LOCK)
        return bool(cursor.fetchone()[0])


@pytest.mark.postgres
@pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="locks of rows are PostgreSQL's: UPSRS_TEST_DATABASE=postgres",
)
@pytest.mark.django_db(transaction=True)
def test_a_socket_that_goes_and_one_that_comes_back_do_not_lock_each_other_out(alice):
    here = Here(subscriptions.register_server())
    followed = subscriptions.follow(alice, {}, here=here, initial_state=False)

    def leave() -> None:
        try:
            subscriptions.leave({followed.connection_id: 7})
        finally:
            connections.close_all()

    leaving = threading.Thread(target=leave)
    with transaction.atomic():
        # Half of a return to the subscription: its row is locked, its sockets not yet.
        Subscription.objects.select_for_update().get(uid=followed.subscription_uid)
        leaving.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not waits_for_a_lock():
            assert time.monotonic() < deadline, "it waits for the subscription"
            time.sleep(0.02)
        Connection.objects.filter(pk=followed.connection_id).update(place=3)
    leaving.join(PATIENCE_SECONDS)
    assert not leaving.is_alive()
    left = Connection.objects.get(pk=followed.connection_id)
    assert (left.place, left.closed_at is None) == (7, False)
    assert Subscription.objects.get(uid=followed.subscription_uid).waits_since == left.closed_at


@pytest.mark.django_db
def test_who_leaves_twice_or_was_never_there_changes_nothing(alice):
    here = Here(subscriptions.register_server())
    followed = subscriptions.follow(alice, {}, here=here, initial_state=False)
    subscriptions.leave({uuid.uuid4(): 1})
    assert Subscription.objects.get(uid=followed.subscription_uid).waits_since is None
