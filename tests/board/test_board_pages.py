"""The board's pages as the server makes them: who may open them, what they load, what they say."""

from __future__ import annotations

import re

import pytest
from django.urls import get_script_prefix, set_script_prefix

from tests import datasets
from upsrs import workitems
from upsrs.access import ModelPermissionPolicy
from upsrs.dicom.matching import Keys

pytestmark = pytest.mark.django_db

FROM_SCRIPT = {"X-Requested-With": "upsrs-board"}


class OwnLabelPolicy(ModelPermissionPolicy):
    """alice sees what is labelled HERS."""

    def sight(self, user):
        return (Keys({"label": "HERS"}, {}),) if user.username == "alice" else super().sight(user)


def page_of(client, workitem, **headers):
    return client.get(f"/workitems/{workitem.uid}/", headers=headers)


def test_nobody_is_asked_to_log_in(client, make_workitem):
    for path in ("/", "/finished/", "/asked/", f"/workitems/{make_workitem().uid}/"):
        response = client.get(path)
        assert response.status_code == 302
        assert response["Location"] == f"/accounts/login/?next={path}"
        assert client.get(path, headers=FROM_SCRIPT).status_code == 401


def test_bob_is_told_what_he_lacks_and_shown_nothing(client, bob, make_workitem):
    client.force_login(bob)
    for path in ("/", "/finished/", "/asked/", f"/workitems/{make_workitem().uid}/"):
        response = client.get(path)
        assert response.status_code == 403
        assert "may not see the worklist" in response.content.decode()
        assert client.get(path, headers=FROM_SCRIPT).status_code == 403


def test_the_page_names_the_service_and_the_filters_of_its_address(client, alice):
    client.force_login(alice)
    page = client.get("/?label=AI%20*&priority=HIGH&view=list&performer=%22%3E").content.decode()
    assert 'data-service="/ups-rs"' in page
    assert 'name="label" value="AI *"' in page
    assert '<option value="HIGH" selected>' in page
    assert 'data-view="list"' in page
    assert 'name="performer" value="&quot;&gt;"' in page


def test_addresses_follow_a_path_prefix(client, alice):
    client.force_login(alice)
    before = get_script_prefix()
    set_script_prefix("/portal/")  # as the handler of a real request does
    try:
        page = client.get("/").content.decode()
    finally:
        set_script_prefix(before)
    assert 'data-service="/portal/ups-rs"' in page


@pytest.mark.parametrize(
    "path", ["/", "/finished/", "/asked/", "/workitems/{}/", "/workitems/2.25.1/"]
)
def test_every_answer_has_a_strict_content_security_policy_and_is_not_kept(
    client, alice, make_workitem, path
):
    client.force_login(alice)
    response = client.get(path.format(make_workitem().uid))
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in response["Content-Security-Policy"]
    assert "no-store" in response["Cache-Control"]
    page = response.content.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)", page), "no inline script"
    assert not re.search(r"<style|\sstyle=|\son\w+=", page), "no inline style, no inline handler"
    assert not re.search(r'(src|href)="https?:', page), "nothing from elsewhere"


def test_static_files_of_another_host_are_in_the_policy(client, alice, settings):
    settings.STATIC_URL = "https://files.example/static/"
    client.force_login(alice)
    assert "script-src 'self' https://files.example;" in client.get("/")["Content-Security-Policy"]


@pytest.mark.parametrize(
    "name", ["board.js", "board-drawer.js", "upsrs.js", "upsrs.d.ts", "board.css"]
)
def test_its_files_are_served(client, name):
    assert client.get(f"/static/upsrs/{name}").status_code == 200


def test_a_workitem_is_shown_with_its_patient_and_its_history(client, alice, make_workitem):
    workitem = make_workitem(WorklistLabel="AI")
    workitems.update(alice, workitem.uid, datasets.elements(WorklistLabel="READING"))
    client.force_login(alice)
    page = page_of(client, workitem).content.decode()
    for words in ("Doe, Jane", "PID-1", "1 Jan 1970", "Worklist Label: AI → READING", "Created"):
        assert words in page
    part = page_of(client, workitem, **FROM_SCRIPT).content.decode()
    assert "Doe, Jane" in part
    assert "<html" not in part


def test_what_is_out_of_sight_does_not_exist(client, alice, make_workitem, settings):
    hers, other = make_workitem(WorklistLabel="HERS"), make_workitem(WorklistLabel="OTHER")
    settings.UPSRS_POLICY = f"{__name__}.OwnLabelPolicy"
    client.force_login(alice)
    assert page_of(client, hers).status_code == 200
    assert page_of(client, other).status_code == 404
    assert client.post(f"/workitems/{other.uid}/claim/").status_code == 404
    assert client.get("/workitems/2.25.404/").status_code == 404


def test_the_history_leaves_out_what_was_out_of_sight_then(client, alice, make_workitem, settings):
    workitem = make_workitem(WorklistLabel="SECRET LABEL")
    workitems.update(None, workitem.uid, datasets.elements(ProcedureStepLabel="Secret step"))
    workitems.update(
        None, workitem.uid, datasets.elements(WorklistLabel="HERS", ProcedureStepLabel="Plain")
    )
    settings.UPSRS_POLICY = f"{__name__}.OwnLabelPolicy"
    client.force_login(alice)
    assert "secret" not in page_of(client, workitem).content.decode().lower()


def test_the_finished_are_told_as_a_socket_tells_them_the_last_first(client, alice, make_workitem):
    client.force_login(alice)
    rows = [make_workitem(WorklistLabel=label) for label in ("AI-1", "AI-2", "OTHER", "AI-3")]
    for row in rows[:3]:
        workitems.request_cancel(alice, row.uid)
    found = client.get("/finished/?label=AI-*").json()["workitems"]
    assert [report["workitemUID"] for report in found] == [rows[1].uid, rows[0].uid]
    assert {report["procedureStepState"] for report in found} == {"CANCELED"}
    for value in datasets.PATIENT_VALUES:
        assert value not in client.get("/finished/").content.decode()


def test_who_was_asked_to_cancel_is_told_while_they_are_at_work(
    client, alice, make_workitem, settings
):
    rows = [make_workitem(WorklistLabel=label) for label in ("HERS", "OTHER", "HERS")]
    for row in rows:
        workitems.change_state(alice, row.uid, "IN PROGRESS", transaction_uid="2.25.4")
    for row, reason in zip(rows, ("Moved", "Moved", ""), strict=True):
        asked = datasets.elements(ReasonForCancellation=reason) if reason else {}
        workitems.request_cancel(alice, row.uid, asked)
    client.force_login(alice)
    assert client.get("/asked/").json()["reasons"] == {
        rows[0].uid: "Moved",
        rows[1].uid: "Moved",
        rows[2].uid: "",
    }
    settings.UPSRS_POLICY = f"{__name__}.OwnLabelPolicy"
    assert client.get("/asked/").json()["reasons"].keys() == {rows[0].uid, rows[2].uid}
    canceled = datasets.discontinued("Moved")
    workitems.update(alice, rows[0].uid, canceled, transaction_uid="2.25.4")
    workitems.change_state(alice, rows[0].uid, "CANCELED", transaction_uid="2.25.4")
    assert client.get("/asked/").json()["reasons"] == {rows[2].uid: ""}
