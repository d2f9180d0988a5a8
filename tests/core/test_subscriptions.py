"""Subscriptions and their sockets in the database, under several processes at once."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from tests.live.parts import PATIENCE_SECONDS
from upsrs import instants, subscriptions
from upsrs.models import Connection, Server, Subscription
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


@pytest.mark.django_db
def test_places_are_stored_each_its_own_and_no_other(alice):
    server_id = subscriptions.register_server()
    here = Here(server_id)
    sockets = [
        subscriptions.follow(alice, {"worklistLabel": str(nth)}, here=here, initial_state=False)
        for nth in range(3)
    ]
    first, second, untouched = (socket.connection_id for socket in sockets)
    before = Connection.objects.get(pk=untouched).place
    subscriptions.store_places(server_id, {first: 2**40, second: 7, uuid.uuid4(): 9})
    subscriptions.store_places(server_id, {})
    places = dict(Connection.objects.values_list("pk", "place"))
    assert places == {first: 2**40, second: 7, untouched: before}


@pytest.mark.django_db
def test_what_a_socket_has_left_with_is_not_overwritten_by_what_was_stored_meanwhile(alice):
    server_id = subscriptions.register_server()
    here = Here(server_id)
    socket = subscriptions.follow(alice, {}, here=here, initial_state=False)
    subscriptions.leave({socket.connection_id: 9})
    subscriptions.store_places(server_id, {socket.connection_id: 7})
    assert Connection.objects.get(pk=socket.connection_id).place == 9


@pytest.mark.django_db
def test_a_server_that_the_database_has_forgotten_is_known_again():
    """As after a fail-over to a replica that was behind: else others would think themselves alone."""
    server_id = subscriptions.register_server()
    Server.objects.all().delete()
    subscriptions.beat(server_id)
    assert Server.objects.filter(pk=server_id).exists() == (connection.vendor != "sqlite")
    subscriptions.unregister_server(server_id)
    subscriptions.beat(server_id)
    assert not Server.objects.exists()


@pytest.mark.django_db
def test_a_server_is_alone_as_long_as_no_other_has_been_heard_of_lately():
    subscriptions.register_server()
    assert subscriptions.is_alone()
    other = Server.objects.create(host="elsewhere", pid=1, seen_at=instants.now())
    assert not subscriptions.is_alone()
    other.seen_at -= timedelta(hours=1)
    other.save()
    assert subscriptions.is_alone()
