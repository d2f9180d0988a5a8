"""After a backup was restored nobody goes on from a place that the restored log never had."""

from __future__ import annotations

import re

import pytest
from django.core.management import call_command

from tests.core.following import drop, follow, take
from upsrs import events, subscriptions
from upsrs.models import Event

pytestmark = pytest.mark.django_db


def test_every_follower_starts_from_the_present_state(alice, make_workitem, capsys):
    subscription = follow(alice)
    make_workitem()
    take(subscription)
    drop(subscription)
    here = subscriptions.Here(subscriptions.register_server())
    before = events.place()
    assert not subscriptions.return_to(alice, subscription.uid, here=here).resync

    drop(subscription)
    call_command("ups_new_log")
    (told,) = re.findall(r"The log is (\S+) from now on, at position 1\.", capsys.readouterr().out)
    assert told == str(events.place().log_id) != str(before.log_id)
    assert subscriptions.return_to(alice, subscription.uid, here=here).resync
    drop(subscription)
    of_old = {"after": before.position, "log_id": before.log_id}
    assert subscriptions.return_to(alice, subscription.uid, here=here, **of_old).resync
    assert Event.objects.count() == 1, "nothing is removed"
