"""How a frame of the customer's channel is read, and shown in a terminal."""

from __future__ import annotations

import pytest

from upsrs.client import Notification
from upsrs.client.terminal import line

FRAME = {
    "eventType": "UPDATED",
    "workitemUID": "2.25.1",
    "subscriptionUID": "2.25.9",
    "eventId": 7,
    "eventTime": "2026-01-05T08:00:00Z",
    "procedureStepState": "IN PROGRESS",
    "progressInformation": {"procedureStepProgress": 40},
    "workitem": {
        "workitemUID": "2.25.1",
        "procedureStepState": "IN PROGRESS",
        "worklistLabel": "AI",
        "procedureStepLabel": "Triage",
        "scheduledStationAETitle": "AI_1\\AI_2",
        "performerAETitle": "AI_2",
        "scheduledProcedureStepPriority": "HIGH",
    },
}


def test_a_notification_reads_its_frame():
    notification = Notification.of(FRAME)
    assert notification.event_type == "UPDATED"
    assert notification.state == "IN PROGRESS"
    assert (notification.label, notification.step_label) == ("AI", "Triage")
    assert notification.stations == ("AI_1", "AI_2")
    assert notification.performers == ("AI_2",)
    assert notification.priority == "HIGH"
    assert notification.progress == 40
    assert (notification.event_id, notification.report) == (7, False)
    assert notification.raw is FRAME


def test_a_workitem_that_left_the_readers_sight_is_its_uid_alone():
    notification = Notification.of({"eventType": "UPDATED", "workitemUID": "2.25.1", "eventId": 8})
    assert (notification.state, notification.label, notification.stations) == ("", "", ())
    assert notification.progress is None
    assert "2.25.1" in line(notification)


def test_a_request_to_cancel_without_a_reason_is_told_from_other_updates():
    asked = Notification.of({**FRAME, "cancellationReason": ""})
    assert asked.cancellation_reason == ""
    assert Notification.of(FRAME).cancellation_reason is None


def test_a_line_tells_everything_of_the_day():
    text = line(Notification.of({**FRAME, "cancellationReason": "Wrong side"}))
    for part in ("UPDATED", "IN PROGRESS 40 %", "AI", "Triage", "AI_1, AI_2", "2.25.1"):
        assert part in text
    assert text.endswith("(Wrong side)")


@pytest.mark.parametrize("attack", ["\x1b[2J", "\r", "\n", "\x07", "\u202e", "\x9b31m"])
def test_free_text_does_not_steer_the_terminal(attack):
    workitem = {**FRAME["workitem"], "procedureStepLabel": f"a{attack}b"}
    text = line(Notification.of({**FRAME, "workitem": workitem}))
    assert text.isprintable()


def test_a_report_is_called_one():
    assert "report" in line(Notification.of({**FRAME, "report": True}))
