"""Update Workitem: PS3.18 11.6, PS3.4 CC.2.6."""

from __future__ import annotations

import pytest

from tests.datasets import code, elements, new_uid
from tests.rest.worklist import T2, T, payload, problem, text, warns

pytestmark = pytest.mark.django_db

LABEL = elements(ProcedureStepLabel="Another label")
STATIONS = "00404025"

NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
INCONSISTENT = "The submitted request is inconsistent with the current state of the Workitem."


def refused(worklist, uid, dataset, query, status, warning):
    """The update is refused with this status and Warning, and changes nothing."""
    before = worklist.dataset(uid)
    response = worklist.update(uid, dataset, query)
    warns(response, warning)
    assert worklist.dataset(uid) == before
    return problem(response, status)


def same_but_modified(one, other):
    ours = {"00404010"}
    return {tag: one[tag] for tag in one.keys() - ours} == {
        tag: other[tag] for tag in other.keys() - ours
    }


def test_r040_anyone_updates_a_scheduled_workitem_and_only_what_is_sent(worklist):
    uid = worklist.workitem()
    before = worklist.dataset(uid)
    response = worklist.update(uid, LABEL)
    assert (response.status_code, response.content) == (200, b"")
    assert "Content-Type" not in response
    assert "Warning" not in response
    assert same_but_modified(worklist.dataset(uid), {**before, **LABEL})


def test_r041_nobody_holds_a_transaction_uid_of_a_scheduled_workitem(worklist):
    refusal = refused(worklist, worklist.workitem(), LABEL, f"?{T}", 409, NOT_CLAIMED)
    assert refusal["dicomStatus"] == "C310"


def test_r042_the_performer_updates_what_it_claimed(worklist):
    uid = worklist.workitem("IN PROGRESS")
    assert worklist.update(uid, LABEL, f"?transaction-uid={T}").status_code == 200
    assert worklist.dataset(uid)["00741204"] == LABEL["00741204"]


SPELLINGS = [
    "?transaction-uid={}",
    "?Transaction-uid={}",
    "?transaction={}",
    "?TransactionUID={}",
    "?TransactionUid={}",
    "?00081195={}",
    "?{}",
    "?{}=",
    "?foo=bar&{}",
    "?transaction={0}&transaction-uid={0}&{0}",
]


@pytest.mark.parametrize("query", SPELLINGS)
def test_r057_every_spelling_of_the_transaction_uid_is_understood(worklist, query):
    uid = worklist.workitem("IN PROGRESS")
    assert worklist.update(uid, LABEL, query.format(T)).status_code == 200
    refusal = refused(worklist, uid, LABEL, query.format(T2), 400, INCONSISTENT)
    assert refusal["dicomStatus"] == "C301"


def test_the_transaction_uid_may_be_in_the_body_and_is_not_stored(worklist):
    uid = worklist.workitem("IN PROGRESS")
    assert worklist.update(uid, {**LABEL, "00081195": text("UI", T)}).status_code == 200
    dataset = worklist.dataset(uid)
    assert dataset["00741204"] == LABEL["00741204"]
    assert "00081195" not in dataset


@pytest.mark.parametrize(
    ("query", "in_body"),
    [
        (f"?transaction-uid={T}&transaction-uid={T2}", None),
        (f"?transaction-uid={T}&transaction={T2}", None),
        (f"?{T}&transaction={T2}", None),
        (f"?{T}&{T2}", None),
        (f"?{T}", T2),
        (f"?{T2}", T),
    ],
)
def test_sources_of_the_transaction_uid_may_not_disagree(worklist, query, in_body):
    uid = worklist.workitem("IN PROGRESS")
    dataset = {**LABEL, **({"00081195": text("UI", in_body)} if in_body else {})}
    refused(worklist, uid, dataset, query, 400, INCONSISTENT)


@pytest.mark.parametrize(
    "query", ["", "?", "?transaction-uid=", "?transaction-uid=1..2", "?1..2", "?workitem=1.2.3.4"]
)
def test_r043_without_the_transaction_uid_a_claimed_workitem_stays_as_it_is(worklist, query):
    refused(worklist, worklist.workitem("IN PROGRESS"), LABEL, query, 400, INCONSISTENT)


def test_r044_somebody_elses_transaction_uid_opens_nothing(worklist):
    uid = worklist.workitem("IN PROGRESS")
    refusal = refused(worklist, uid, LABEL, f"?{T2}", 400, INCONSISTENT)
    assert refusal["dicomStatus"] == "C301"


@pytest.mark.parametrize("state", ["COMPLETED", "CANCELED"])
@pytest.mark.parametrize("query", ["", f"?{T}", f"?{T2}"])
def test_r045_r046_what_is_final_stays_so_for_its_performer_too(worklist, state, query):
    refusal = refused(worklist, worklist.workitem(state), LABEL, query, 400, INCONSISTENT)
    assert refusal["dicomStatus"] == "C300"


def test_r047_an_unknown_workitem_is_404(worklist):
    response = worklist.update(new_uid(), LABEL)
    assert problem(response, 404)["dicomStatus"] == "C307"
    warns(response, NOT_CLAIMED)


def test_r048_an_update_does_not_change_the_state(worklist):
    uid = worklist.workitem("IN PROGRESS")
    dataset = elements(ProcedureStepState="COMPLETED")
    refusal = refused(worklist, uid, dataset, f"?{T}", 400, INCONSISTENT)
    assert refusal["element"] == "ProcedureStepState"


@pytest.mark.parametrize(
    "keyword_and_value",
    [
        {"PatientName": "Roe^Richard"},
        {"PatientID": "PID-2"},
        {"PatientBirthDate": "19800202"},
        {"PatientSex": "M"},
        {"SOPInstanceUID": "1.2.3"},
        {"SOPClassUID": "1.2.3"},
        {"ReferencedRequestSequence": [elements(RequestedProcedureID="RP2")]},
        {"ReplacedProcedureStepSequence": [elements(ReferencedSOPInstanceUID="1.2")]},
    ],
    ids=lambda it: next(iter(it)),
)
def test_r049_who_and_what_it_is_about_is_fixed_at_creation(worklist, keyword_and_value):
    uid = worklist.workitem()
    [keyword] = keyword_and_value
    refusal = refused(worklist, uid, elements(**keyword_and_value), "", 400, INCONSISTENT)
    assert refusal["element"].startswith(keyword)


def test_r050_a_sequence_is_replaced_as_a_whole(worklist):
    uid = worklist.workitem()
    stations = elements(ScheduledStationNameCodeSequence=[code("CT2"), code("MR1")])
    assert worklist.update(uid, stations).status_code == 200
    items = worklist.dataset(uid)[STATIONS]["Value"]
    assert [item["00080100"]["Value"] for item in items] == [["CT2"], ["MR1"]]


def test_r051_an_empty_sequence_empties_it(worklist):
    uid = worklist.workitem()
    assert worklist.update(uid, {STATIONS: {"vr": "SQ"}}).status_code == 200
    assert worklist.dataset(uid)[STATIONS] == {"vr": "SQ"}


@pytest.mark.parametrize(
    "wrong",
    [
        elements(ProcedureStepState="COMPLETED"),
        elements(PatientName="Roe^Richard"),
        {"00741200": text("CS", "URGENT")},
        {"00404005": text("DT", "yesterday")},
    ],
)
def test_r052_all_of_an_update_or_nothing(worklist, wrong):
    refused(worklist, worklist.workitem(), {**LABEL, **wrong}, "", 400, INCONSISTENT)


def test_r053_the_same_update_twice_is_the_same(worklist):
    uid = worklist.workitem("IN PROGRESS")
    assert worklist.update(uid, LABEL, f"?{T}").status_code == 200
    once = worklist.dataset(uid)
    assert worklist.update(uid, LABEL, f"?{T}").status_code == 200
    assert same_but_modified(worklist.dataset(uid), once)


def test_r054_an_update_moves_the_modification_time(worklist):
    uid = worklist.workitem()
    [before] = worklist.dataset(uid)["00404010"]["Value"]
    dataset = {**LABEL, "00404010": text("DT", "19990101000000")}
    assert worklist.update(uid, dataset).status_code == 200
    [after] = worklist.dataset(uid)["00404010"]["Value"]
    assert after > before


@pytest.mark.parametrize("tag", ["00741204", "00741200", "00404005", "00404041"])
def test_r055_a_type_1_attribute_cannot_be_emptied(worklist, tag):
    empty = {tag: {"vr": payload()[tag]["vr"]}}
    refusal = refused(worklist, worklist.workitem(), empty, "", 400, INCONSISTENT)
    assert refusal["dicomStatus"] == "0121"


def test_a_progress_that_is_elsewhere_is_no_progress(worklist):
    progress = {"00741004": {"vr": "DS", "BulkDataURI": "https://elsewhere/1"}}
    uid = worklist.workitem("IN PROGRESS")
    refusal = refused(worklist, uid, {"00741002": text("SQ", progress)}, f"?{T}", 400, INCONSISTENT)
    assert refusal["element"].endswith("[0].ProcedureStepProgress")


def test_r056_every_rejected_update_warns(worklist):
    uid = worklist.workitem()
    for response in (
        worklist.send("POST", f"/{uid}", b"<xml/>", content_type="text/xml"),
        worklist.send("POST", f"/{uid}", b"not JSON"),
        worklist.send("POST", f"/{uid}", b" " * 20_000_000),
        worklist.update("1..2", LABEL),
    ):
        assert response.status_code in (400, 413, 415)
        warns(response, INCONSISTENT)


def test_r058_plain_text_is_no_dataset(worklist):
    uid = worklist.workitem()
    response = worklist.update(uid, LABEL, content_type="text/plain")
    assert "application/dicom+json" in problem(response, 415)["detail"]


def test_bob_may_not_update(worklist, bobs_worklist):
    uid = worklist.workitem()
    response = bobs_worklist.update(uid, LABEL)
    assert problem(response, 403)["dicomStatus"] == "0124"
    assert worklist.dataset(uid)["00741204"]["Value"] == ["3D reconstruction"]


@pytest.mark.parametrize("state", ["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"])
def test_no_answer_and_no_log_line_tells_the_transaction_uid(worklist, state, caplog):
    """Neither the one that was recorded nor the one that was tried."""
    caplog.set_level("DEBUG")
    uid = worklist.workitem(state)
    for query in ("", f"?{T}", f"?{T2}", f"?transaction=1..{T2}", f"?{T}&transaction-uid={T2}"):
        response = worklist.update(uid, elements(PatientName="Roe^Richard"), query)
        assert response.status_code in (400, 409)
        said = f"{response.content!r}{response.headers}{caplog.text}"
        for secret in (T, T2, "Roe", "Richard"):
            assert secret not in said
