"""What retention removes, and what keeps it: PS3.18 8.5, PS3.4 CC.2.1.3, at the HTTP door."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from tests.rest.worklist import PERFORMED, T, payload, problem
from upsrs import events

pytestmark = pytest.mark.django_db

GLOBAL = "1.2.840.10008.5.1.4.34.5"
LOCK = "?deletionlock=true"


@pytest.fixture(autouse=True)
def at_once(settings):
    """What is finished may go now, and the log with it."""
    settings.UPSRS_WORKITEM_RETENTION_SECONDS = 0
    settings.UPSRS_LOG_RETENTION_SECONDS = 0


def purge(*options):
    events.number()  # as a server does; what has no number yet stays in the log
    said = io.StringIO()
    call_command("ups_purge", *options, stdout=said)
    return said.getvalue()


def subscribe(worklist, target, title, query=""):
    response = worklist.send("POST", f"/{target}/subscribers/{title}{query}")
    assert response.status_code == 201, response.content


def unsubscribe(worklist, target, title):
    assert worklist.send("DELETE", f"/{target}/subscribers/{title}").status_code == 200


def is_there(worklist, uid):
    """Retrieve and Search agree."""
    found = worklist.send("GET", f"?SOPInstanceUID={uid}").status_code == 200
    status = worklist.retrieve(uid).status_code
    assert status == (200 if found else 410)
    return found


def test_r031_a_removed_workitem_is_gone_for_every_transaction(worklist):
    uid, open_ = worklist.workitem("COMPLETED"), worklist.workitem("IN PROGRESS")
    purge()
    for response in (
        worklist.retrieve(uid),
        worklist.update(uid, {}),
        worklist.change_state(uid, "COMPLETED", T),
        worklist.request_cancel(uid),
        worklist.send("POST", f"/{uid}/subscribers/AE1"),
        worklist.send("DELETE", f"/{uid}/subscribers/AE1"),
    ):
        assert problem(response, 410)["dicomStatus"] == "C307"
    problem(worklist.create(payload(), f"?{uid}"), 409)
    assert worklist.send("GET", f"?SOPInstanceUID={uid}").status_code == 204
    assert is_there(worklist, open_), "what is not finished stays"


def test_a_dry_run_removes_nothing(worklist):
    uid = worklist.workitem("COMPLETED")
    assert "would remove" in purge("--dry-run")
    assert is_there(worklist, uid)


def test_what_is_young_stays(worklist, settings):
    settings.UPSRS_WORKITEM_RETENTION_SECONDS = 86_400
    uid = worklist.workitem("CANCELED")
    purge()
    assert is_there(worklist, uid)


def test_r148_r149_a_workitem_stays_until_the_last_lock_is_gone(worklist):
    uid = worklist.workitem("IN PROGRESS")
    for title in ("AE1", "AE2"):
        subscribe(worklist, uid, title, LOCK)
    finish(worklist, uid)
    purge()
    assert is_there(worklist, uid)
    unsubscribe(worklist, uid, "AE1")
    purge()
    assert is_there(worklist, uid)
    unsubscribe(worklist, uid, "AE2")
    purge()
    assert not is_there(worklist, uid)


def finish(worklist, uid):
    assert worklist.update(uid, PERFORMED, f"?{T}").status_code == 200
    assert worklist.change_state(uid, "COMPLETED", T).status_code == 200


def test_r135_a_global_lock_does_not_lock_what_is_subscribed_without(worklist):
    uid, other = worklist.workitem("COMPLETED"), worklist.workitem("COMPLETED")
    subscribe(worklist, uid, "AE1")
    subscribe(worklist, GLOBAL, "AE1", LOCK)
    purge()
    assert not is_there(worklist, uid)
    assert is_there(worklist, other)


def test_r136_a_global_subscription_without_lock_releases_none(worklist):
    uid = worklist.workitem("COMPLETED")
    subscribe(worklist, uid, "AE1", LOCK)
    subscribe(worklist, GLOBAL, "AE1")
    purge()
    assert is_there(worklist, uid)


def test_r137_a_specific_subscription_without_lock_releases_it(worklist):
    uid = worklist.workitem("COMPLETED")
    subscribe(worklist, uid, "AE1", LOCK)
    purge()
    assert is_there(worklist, uid)
    subscribe(worklist, uid, "AE1", "?deletionlock=false")
    purge()
    assert not is_there(worklist, uid)


def test_a_suspended_lock_holds_and_an_ended_one_does_not(worklist):
    subscribe(worklist, GLOBAL, "AE1", LOCK)
    uid = worklist.workitem("COMPLETED")
    assert worklist.send("POST", f"/{GLOBAL}/subscribers/AE1/suspend").status_code == 200
    new = worklist.workitem("COMPLETED")
    purge()
    assert is_there(worklist, uid)
    assert not is_there(worklist, new)
    unsubscribe(worklist, GLOBAL, "AE1")
    purge()
    assert not is_there(worklist, uid)
