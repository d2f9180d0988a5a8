"""Work that people claim at a page, and what may be repaired."""

from __future__ import annotations

import pytest

from tests import datasets
from upsrs import custody, errors, repairs, workitems
from upsrs.dicom import dataset as dicom_json, states, uids
from upsrs.models import Event, Workitem

pytestmark = pytest.mark.django_db


@pytest.fixture
def carol(django_user_model, alice):
    """May do what alice may, but repair nothing."""
    user = django_user_model.objects.create_user("carol")
    user.user_permissions.set(alice.user_permissions.exclude(codename="repair_workitem"))
    return user


def with_station(**changes):
    return {"ScheduledStationNameCodeSequence": [datasets.code("WS1")], **changes}


def read(workitem, path=""):
    row = Workitem.objects.get(pk=workitem.pk)
    return dicom_json.first(row.dataset, path) if path else row


PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence."


def test_who_claimed_it_completes_it_with_what_was_scheduled(carol, make_workitem):
    workitem = make_workitem(**with_station())
    custody.claim(carol, workitem.uid, requester="WS1")
    custody.complete(carol, workitem.uid, {})
    assert (read(workitem).state, read(workitem).performer) == ("COMPLETED", "WS1")
    assert read(workitem, f"{PERFORMED}PerformedStationNameCodeSequence.CodeValue") == "WS1"
    assert read(workitem, f"{PERFORMED}PerformedWorkitemCodeSequence.CodeValue") == "110001"
    claimed = Event.objects.get(state_before="SCHEDULED", state_after="IN PROGRESS")
    started = read(workitem, f"{PERFORMED}PerformedProcedureStepStartDateTime")
    assert started.startswith(claimed.time.strftime("%Y%m%d%H%M%S"))


def test_what_is_said_of_the_performance_wins_over_what_was_scheduled(carol, make_workitem):
    workitem = make_workitem(**with_station())
    custody.claim(carol, workitem.uid)
    custody.complete(
        carol,
        workitem.uid,
        datasets.elements(PerformedStationNameCodeSequence=[datasets.code("WS9")]),
    )
    assert read(workitem, f"{PERFORMED}PerformedStationNameCodeSequence.CodeValue") == "WS9"


def test_without_a_station_anywhere_it_is_not_completed_and_nothing_changes(carol, make_workitem):
    workitem = make_workitem()
    custody.claim(carol, workitem.uid)
    with pytest.raises(errors.FinalStateNotReady, match="PerformedStationNameCodeSequence"):
        custody.complete(carol, workitem.uid, {})
    assert read(workitem).state == "IN PROGRESS"
    assert Event.objects.filter(workitem_uid=workitem.uid).count() == 2


def test_who_claimed_it_cancels_it(carol, make_workitem):
    workitem = make_workitem()
    custody.claim(carol, workitem.uid)
    custody.cancel(carol, workitem.uid, "Duplicate")
    assert read(workitem).state == "CANCELED"
    reason = "ProcedureStepProgressInformationSequence.ReasonForCancellation"
    assert read(workitem, reason) == "Duplicate"
    assert custody.cancel(carol, workitem.uid) == states.Warning.ALREADY_CANCELED


def test_nobody_else_acts_on_what_somebody_claimed(alice, carol, make_workitem):
    workitem = make_workitem(**with_station())
    custody.claim(alice, workitem.uid)
    for act in (custody.complete, custody.update):
        with pytest.raises(errors.TransactionUIDIncorrect):
            act(carol, workitem.uid, {})
    with pytest.raises(errors.TransactionUIDIncorrect):
        custody.cancel(carol, workitem.uid)
    assert read(workitem).state == "IN PROGRESS"


def test_the_keys_are_uids_that_differ_by_person_and_workitem(alice, carol, make_workitem):
    keys = set()
    for user in (alice, carol):
        for _ in range(2):
            workitem = make_workitem()
            custody.claim(user, workitem.uid)
            keys.add(read(workitem).transaction_uid)
    assert len(keys) == 4
    assert all(map(uids.is_uid, keys))


def test_an_update_needs_the_key_only_once_it_is_claimed(carol, make_workitem):
    workitem = make_workitem()
    for priority in ("HIGH", "LOW"):
        change = datasets.elements(ScheduledProcedureStepPriority=priority)
        custody.update(carol, workitem.uid, change)
        assert read(workitem).priority == priority
        if priority == "HIGH":
            custody.claim(carol, workitem.uid)


def test_without_the_permission_nothing_is_claimed(bob, make_workitem):
    workitem = make_workitem()
    for act in (custody.claim, custody.cancel):
        with pytest.raises(errors.NotAuthorized):
            act(bob, workitem.uid)
    with pytest.raises(errors.NotAuthorized):
        custody.claim(None, workitem.uid)
    assert read(workitem).state == "SCHEDULED"


# Repairs


def claimed_by_a_lost_performer(make_workitem, user):
    workitem = make_workitem(**with_station())
    workitems.change_state(user, workitem.uid, "IN PROGRESS", transaction_uid=datasets.new_uid())
    return workitem


def test_a_workitem_of_a_lost_performer_is_canceled_and_everybody_hears(alice, make_workitem):
    workitem = claimed_by_a_lost_performer(make_workitem, alice)
    repairs.cancel_for_performer(alice, workitem.uid, "The engine died")
    assert read(workitem).state == "CANCELED"
    last = Event.objects.latest("id")
    assert (last.kind, last.actor) == ("CANCELED", "alice")


def test_a_workitem_of_a_lost_performer_is_completed(alice, make_workitem):
    workitem = claimed_by_a_lost_performer(make_workitem, alice)
    repairs.complete_for_performer(alice, workitem.uid, {})
    assert read(workitem).state == "COMPLETED"


def test_what_nobody_claimed_has_no_lost_performer(alice, make_workitem):
    workitem = make_workitem()
    with pytest.raises(errors.NotYetInProgress):
        repairs.cancel_for_performer(alice, workitem.uid)
    assert read(workitem).state == "SCHEDULED"


def test_the_patient_is_corrected_and_the_rest_stays(alice, make_workitem):
    workitem = claimed_by_a_lost_performer(make_workitem, alice)
    repairs.correct_patient(alice, workitem.uid, datasets.elements(PatientID="PID-2"))
    assert (read(workitem).patient_id, read(workitem).state) == ("PID-2", "IN PROGRESS")
    assert read(workitem, "PatientName") == {"Alphabetic": "Doe^Jane"}
    last = Event.objects.latest("id")
    assert (last.kind, last.actor, list(last.differed)) == ("UPDATED", "alice", ["00100020"])


def test_nothing_but_the_patient_is_corrected(alice, make_workitem):
    workitem = make_workitem()
    with pytest.raises(errors.AttributeNotAllowed, match="WorklistLabel"):
        repairs.correct_patient(alice, workitem.uid, datasets.elements(WorklistLabel="X"))


def test_a_final_record_is_not_corrected(alice, make_workitem):
    workitem = make_workitem()
    workitems.request_cancel(alice, workitem.uid)
    with pytest.raises(errors.MayNoLongerBeUpdated):
        repairs.correct_patient(alice, workitem.uid, datasets.elements(PatientID="PID-2"))
    assert read(workitem).patient_id == "PID-1"


def test_a_repair_needs_its_own_permission(alice, carol, make_workitem):
    workitem = claimed_by_a_lost_performer(make_workitem, alice)
    with pytest.raises(errors.NotAuthorized, match="repair_workitem"):
        repairs.cancel_for_performer(carol, workitem.uid)
    with pytest.raises(errors.NotAuthorized, match="repair_workitem"):
        repairs.complete_for_performer(carol, workitem.uid, {})
    with pytest.raises(errors.NotAuthorized, match="repair_workitem"):
        repairs.correct_patient(carol, workitem.uid, datasets.elements(PatientID="PID-2"))
    assert (read(workitem).state, read(workitem).patient_id) == ("IN PROGRESS", "PID-1")
