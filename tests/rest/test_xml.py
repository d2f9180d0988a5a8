"""The Native DICOM Model at the doors: alone, and in a multipart message (PS3.18 11.1.3)."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser

import pytest

from tests.datasets import elements, new_uid
from tests.rest.worklist import (
    DICOM_XML as XML,
    MULTIPART_XML as MULTIPART,
    PERFORMED,
    T,
    payload,
    problem,
    text,
)
from upsrs.dicom import native_xml
from upsrs.dicom.dataset import normalise

pytestmark = pytest.mark.django_db


def xml(dataset):
    return native_xml.render(normalise(dataset))


def multipart(*documents, boundary="b1", part_type=XML):
    parts = b"".join(
        b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n"
        % (boundary.encode(), part_type.encode(), document)
        for document in documents
    )
    return parts + b"--%s--\r\n" % boundary.encode()


def documents(response):
    """The parts of a multipart answer."""
    head = f"Content-Type: {response['Content-Type']}\r\n\r\n".encode()
    message = BytesParser(policy=policy.HTTP).parsebytes(head + response.content)
    parts = list(message.iter_parts())
    assert {part.get_content_type() for part in parts} == {XML}
    for part in parts:
        assert int(part["Content-Length"]) == len(part.get_payload(decode=True))
    return [part.get_payload(decode=True) for part in parts]


@pytest.mark.parametrize("form", ["alone", "multipart", "multipart, unquoted"])
def test_r018_what_is_created_by_xml_is_what_json_creates(worklist, form):
    dataset = payload(elements(PatientName="Zoë^Ä", CommentsOnTheScheduledProcedureStep="a\r\n<b>"))
    twin, uid = new_uid(), new_uid()
    assert worklist.create(dataset, f"?{twin}").status_code == 201
    content_type, body = XML, xml(dataset)
    if form != "alone":
        content_type, body = f"{MULTIPART}; boundary=b1", multipart(body)
    if form.endswith("unquoted"):
        content_type = f"Multipart/Related; boundary=b1; type={XML}"
    response = worklist.send("POST", f"?workitem={uid}", body, content_type=content_type)
    assert response.status_code == 201, response.content

    def comparable(uid):
        own = ("00080018", "00404010")
        return {tag: it for tag, it in worklist.dataset(uid).items() if tag not in own}

    assert comparable(uid) == comparable(twin)


@pytest.mark.parametrize("accept", [MULTIPART, f"multipart/related; type={XML}", "multipart/*"])
def test_r026_a_workitem_is_had_as_one_part(worklist, accept):
    uid = worklist.workitem()
    response = worklist.retrieve(uid, headers={"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"].startswith(MULTIPART)
    [document] = documents(response)
    assert native_xml.parse(document) == worklist.dataset(uid)


def test_a_workitem_is_had_as_one_document(worklist):
    uid = worklist.workitem("IN PROGRESS")
    for query, accept in (("", XML), ("?accept=application/dicom%2Bxml", "*/*")):
        response = worklist.retrieve(uid, query, headers={"Accept": accept})
        assert (response.status_code, response["Content-Type"]) == (200, XML)
        assert native_xml.parse(response.content) == worklist.dataset(uid)
        assert T not in response.content.decode()


def test_a_whole_life_in_xml(worklist):
    uid = worklist.workitem()

    def move(state):
        change = {"00741000": text("CS", state), "00081195": text("UI", T)}
        return worklist.send("PUT", f"/{uid}/state", xml(change), content_type=XML)

    assert move("IN PROGRESS").status_code == 200
    body = multipart(xml(PERFORMED))
    content_type = f"{MULTIPART}; boundary=b1"
    updated = worklist.send("POST", f"/{uid}?{T}", body, content_type=content_type)
    assert updated.status_code == 200, updated.content
    reason = xml(elements(ReasonForCancellation="moved"))
    asked = worklist.send("POST", f"/{uid}/cancelrequest", reason, content_type=XML)
    assert asked.status_code == 202, asked.content
    assert move("COMPLETED").status_code == 200
    assert worklist.state(uid) == "COMPLETED"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (XML, b"<NativeDicomModel>"),
        (XML, b"[{}]"),
        (XML, b'<!DOCTYPE x [<!ENTITY a "a">]><NativeDicomModel/>'),
        (f"{MULTIPART}; boundary=b1", b"no parts"),
        (f"{MULTIPART}", multipart(xml(payload()))),
        (f"{MULTIPART}; boundary=b1", multipart(xml(payload()), xml(payload()))),
        (f"{MULTIPART}; boundary=b1", multipart(xml(payload()), part_type="text/plain")),
        (f"{MULTIPART}; boundary=b1", multipart()),
    ],
)
def test_a_body_that_is_not_what_it_says_is_400_and_changes_nothing(worklist, content_type, body):
    uid = new_uid()
    problem(worklist.send("POST", f"?{uid}", body, content_type=content_type), 400)
    problem(worklist.retrieve(uid), 404)
