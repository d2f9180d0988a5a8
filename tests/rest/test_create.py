"""Create Workitem: PS3.18 11.4, PS3.4 CC.2.5."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from tests.datasets import code, new_uid
from tests.rest.worklist import (
    SERVICE,
    STATES,
    T2,
    T,
    Worklist,
    at_once,
    payload,
    problem,
    text,
    warns,
)

pytestmark = pytest.mark.django_db

TYPE_1 = {
    "00404005": "ScheduledProcedureStepStartDateTime",
    "00404041": "InputReadinessState",
    "00741000": "ProcedureStepState",
    "00741200": "ScheduledProcedureStepPriority",
    "00741204": "ProcedureStepLabel",
}


def test_r001_a_complete_payload_creates_a_workitem_where_location_says(worklist):
    uid = new_uid()
    response = worklist.create(payload(), f"?workitem={uid}")
    assert response.status_code == 201
    assert response.content == b""
    assert "Content-Type" not in response
    assert response["Location"] == f"{SERVICE}/workitems/{uid}"
    assert response["Content-Location"] == response["Location"]
    assert response["Cache-Control"] == "no-store"
    assert worklist.http.get(response["Location"]).status_code == 200


def test_r002_the_server_gives_state_class_and_instance(worklist):
    uid = new_uid()
    worklist.create(payload(), f"?workitem={uid}")
    dataset = worklist.dataset(uid)
    assert dataset["00741000"]["Value"] == ["SCHEDULED"]
    assert dataset["00080018"]["Value"] == [uid]
    assert dataset["00080016"]["Value"] == ["1.2.840.10008.5.1.4.34.6.1"]


def test_r003_the_uid_may_be_in_the_payload(worklist):
    uid = new_uid()
    response = worklist.create(payload({"00080018": text("UI", uid)}))
    assert response.status_code == 201
    assert response["Location"].endswith(f"/workitems/{uid}")
    assert worklist.state(uid) == "SCHEDULED"


def test_r004_a_workitem_without_a_uid_is_refused(worklist):
    problem(worklist.create(payload()), 400)


@pytest.mark.parametrize(
    "query", ["?workitem={}", "?AffectedSOPInstanceUID={}", "?{}", "?{}=", "?foo=bar&workitem={}"]
)
def test_every_spelling_of_the_uid_is_understood(worklist, query):
    uid = new_uid()
    assert worklist.create(payload(), query.format(uid)).status_code == 201
    assert worklist.state(uid) == "SCHEDULED"


def test_sources_of_the_uid_may_agree(worklist):
    uid = new_uid()
    dataset = payload({"00080018": text("UI", uid)})
    query = f"?workitem={uid}&AffectedSOPInstanceUID={uid}&{uid}"
    assert worklist.create(dataset, query).status_code == 201


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?workitem={0}&workitem={1}", None),
        ("?workitem={0}&AffectedSOPInstanceUID={1}", None),
        ("?{0}&workitem={1}", None),
        ("?{0}&{1}", None),
        ("?workitem={0}", 1),
        ("?{0}", 1),
    ],
)
def test_sources_of_the_uid_may_not_disagree(worklist, query, told):
    pair = new_uid(), new_uid()
    changes = {} if told is None else {"00080018": text("UI", pair[told])}
    refusal = problem(worklist.create(payload(changes), query.format(*pair)), 400)
    assert refusal["dicomStatus"] == "0115"
    for uid in pair:
        problem(worklist.retrieve(uid), 404)


@pytest.mark.parametrize("state", STATES)
def test_r005_r006_a_uid_is_used_once_whatever_became_of_it(worklist, state):
    uid = worklist.workitem(state)
    before = worklist.dataset(uid)
    refusal = problem(worklist.create(payload(), f"?workitem={uid}"), 409)
    assert refusal["dicomStatus"] == "0111"
    assert worklist.dataset(uid) == before


@pytest.mark.parametrize("state", ["IN PROGRESS", "COMPLETED", "CANCELED"])
def test_r007_a_workitem_starts_scheduled(worklist, state):
    uid = new_uid()
    changes = {"00741000": text("CS", state)}
    refusal = problem(worklist.create(payload(changes), f"?workitem={uid}"), 400)
    assert refusal["dicomStatus"] == "C309"
    problem(worklist.retrieve(uid), 404)


@pytest.mark.parametrize("tag", TYPE_1)
def test_r008_an_absent_type_1_attribute_is_named_and_nothing_created(worklist, tag):
    uid = new_uid()
    refusal = problem(worklist.create(payload(without=tag), f"?workitem={uid}"), 400)
    assert refusal["element"] == TYPE_1[tag]
    assert refusal["dicomStatus"] == "0120"
    problem(worklist.retrieve(uid), 404)


@pytest.mark.parametrize("tag", TYPE_1)
def test_r009_an_empty_type_1_attribute_is_named_and_nothing_created(worklist, tag):
    uid = new_uid()
    changes = {tag: {"vr": payload()[tag]["vr"]}}
    refusal = problem(worklist.create(payload(changes), f"?workitem={uid}"), 400)
    assert refusal["element"] == TYPE_1[tag]
    assert refusal["dicomStatus"] == "0121"
    problem(worklist.retrieve(uid), 404)


def test_r010_an_absent_type_2_attribute_becomes_present_and_empty(worklist):
    uid = new_uid()
    empty = {tag: attribute for tag, attribute in payload().items() if attribute.keys() == {"vr"}}
    without = {tag: attribute for tag, attribute in payload().items() if tag not in empty}
    response = worklist.create(without, f"?workitem={uid}")
    assert response.status_code == 201
    assert "Warning" not in response
    dataset = worklist.dataset(uid)
    empty.pop("00081195")  # the Transaction UID is never shown
    assert {tag: dataset[tag] for tag in empty} == empty


def test_r011_r015_an_empty_worklist_label_is_filled_and_that_is_said(worklist):
    uid = new_uid()
    response = worklist.create(payload({"00741202": {"vr": "LO"}}), f"?workitem={uid}")
    assert response.status_code == 201
    warns(response, "The Workitem was created with modifications.")
    assert worklist.dataset(uid)["00741202"]["Value"] == ["WORKLIST"]


def test_a_workitem_created_as_sent_has_no_warning(worklist):
    response = worklist.create(payload(), f"?workitem={new_uid()}")
    assert response.status_code == 201
    assert "Warning" not in response


def test_r012_the_modification_time_is_the_servers(worklist):
    uid = new_uid()
    worklist.create(payload({"00404010": text("DT", "19990101000000")}), f"?workitem={uid}")
    [stored] = worklist.dataset(uid)["00404010"]["Value"]
    at = datetime.strptime(stored, "%Y%m%d%H%M%S.%f%z")
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("tag", "item"),
    [
        ("00741002", {"00741004": text("DS", "50")}),
        ("00741216", {"00404050": text("DT", "20260105081500")}),
    ],
)
def test_r013_nothing_has_been_done_yet_at_creation(worklist, tag, item):
    uid = new_uid()
    problem(worklist.create(payload({tag: text("SQ", item)}), f"?workitem={uid}"), 400)
    problem(worklist.retrieve(uid), 404)


def test_r014_a_creator_cannot_claim_beforehand(worklist):
    uid = new_uid()
    response = worklist.create(payload({"00081195": text("UI", T2)}), f"?workitem={uid}")
    problem(response, 400)
    assert T2 not in response.content.decode()
    problem(worklist.retrieve(uid), 404)


@pytest.mark.parametrize(
    "body", [b"not JSON", b"[", b'[{"00741000":}]', b"<NativeDicomModel/>", b"\xff\xfe", b"5"]
)
def test_r017_what_is_not_dicom_json_creates_nothing(worklist, body):
    uid = new_uid()
    assert problem(worklist.send("POST", f"?workitem={uid}", body), 400)["dicomStatus"] == "0106"
    problem(worklist.retrieve(uid), 404)


def test_r019_a_bare_object_is_taken_for_an_array_of_one(worklist):
    uid = new_uid()
    assert worklist.send("POST", f"?workitem={uid}", payload()).status_code == 201


@pytest.mark.parametrize("count", [0, 2])
def test_r020_one_request_creates_one_workitem(worklist, count):
    uid = new_uid()
    problem(worklist.send("POST", f"?workitem={uid}", [payload()] * count), 400)
    problem(worklist.retrieve(uid), 404)


MALFORMED = ["1..2", "abc", "1.02", "1.2.", ".1", "1" * 65, "1.2 ", "1.2%00", "1,2", "", "1.2/3"]


@pytest.mark.parametrize("uid", MALFORMED)
def test_r021_a_malformed_uid_in_the_query_is_refused(worklist, uid):
    assert problem(worklist.create(payload(), f"?workitem={uid}"), 400)["dicomStatus"] == "0115"


@pytest.mark.parametrize("uid", ["1..2", "1.02", "1.2.", "1." * 32 + "1"])
def test_r021_a_malformed_bare_uid_is_no_unknown_parameter(worklist, uid):
    dataset = payload({"00080018": text("UI", new_uid())})
    problem(worklist.create(dataset, f"?{uid}"), 400)


@pytest.mark.parametrize("uid", ["1..2", "abc", "1.02", "1" * 65])
def test_r021_a_malformed_uid_in_the_payload_is_named(worklist, uid):
    refusal = problem(worklist.create(payload({"00080018": text("UI", uid)})), 400)
    assert refusal["element"] == "SOPInstanceUID"


def test_parameters_that_we_do_not_know_are_ignored(worklist):
    uid = new_uid()
    query = f"?workitem={uid}&Workitem=1..2&_=1700000000&1700000000&format=xml"
    assert worklist.create(payload(), query).status_code == 201


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"])
def test_r022_the_subscription_uids_of_the_standard_are_no_workitems(worklist, uid):
    problem(worklist.create(payload(), f"?workitem={uid}"), 400)
    problem(worklist.retrieve(uid), 404)


@pytest.mark.django_db(transaction=True)
def test_r023_of_two_creates_at_once_one_wins(alice):
    for _ in range(5):
        uid = new_uid()
        one, other = Worklist(alice), Worklist(alice)
        create = partial(Worklist.create, dataset=payload(), query=f"?{uid}")
        responses = at_once(partial(create, one), partial(create, other))
        assert sorted(it.status_code for it in responses) == [201, 409]


@pytest.mark.parametrize(
    ("tag", "value", "keyword"),
    [
        ("00741200", "URGENT", "ScheduledProcedureStepPriority"),
        ("00404041", "SOON", "InputReadinessState"),
    ],
)
def test_r024_a_value_outside_its_domain_is_refused_without_being_quoted(
    worklist, tag, value, keyword
):
    response = worklist.create(payload({tag: text("CS", value)}), f"?workitem={new_uid()}")
    assert problem(response, 400)["element"] == keyword
    assert value not in response.content.decode()


def test_r177_a_name_in_any_script_comes_back_as_it_went(worklist):
    uid = new_uid()
    name = {"Alphabetic": "Müller^Zoë", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    worklist.create(payload({"00100010": text("PN", name)}), f"?workitem={uid}")
    assert worklist.dataset(uid)["00100010"]["Value"] == [name]


def test_an_element_in_an_item_is_named_with_its_path(worklist):
    stations = text("SQ", code("CT1"), code("x" * 17))
    response = worklist.create(payload({"00404025": stations}), f"?workitem={new_uid()}")
    element = problem(response, 400)["element"]
    assert element == "ScheduledStationNameCodeSequence[1].CodeValue"


def test_bob_may_not_create(bobs_worklist, worklist):
    uid = new_uid()
    refusal = problem(bobs_worklist.create(payload(), f"?workitem={uid}"), 403)
    assert refusal["dicomStatus"] == "0124"
    problem(worklist.retrieve(uid), 404)


def test_location_is_the_address_that_the_client_knows(worklist, settings):
    settings.USE_X_FORWARDED_HOST = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["pacs.example"]
    uid = new_uid()
    response = worklist.create(
        payload({"00741202": {"vr": "LO"}}),
        f"?workitem={uid}",
        headers={"X-Forwarded-Host": "pacs.example", "X-Forwarded-Proto": "https"},
    )
    assert response["Location"] == f"https://pacs.example/ups-rs/workitems/{uid}"
    assert response["Warning"].startswith("299 https://pacs.example/ups-rs: ")


@pytest.mark.django_db(transaction=True)
def test_location_has_the_prefix_that_a_proxy_put_before_us(worklist, settings):
    settings.FORCE_SCRIPT_NAME = "/portal"
    response = worklist.through_asgi(json.dumps([payload()]).encode())
    assert response.status_code == 201
    assert response["Location"].startswith("http://testserver/portal/ups-rs/workitems/2.25.")


def test_a_forged_host_creates_nothing(worklist, settings):
    settings.ALLOWED_HOSTS = ["pacs.example", "testserver"]
    uid = new_uid()
    response = worklist.create(payload(), f"?workitem={uid}", headers={"Host": "evil.example"})
    assert response.status_code == 400
    problem(worklist.retrieve(uid), 404)


def test_the_performers_key_appears_nowhere(worklist):
    uid = worklist.workitem("IN PROGRESS")
    response = worklist.create(payload(), f"?workitem={uid}")
    assert T not in f"{response.content!r}{response.headers}"
