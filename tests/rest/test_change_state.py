"""Change Workitem State: PS3.18 11.7, PS3.4 CC.1.1 and CC.2.1."""

from __future__ import annotations

from functools import partial

import pytest

from tests.datasets import code, elements, new_uid
from tests.rest.worklist import (
    PERFORMED,
    REASON,
    STATES,
    T2,
    T,
    Worklist,
    at_once,
    problem,
    text,
    warns,
)
from upsrs.models import Workitem

pytestmark = pytest.mark.django_db

CANCELED = "The UPS is already in the requested state of CANCELED."
COMPLETED = "The UPS is already in the requested state of COMPLETED."
MISSING = "The Transaction UID is missing."
INCORRECT = "The Transaction UID is incorrect."
INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."

# What a cell of the table means in HTTP: status and Warning (PS3.18 11.7.3).
ANSWERS = {
    "ok": (200, None),
    "B304": (200, CANCELED),
    "B306": (200, COMPLETED),
    "C300": (409, INCONSISTENT),
    "C302": (409, INCONSISTENT),
    "C303": (400, INCONSISTENT),
    "C307": (404, INCONSISTENT),
    "C310": (409, INCONSISTENT),
    "C301": (400, INCORRECT),
    "missing": (400, MISSING),
}

# PS3.4 Table CC.1.1-2. While SCHEDULED nothing is recorded: any well-formed UID is correct.
TABLE = """
requested    uid        nothing  SCHEDULED  IN_PROGRESS  COMPLETED  CANCELED
IN_PROGRESS  correct    C307     ok         C302         C300       C300
IN_PROGRESS  incorrect  C307     ok         C301         C301       C301
IN_PROGRESS  missing    C307     missing    missing      missing    missing
IN_PROGRESS  empty      C307     missing    missing      missing    missing
IN_PROGRESS  malformed  C307     missing    missing      missing    missing
SCHEDULED    correct    C307     C303       C303         C303       C303
SCHEDULED    incorrect  C307     C303       C303         C303       C303
SCHEDULED    missing    C307     C303       C303         C303       C303
SCHEDULED    empty      C307     C303       C303         C303       C303
SCHEDULED    malformed  C307     C303       C303         C303       C303
COMPLETED    correct    C307     C310       ok           B306       C300
COMPLETED    incorrect  C307     C310       C301         C301       C301
COMPLETED    missing    C307     missing    missing      missing    missing
COMPLETED    empty      C307     missing    missing      missing    missing
COMPLETED    malformed  C307     missing    missing      missing    missing
CANCELED     correct    C307     C310       ok           C300       B304
CANCELED     incorrect  C307     C310       C301         C301       C301
CANCELED     missing    C307     missing    missing      missing    missing
CANCELED     empty      C307     missing    missing      missing    missing
CANCELED     malformed  C307     missing    missing      missing    missing
"""

UIDS = {"correct": T, "incorrect": T2, "missing": None, "empty": "", "malformed": "1..2"}


def cells():
    head, *rows = (row.split() for row in TABLE.strip().splitlines())
    for requested, uid, *answers in rows:
        for current, answer in zip(head[2:], answers, strict=True):
            case = current.replace("_", " "), requested.replace("_", " "), uid, answer
            yield pytest.param(*case, id="-".join(case))


@pytest.mark.parametrize(("current", "requested", "uid", "answer"), list(cells()))
def test_every_cell_of_the_transition_table(worklist, current, requested, uid, answer):
    if current == "nothing":
        workitem_uid, before = new_uid(), None
    else:
        workitem_uid = worklist.workitem(current)
        if current == "IN PROGRESS":  # ready for either end
            worklist.update(workitem_uid, {**PERFORMED, **REASON}, f"?{T}")
        before = worklist.dataset(workitem_uid)

    response = worklist.change_state(workitem_uid, requested, UIDS[uid])

    status, warning = ANSWERS[answer]
    if warning is None:
        assert "Warning" not in response
    else:
        warns(response, warning)
    if status == 200:
        assert (response.status_code, response.content) == (200, b"")
        assert "Content-Type" not in response
    else:
        dicom_status = "C301" if answer == "missing" else answer
        assert problem(response, status)["dicomStatus"] == dicom_status
    if answer == "ok":
        assert worklist.state(workitem_uid) == requested
    elif before is not None:
        assert worklist.dataset(workitem_uid) == before


def test_the_table_is_whole():
    walked = {(case.values[0], case.values[1], case.values[2]) for case in cells()}
    assert walked == {
        (current, requested, uid)
        for current in ("nothing", *STATES)
        for requested in STATES
        for uid in UIDS
    }


def refused(worklist, uid, requested, transaction_uid, status, warning):
    """The change of state is refused with this status and Warning, and changes nothing."""
    before = worklist.dataset(uid)
    response = worklist.change_state(uid, requested, transaction_uid)
    warns(response, warning)
    assert worklist.dataset(uid) == before
    return problem(response, status)


def ready(worklist):
    """A claimed workitem that lacks nothing for either end."""
    uid = worklist.workitem("IN PROGRESS")
    assert worklist.update(uid, {**PERFORMED, **REASON}, f"?{T}").status_code == 200
    return uid


def test_r059_a_claim_takes_a_scheduled_workitem_in_progress(worklist):
    uid = worklist.workitem()
    response = worklist.change_state(uid, "IN PROGRESS", T)
    assert (response.status_code, response.content) == (200, b"")
    assert "Warning" not in response
    assert worklist.state(uid) == "IN PROGRESS"


@pytest.mark.parametrize("transaction_uid", [None, ""])
def test_r060_nobody_claims_without_a_transaction_uid(worklist, transaction_uid):
    uid = worklist.workitem()
    refusal = refused(worklist, uid, "IN PROGRESS", transaction_uid, 400, MISSING)
    assert refusal["dicomStatus"] == "C301"
    assert worklist.change_state(uid, "IN PROGRESS", T).status_code == 200


def test_r062_what_is_claimed_is_not_claimed_by_another(worklist):
    uid = worklist.workitem("IN PROGRESS")
    refusal = refused(worklist, uid, "IN PROGRESS", T2, 400, INCORRECT)
    assert refusal["dicomStatus"] == "C301"
    assert worklist.update(uid, PERFORMED, f"?{T2}").status_code == 400
    assert worklist.update(uid, PERFORMED, f"?{T}").status_code == 200


@pytest.mark.parametrize("transaction_uid", [T, T2])
@pytest.mark.parametrize("requested", ["COMPLETED", "CANCELED"])
def test_r064_r065_what_nobody_claimed_has_no_end(worklist, requested, transaction_uid):
    uid = worklist.workitem()
    refusal = refused(worklist, uid, requested, transaction_uid, 409, INCONSISTENT)
    assert refusal["dicomStatus"] == "C310"


@pytest.mark.parametrize("transaction_uid", [T, T2, None])
@pytest.mark.parametrize("state", STATES)
def test_r066_nothing_goes_back_to_scheduled(worklist, state, transaction_uid):
    uid = worklist.workitem(state)
    refusal = refused(worklist, uid, "SCHEDULED", transaction_uid, 400, INCONSISTENT)
    assert refusal["dicomStatus"] == "C303"


@pytest.mark.parametrize("requested", ["COMPLETED", "CANCELED"])
@pytest.mark.parametrize(("transaction_uid", "warning"), [(T2, INCORRECT), (None, MISSING)])
def test_r073_only_the_performer_ends_its_work(worklist, requested, transaction_uid, warning):
    uid = ready(worklist)
    refusal = refused(worklist, uid, requested, transaction_uid, 400, warning)
    assert refusal["dicomStatus"] == "C301"
    assert worklist.change_state(uid, requested, T).status_code == 200


@pytest.mark.parametrize(("state", "warning"), [("COMPLETED", COMPLETED), ("CANCELED", CANCELED)])
def test_r077_r078_to_end_twice_is_a_success_with_a_warning(worklist, state, warning):
    uid = worklist.workitem(state)
    before = worklist.dataset(uid)
    response = worklist.change_state(uid, state, T)
    assert (response.status_code, response.content) == (200, b"")
    warns(response, warning)
    assert worklist.dataset(uid) == before


@pytest.mark.parametrize(
    ("state", "requested"),
    [
        ("COMPLETED", "CANCELED"),
        ("COMPLETED", "IN PROGRESS"),
        ("CANCELED", "COMPLETED"),
        ("CANCELED", "IN PROGRESS"),
    ],
)
def test_r079_r080_the_end_is_the_end_for_its_performer_too(worklist, state, requested):
    refusal = refused(worklist, worklist.workitem(state), requested, T, 409, INCONSISTENT)
    assert refusal["dicomStatus"] == "C300"


@pytest.mark.parametrize("state", ["COMPLETED", "CANCELED"])
@pytest.mark.parametrize(("transaction_uid", "warning"), [(T2, INCORRECT), (None, MISSING)])
def test_r081_r082_a_stranger_learns_nothing_of_the_end(worklist, state, transaction_uid, warning):
    refusal = refused(worklist, worklist.workitem(state), state, transaction_uid, 400, warning)
    assert refusal["dicomStatus"] == "C301"


@pytest.mark.parametrize("requested", STATES)
def test_r083_an_unknown_workitem_is_404(worklist, requested):
    response = worklist.change_state(new_uid(), requested, T)
    assert problem(response, 404)["dicomStatus"] == "C307"
    warns(response, INCONSISTENT)


def test_r086_a_change_of_state_answers_without_a_payload(worklist):
    uid = worklist.workitem()
    steps = [
        lambda: worklist.change_state(uid, "IN PROGRESS", T),
        lambda: worklist.update(uid, PERFORMED, f"?{T}"),
        lambda: worklist.change_state(uid, "COMPLETED", T),
        lambda: worklist.change_state(uid, "COMPLETED", T),  # with a Warning, which is a header
    ]
    for step in steps:
        response = step()
        assert (response.status_code, response.content) == (200, b"")
        assert "Content-Type" not in response


@pytest.mark.parametrize("requested", STATES)
@pytest.mark.parametrize("uid", [T, T2])
def test_what_the_server_canceled_itself_is_nobodys(worklist, requested, uid):
    workitem_uid = worklist.workitem()
    assert worklist.request_cancel(workitem_uid).status_code == 202
    response = worklist.change_state(workitem_uid, requested, uid)
    expected = "C303" if requested == "SCHEDULED" else "C301"
    assert problem(response, 400)["dicomStatus"] == expected
    assert worklist.state(workitem_uid) == "CANCELED"


def test_r061_a_refused_second_claim_leaves_the_first_valid(worklist):
    uid = worklist.workitem("IN PROGRESS")
    problem(worklist.change_state(uid, "IN PROGRESS", T), 409)
    problem(worklist.change_state(uid, "IN PROGRESS", T2), 400)
    assert worklist.update(uid, PERFORMED, f"?{T}").status_code == 200
    assert worklist.change_state(uid, "COMPLETED", T).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_r063_of_two_claims_at_once_one_wins_and_only_its_key_fits(alice):
    for _ in range(5):
        clients = {T: Worklist(alice), T2: Worklist(alice)}
        uid = clients[T].workitem()
        claims = [
            partial(client.change_state, uid, "IN PROGRESS", key) for key, client in clients.items()
        ]
        responses = dict(zip(clients, at_once(*claims), strict=True))
        won = {key: it.status_code == 200 for key, it in responses.items()}
        assert sorted(won.values()) == [False, True]
        for key, client in clients.items():
            response = client.update(uid, PERFORMED, f"?{key}")
            assert response.status_code == (200 if won[key] else 400)
            if not won[key]:
                assert problem(responses[key], 400)["dicomStatus"] == "C301"


@pytest.mark.parametrize(
    "state", ["FOO", "CANCELLED", "completed", "IN_PROGRESS", "IN\0PROGRESS", "DISCONTINUED"]
)
def test_r067_a_state_that_is_none_is_named_but_not_quoted(worklist, state):
    uid = worklist.workitem()
    response = worklist.change_state(uid, state, T)
    assert problem(response, 400)["element"] == "ProcedureStepState"
    warns(response, INCONSISTENT)
    assert state not in response.content.decode()
    assert worklist.state(uid) == "SCHEDULED"


@pytest.mark.parametrize(
    ("attribute", "dicom_status"),
    [
        (None, "0120"),
        ({"vr": "CS"}, "0121"),
        ({"vr": "CS", "Value": []}, "0121"),
        ({"vr": "CS", "Value": [""]}, "0121"),
        ({"vr": "CS", "Value": ["IN PROGRESS", "COMPLETED"]}, "0106"),
        ({"vr": "CS", "Value": "IN PROGRESS"}, "0106"),
        ({"vr": "LO", "Value": ["IN PROGRESS"]}, "0106"),
    ],
)
def test_r067_one_state_must_be_asked_for(worklist, attribute, dicom_status):
    uid = worklist.workitem()
    change = {"00081195": text("UI", T)} | ({"00741000": attribute} if attribute else {})
    refusal = problem(worklist.send("PUT", f"/{uid}/state", [change]), 400)
    assert refusal["element"] == "ProcedureStepState"
    assert refusal["dicomStatus"] == dicom_status
    assert worklist.state(uid) == "SCHEDULED"


def test_outer_spaces_of_a_state_do_not_count(worklist):
    uid = worklist.workitem()
    assert worklist.change_state(uid, " IN PROGRESS ", T).status_code == 200


def test_padding_of_a_transaction_uid_does_not_count(worklist):
    uid = worklist.workitem()
    assert worklist.change_state(uid, "IN PROGRESS", f"{T}\0").status_code == 200
    assert worklist.update(uid, PERFORMED, f"?{T}").status_code == 200


@pytest.mark.parametrize("count", [0, 2])
def test_two_datasets_change_nothing(worklist, count):
    uid = worklist.workitem()
    change = {"00741000": text("CS", "IN PROGRESS"), "00081195": text("UI", T)}
    problem(worklist.send("PUT", f"/{uid}/state", [change] * count), 400)
    assert worklist.state(uid) == "SCHEDULED"


@pytest.mark.parametrize("transaction_uids", [[T, T2], [5], [{"a": T}], T])
def test_one_transaction_uid_must_be_sent(worklist, transaction_uids):
    uid = worklist.workitem()
    change = {
        "00741000": text("CS", "IN PROGRESS"),
        "00081195": {"vr": "UI", "Value": transaction_uids},
    }
    response = worklist.send("PUT", f"/{uid}/state", [change])
    assert problem(response, 400)["element"] == "TransactionUID"
    assert T not in response.content.decode()
    assert worklist.state(uid) == "SCHEDULED"


def test_r069_nothing_performed_is_not_completed(worklist):
    uid = worklist.workitem("IN PROGRESS")
    response = worklist.change_state(uid, "COMPLETED", T)
    refusal = problem(response, 409)
    assert refusal["dicomStatus"] == "C304"
    assert refusal["elements"]
    warns(response, INCONSISTENT)
    assert worklist.state(uid) == "IN PROGRESS"


@pytest.mark.parametrize("tag", ["00404028", "00404050", "00404019", "00404051", "00404033"])
def test_r070_r072_each_thing_that_completion_needs(worklist, tag):
    uid = worklist.workitem("IN PROGRESS")
    item = {key: value for key, value in PERFORMED["00741216"]["Value"][0].items() if key != tag}
    assert worklist.update(uid, {"00741216": text("SQ", item)}, f"?{T}").status_code == 200
    assert problem(worklist.change_state(uid, "COMPLETED", T), 409)["dicomStatus"] == "C304"
    assert worklist.state(uid) == "IN PROGRESS"


def test_r068_r071_an_output_of_nothing_is_an_output(worklist):
    uid = worklist.workitem("IN PROGRESS")
    assert PERFORMED["00741216"]["Value"][0]["00404033"] == {"vr": "SQ"}
    worklist.update(uid, PERFORMED, f"?{T}")
    assert worklist.change_state(uid, "COMPLETED", T).status_code == 200
    assert worklist.state(uid) == "COMPLETED"


def test_r074_r076_the_server_knows_when_it_was_canceled(worklist):
    uid = worklist.workitem("CANCELED")
    [item] = worklist.dataset(uid)["00741002"]["Value"]
    assert item["00404052"]["Value"]


def test_r075_a_cancellation_needs_a_reason(worklist):
    uid = worklist.workitem("IN PROGRESS")
    assert problem(worklist.change_state(uid, "CANCELED", T), 409)["dicomStatus"] == "C304"
    assert worklist.state(uid) == "IN PROGRESS"


def test_r084_the_transaction_uid_is_the_only_proof_of_ownership(worklist, superuser):
    uid = worklist.workitem("IN PROGRESS")
    other = Worklist(superuser)
    assert other.update(uid, PERFORMED, f"?{T}").status_code == 200
    assert other.change_state(uid, "COMPLETED", T).status_code == 200


@pytest.mark.parametrize(
    "rest",
    ["?requester=ENGINE", "/ENGINE", "/ENGINE?requester=ENGINE", "/%20ENGINE%20?requester=ENGINE"],
)
def test_the_requester_of_a_claim_becomes_the_performer(worklist, rest):
    uid = worklist.workitem()
    assert worklist.change_state(uid, "IN PROGRESS", T, rest).status_code == 200
    assert Workitem.objects.get(uid=uid).performer == "ENGINE"


def test_a_requester_may_have_a_space_within(worklist):
    uid = worklist.workitem()
    assert worklist.change_state(uid, "IN PROGRESS", T, "/CT%201").status_code == 200
    assert Workitem.objects.get(uid=uid).performer == "CT 1"


@pytest.mark.parametrize(
    "rest",
    [
        "?requester=",
        "?requester=ABCDEFGHIJKLMNOPQ",
        "?requester=A%5CB",
        "?requester=%C3%84",
        "/ABCDEFGHIJKLMNOPQ",
        "/A%5CB",
        "/A?requester=B",
        "?requester=A&requester=B",
    ],
)
def test_a_requester_that_is_no_ae_title_or_two_change_nothing(worklist, rest):
    uid = worklist.workitem()
    response = worklist.change_state(uid, "IN PROGRESS", T, rest)
    assert problem(response, 400)["dicomStatus"] == "0115"
    warns(response, INCONSISTENT)
    assert worklist.state(uid) == "SCHEDULED"


def test_bob_may_not_claim(worklist, bobs_worklist):
    uid = worklist.workitem()
    response = bobs_worklist.change_state(uid, "IN PROGRESS", T)
    assert problem(response, 403)["dicomStatus"] == "0124"
    assert worklist.state(uid) == "SCHEDULED"


def test_a_change_of_state_changes_the_state_only(worklist):
    """The body is the state and the key (PS3.4 Table CC.2.1-1); the rest goes into an Update."""
    uid = worklist.workitem()
    change = {
        **elements(ProcedureStepLabel="Another", ScheduledStationNameCodeSequence=[code("MR1")]),
        "00741000": text("CS", "IN PROGRESS"),
        "00081195": text("UI", T),
    }
    assert worklist.send("PUT", f"/{uid}/state", [change]).status_code == 200
    assert worklist.dataset(uid)["00741204"]["Value"] == ["3D reconstruction"]


def test_no_answer_tells_a_transaction_uid(worklist):
    uid = worklist.workitem("IN PROGRESS")
    for state in (*STATES, "FOO"):
        for transaction_uid in (T, T2, "1..815081508150815"):
            response = worklist.change_state(uid, state, transaction_uid)
            said = f"{response.content!r}{response.headers}"
            assert T not in said
            assert T2 not in said
            assert transaction_uid not in said
