"""What a subscription itself is told: reports, confirmations, the end of the reports, heartbeats."""

from __future__ import annotations

from datetime import UTC

from tests.contract.samples import BERLIN, NOW, UID, checked, notified, rich
from tests.subscriber import FILTERED_GLOBAL
from upsrs import contract
from upsrs.dicom.changes import Kind

LOG_ID = "8d3f0d8e-4e1c-4b5e-9d34-0a8f7c1f2b11"


def test_a_report_is_a_state_report_without_a_place():
    message = checked(contract.report(UID, NOW, rich(), BERLIN))
    assert message["eventType"] == "STATE_REPORT"
    assert message["workitemUID"] == UID
    assert message["report"] is True
    assert "eventId" not in message
    same = notified(rich(), kind=Kind.STATE_REPORT, position=7)
    assert {**message, "eventId": 7} == {**same, "report": True}


def test_a_report_of_a_canceled_workitem_tells_why():
    canceled = rich(ProcedureStepState="CANCELED")
    message = checked(contract.report(UID, NOW, canceled, BERLIN))
    assert message["procedureStepState"] == "CANCELED"
    assert message["cancellationReason"] == "No contrast"


def test_a_confirmation_says_what_is_followed():
    message = contract.confirmation(
        time=NOW,
        keys={"worklistLabel": "CT*"},
        log_id=LOG_ID,
        ignored=("TransactionUID",),
        request_id="r-1",
    )
    assert checked(message) == {
        "subscriptionUID": "2.25.1",
        "eventType": "STATE_REPORT",
        "workitemUID": FILTERED_GLOBAL,
        "eventTime": "2026-01-05T08:30:00.250000Z",
        "requestId": "r-1",
        "subscription": {
            "status": "ACTIVE",
            "filter": {"worklistLabel": "CT*"},
            "ignored": ["TransactionUID"],
            "deleted": [],
            "resync": False,
            "logId": LOG_ID,
        },
    }


def test_a_confirmation_without_reports_to_come_tells_the_place():
    message = checked(contract.confirmation(time=NOW, keys={}, log_id=LOG_ID, complete_at=0))
    assert message["initialStateComplete"] is True
    assert message["eventId"] == 0
    assert "requestId" not in message


def test_the_end_of_a_subscription_is_confirmed_with_its_reason():
    message = contract.confirmation(
        time=NOW,
        keys={},
        log_id=LOG_ID,
        status="DELETED",
        deleted=["2.25.1", "2.25.2"],
        reason="USER_REQUEST",
        request_id="",
    )
    message = checked(message)
    assert message["requestId"] == ""
    assert message["subscription"]["status"] == "DELETED"
    assert message["subscription"]["deleted"] == ["2.25.1", "2.25.2"]
    assert message["subscription"]["reason"] == "USER_REQUEST"


def test_a_lost_place_is_confirmed_as_a_resync():
    message = checked(contract.confirmation(time=NOW, keys={}, log_id=LOG_ID, resync=True))
    assert message["subscription"]["resync"] is True


def test_a_confirmation_does_not_repeat_a_patients_data():
    keys = {"PatientID": "4711", "InputReadinessState": "READY"}
    message = checked(contract.confirmation(time=NOW, keys=keys, log_id=LOG_ID))
    assert message["subscription"]["filter"] == {
        "PatientID": "(withheld)",
        "InputReadinessState": "READY",
    }


def test_the_end_of_the_reports_tells_the_place_at_which_they_were_read():
    assert checked(contract.initial_state_complete(time=NOW, position=12)) == {
        "subscriptionUID": "2.25.1",
        "eventType": "STATE_REPORT",
        "workitemUID": FILTERED_GLOBAL,
        "eventId": 12,
        "eventTime": "2026-01-05T08:30:00.250000Z",
        "initialStateComplete": True,
    }


def test_a_heartbeat_tells_where_the_line_stands():
    assert checked(contract.heartbeat(time=NOW, position=12, log_id=LOG_ID)) == {
        "subscriptionUID": "2.25.1",
        "eventType": "STATE_REPORT",
        "workitemUID": FILTERED_GLOBAL,
        "eventId": 12,
        "eventTime": "2026-01-05T08:30:00.250000Z",
        "heartbeat": True,
        "logId": LOG_ID,
    }


def test_only_confirmations_have_the_member_subscription():
    for message in [
        notified(rich()),
        contract.report(UID, NOW, rich(), UTC),
        contract.initial_state_complete(time=NOW, position=1),
        contract.heartbeat(time=NOW, position=1, log_id=LOG_ID),
    ]:
        assert "subscription" not in message
