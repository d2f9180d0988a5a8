"""Report Progress: our extension, an Update in the words of the customer's contract."""

from __future__ import annotations

import pytest

from tests.datasets import new_uid
from tests.rest.worklist import T2, T, problem, warns

pytestmark = pytest.mark.django_db

INCONSISTENT = "The submitted request is inconsistent with the current state of the Workitem."
REPORT = {
    "procedureStepProgress": 42.5,
    "procedureStepProgressDescription": "Segmenting",
    "numberOfCompletedSuboperations": 3,
    "numberOfFailedSuboperations": 1,
    "numberOfWarningSuboperations": 0,
    "numberOfRemainingSuboperations": 4,
}


def progress(worklist, uid):
    [item] = worklist.dataset(uid)["00741002"]["Value"]
    return {tag: attribute["Value"][0] for tag, attribute in item.items()}


def test_a_report_lands_in_progress_information(worklist):
    uid = worklist.workitem("IN PROGRESS")
    response = worklist.report_progress(uid, REPORT, f"?{T}")
    assert (response.status_code, response.content) == (200, b"")
    item = progress(worklist, uid)
    assert float(item.pop("00741004")) == 42.5
    assert item == {
        "00741006": "Segmenting",
        "00750010": "UPSRS",
        "00751020": 3,
        "00751021": 1,
        "00751022": 0,
        "00751023": 4,
    }


@pytest.mark.parametrize("name", REPORT)
def test_what_a_report_does_not_say_stays(worklist, name):
    uid = worklist.workitem("IN PROGRESS")
    worklist.report_progress(uid, REPORT, f"?{T}")
    before = progress(worklist, uid)
    changed = {name: "Meshing" if isinstance(REPORT[name], str) else 7}
    assert worklist.report_progress(uid, changed, f"?{T}").status_code == 200
    after = progress(worklist, uid)
    assert sum(before[tag] != after[tag] for tag in before) == 1


@pytest.mark.parametrize("query", ["?{}", "?transaction-uid={}", "?transaction={}"])
def test_the_transaction_uid_is_given_as_for_an_update(worklist, query):
    uid = worklist.workitem("IN PROGRESS")
    assert worklist.report_progress(uid, REPORT, query.format(T)).status_code == 200
    response = worklist.report_progress(uid, REPORT, query.format(T2))
    assert problem(response, 400)["dicomStatus"] == "C301"
    warns(response, INCONSISTENT)


def test_without_the_transaction_uid_nobody_reports(worklist):
    uid = worklist.workitem("IN PROGRESS")
    before = worklist.dataset(uid)
    assert problem(worklist.report_progress(uid, REPORT), 400)["dicomStatus"] == "C301"
    assert worklist.dataset(uid) == before


@pytest.mark.parametrize(
    ("state", "status", "dicom_status"),
    [("SCHEDULED", 409, "C310"), ("COMPLETED", 400, "C300"), ("CANCELED", 400, "C300")],
)
def test_only_work_in_progress_has_progress(worklist, state, status, dicom_status):
    uid = worklist.workitem(state)
    before = worklist.dataset(uid)
    response = worklist.report_progress(uid, REPORT, f"?{T}")
    assert problem(response, status)["dicomStatus"] == dicom_status
    assert worklist.dataset(uid) == before


def test_an_unknown_workitem_is_404(worklist):
    problem(worklist.report_progress(new_uid(), REPORT, f"?{T}"), 404)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("procedureStepProgress", "42"),
        ("procedureStepProgress", True),
        ("procedureStepProgress", None),
        ("procedureStepProgress", [42]),
        ("procedureStepProgressDescription", 5),
        ("procedureStepProgressDescription", None),
        ("numberOfCompletedSuboperations", 1.5),
        ("numberOfFailedSuboperations", "1"),
        ("numberOfWarningSuboperations", False),
        ("numberOfRemainingSuboperations", {}),
        ("numberOfCompletedSuboperations", -1),
        ("numberOfCompletedSuboperations", 2**32),
        ("procedureStepProgressDescription", "x" * 1025),
        ("procedureStepProgressDescription", "a\0b"),
        ("procedureStepProgressDescription", "half a pair: \ud800"),
    ],
)
def test_a_value_of_another_kind_is_named_and_changes_nothing(worklist, name, value):
    uid = worklist.workitem("IN PROGRESS")
    before = worklist.dataset(uid)
    refusal = problem(worklist.report_progress(uid, {**REPORT, name: value}, f"?{T}"), 400)
    assert name in refusal["detail"] or refusal["element"].startswith("ProcedureStepProgress")
    assert worklist.dataset(uid) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'["procedureStepProgress"]',
        b"5",
        b"not JSON",
        b'{"procedureStepProgress": NaN}',
        b'{"procedureStepProgress": 1e999}',
        b'{"procedureStepProgress": 1, "procedureStepProgress": 2}',
        b'{"procedureStepProgress": 1, "percent": 2}',
        b'{"procedureStepProgressDescription": "\xff"}',
        b"[" * 100_000,
        b'{"procedureStepProgress": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_malformed_report_changes_nothing(worklist, body):
    uid = worklist.workitem("IN PROGRESS")
    before = worklist.dataset(uid)
    problem(worklist.report_progress(uid, body, f"?{T}"), 400)
    assert worklist.dataset(uid) == before


def test_a_report_is_json(worklist):
    uid = worklist.workitem("IN PROGRESS")
    response = worklist.report_progress(uid, REPORT, f"?{T}", content_type="text/plain")
    assert "application/json" in problem(response, 415)["detail"]


def test_bob_may_not_report(worklist, bobs_worklist):
    uid = worklist.workitem("IN PROGRESS")
    problem(bobs_worklist.report_progress(uid, REPORT, f"?{T}"), 403)
    assert "Value" not in worklist.dataset(uid)["00741002"]
