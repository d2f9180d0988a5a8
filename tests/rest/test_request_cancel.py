"""Request Cancellation: PS3.18 11.8, PS3.4 CC.2.2."""

from __future__ import annotations

import pytest

from tests.datasets import code, elements, new_uid
from tests.rest.worklist import REASON, T, problem, warns
from upsrs.models import Event

pytestmark = pytest.mark.django_db

PROGRESS = "00741002"
REASON_CODE = "0074100E"

BODY = elements(
    ReasonForCancellation="The patient left",
    ProcedureStepDiscontinuationReasonCodeSequence=[code("110501", "DCM", "Equipment failure")],
    ContactURI="tel:+49-89-1",
    ContactDisplayName="Reception",
)


def test_r087_a_scheduled_workitem_is_canceled_by_the_server(worklist):
    uid = worklist.workitem()
    response = worklist.request_cancel(uid)
    assert (response.status_code, response.content) == (202, b"")
    assert "Content-Type" not in response
    assert "Warning" not in response
    assert worklist.state(uid) == "CANCELED"
    [item] = worklist.dataset(uid)[PROGRESS]["Value"]
    assert item["00404052"]["Value"]
    assert item[REASON_CODE]["Value"][0]["00080100"]["Value"] == ["110513"]


def test_r088_the_reason_that_was_given_is_kept(worklist):
    uid = worklist.workitem()
    assert worklist.request_cancel(uid, BODY).status_code == 202
    [item] = worklist.dataset(uid)[PROGRESS]["Value"]
    assert item[REASON_CODE] == BODY[REASON_CODE]
    assert item["00741238"] == BODY["00741238"]


def test_r089_the_performer_decides_about_what_it_claimed(worklist):
    uid = worklist.workitem("IN PROGRESS")
    before = worklist.dataset(uid)
    response = worklist.request_cancel(uid, BODY, "?requester=READER")
    assert response.status_code == 202
    assert "Warning" not in response
    assert worklist.dataset(uid) == before
    event = Event.objects.filter(workitem_uid=uid).latest("id")
    told = {tag: event.cancellation[tag] for tag in BODY}
    assert told == BODY


@pytest.mark.parametrize(
    "rest", ["?requester=READER", "/READER", "/READER?requester=READER", "/%20READER"]
)
def test_the_requester_is_told_to_the_performer(worklist, rest):
    uid = worklist.workitem("IN PROGRESS")
    assert worklist.request_cancel(uid, None, rest).status_code == 202
    event = Event.objects.filter(workitem_uid=uid).latest("id")
    assert event.cancellation["00741236"]["Value"] == ["READER"]


@pytest.mark.parametrize(
    "rest", ["?requester=", "?requester=ABCDEFGHIJKLMNOPQ", "/A%5CB", "/A?requester=B"]
)
def test_a_requester_that_is_no_ae_title_or_two_change_nothing(worklist, rest):
    uid = worklist.workitem()
    assert problem(worklist.request_cancel(uid, None, rest), 400)["dicomStatus"] == "0115"
    assert worklist.state(uid) == "SCHEDULED"


@pytest.mark.parametrize("tags", [(), *((tag,) for tag in BODY), tuple(BODY)])
def test_r090_a_request_is_told_as_it_was_made(worklist, tags):
    uid = worklist.workitem("IN PROGRESS")
    asked = {tag: BODY[tag] for tag in tags}
    assert worklist.request_cancel(uid, asked, "?requester=READER").status_code == 202
    told = Event.objects.filter(workitem_uid=uid).latest("id").cancellation
    assert told.pop("00741236")["Value"] == ["READER"]
    assert told == asked


def test_r091_a_request_that_nobody_hears_yet_is_accepted(worklist):
    """The log keeps it for the performer, who may come back."""
    uid = worklist.workitem("IN PROGRESS")
    before = worklist.dataset(uid)
    assert worklist.request_cancel(uid, BODY).status_code == 202
    assert worklist.dataset(uid) == before


def test_r092_what_is_completed_cannot_be_canceled(worklist):
    uid = worklist.workitem("COMPLETED")
    before, events = worklist.dataset(uid), Event.objects.count()
    response = worklist.request_cancel(uid, BODY)
    assert problem(response, 409)["dicomStatus"] == "C311"
    warns(response, "The UPS is already COMPLETED.")
    assert worklist.dataset(uid) == before
    assert Event.objects.count() == events


def test_r093_what_is_canceled_already_is_no_failure(worklist):
    uid = worklist.workitem("CANCELED")
    events = Event.objects.count()
    response = worklist.request_cancel(uid)
    assert (response.status_code, response.content) == (202, b"")
    warns(response, "The UPS is already in the requested state of CANCELED.")
    assert Event.objects.count() == events


def test_r094_an_unknown_workitem_is_404(worklist):
    assert problem(worklist.request_cancel(new_uid()), 404)["dicomStatus"] == "C307"


@pytest.mark.parametrize("body", [b"not JSON", b"[]", b"[{},{}]", b"5", b'[{"0074":{"vr":"LT"}}]'])
def test_r095_a_malformed_body_cancels_nothing(worklist, body):
    uid = worklist.workitem()
    problem(worklist.send("POST", f"/{uid}/cancelrequest", body), 400)
    assert worklist.state(uid) == "SCHEDULED"


def test_a_request_has_no_other_attributes(worklist):
    uid = worklist.workitem()
    response = worklist.request_cancel(uid, elements(PatientName="Roe^Richard"))
    assert problem(response, 400)["element"] == "PatientName"
    assert "Roe" not in response.content.decode()
    assert worklist.state(uid) == "SCHEDULED"


def test_r096_the_performer_cancels_what_it_was_asked_to(worklist):
    uid = worklist.workitem("IN PROGRESS")
    worklist.request_cancel(uid)
    worklist.update(uid, REASON, f"?{T}")
    assert worklist.change_state(uid, "CANCELED", T).status_code == 200
    assert worklist.state(uid) == "CANCELED"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_without_a_body_its_type_means_nothing(worklist, content_type):
    """curl names a form even when it posts nothing."""
    uid = worklist.workitem()
    response = worklist.send("POST", f"/{uid}/cancelrequest", b"", content_type=content_type)
    assert response.status_code == 202
    assert worklist.state(uid) == "CANCELED"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_refused_and_not_overlooked(worklist, content_type):
    uid = worklist.workitem()
    response = worklist.send("POST", f"/{uid}/cancelrequest", b"[{}]", content_type=content_type)
    problem(response, 415)
    assert worklist.state(uid) == "SCHEDULED"


def test_an_empty_dataset_is_a_body(worklist):
    uid = worklist.workitem()
    assert worklist.request_cancel(uid, {}).status_code == 202
    assert worklist.state(uid) == "CANCELED"


def test_bob_may_not_ask(worklist, bobs_worklist):
    uid = worklist.workitem()
    assert problem(bobs_worklist.request_cancel(uid), 403)["dicomStatus"] == "0124"
    assert worklist.state(uid) == "SCHEDULED"


@pytest.mark.parametrize("rest", ["?requester=AI2", "/AI2"])
def test_two_requesters_that_disagree_are_refused(worklist, rest):
    uid = worklist.workitem()
    problem(worklist.request_cancel(uid, elements(RequestingAE="AI1"), rest), 400)
    assert worklist.state(uid) == "SCHEDULED"


@pytest.mark.parametrize("rest", ["", "?requester=AI1", "/AI1", "/AI1?requester=%20AI1"])
def test_a_requester_may_be_named_twice_alike(worklist, rest):
    uid = worklist.workitem()
    assert worklist.request_cancel(uid, elements(RequestingAE="AI1 "), rest).status_code == 202
