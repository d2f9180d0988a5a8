"""The row decides: what save() and the use cases accept, refuse and log."""

from __future__ import annotations

import pytest
from django.test.utils import isolate_apps

from tests import datasets
from upsrs import errors, events, workitems
from upsrs.models import Event, Log, Workitem

pytestmark = pytest.mark.django_db

T1 = "2.25.111"
T2 = "2.25.222"


def kinds() -> list[str]:
    return list(Event.objects.order_by("id").values_list("kind", flat=True))


def finish(workitem, user, transaction_uid=T1):
    workitems.update(user, workitem.uid, datasets.performed(), transaction_uid=transaction_uid)
    workitems.change_state(user, workitem.uid, "COMPLETED", transaction_uid=transaction_uid)


def test_a_creation_is_logged(make_workitem):
    workitem = make_workitem(WorklistLabel="AI")
    event = Event.objects.get()
    assert (event.kind, event.workitem_uid, event.label_after) == ("CREATED", workitem.uid, "AI")
    assert event.actor == "alice"


def test_a_whole_life_is_logged_in_order(make_workitem, alice):
    workitem = make_workitem()
    workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid=T1, requester="AI1")
    workitems.report_progress(alice, workitem.uid, transaction_uid=T1, progress=50, completed=3)
    finish(workitem, alice)
    assert kinds() == ["CREATED", "STATE_REPORT", "UPDATED", "UPDATED", "COMPLETED"]
    positions = Event.objects.order_by("id").values_list("position", flat=True)
    events.number()
    assert list(positions.all()) == [1, 2, 3, 4, 5] or None not in positions
    assert Event.objects.filter(performers_after="\\AI1\\").count() == 4


def test_an_update_that_changes_nothing_makes_no_event(make_workitem, alice):
    workitem = make_workitem(ProcedureStepLabel="Triage")
    same = {"00741204": {"vr": "LO", "Value": ["Triage"]}}
    workitems.update(alice, workitem.uid, same)
    Workitem.objects.get().save()
    assert kinds() == ["CREATED"]


def test_a_stale_save_is_refused_and_changes_nothing(make_workitem, alice):
    workitem = make_workitem()
    stale = Workitem.objects.get()
    workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid=T1)
    stale.dataset["00741204"] = {"vr": "LO", "Value": ["Undone"]}
    with pytest.raises(errors.StaleWorkitem):
        stale.save()
    row = Workitem.objects.get()
    assert row.state == "IN PROGRESS"
    assert row.transaction_uid == T1
    assert kinds() == ["CREATED", "STATE_REPORT"]


@pytest.mark.parametrize("state", ["COMPLETED", "CANCELED"])
def test_a_scheduled_workitem_cannot_be_saved_as_final(make_workitem, state):
    workitem = make_workitem()
    workitem.state = state
    with pytest.raises(errors.NotYetInProgress):
        workitem.save()
    assert Workitem.objects.get().state == "SCHEDULED"


def test_nothing_goes_back_to_scheduled(make_workitem):
    workitem = make_workitem()
    workitem.state = "IN PROGRESS"
    workitem.save()
    workitem.state = "SCHEDULED"
    with pytest.raises(errors.OnlyCreateSchedules):
        workitem.save()


def test_a_final_workitem_is_never_changed_again(make_workitem, alice):
    workitem = make_workitem()
    workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid=T1)
    finish(workitem, alice)
    row = Workitem.objects.get()
    row.dataset["00741204"] = {"vr": "LO", "Value": ["Rewritten"]}
    with pytest.raises(errors.MayNoLongerBeUpdated):
        row.save()
    Workitem.objects.get().save()  # nothing changed: nothing to refuse


def test_the_state_is_the_one_truth(make_workitem):
    workitem = make_workitem()
    workitem.dataset["00741000"] = {"vr": "CS", "Value": ["COMPLETED"]}
    with pytest.raises(errors.AttributeNotAllowed, match="ProcedureStepState"):
        workitem.save()


def test_a_claim_by_portal_code_gets_a_key_that_nobody_knows(make_workitem, alice):
    workitem = make_workitem()
    workitem.state = "IN PROGRESS"
    workitem.save()
    assert Workitem.objects.get().transaction_uid
    with pytest.raises(errors.TransactionUIDIncorrect):
        workitems.update(alice, workitem.uid, datasets.performed(), transaction_uid=T1)


@pytest.mark.parametrize(
    "write",
    [
        lambda rows: rows.update(state="COMPLETED"),
        lambda rows: rows.delete(),
        lambda rows: rows.bulk_create([Workitem(uid="2.25.9")]),
        lambda rows: rows.bulk_update(list(rows), ["state"]),
        lambda rows: rows.first().delete(),
        lambda rows: Workitem._base_manager.update(state="COMPLETED"),
    ],
    ids=["update", "delete", "bulk_create", "bulk_update", "instance_delete", "base_manager"],
)
def test_writing_that_would_notify_nobody_is_refused_with_a_sentence(make_workitem, write):
    make_workitem()
    with pytest.raises(errors.NotNotified, match="notify nobody"):
        write(Workitem.objects.all())
    assert Workitem.objects.get().state == "SCHEDULED"


def test_update_fields_and_deferred_fields_save_what_they_name_only(make_workitem):
    workitem = make_workitem(ProcedureStepLabel="Before")
    workitem.performer = "X"
    workitem.dataset["00741204"]["Value"] = ["After"]
    workitem.save(update_fields=["dataset"])
    row = Workitem.objects.get()
    assert (row.performer, row.step_label) == ("", "After")
    deferred = Workitem.objects.only("uid").get()
    deferred.save()
    assert Workitem.objects.get().step_label == "After"


def test_a_duplicate_is_refused(make_workitem, alice):
    workitem = make_workitem()
    with pytest.raises(errors.DuplicateWorkitem):
        workitems.create(alice, datasets.dataset(SOPInstanceUID=workitem.uid))
    with pytest.raises(errors.DuplicateWorkitem):
        Workitem(uid=workitem.uid, dataset=datasets.dataset(SOPInstanceUID=None)).save()


def test_a_rolled_back_change_leaves_no_event(make_workitem, alice):
    from django.db import transaction

    workitem = make_workitem()
    with pytest.raises(RuntimeError), transaction.atomic():
        workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid=T1)
        raise RuntimeError
    assert kinds() == ["CREATED"]
    assert Log.objects.get().position <= 1


def test_the_transaction_uid_is_nowhere_but_in_its_column(make_workitem, alice):
    workitem = make_workitem()
    workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid=T1)
    finish(workitem, alice)
    assert T1 not in str(workitems.retrieve(alice, workitem.uid))
    assert T1 not in str(list(Event.objects.values()))
    assert T1 not in repr(Workitem.objects.get())


def test_request_cancel_cancels_what_is_scheduled_in_two_moves(make_workitem, alice):
    workitem = make_workitem()
    workitems.request_cancel(alice, workitem.uid)
    row = Workitem.objects.get()
    assert row.state == "CANCELED"
    assert kinds() == ["CREATED", "STATE_REPORT", "CANCELED"]
    item = row.dataset["00741002"]["Value"][0]
    assert item["00404052"]["Value"]
    assert item["0074100E"]["Value"]


def test_request_cancel_tells_the_performer_and_changes_no_row(make_workitem, alice):
    workitem = make_workitem()
    workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid=T1)
    before = Workitem.objects.values().get()
    reason = {"00741238": {"vr": "LT", "Value": ["Not needed"]}}
    workitems.request_cancel(alice, workitem.uid, reason, requester="RIS")
    assert Workitem.objects.values().get() == before
    event = Event.objects.latest("id")
    assert event.kind == "UPDATED"
    assert event.cancellation["00741238"]["Value"] == ["Not needed"]


def test_who_may_not_is_refused(make_workitem, bob):
    workitem = make_workitem()
    for act in (
        lambda: workitems.create(bob, datasets.dataset()),
        lambda: workitems.retrieve(bob, workitem.uid),
        lambda: workitems.update(bob, workitem.uid, {}),
        lambda: workitems.change_state(bob, workitem.uid, "IN PROGRESS", transaction_uid=T1),
        lambda: workitems.request_cancel(bob, workitem.uid),
    ):
        with pytest.raises(errors.NotAuthorized):
            act()


def test_an_object_of_unknown_age_may_not_write(make_workitem):
    make_workitem()
    blind = Workitem.objects.only("uid", "dataset").get()
    with pytest.raises(errors.StaleWorkitem):
        blind.save()


def test_a_save_that_failed_may_be_tried_again(make_workitem):
    from django.db.models.signals import post_save

    workitem = make_workitem()

    def fail(**_):
        raise RuntimeError

    post_save.connect(fail, sender=Workitem)
    try:
        with pytest.raises(RuntimeError):
            workitem.save()
    finally:
        post_save.disconnect(fail, sender=Workitem)
    workitem.save()


def test_a_race_of_get_or_create_is_recovered_from(make_workitem):
    from django.db import IntegrityError

    workitem = make_workitem()
    with pytest.raises(IntegrityError):
        Workitem(uid=workitem.uid, dataset={}).save()


def test_a_proxy_of_a_portal_is_heard_as_well(make_workitem):
    with isolate_apps("upsrs"):

        class Order(Workitem):
            class Meta:
                proxy = True
                app_label = "upsrs"

    make_workitem()
    order = Order.objects.get()
    order.dataset["00741204"]["Value"] = ["By the portal"]
    order.save()
    assert kinds() == ["CREATED", "UPDATED"]
