"""Retrieve Workitem: PS3.18 11.5, PS3.4 CC.2.7; and what holds for every resource (8.5)."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.datasets import new_uid
from tests.rest.worklist import (
    DICOM_JSON,
    DICOM_XML,
    MULTIPART_XML,
    SERVICE,
    STATES,
    T,
    Worklist,
    payload,
    problem,
    text,
)

pytestmark = pytest.mark.django_db


def test_r025_a_workitem_is_an_array_of_one(worklist):
    uid = worklist.workitem()
    response = worklist.retrieve(uid, headers={"Accept": DICOM_JSON})
    assert response.status_code == 200
    assert response["Content-Type"] == DICOM_JSON
    [dataset] = response.json()
    assert dataset["00080018"]["Value"] == [uid]


def test_r036_content_location_is_the_workitem(worklist):
    uid = worklist.workitem()
    response = worklist.retrieve(uid, "?foo=bar")
    assert response["Content-Location"] == f"{SERVICE}/workitems/{uid}"
    assert response["Cache-Control"] == "no-store"
    assert "Accept" in response["Vary"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, DICOM_JSON),  # strictly 406; most clients leave it out
        ("", DICOM_JSON),
        ("*/*", DICOM_JSON),
        ("application/*", DICOM_JSON),
        ("application/dicom+json", DICOM_JSON),
        ("APPLICATION/DICOM+JSON", DICOM_JSON),
        ("application/dicom+json; charset=utf-8", DICOM_JSON),
        ("application/dicom+json;transfer-syntax=*", DICOM_JSON),
        ("application/json", "application/json"),
        ("text/html, application/json;q=0.9, */*;q=0.8", "application/json"),
        ("application/json, application/dicom+json", DICOM_JSON),
        ("application/json;q=0.4, application/dicom+json;q=0.5", DICOM_JSON),
        ("application/json;q=0.5, application/dicom+json;q=0.4", "application/json"),
        ("application/dicom+json;q=0, */*", "application/json"),
        ("application/dicom+json, image/png", DICOM_JSON),
        ("nonsense, ;;q=, application/json", "application/json"),
        ("application/dicom+json;q=nonsense, application/json", "application/json"),
    ],
)
def test_the_best_acceptable_type_is_chosen(worklist, accept, media_type):
    uid = worklist.workitem()
    response = worklist.retrieve(uid, headers={} if accept is None else {"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"] == media_type
    assert len(response.json()) == 1


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        # What is quoted is one value, whatever stands in it.
        ('multipart/related; type="application/dicom+xml"; x="a,b;c\\",d"', MULTIPART_XML),
        ('image/png; x=", application/json", application/dicom+xml;q=0.2', DICOM_XML),
        ('application/dicom+json; q="0.1", application/dicom+xml; q="0.9"', DICOM_XML),
        ('application/dicom+xml; x="q=0.9"; q=0.1, application/json;q=0.5', "application/json"),
        # An entry that is not valid is ignored; it neither asks nor excludes.
        ("application/dicom+json;q=high, */*;q=0.1", DICOM_JSON),
        ("application/dicom+xml;q=nan, application/json;q=0.1", "application/json"),
        ("application/dicom+xml;q=2, application/json;q=-1, application/dicom+json", DICOM_JSON),
        ("text/html, image/gif, *; q=.2, */*; q=.2", DICOM_JSON),  # what Java sends
        ('application/dicom+xml; x="never closed, application/json', DICOM_XML),
        (",,application/json,,", "application/json"),
    ],
)
def test_a_header_is_read_as_http_has_it(worklist, accept, media_type):
    response = worklist.retrieve(worklist.workitem(), headers={"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"].partition("; boundary")[0] == media_type


@pytest.mark.parametrize(
    "accept",
    [
        *("image/png", "text/*", "*/*;q=0", "nonsense", "multipart/form-data"),
        'multipart/related; type="application/dicom+json"',
        'multipart/related; type="application/octet-stream"',
    ],
)
def test_r033_nothing_acceptable_is_406_and_says_what_there_is(worklist, accept):
    response = worklist.retrieve(worklist.workitem(), headers={"Accept": accept})
    assert "application/dicom+json" in problem(response, 406)["detail"]


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("?accept=application/dicom%2Bjson", "*/*", DICOM_JSON),
        ("?accept=application/dicom+json", "*/*", DICOM_JSON),
        ("?accept=application/json", "*/*", "application/json"),
        ("?accept=image/png,%20application/json", "*/*", "application/json"),
        ("?accept=application/json", "application/dicom+json", DICOM_JSON),  # not covered
        ("?accept=image/png", "application/json", "application/json"),
        ("?Accept=application/json", "*/*", DICOM_JSON),  # names are case-sensitive
        ("?format=xml", "*/*", DICOM_JSON),  # DRF's own parameter is none of the standard's
        ("?foo=bar", "*/*", DICOM_JSON),
    ],
)
def test_the_accept_parameter_comes_before_the_header(worklist, query, accept, media_type):
    response = worklist.retrieve(worklist.workitem(), query, headers={"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"] == media_type


@pytest.mark.parametrize("accept", ["*/*", "application/*", "image/png, */*;q=0.1"])
def test_r027_dicom_json_is_the_default(worklist, accept):
    response = worklist.retrieve(worklist.workitem(), headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, DICOM_JSON)


def test_r032_who_does_not_say_what_is_acceptable_accepts_anything(worklist):
    response = worklist.retrieve(worklist.workitem())
    assert (response.status_code, response["Content-Type"]) == (200, DICOM_JSON)


def test_r034_a_rendered_type_beside_ours_is_ignored(worklist):
    headers = {"Accept": "image/png, application/dicom+json;q=0.1"}
    response = worklist.retrieve(worklist.workitem(), headers=headers)
    assert (response.status_code, response["Content-Type"]) == (200, DICOM_JSON)


@pytest.mark.parametrize("media_type", [DICOM_JSON, "application/json"])
def test_r035_the_accept_parameter_chooses_within_the_header(worklist, media_type):
    query = f"?accept={quote(media_type)}"
    response = worklist.retrieve(worklist.workitem(), query, headers={"Accept": "*/*"})
    assert (response.status_code, response["Content-Type"]) == (200, media_type)


@pytest.mark.parametrize("query", ["?foo=bar", "?Accept=image/png", "?workitem=1..2", "?_=1"])
def test_r037_an_unknown_parameter_is_ignored(worklist, query):
    assert worklist.retrieve(worklist.workitem(), query).status_code == 200


@pytest.mark.parametrize("state", STATES)
def test_r028_r029_the_transaction_uid_is_never_shown(worklist, state):
    response = worklist.retrieve(worklist.workitem(state))
    assert response.json()[0]["00741000"]["Value"] == [state]
    assert "00081195" not in response.content.decode()
    assert T not in response.content.decode()


def test_r030_an_unknown_workitem_is_404(worklist):
    assert problem(worklist.retrieve(new_uid()), 404)["dicomStatus"] == "C307"


@pytest.mark.parametrize(
    "uid", ["abc", "1..2", "1.02", "1" * 65, "1.2%20", "1.2%00", "subscriptions"]
)
def test_a_malformed_uid_in_the_path_is_400(worklist, uid):
    assert problem(worklist.retrieve(uid), 400)["dicomStatus"] == "0115"


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"])
def test_r039_the_subscription_uids_of_the_standard_are_no_workitems(worklist, uid):
    problem(worklist.retrieve(uid), 404)


def test_r038_empty_attributes_are_present_without_a_value(worklist):
    dataset = worklist.dataset(worklist.workitem())
    empty = {tag: attribute for tag, attribute in payload().items() if attribute.keys() == {"vr"}}
    empty.pop("00081195")
    assert {tag: dataset[tag] for tag in empty} == empty


def test_r175_a_payload_has_its_type_and_its_length_told_once(worklist):
    uid = worklist.workitem()
    for response in (
        worklist.retrieve(uid),
        worklist.retrieve(new_uid()),
        worklist.retrieve(uid, headers={"Accept": "image/png"}),
        worklist.create({}),
        worklist.update(uid, {}, content_type="text/plain"),
        worklist.change_state(uid, "COMPLETED", T),
        worklist.send("PATCH", f"/{uid}"),
        Worklist().retrieve(uid),
    ):
        assert response.content
        assert response["Content-Type"]
        assert response["Content-Length"] == str(len(response.content))
        assert "Transfer-Encoding" not in response


def test_r176_names_are_in_upper_case_and_ascend_in_items_too(worklist):
    request = {"0020000d": text("UI", "1.2"), "00080050": {"vr": "SH"}}
    dataset = payload({"0040a370": text("SQ", request)}, without="0040A370")
    uid = new_uid()
    assert worklist.create(dict(reversed(dataset.items())), f"?{uid}").status_code == 201

    def check(dataset):
        assert list(dataset) == sorted(tag.upper() for tag in dataset)
        for attribute in dataset.values():
            assert "vr" in attribute
            assert attribute.keys() - {"vr"} <= {"Value"}
            if attribute["vr"] == "SQ":
                for each in attribute.get("Value", []):
                    check(each)

    [dataset] = json.loads(worklist.retrieve(uid).content)
    check(dataset)


def test_head_is_get_without_the_body(worklist):
    uid = worklist.workitem()
    response = worklist.send("HEAD", f"/{uid}")
    assert response.status_code == 200
    assert response.content == b""
    assert response["Content-Type"] == DICOM_JSON
    assert worklist.send("HEAD", f"/{new_uid()}").status_code == 404


def test_bob_may_not_retrieve(worklist, bobs_worklist):
    response = bobs_worklist.retrieve(worklist.workitem())
    assert problem(response, 403)["dicomStatus"] == "0124"
    assert "Doe" not in response.content.decode()


ALLOWED = {
    "": {"GET", "HEAD", "POST"},
    "/1.2": {"GET", "HEAD", "POST"},
    "/1.2/state": {"PUT"},
    "/1.2/state/AE": {"PUT"},
    "/1.2/cancelrequest": {"POST"},
    "/1.2/cancelrequest/AE": {"POST"},
    "/1.2/progress": {"POST"},
    "/1.2/subscribers/AE": {"POST", "DELETE"},
    "/1.2/subscribers/AE/suspend": {"POST"},
}


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (path, method)
        for path, allowed in ALLOWED.items()
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        if method not in allowed
    ],
)
def test_r085_r170_a_method_that_a_resource_has_not_is_405_with_those_it_has(
    worklist, path, method
):
    response = worklist.send(method, path, payload())
    assert response.status_code == 405
    assert set(response["Allow"].split(", ")) == ALLOWED[path]
    assert "Warning" not in response  # no transaction failed


@pytest.mark.parametrize("path", ["/", "/1.2/", "/1.2/state/AE/", "/1.2/states"])
def test_there_are_no_other_resources(worklist, path):
    assert worklist.send("GET", path).status_code == 404
