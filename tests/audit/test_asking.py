"""Asking what somebody was told: in the admin, and by ``manage.py ups_told``."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests import datasets
from tests.core import following
from upsrs import audit, events, instants, workitems
from upsrs.models import AuditRecord, Event

pytestmark = pytest.mark.django_db(transaction=True)

TOLD = "/admin/upsrs/auditrecord/told/"


@pytest.fixture
def heard(alice):
    """One event that alice was told, and took."""
    subscription = following.follow(alice)
    uid = workitems.create(None, datasets.dataset()).workitem_uid
    following.take(subscription)
    events.number()
    audit.flush()
    return Event.objects.get(workitem_uid=uid)


def local(at, seconds=0):
    at = timezone.localtime(at + timedelta(seconds=seconds))
    return at.replace(tzinfo=None).isoformat(timespec="seconds")


def page(client, **asked):
    answer = client.get(TOLD, asked)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def asking_said(capsys, *arguments):
    call_command("ups_told", *arguments)
    return capsys.readouterr()


def last_asked():
    audit.flush()
    return AuditRecord.objects.filter(act="read audit").latest("id")


def test_the_page_says_what_a_user_was_told_and_that_it_was_asked(heard, client, superuser):
    client.force_login(superuser)
    window = {"since": local(heard.time, -60), "until": local(heard.time, 60)}
    for by, name in (("user", "alice"), ("subscription", following.Subscription.objects.get().uid)):
        text = page(client, by=by, name=name, **window)
        assert heard.workitem_uid in text
        assert f"at once, eventId {heard.position}" in text
        assert "not known to have arrived" not in text
        assert last_asked().detail[by] == name
        assert last_asked().user == "root"
    assert "Nothing." in page(client, by="user", name="bob", **window)
    earlier = {"since": local(heard.time, -600), "until": local(heard.time, -300)}
    assert "Nothing." in page(client, by="user", name="alice", **earlier)


def test_without_a_time_it_is_the_last_hour_and_an_unusable_one_is_refused(
    heard, client, superuser
):
    client.force_login(superuser)
    assert heard.workitem_uid in page(client, by="user", name="alice")
    assert "Enter a valid date/time." in page(client, by="user", name="alice", since="soon")
    assert 'type="datetime-local"' in page(client)


def test_a_purged_log_is_no_silence(heard, client, superuser, capsys):
    Event.objects.update(position=7)
    client.force_login(superuser)
    assert "The log begins at" in page(client, by="user", name="alice")
    assert "The log begins at" in asking_said(capsys, "alice", "--from", local(heard.time, -60)).err


def test_lists_and_pages_lead_to_it(heard, client, superuser, alice):
    client.force_login(superuser)
    listed = client.get("/admin/upsrs/auditrecord/").content.decode()
    [link, *_] = re.findall(r'href="(/admin/upsrs/auditrecord/told/\?[^"]+alice[^"]+)"', listed)
    assert heard.workitem_uid in client.get(html.unescape(link)).content.decode()
    pk = following.Subscription.objects.get().pk
    shown = client.get(f"/admin/upsrs/subscription/{pk}/change/").content.decode()
    [link] = re.findall(r'href="(/admin/upsrs/auditrecord/told/\?[^"]+)"', shown)
    assert heard.workitem_uid in client.get(html.unescape(link)).content.decode()
    user = client.get(f"/admin/auth/user/{alice.pk}/change/").content.decode()
    [link] = re.findall(r'href="(/admin/upsrs/auditrecord/told/\?[^"]+)"', user)
    assert heard.workitem_uid in client.get(html.unescape(link)).content.decode()


def test_only_who_may_read_the_audit_may_ask(heard, client, alice, bob):
    for user in (alice, bob):
        user.is_staff = True
        user.save()
    of_the_audit = alice.user_permissions.filter(codename__endswith="_auditrecord")
    alice.user_permissions.remove(*of_the_audit)
    for user in (alice, bob):
        client.force_login(user)
        assert client.get(TOLD, {"by": "user", "name": "alice"}).status_code == 403
    pk = following.Subscription.objects.get().pk
    client.force_login(alice)
    assert TOLD not in client.get(f"/admin/upsrs/subscription/{pk}/change/").content.decode()


def test_the_command_says_it_in_lines(heard, capsys):
    said = asking_said(capsys, "alice", "--from", local(heard.time, -60))
    [line] = said.out.splitlines()
    assert f"CREATED {heard.workitem_uid}, eventId {heard.position}, at once (sub" in line
    assert "alice at an unknown address" in line
    record = last_asked()
    assert (record.door, record.user, record.detail["user"]) == ("command", "", "alice")
    assert "@" in record.detail["account"]
    since = local(heard.time, -600)
    assert asking_said(capsys, "alice", "--from", since, "--to", since).out == "Nothing.\n"


def test_the_command_says_it_to_machines(heard, capsys):
    uid = following.Subscription.objects.get().uid
    since = timezone.localtime(heard.time - timedelta(minutes=1)).isoformat()
    said = json.loads(asking_said(capsys, "--subscription", uid, "--from", since, "--json").out)
    [one] = said.pop("told")
    assert said == {"log_begins": None, "is_cut": False}
    assert one["workitem_uid"] == heard.workitem_uid
    assert one["at"] == heard.time.isoformat()
    assert (one["how"], one["proof"], one["kind"]) == ("at once", "taken", "CREATED")
    assert (one["subscription_uid"], one["user"], one["position"]) == (uid, "alice", 1)
    nothing = json.loads(asking_said(capsys, "--ae-title", "AI1", "--from", since, "--json").out)
    assert nothing["told"] == []


@pytest.mark.parametrize("given", [[], ["alice", "--subscription", "2.25.1"]])
def test_the_command_wants_one_name(given):
    with pytest.raises(CommandError):
        call_command("ups_told", *given, "--from", "10:00")


def test_the_command_takes_a_time_of_today_and_no_nonsense(capsys):
    today = timezone.localtime(instants.now()).date().isoformat()
    asking_said(capsys, "alice", "--from", "00:00", "--to", "00:05")
    assert last_asked().detail["from"].startswith(f"{today}T00:00:00")
    with pytest.raises(CommandError, match="--from is a time"):
        call_command("ups_told", "alice", "--from", "yesterday")
