"""Bodies that are no dataset, or a wrong one: 4xx that names the place, and nothing is changed."""

from __future__ import annotations

import json

import pytest

from tests.datasets import MINIMAL, code, elements, new_uid
from tests.rest.worklist import T, payload, problem, text
from upsrs.models import Event, Workitem

pytestmark = pytest.mark.django_db

SECRET = "SECRET"
"""A value that no refusal and no log line may quote."""


def dumped(dataset):
    return json.dumps([dataset]).encode()


def nested(levels):
    """A dataset with items within items."""
    dataset = code("A")
    for _ in range(levels):
        dataset = {"0040A370": text("SQ", dataset)}
    return dataset


def raw(attribute):
    """A complete dataset, and one attribute as the bytes that it is sent as."""
    return dumped(payload())[:-2] + b"," + attribute + b"}]"


# The body, and the element that the refusal names; None where there is none to name.
BODIES = {
    "not JSON": (b"<xml>SECRET</xml>", None),
    "half of JSON": (dumped(payload())[:-20], None),
    "JSON and something after it": (dumped(payload()) + b"[]", None),
    "not UTF-8": (
        dumped(payload({"00741204": text("LO", "SECRET~")})).replace(b"~", b"\xe4"),
        None,
    ),
    "UTF-16": (json.dumps([payload()]).encode("utf-16"), None),
    "nothing in it": (b"[]", None),
    "two datasets": (json.dumps([payload(), payload()]).encode(), None),
    "an array in the array": (json.dumps([[payload()]]).encode(), None),
    "a number": (b"5", None),
    "null": (b"null", None),
    "a string": (b'"SECRET"', None),
    "brackets without end": (b"[" * 500_000, None),
    "objects without end": (b'{"a":' * 100_000, None),
    "an endless number": (raw(b'"00280010":{"vr":"US","Value":[' + b"9" * 5000 + b"]}"), None),
    "an infinite number": (raw(b'"00189073":{"vr":"FD","Value":[1e999]}'), None),
    "not a number": (raw(b'"00189073":{"vr":"FD","Value":[NaN]}'), None),
    "an element twice": (raw(b'"00741204":{"vr":"LO","Value":["SECRET"]}'), "ProcedureStepLabel"),
    "an element twice in other letters": (
        dumped({**payload(), "0040a370": {"vr": "SQ"}}),
        "ReferencedRequestSequence",
    ),
    "a member twice": (raw(b'"00380010":{"vr":"LO","vr":"LO"}'), None),
    "no tag": (dumped(payload({"PatientName": text("PN", {"Alphabetic": SECRET})})), None),
    "a command element": (dumped(payload({"00001000": text("UI", "1.2")})), None),
    "a wrong VR": (dumped(payload({"00741000": text("US", 1)})), "ProcedureStepState"),
    "no VR": (dumped(payload({"00741204": {"Value": [SECRET]}})), "ProcedureStepLabel"),
    "a VR that is none": (dumped(payload({"00741204": text("ZZ", SECRET)})), "ProcedureStepLabel"),
    "no array": (
        dumped(payload({"00741204": {"vr": "LO", "Value": SECRET}})),
        "ProcedureStepLabel",
    ),
    "a value of another kind": (
        dumped(payload({"00741204": text("LO", {"Alphabetic": SECRET})})),
        "ProcedureStepLabel",
    ),
    "no attribute object": (dumped(payload({"00741204": SECRET})), "ProcedureStepLabel"),
    "a member that is none": (
        dumped(payload({"00741204": {"vr": "LO", "Values": [SECRET]}})),
        "ProcedureStepLabel",
    ),
    "a UID of 65 characters": (
        dumped(payload({"00200052": text("UI", "1" * 65)})),
        "FrameOfReferenceUID",
    ),
    "a malformed UID": (
        dumped(payload({"00200052": text("UI", "1..2")})),
        "FrameOfReferenceUID",
    ),
    "a NUL": (dumped(payload({"00741204": text("LO", "SEC\0RET")})), "ProcedureStepLabel"),
    "half a surrogate pair": (
        dumped(payload({"00741204": text("LO", "SECRET \ud800")})),
        "ProcedureStepLabel",
    ),
    "a label that is too long": (
        dumped(payload({"00741204": text("LO", "x" * 65)})),
        "ProcedureStepLabel",
    ),
    "a date that is none": (
        dumped(payload({"00404005": text("DT", "SECRET")})),
        "ScheduledProcedureStepStartDateTime",
    ),
    "a character set that is none": (
        dumped(payload({"00080005": text("CS", "KLINGON")})),
        "SpecificCharacterSet",
    ),
    "30 levels": (dumped(payload(nested(30))), "ReferencedRequestSequence"),
    "something wrong in an item": (
        dumped(payload(elements(ScheduledStationNameCodeSequence=[code("A"), code("x" * 17)]))),
        "ScheduledStationNameCodeSequence[1].CodeValue",
    ),
    "a private element of nobody": (dumped(payload({"00751020": text("UL", 1)})), "00751020"),
    "a Transaction UID in an item": (
        dumped(payload({"00404025": text("SQ", {**code("A"), "00081195": text("UI", T)})})),
        "ScheduledStationNameCodeSequence[0].TransactionUID",
    ),
}
WHERE = ["create", "update", "state", "cancelrequest"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("body", "element"), list(BODIES.values()), ids=list(BODIES))
def test_a_bad_body_is_refused_and_changes_nothing(worklist, caplog, where, body, element):
    caplog.set_level("DEBUG")
    uid = worklist.workitem()
    before, events = worklist.dataset(uid), Event.objects.count()
    method, path = {
        "create": ("POST", f"?workitem={new_uid()}"),
        "update": ("POST", f"/{uid}"),
        "state": ("PUT", f"/{uid}/state"),
        "cancelrequest": ("POST", f"/{uid}/cancelrequest"),
    }[where]
    caplog.clear()

    response = worklist.send(method, path, body)

    refusal = problem(response, 400)
    assert refusal["dicomStatus"] == "0106"
    if element:
        assert refusal["element"].startswith(element)
    assert worklist.dataset(uid) == before
    assert Workitem.objects.count() == 1
    assert Event.objects.count() == events
    for secret in (SECRET, "SEC\\u0000", T, "KLINGON", "x" * 17, "1" * 65):
        assert secret not in f"{response.content!r}{response.headers}{caplog.text}"


def test_a_sequence_of_too_many_items_is_refused(worklist):
    items = elements(ScheduledStationNameCodeSequence=[code(str(i)) for i in range(21_000)])
    response = worklist.create(payload(items), f"?{new_uid()}")
    assert problem(response, 400)["element"] == "ScheduledStationNameCodeSequence"


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100", "ISO 2022 IR 87"])
def test_the_character_set_says_nothing_about_json(worklist, charset):
    """Whatever it says, JSON is UTF-8, and that is what the stored workitem says."""
    uid = new_uid()
    dataset = payload({"00080005": text("CS", charset), **elements(PatientName="Müller")})
    assert worklist.create(dataset, f"?{uid}").status_code == 201
    stored = worklist.dataset(uid)
    assert stored["00080005"]["Value"] == ["ISO_IR 192"]
    assert stored["00100010"]["Value"] == [{"Alphabetic": "Müller"}]


def test_the_minimal_payload_itself_is_good(worklist):
    """Else everything above might be refused for another reason."""
    assert worklist.create(MINIMAL, f"?{new_uid()}").status_code == 201
