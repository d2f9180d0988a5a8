"""Orders: work for the worklist in the same transaction, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from portal.orders.models import Order
from tests import datasets
from upsrs import errors, workitems
from upsrs.dicom import dataset as dicom_json
from upsrs.models import Event, Workitem
from upsrs.signals import workitem_changed

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "2.25.1"
FORM = {
    "procedure": "triage",
    "priority": "HIGH",
    "start": "2026-01-05T08:15",
    "accession_number": "A-1",
    "patient_id": "PID-7",
    "family_name": "Doe",
    "given_name": "Jane",
}


@pytest.fixture
def member(client, django_user_model):
    """A client of somebody in one of the portal's groups."""

    def login(role):
        user = django_user_model.objects.create_user(f"a {role}")
        user.groups.set([Group.objects.get(name=role)])
        client.force_login(user)
        client.user = user
        return client

    return login


@pytest.fixture
def order(member):
    client = member("radiographer")
    client.post("/orders/new/", FORM)
    return Order.objects.get()


def perform(alice, order, state):
    """A performer claims its workitem and takes it to this state."""
    uid = order.workitem_uid
    workitems.change_state(alice, uid, "IN PROGRESS", transaction_uid=KEY)
    if state == "COMPLETED":
        workitems.update(alice, uid, datasets.performed(), transaction_uid=KEY)
    if state == "CANCELED":
        workitems.update(alice, uid, datasets.discontinued(), transaction_uid=KEY)
    if state != "IN PROGRESS":
        workitems.change_state(alice, uid, state, transaction_uid=KEY)


def test_an_order_puts_its_workitem_on_the_worklist(order):
    workitem = Workitem.objects.get(uid=order.workitem_uid)
    told = {
        keyword: dicom_json.first(workitem.dataset, keyword)
        for keyword in (
            "ReferencedRequestSequence.AccessionNumber",
            "ReferencedRequestSequence.StudyInstanceUID",
            "ScheduledStationNameCodeSequence.CodeValue",
        )
    }
    assert list(told.values()) == ["A-1", order.study_uid, "AI_TRIAGE"]
    assert workitem.starts_at == datetime(2026, 1, 5, 8, 15, tzinfo=UTC)
    assert (workitem.worklist_label, workitem.priority) == ("TRIAGE", "HIGH")
    assert (workitem.state, workitem.patient_id) == ("SCHEDULED", "PID-7")
    assert Event.objects.get().actor == "a radiographer"


def test_each_procedure_makes_a_valid_workitem(member):
    client = member("radiographer")
    for number, procedure in enumerate(("triage", "model", "quality", "reading")):
        form = {**FORM, "procedure": procedure, "accession_number": number}
        assert client.post("/orders/new/", form).status_code == 302
    assert Workitem.objects.count() == 4


def test_an_order_that_the_worklist_refuses_is_not_kept(alice):
    alice.user_permissions.clear()
    order = Order(ordered_by=alice, accession_number="A-1", procedure="triage")
    with pytest.raises(errors.NotAuthorized):
        order.save()
    assert (Order.objects.count(), Workitem.objects.count()) == (0, 0)


def test_a_refusal_is_shown_beside_the_form(member):
    client = member("radiographer")
    client.user.groups.get().permissions.filter().exclude(codename__endswith="_order").delete()
    page = client.post("/orders/new/", FORM)
    assert page.status_code == 200
    assert "This needs the permission upsrs.add_workitem." in page.content.decode()
    assert Order.objects.count() == 0


@pytest.mark.parametrize("field", ["accession_number", "patient_id", "family_name", "given_name"])
def test_what_dicom_would_misread_is_refused_at_its_field(member, field):
    client = member("radiographer")
    page = client.post("/orders/new/", {**FORM, field: "a^b"})
    assert list(page.context["form"].errors) == [field]


@pytest.mark.parametrize("state", ["IN PROGRESS", "COMPLETED", "CANCELED"])
def test_an_order_hears_what_became_of_its_work(alice, order, state):
    perform(alice, order, state)
    order.refresh_from_db()
    assert (order.state, order.performer) == (state, "alice")
    assert (order.finished_at is None) == (state == "IN PROGRESS")


def test_old_news_takes_an_order_nowhere(alice, order):
    perform(alice, order, "COMPLETED")
    workitem_changed.send(
        Workitem,
        workitem_uid=order.workitem_uid,
        kind="STATE_REPORT",
        state_before="SCHEDULED",
        state_after="IN PROGRESS",
        actor="late",
    )
    order.refresh_from_db()
    assert (order.state, order.performer) == ("COMPLETED", "alice")


def test_what_an_order_missed_is_caught_up_with(alice, order, capsys):
    perform(alice, order, "COMPLETED")
    Order.objects.update(state="SCHEDULED", finished_at=None)
    call_command("orders_catch_up")
    order.refresh_from_db()
    assert (order.state, order.finished_at is None) == ("COMPLETED", False)
    call_command("orders_catch_up")
    said = [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert said == ["1.", "0."]


def test_what_nobody_took_up_is_canceled_at_once(client, order):
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True)
    assert "A-1: is canceled." in page.content.decode()
    assert Workitem.objects.get().state == "CANCELED"


def test_a_performer_is_asked_to_stop(client, alice, order):
    perform(alice, order, "IN PROGRESS")
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True)
    assert "its performer is asked to stop" in page.content.decode()
    assert Workitem.objects.get().state == "IN PROGRESS"
    assert Event.objects.latest("id").cancellation is not None


def test_what_is_done_cannot_be_taken_back(client, alice, order):
    perform(alice, order, "COMPLETED")
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True)
    assert 'class="message error"' in page.content.decode()


ROLES = {
    "radiographer": (200, 200, 302),
    "radiologist": (200, 403, 403),
    "AI service": (403, 403, 403),
    "worklist administrator": (200, 403, 403),
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_part_with_orders(member, alice, role):
    alice.groups.set([Group.objects.get(name="radiographer")])
    order = Order.objects.create(ordered_by=alice, accession_number="A-1", procedure="reading")
    client = member(role)
    answers = (
        client.get("/orders/"),
        client.get("/orders/new/"),
        client.post(f"/orders/{order.pk}/cancel/"),
    )
    assert tuple(answer.status_code for answer in answers) == ROLES[role]


def test_nobody_is_asked_to_log_in(client, db):
    for answer in (
        client.get("/orders/"),
        client.get("/orders/new/"),
        client.post("/orders/1/cancel/"),
    ):
        assert answer["Location"].startswith("/accounts/login/")
