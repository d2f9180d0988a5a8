"""What a body may be, and how much of it: PS3.18 8.4, 8.5, 11.1.3."""

from __future__ import annotations

import json

import pytest

from tests.datasets import code, elements, new_uid
from tests.rest.worklist import T, payload, problem

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "content_type",
    [
        "application/dicom+json",
        "application/json",
        "Application/DICOM+JSON",
        "application/dicom+json; charset=utf-8",
        'application/dicom+json;charset="UTF-8"',
        "application/dicom+json; charset=utf8",
        "application/dicom+json; transfer-syntax=*",
        " application/json ;charset=utf-8; transfer-syntax=1.2.840.10008.1.2.1",
    ],
)
def test_dicom_json_is_understood_under_both_names(worklist, content_type):
    response = worklist.create(payload(), f"?{new_uid()}", content_type=content_type)
    assert response.status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json",
        "application/dicom",
        'multipart/related; type="application/dicom+json"; boundary=b',
        "multipart/related; boundary=b",
        "multipart/form-data; boundary=b",
        "application/x-www-form-urlencoded",
        "application/*",
        "*/*",
        "nonsense",
        "",
        "application/dicom+json; charset=iso-8859-1",
        "application/dicom+json; charset=utf-16",
        "application/dicom+json; charset=klingon",
        "application/dicom+json; charset=",
        "application/dicom+json; charset=utf-8; charset=latin1",
    ],
)
def test_r016_another_type_or_charset_is_415_and_the_supported_ones_are_told(
    worklist, content_type
):
    uid = new_uid()
    refusal = problem(worklist.create(payload(), f"?{uid}", content_type=content_type), 415)
    assert "application/dicom+json" in refusal["detail"]
    assert "application/json" in refusal["detail"]
    problem(worklist.retrieve(uid), 404)


def test_a_compressed_body_is_415_and_not_taken_for_bad_json(worklist):
    response = worklist.create(payload(), f"?{new_uid()}", headers={"Content-Encoding": "gzip"})
    problem(response, 415)


def test_a_byte_order_mark_is_skipped(worklist):
    body = b"\xef\xbb\xbf" + json.dumps([payload()]).encode()
    assert worklist.send("POST", f"?{new_uid()}", body).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "?1.2.3"), ("POST", "/{}"), ("PUT", "/{}/state")]
)
def test_a_request_that_needs_a_body_says_so(worklist, method, path):
    uid = worklist.workitem()
    response = worklist.send(method, path.format(uid), b"")
    assert "body" in problem(response, 400)["detail"]


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/dicom+json", "*/*;q=0"])
def test_a_refusal_is_a_problem_whatever_is_acceptable(worklist, accept):
    headers = {"Accept": accept}
    problem(worklist.create({}, f"?{new_uid()}", headers=headers), 400)
    problem(worklist.update(new_uid(), payload(), headers=headers), 404)
    problem(worklist.change_state(new_uid(), "IN PROGRESS", T, headers=headers), 404)
    problem(worklist.request_cancel(new_uid(), headers=headers), 404)


def test_an_answer_without_a_body_suits_every_accept(worklist):
    response = worklist.create(payload(), f"?{new_uid()}", headers={"Accept": "image/png"})
    assert response.status_code == 201


# How much


def padded(size):
    """A valid body of exactly this size."""
    return json.dumps([payload()]).encode().ljust(size)


def test_a_body_of_20_mb_is_413(worklist):
    uid = new_uid()
    problem(worklist.send("POST", f"?{uid}", padded(20_000_000)), 413)
    problem(worklist.retrieve(uid), 404)


@pytest.mark.parametrize("method_and_path", ["POST /{}", "PUT /{}/state", "POST /{}/cancelrequest"])
def test_20_mb_change_nothing(worklist, method_and_path):
    method, path = method_and_path.split()
    uid = worklist.workitem()
    before = worklist.dataset(uid)
    problem(worklist.send(method, path.format(uid), padded(20_000_000)), 413)
    assert worklist.dataset(uid) == before


def test_20_mb_of_progress_are_413(worklist):
    uid = worklist.workitem("IN PROGRESS")
    problem(worklist.report_progress(uid, b"{}".ljust(20_000_000), f"?{T}"), 413)


def test_the_limit_is_the_portals_and_exact(worklist, settings):
    settings.UPSRS_MAX_BODY_BYTES = 20_000
    assert worklist.send("POST", f"?{new_uid()}", padded(20_000)).status_code == 201
    problem(worklist.send("POST", f"?{new_uid()}", padded(20_001)), 413)


def test_the_limit_may_exceed_that_of_the_portals_forms(worklist, settings):
    settings.UPSRS_MAX_BODY_BYTES = 10_000_000
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    assert worklist.send("POST", f"?{new_uid()}", padded(5_000_000)).status_code == 201


def test_the_depth_limit_is_the_portals(worklist, settings):
    settings.UPSRS_MAX_ITEM_DEPTH = 1
    station = {**code("CT1"), **elements(EquivalentCodeSequence=[code("CT 1")])}
    deep = elements(ScheduledStationNameCodeSequence=[station])
    problem(worklist.create(payload(deep), f"?{new_uid()}"), 400)
    settings.UPSRS_MAX_ITEM_DEPTH = 2
    assert worklist.create(payload(deep), f"?{new_uid()}").status_code == 201


@pytest.mark.parametrize("length", ["9" * 30, "9" * 5000])
@pytest.mark.django_db(transaction=True)
def test_a_body_that_claims_to_be_endless_is_413(worklist, length):
    response = worklist.through_asgi(b"{}", [(b"content-length", length.encode())])
    assert response.status_code == 413


@pytest.mark.django_db(transaction=True)
def test_a_body_longer_than_it_claims_is_413(worklist):
    response = worklist.through_asgi(padded(20_000_000), [(b"content-length", b"2")])
    assert response.status_code == 413


@pytest.mark.django_db(transaction=True)
def test_a_chunked_body_is_read(worklist):
    response = worklist.through_asgi(padded(20_000), [(b"transfer-encoding", b"chunked")])
    assert response.status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_chunked_body_beyond_the_limit_is_413(worklist):
    response = worklist.through_asgi(padded(20_000_000), [(b"transfer-encoding", b"chunked")])
    assert response.status_code == 413


def test_a_chunked_body_that_a_wsgi_server_withholds_is_not_taken_for_none(worklist):
    uid = worklist.workitem()
    response = worklist.request_cancel(uid, headers={"Transfer-Encoding": "chunked"})
    problem(response, 411)
    assert worklist.state(uid) == "SCHEDULED"
