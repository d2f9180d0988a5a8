"""Many workitems at once: the rules of one, in few statements, all or none."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from tests import datasets
from upsrs import access, errors, events, instants, wakeup, workitems
from upsrs.models import AuditRecord, Event, Tombstone, Workitem, WorkitemKey
from upsrs.signals import workitem_changed

pytestmark = pytest.mark.django_db


def several(count: int, **changes) -> list[datasets.JSONDataset]:
    return [datasets.dataset(**changes) for _ in range(count)]


def uid_of(dataset) -> str:
    return dataset["00080018"]["Value"][0]


def plain(workitem) -> dict:
    """All that a row says, but for when and which it is."""
    said = {
        field.attname: getattr(workitem, field.attname)
        for field in Workitem._meta.concrete_fields
        if field.name not in ("id", "uid", "created_at", "changed_at", "dataset")
    }
    told = {tag: it for tag, it in workitem.dataset.items() if tag not in ("00080018", "00404010")}
    keys = sorted(workitem.keys.values_list("name", "value"))
    return said | {"dataset": told, "keys": keys}


def test_each_is_what_create_would_have_made_of_it(alice):
    wanted = {
        "WorklistLabel": "",
        "ScheduledStationNameCodeSequence": [datasets.code("CT1")],
        "StudyInstanceUID": "1.2.3",
    }
    one = workitems.create(alice, datasets.dataset(**wanted))
    many = several(3, **wanted)
    created = workitems.create_many(alice, many)
    assert [row.workitem_uid for row in created] == [uid_of(dataset) for dataset in many]
    assert all(row.modified for row in created) == one.modified
    [first, *others] = Workitem.objects.order_by("pk")
    assert first.keys.exists()
    assert [plain(row) for row in others] == [plain(first)] * 3
    assert [row.uid for row in others] == [uid_of(dataset) for dataset in many]


def test_each_has_its_event_and_its_record_in_the_order_given(alice):
    many = several(5)
    workitems.create_many(alice, iter(many))
    *_, told = events.read_on(0, 10)
    assert [event.workitem_uid for event in told] == [uid_of(dataset) for dataset in many]
    assert [event.position for event in told] == [1, 2, 3, 4, 5]
    assert {event.actor for event in told} == {"alice"}
    pks = list(Workitem.objects.order_by("pk").values_list("pk", flat=True))
    assert [event.workitem_pk for event in told] == pks
    assert AuditRecord.objects.filter(act="create", user="alice").count() == 5
    workitems.create(alice, datasets.dataset())
    events.number()
    assert events.place().position == 6


def test_it_may_be_changed_as_any_other(alice):
    [dataset] = several(1)
    workitems.create_many(alice, [dataset])
    workitems.change_state(alice, uid_of(dataset), "IN PROGRESS", transaction_uid="2.25.1")
    row = Workitem.objects.get()
    assert (row.version, row.state) == (2, "IN PROGRESS")


BAD = {
    "a value": {"ScheduledProcedureStepPriority": "SOON"},
    "no UID": {"SOPInstanceUID": None},
    "a state": {"ProcedureStepState": "IN PROGRESS"},
    "a missing attribute": {"ScheduledProcedureStepStartDateTime": None},
    "a reserved UID": {"SOPInstanceUID": "1.2.840.10008.5.1.4.34.5.1"},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_the_first_that_is_refused_is_named_and_nothing_is_written(alice, bad):
    with pytest.raises(errors.UPSError) as one:
        workitems.create(alice, datasets.dataset(**bad))
    many = [*several(3), datasets.dataset(**bad), *several(1), datasets.dataset(**bad)]
    with pytest.raises(type(one.value)) as refused:
        workitems.create_many(alice, many)
    assert refused.value.index == 3
    assert refused.value.detail == str(refused.value) == f"Workitem 3: {one.value.detail}"
    assert not Workitem.objects.exists()
    assert not Event.objects.exists()


def test_a_uid_that_is_taken_is_refused_wherever_it_was_taken(alice, make_workitem):
    known = make_workitem().uid
    Tombstone.objects.create(uid="2.25.7", removed_at=instants.now())
    double = datasets.dataset()
    for taken in ([datasets.dataset(SOPInstanceUID=known)], [double, double]):
        with pytest.raises(errors.DuplicateWorkitem) as refused:
            workitems.create_many(alice, [*several(2), *taken])
        assert refused.value.index == len(taken) + 1
    with pytest.raises(errors.DuplicateWorkitem, match="was removed"):
        workitems.create_many(alice, [datasets.dataset(SOPInstanceUID="2.25.7")])
    # What comes first in order is told first, whatever it is.
    with pytest.raises(errors.DuplicateWorkitem) as refused:
        workitems.create_many(
            alice, [double, double, datasets.dataset(WorklistLabel=None, **BAD["a value"])]
        )
    assert refused.value.index == 1
    assert workitems.taken([known, "2.25.7", uid_of(double)]) == {known, "2.25.7"}
    assert Workitem.objects.count() == Event.objects.count() == 1


def test_somebody_who_was_quicker_is_named_too(alice, make_workitem, monkeypatch):
    """Between the look and the writing another may take a UID: the database notices."""
    many = several(3)
    look = Workitem.taken

    def look_too_early(*arguments, **options):
        found = look(*arguments, **options)
        if not Workitem.objects.exists():
            workitems.create(None, many[1])
        return found

    monkeypatch.setattr(Workitem, "taken", look_too_early)
    with pytest.raises(errors.DuplicateWorkitem) as refused:
        workitems.create_many(alice, many)
    assert refused.value.index == 1
    assert [row.uid for row in Workitem.objects.all()] == [uid_of(many[1])]
    assert Event.objects.count() == 1


def test_who_may_not_create_one_may_not_create_many(bob):
    with pytest.raises(errors.NotAuthorized) as refused:
        workitems.create_many(bob, several(2))
    assert refused.value.index is None
    assert not Workitem.objects.exists()
    assert access.sight(bob) == access.NOTHING


def test_the_portal_hears_of_each_by_our_signal_and_not_by_djangos(
    alice, django_capture_on_commit_callbacks, monkeypatch
):
    saved, changed, woken = [], [], []

    def on_save(instance, **_):
        saved.append(instance)

    def on_change(workitem_uid, kind, **_):
        changed.append((workitem_uid, kind))

    monkeypatch.setattr(wakeup, "wake", lambda: woken.append(True))
    post_save.connect(on_save, sender=Workitem)
    workitem_changed.connect(on_change)
    many = several(20)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            workitems.create_many(alice, many)
    finally:
        post_save.disconnect(on_save, sender=Workitem)
        workitem_changed.disconnect(on_change)
    assert saved == []
    assert changed == [(uid_of(dataset), "CREATED") for dataset in many]
    assert len(woken) == 1


def test_the_statements_do_not_grow_with_the_workitems(alice):
    def statements(count):
        many = several(count, ScheduledStationNameCodeSequence=[datasets.code("CT1")])
        with CaptureQueriesContext(connection) as asked:
            workitems.create_many(alice, many)
        return len(asked)

    few = statements(2)
    assert statements(100) <= few + 12  # SQLite takes only so many values at once
    assert WorkitemKey.objects.count() >= 102


def test_none_is_no_trouble(alice):
    assert workitems.create_many(alice, []) == []
