"""Subscriptions as the hub leaves them, without a socket: connected, away, and what they took."""

from __future__ import annotations

from datetime import timedelta

from upsrs import events, instants, subscriptions
from upsrs.models import Connection, Server, Subscription


def follow(user, *, resume=False, **wanted):
    """A subscription of this user, connected, at the end of the log."""
    server = Server.objects.create(
        host="elsewhere", pid=1, seen_at=instants.now() + timedelta(days=1)
    )
    followed = subscriptions.follow(
        user, wanted, here=subscriptions.Here(server.pk), resume=resume, initial_state=False
    )
    return Subscription.objects.get(uid=followed.subscription_uid)


def take(subscription):
    """Its sockets are known to have taken all there is."""
    place = events.numbered_place().position
    Connection.objects.filter(subscription=subscription).update(place=place)


def drop(subscription, *, ago=timedelta()):
    """Its sockets are gone, for so long."""
    at = instants.now() - ago
    Connection.objects.filter(subscription=subscription).update(closed_at=at)
    Subscription.objects.filter(pk=subscription.pk).update(waits_since=at)
