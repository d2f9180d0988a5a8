"""Each answer of the tables in docs/access.md, and that a refusal tells nothing."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests import datasets
from tests.access.callers import CALLERS, SECRETS, rows, secret_workitem
from upsrs import subscribers, workitems
from upsrs.dicom.uids import GLOBAL_SUBSCRIPTION

pytestmark = pytest.mark.django_db

DICOM_JSON = "application/dicom+json"
T = "2.25.4711471147114711471147114711"
LABELS = datasets.elements(ProcedureStepLabel="Changed")
REST, PAGES = dict(rows("REST")), dict(rows("Pages"))


def dicom(client, method, path, dataset):
    body = json.dumps([dataset])
    return client.generic(method, f"/ups-rs/{path}", body, content_type=DICOM_JSON)


def as_json(client, path, body):
    return client.post(f"/ups-rs/{path}", json.dumps(body), content_type="application/json")


def subscription(uid, title):
    return f"/ups-rs/workitems/{uid}/subscribers/{title}"


DOORS = {
    "Create": lambda http, uid, ae: dicom(
        http, "POST", f"workitems?{datasets.new_uid()}", datasets.dataset(SOPInstanceUID=None)
    ),
    "Search": lambda http, uid, ae: http.get("/ups-rs/workitems"),
    "Retrieve": lambda http, uid, ae: http.get(f"/ups-rs/workitems/{uid}"),
    "Update": lambda http, uid, ae: dicom(http, "POST", f"workitems/{uid}", LABELS),
    "Change State": lambda http, uid, ae: dicom(
        http,
        "PUT",
        f"workitems/{uid}/state",
        datasets.elements(ProcedureStepState="IN PROGRESS", TransactionUID=T),
    ),
    "Request Cancellation": lambda http, uid, ae: http.generic(
        "POST", f"/ups-rs/workitems/{uid}/cancelrequest"
    ),
    "Report Progress": lambda http, uid, ae: as_json(
        http, f"workitems/{uid}/progress?transaction-uid={T}", {"procedureStepProgress": 5}
    ),
    "Subscribe one's own AE to the workitem": lambda http, uid, ae: http.post(
        subscription(uid, ae)
    ),
    "Subscribe another's AE to the workitem": lambda http, uid, ae: http.post(
        subscription(uid, "SOMEONE")
    ),
    "Subscribe one's own AE to the worklist": lambda http, uid, ae: http.post(
        subscription(GLOBAL_SUBSCRIPTION, ae)
    ),
    "Unsubscribe one's own AE from the workitem": lambda http, uid, ae: http.delete(
        subscription(uid, ae)
    ),
    "Suspend one's own AE": lambda http, uid, ae: http.post(
        subscription(GLOBAL_SUBSCRIPTION, ae) + "/suspend"
    ),
    "Issue a ticket": lambda http, uid, ae: as_json(
        http, "tickets", {"path": "/ups-rs/workitems/subscription"}
    ),
    "Retrieve Capabilities": lambda http, uid, ae: http.options("/ups-rs/"),
    "OpenAPI": lambda http, uid, ae: http.get("/ups-rs/openapi.json"),
    "AsyncAPI": lambda http, uid, ae: http.get("/ups-rs/asyncapi.json"),
    "Metrics": lambda http, uid, ae: http.get("/ups-rs/metrics"),
    "Health, live": lambda http, uid, ae: http.get("/health/live"),
    "Health, ready": lambda http, uid, ae: http.get("/health/ready"),
    "A channel, without WebSocket": lambda http, uid, ae: http.get(
        "/ups-rs/workitems/subscription"
    ),
}


def admin_page(name, *arguments):
    return reverse(f"admin:upsrs_{name}", args=arguments)


ROOMS = {
    "Board": lambda http, row: http.get("/"),
    "Board, finished": lambda http, row: http.get("/finished/"),
    "Board, the workitem": lambda http, row: http.get(f"/workitems/{row.uid}/"),
    "Board, claim the workitem": lambda http, row: http.post(
        f"/workitems/{row.uid}/claim/", headers={"X-Requested-With": "upsrs-board"}
    ),
    "Statistics": lambda http, row: http.get("/statistics/"),
    "Admin, workitems": lambda http, row: http.get(admin_page("workitem_changelist")),
    "Admin, the workitem": lambda http, row: http.get(admin_page("workitem_change", row.pk)),
    "Admin, workitems, for staff": lambda http, row: http.get(admin_page("workitem_changelist")),
    "Admin, the workitem, for staff": lambda http, row: http.get(
        admin_page("workitem_change", row.pk)
    ),
    "Admin, subscriptions": lambda http, row: http.get(admin_page("subscription_changelist")),
    "Admin, events": lambda http, row: http.get(admin_page("event_changelist")),
    "Admin, audit": lambda http, row: http.get(admin_page("auditrecord_changelist")),
}


def test_the_tables_name_every_door_that_is_tried():
    assert set(REST) == set(DOORS)
    assert set(PAGES) == set(ROOMS)


@pytest.mark.parametrize("door", DOORS)
def test_rest(people, door):
    for caller in CALLERS:
        http, title = people.by_token(caller), people.ae_title(caller)
        row = secret_workitem()
        if door == "Report Progress":
            workitems.change_state(None, row.uid, "IN PROGRESS", transaction_uid=T)
        if door.startswith(("Unsubscribe", "Suspend")):
            target = row.uid if door.startswith("Unsubscribe") else GLOBAL_SUBSCRIPTION
            subscribers.subscribe(people.users["administrator"], title, target)
        response = DOORS[door](http, row.uid, title)
        assert response.status_code == int(REST[door][caller]), (caller, response.content)
        if response.status_code >= 400:
            tells_nothing(response)
        if response.status_code == 404:
            unknown = DOORS[door](http, datasets.new_uid(), title)
            assert unknown.status_code == 404
            assert unknown.content == response.content
            assert set(unknown.headers) == set(response.headers)


@pytest.mark.parametrize("door", ROOMS)
def test_pages(people, door):
    if door.endswith("for staff"):
        User.objects.update(is_staff=True)
    for caller in CALLERS:
        http, row = people.by_session(caller), secret_workitem()
        response = ROOMS[door](http, row)
        expected = int(PAGES[door][caller])
        if "claim" in door and expected == 302:
            expected = 401  # the script is told; a person is led to the login
        assert response.status_code == expected, caller
        if expected >= 300 or caller == "other group":
            tells_nothing(response)
        if expected == 404:
            uid, row.uid = row.uid, datasets.new_uid()
            unknown = ROOMS[door](http, row)
            assert unknown.status_code == 404
            assert without_csrf(unknown).replace(row.uid, uid) == without_csrf(response)


def without_csrf(response):
    """Django masks the token anew each time."""
    return re.sub(r'value="\w{64}"', "", response.content.decode())


def tells_nothing(response):
    text = response.content.decode()
    for secret in SECRETS:
        assert secret not in text
    assert "root" not in text
