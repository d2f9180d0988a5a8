"""What nobody listens to is told to the portal's code, and counted."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from tests.core.following import follow
from tests.rest.worklist import BASE, Worklist
from upsrs import unattended
from upsrs.metrics import REGISTRY
from upsrs.signals import workitem_unattended

pytestmark = pytest.mark.django_db

SOON = "20990101080000"


@pytest.fixture
def told():
    found = {}

    def receive(workitem_uid, reasons, **_):
        found[workitem_uid] = reasons
        raise RuntimeError("a receiver that fails harms nobody")

    workitem_unattended.connect(receive)
    yield found
    workitem_unattended.disconnect(receive)


@pytest.fixture
def three(alice, make_workitem):
    """Heard of; unheard; heard of and late."""
    follow(alice, worklistLabel="AI")
    return (
        make_workitem(WorklistLabel="AI", ScheduledProcedureStepStartDateTime=SOON),
        make_workitem(WorklistLabel="3D", ScheduledProcedureStepStartDateTime=SOON),
        make_workitem(WorklistLabel="AI", ScheduledProcedureStepStartDateTime="20200101080000"),
    )


def test_portal_code_is_told_of_each(three, told, capsys, monkeypatch, caplog):
    monkeypatch.setattr(unattended, "PAGE", 1)
    call_command("ups_attention")
    _, unheard, late = three
    assert told == {unheard.uid: ("UNHEARD",), late.uid: ("LATE",)}
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "1 unclaimed past its start",
        "1 nobody was told of it",
        "0 its performer's sockets are gone",
    ]


def test_they_are_counted_for_alarms(three, superuser, monkeypatch):
    monkeypatch.setattr(unattended, "COUNTED_SECONDS", 0)
    assert Worklist(superuser).http.get(f"{BASE}/metrics").status_code == 200

    def value(reason):
        return REGISTRY.get_sample_value("upsrs_unattended_workitems", {"reason": reason})

    assert [value(reason) for reason in ("unheard", "late", "abandoned")] == [1, 1, 0]


def test_several_scrapers_do_not_make_it_look_more_often(three, django_assert_num_queries):
    unattended.counts()
    with django_assert_num_queries(0):
        unattended.counts()
