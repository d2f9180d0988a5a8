"""Who did what, from where, allowed or refused: each act leaves one record, and never a secret."""

from __future__ import annotations

import logging

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from rest_framework.test import APIClient

from tests import datasets
from tests.datasets import PATIENT_VALUES
from tests.rest.worklist import T2, T, Worklist
from upsrs import audit, errors, metrics, subscriptions, workitems
from upsrs.audit import Act, recorder
from upsrs.models import AuditRecord, Workitem
from upsrs.subscriptions import Here

pytestmark = pytest.mark.django_db(transaction=True)


def recorded() -> list[AuditRecord]:
    assert audit.flush()
    return list(AuditRecord.objects.order_by("id"))


def told() -> list[tuple[str, str, str]]:
    return [(row.act, row.user, row.refusal) for row in recorded()]


class Kept(logging.Handler):
    """Where a portal sends lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def messages():
    """The messages, as a syslog would get them."""
    handler = Kept()
    recorder.logger.addHandler(handler)
    recorder.logger.setLevel(logging.INFO)
    yield handler.lines
    recorder.logger.removeHandler(handler)
    recorder.logger.setLevel(logging.NOTSET)


def everything(worklist: Worklist) -> str:
    """One workitem through its life, and looks at it on the way; its UID."""
    uid = worklist.workitem("COMPLETED")
    worklist.retrieve(uid)
    worklist.send("GET", "?WorklistLabel=TRIAGE&PatientID=PID-1&00100010=Doe*")
    subscribers = f"/{uid}/subscribers/CT1"
    assert worklist.send("POST", subscribers).status_code == 201
    assert worklist.send("DELETE", subscribers).status_code == 200
    return uid


def test_each_act_is_recorded_once_with_who_and_from_where(worklist):
    worklist.http.credentials(REMOTE_ADDR="10.1.2.3", HTTP_X_REQUEST_ID="request-7")
    uid = everything(worklist)
    rows = recorded()
    acts = [row.act for row in rows]
    assert acts == [
        *("create", "claim", "update", "complete", "read", "search", "subscribe", "unsubscribe")
    ]
    assert {row.user for row in rows} == {"alice"}
    assert {(row.door, row.address) for row in rows} == {("rest", "10.1.2.3")}
    assert {row.correlation_id for row in rows} == {"request-7"}
    assert {row.workitem_uid for row in rows if row.act != "search"} == {uid}


def test_neither_row_nor_message_holds_a_secret(worklist, messages):
    everything(worklist)
    uid = worklist.workitem("IN PROGRESS")
    worklist.change_state(uid, "COMPLETED", T2)
    rows = recorded()
    [search] = [row for row in rows if row.act == "search"]
    assert search.detail["filter"]["WorklistLabel"] == "TRIAGE"
    text = repr([vars(row) for row in rows])
    for secret in (T, T2, *PATIENT_VALUES):
        assert secret not in text
    assert len(messages) == len(rows)
    for secret in (T, T2, "Doe", "19700101"):
        assert secret not in "".join(messages)
    assert "PID-1" in messages[0], "a Procedure Record demands the ID of the patient"


def test_messages_reach_the_handlers_of_their_own_logger_only(worklist, messages, request):
    everywhere, root = Kept(), logging.getLogger()
    root.addHandler(everywhere)
    request.addfinalizer(lambda: root.removeHandler(everywhere))
    worklist.workitem()
    assert recorded()
    assert len(messages) == 1
    assert "AuditMessage" not in "".join(everywhere.lines)


def test_the_portals_own_code_is_recorded_as_such():
    workitems.create(None, datasets.dataset())
    [row] = recorded()
    assert (row.act, row.user, row.door, row.address) == ("create", "", "", "")


def test_a_change_and_its_record_are_one_transaction(alice, messages):
    with pytest.raises(RuntimeError), transaction.atomic():
        workitems.create(alice, datasets.dataset())
        raise RuntimeError
    assert recorded() == []
    assert messages == []
    assert not Workitem.objects.exists()


def test_a_record_that_cannot_be_written_with_its_change_undoes_it(alice, monkeypatch):
    write = QuerySet.bulk_create

    def full(rows, *given, **named):
        if rows.model is AuditRecord:
            raise DatabaseError("no room")
        return write(rows, *given, **named)

    monkeypatch.setattr(QuerySet, "bulk_create", full)
    with pytest.raises(DatabaseError):
        workitems.create(alice, datasets.dataset())
    assert not Workitem.objects.exists()


@pytest.mark.parametrize("atomic_requests", [False, True])
def test_a_refused_request_leaves_its_trace_whatever_is_rolled_back(
    worklist, bobs_worklist, monkeypatch, atomic_requests
):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic_requests)
    uid = worklist.workitem("IN PROGRESS")
    before = len(recorded())
    answers = [
        bobs_worklist.retrieve(uid),
        worklist.change_state(uid, "COMPLETED", T2),
        worklist.change_state(uid, "IN PROGRESS", T),
        worklist.retrieve("2.25.404"),
        worklist.create(datasets.dataset(SOPInstanceUID=uid)),
        Worklist().retrieve(uid),
    ]
    assert [it.status_code for it in answers] == [403, 400, 409, 404, 409, 401]
    assert told()[before:] == [
        ("read", "bob", "NotAuthorized"),
        ("change state", "alice", "TransactionUIDIncorrect"),
        ("change state", "alice", "AlreadyInProgress"),
        ("read", "alice", "NoSuchWorkitem"),
        ("create", "alice", "DuplicateRow"),
        ("log in", "", "NotAuthenticated"),
    ]
    assert {row.workitem_uid for row in recorded()[before : before + 3]} == {uid}


def test_a_wrong_token_is_recorded_without_the_token(alice):
    client = APIClient(HTTP_AUTHORIZATION="Token not-a-token")
    assert client.get("/ups-rs/workitems").status_code == 401
    [row] = recorded()
    assert (row.act, row.refusal) == ("log in", "AuthenticationFailed")
    assert "not-a-token" not in repr(vars(row))


def test_what_is_refused_for_its_form_is_no_business_of_the_audit(worklist):
    worklist.create({"00100010": {"vr": "XX"}})
    worklist.send("GET", "?WorklistLabel=A&PatientBirthDate=never")
    assert [row.refusal for row in recorded()] == [""] * len(recorded())


def test_what_no_database_takes_is_replaced_and_holds_up_no_record(worklist):
    assert worklist.send("GET", "?a%00b=c%00d&limit=0").status_code == 204
    assert worklist.send("GET", "?limit=0").status_code == 204
    first, second = recorded()
    assert first.detail == {"filter": {"a\ufffdb": "(withheld)"}}
    assert second.detail == {"filter": {}}


def test_sockets_are_recorded_with_the_places_that_tell_what_they_were_told(alice):
    here = Here(subscriptions.register_server())
    workitems.create(alice, datasets.dataset())
    followed = subscriptions.follow(alice, {"worklistLabel": "A"}, here=here, initial_state=False)
    subscriptions.leave({followed.connection_id: 7})
    subscriptions.leave({followed.connection_id: 9})
    rows = [row for row in recorded() if row.connection == followed.connection_id]
    assert [(row.act, row.place, row.log_position) for row in rows] == [
        ("open", 1, 1),
        ("close", 7, None),
    ]
    assert {(row.user, row.subscription_uid) for row in rows} == {
        ("alice", followed.subscription_uid)
    }


def test_a_socket_that_died_with_its_server_is_recorded_by_who_takes_over(alice):
    server = subscriptions.register_server()
    dead = subscriptions.follow(alice, {}, here=Here(server), initial_state=False)
    subscriptions.unregister_server(server)
    here = Here(subscriptions.register_server())
    subscriptions.return_to(alice, dead.subscription_uid, here=here)
    acts = [(row.act, row.connection == dead.connection_id) for row in recorded()]
    assert acts == [("subscribe", False), ("open", True), ("lose", True), ("open", False)]


def test_a_database_that_takes_no_records_stops_nobody_and_is_counted(
    worklist, monkeypatch, caplog
):
    uid = worklist.workitem()
    assert recorded()
    counted = metrics.REGISTRY.get_sample_value("upsrs_audit_failures_total")
    write, refused = recorder._write, []

    def fail_once(batch):
        if not refused:
            refused.append(batch)
            raise DatabaseError("no room")
        write(batch)

    monkeypatch.setattr(recorder, "_write", fail_once)
    assert worklist.retrieve(uid).status_code == 200
    assert told()[-1] == ("read", "alice", "")
    assert metrics.REGISTRY.get_sample_value("upsrs_audit_failures_total") == counted + 1
    assert "Audit records wait" in caplog.text
    assert "no room" not in caplog.text


def test_many_records_are_few_statements(alice, django_assert_max_num_queries):
    for _ in range(1_000):
        audit.done(Act.READ, alice, workitem_uid="2.25.1")
    assert len(recorded()) == 1_000


def test_a_refusal_of_the_core_that_no_door_saw_is_not_recorded(alice, bob):
    """The doors answer for what they refuse; portal code that catches a refusal refuses nothing."""
    with pytest.raises(errors.NotAuthorized):
        workitems.retrieve(bob, "2.25.1")
    assert recorded() == []
