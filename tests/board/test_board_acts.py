"""What people do at the board: the same rules as by REST, refused in words, and without a script."""

from __future__ import annotations

import pytest
from django.test import Client

from tests import datasets
from upsrs import custody, workitems
from upsrs.dicom import dataset as dicom_json
from upsrs.models import Event, Workitem

pytestmark = pytest.mark.django_db

FROM_SCRIPT = {"X-Requested-With": "upsrs-board"}


@pytest.fixture
def act(client, alice):
    """``act(workitem, "claim", user=…)``: what the board answers to its script."""

    def post(workitem, name, user=alice, **said):
        client.force_login(user)
        return client.post(f"/workitems/{workitem.uid}/{name}/", said, headers=FROM_SCRIPT)

    return post


def offered(client, user, workitem):
    client.force_login(user)
    page = client.get(f"/workitems/{workitem.uid}/").content.decode()
    return [name for name in ACTS if f"/{name}/" in page]


ACTS = ("claim", "progress", "complete", "cancel", "withdraw", "request-cancel")


def test_each_is_offered_to_whom_it_is_open(client, alice, superuser, make_workitem):
    workitem = make_workitem()
    assert offered(client, alice, workitem) == ["claim", "withdraw"]
    custody.claim(alice, workitem.uid, requester="alice")
    assert offered(client, alice, workitem) == ["progress", "complete", "cancel"]
    assert offered(client, superuser, workitem) == ["request-cancel"]
    custody.cancel(alice, workitem.uid, "Not needed")
    assert offered(client, alice, workitem) == []


def test_who_may_only_look_is_offered_nothing_and_refused(client, act, bob, make_workitem):
    from django.contrib.auth.models import Permission

    bob.user_permissions.set(Permission.objects.filter(codename="view_workitem"))
    workitem = make_workitem()
    assert offered(client, bob, workitem) == []
    answer = act(workitem, "claim", user=bob)
    assert answer.status_code == 403
    assert "change_workitem" in answer.json()["message"]
    assert Workitem.objects.get(pk=workitem.pk).state == "SCHEDULED"


def test_from_the_claim_to_the_end(act, make_workitem):
    workitem = make_workitem()
    answers = [
        act(workitem, "claim"),
        act(workitem, "progress", progress=40, description="Halfway"),
        act(workitem, "complete", station="CT 1"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    row = Workitem.objects.get(pk=workitem.pk)
    assert (row.state, row.performer) == ("COMPLETED", "alice")
    station = "UnifiedProcedureStepPerformedProcedureSequence.PerformedStationNameCodeSequence"
    assert dicom_json.first(row.dataset, f"{station}.CodeValue") == "CT 1"
    assert {event.actor for event in Event.objects.filter(workitem_uid=row.uid)} == {"alice"}


def test_the_station_that_was_scheduled_keeps_its_code(act, make_workitem):
    workitem = make_workitem(ScheduledStationNameCodeSequence=[datasets.code("CT7", "99HOSP")])
    act(workitem, "claim")
    assert act(workitem, "complete").status_code == 200
    row = Workitem.objects.get(pk=workitem.pk)
    performed = dicom_json.items(row.dataset, "UnifiedProcedureStepPerformedProcedureSequence")[0]
    station = dicom_json.items(performed, "PerformedStationNameCodeSequence")[0]
    assert dicom_json.first(station, "CodingSchemeDesignator") == "99HOSP"


@pytest.mark.parametrize(
    ("state", "user", "name", "said", "message"),
    [
        ("alice's", "root", "claim", {}, "alice was quicker and has claimed it."),
        ("alice's", "alice", "claim", {}, "You have claimed it already."),
        ("AI's", "alice", "complete", {}, "AI-1 performs it: only they can do this."),
        ("canceled", "alice", "claim", {}, "It is CANCELED by now."),
        ("canceled", "alice", "withdraw", {"reason": "x"}, ""),
        ("canceled", "alice", "progress", {"progress": 1}, "It is CANCELED by now."),
        ("scheduled", "alice", "complete", {}, "It is SCHEDULED by now."),
        ("alice's", "alice", "complete", {}, "Not yet: "),
    ],
)
def test_a_refusal_is_a_sentence_and_changes_nothing(
    act, alice, superuser, make_workitem, state, user, name, said, message
):
    workitem = make_workitem()
    if state == "alice's":
        custody.claim(alice, workitem.uid, requester="alice")
    elif state == "AI's":
        workitems.change_state(
            superuser, workitem.uid, "IN PROGRESS", transaction_uid="2.25.1", requester="AI-1"
        )
    elif state == "canceled":
        workitems.request_cancel(alice, workitem.uid)
    before = Workitem.objects.get(pk=workitem.pk)
    answer = act(workitem, name, user=superuser if user == "root" else alice, **said)
    if not message:  # DICOM has a warning here, no refusal: it is as was asked
        assert answer.status_code == 200
        return
    assert answer.status_code == 409
    assert answer.json()["message"].startswith(message)
    assert before.transaction_uid not in answer.content.decode() or not before.transaction_uid
    assert Workitem.objects.get(pk=workitem.pk).version == before.version


@pytest.mark.parametrize(
    ("name", "said", "field"),
    [
        ("withdraw", {}, "Reason: "),
        ("withdraw", {"reason": "x" * 10_241}, "Reason: "),
        ("progress", {"progress": 101}, "Done, in percent: "),
        ("progress", {"progress": "much"}, "Done, in percent: "),
        ("progress", {"progress": 1, "description": "x" * 1_025}, "What is being done: "),
        ("complete", {"station": "x" * 17}, "Station it was done at: "),
    ],
)
def test_a_form_that_is_not_valid_names_the_field(act, make_workitem, name, said, field):
    answer = act(make_workitem(), name, **said)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(field)


def test_the_performer_is_asked_and_decides(act, superuser, make_workitem):
    workitem = make_workitem()
    custody.claim(superuser, workitem.uid, requester="AI-1")
    answer = act(workitem, "request-cancel", reason="Wrong patient")
    assert answer.json() == {"message": "Its performer was asked to cancel it."}
    event = Event.objects.latest("pk")
    assert dicom_json.first(event.cancellation, "ReasonForCancellation") == "Wrong patient"
    assert Workitem.objects.get(pk=workitem.pk).state == "IN PROGRESS"


def test_without_a_script_it_works_by_forms(client, alice, superuser, make_workitem):
    workitem = make_workitem()
    page = f"/workitems/{workitem.uid}/"
    client.force_login(alice)
    done = client.post(f"{page}claim/")
    assert (done.status_code, done["Location"]) == (302, page)
    client.force_login(superuser)
    refused = client.post(f"{page}claim/")
    assert refused.status_code == 409
    assert "alice was quicker and has claimed it." in refused.content.decode()


def test_a_foreign_page_cannot_act(alice, make_workitem):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    workitem = make_workitem()
    assert strict.post(f"/workitems/{workitem.uid}/claim/").status_code == 403
    assert strict.get(f"/workitems/{workitem.uid}/claim/").status_code == 405
    assert Workitem.objects.get(pk=workitem.pk).state == "SCHEDULED"


def test_an_act_that_is_none_does_not_exist(act, make_workitem):
    assert act(make_workitem(), "delete").status_code == 404
