"""What an administrator does goes through the rules of REST, and is heard like anything else."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from tests import datasets
from tests.core.following import follow
from upsrs import custody, subscribers, workitems
from upsrs.admin.acts import ACTS, OTHER_PERFORMER
from upsrs.dicom import dataset as dicom_json
from upsrs.models import Event, Subscription, Workitem

pytestmark = pytest.mark.django_db

WORKITEMS = "/admin/upsrs/workitem/"
ADD = "/admin/upsrs/workitem/add/"
SUBSCRIPTIONS = "/admin/upsrs/subscription/"

REPAIRS = {"cancel_for_performer", "complete_for_performer", "correct_patient"}


@pytest.fixture
def steward(client, django_user_model):
    """A client of the worklist's administrator; without the right to repair unless it is given."""

    def login(*more, name="steward"):
        user = django_user_model.objects.create_user(name, is_staff=True)
        names = ["view_workitem", "change_workitem", "add_workitem", *more]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        client.user = user
        return client

    return login


def act(client, name, *chosen, **form):
    """Choose these workitems, choose the act, fill its form; what the administrator is told."""
    data = {"action": name, "_selected_action": [row.pk for row in chosen], **form}
    answer = client.post(WORKITEMS, {**data, "apply": "1"}, follow=True)
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


def read(workitem):
    return Workitem.objects.get(pk=workitem.pk)


def last_event():
    event = Event.objects.latest("id")
    return event.kind, event.actor


@pytest.fixture
def make_ready(make_workitem):
    """A workitem that is scheduled for a station, and so can be completed."""

    def make(**changes):
        station = {"ScheduledStationNameCodeSequence": [datasets.code("WS1")]}
        return make_workitem(**{**station, **changes})

    return make


# Allowed


def test_a_claim_makes_the_administrator_the_performer(steward, make_ready):
    client, workitem = steward(), make_ready()
    assert act(client, "claim", workitem, requester="ADM1") == [f"{workitem.uid}: claimed."]
    row = read(workitem)
    assert (row.state, row.performer) == ("IN PROGRESS", "ADM1")
    assert last_event() == ("STATE_REPORT", "steward")


def test_what_was_claimed_here_is_completed_here(steward, make_ready):
    client, workitem = steward(), make_ready()
    act(client, "claim", workitem)
    form = {
        "PerformedStationNameCodeSequence_code": "WS9",
        "PerformedStationNameCodeSequence_scheme": "99LOCAL",
        "PerformedStationNameCodeSequence_meaning": "Workstation 9",
        "PerformedProcedureStepStartDateTime": "2026-01-05T08:15",
    }
    assert act(client, "complete", workitem, **form) == [f"{workitem.uid}: completed."]
    performed = "UnifiedProcedureStepPerformedProcedureSequence."
    ds = read(workitem).dataset
    assert dicom_json.first(ds, f"{performed}PerformedStationNameCodeSequence.CodeValue") == "WS9"
    started = dicom_json.first(ds, f"{performed}PerformedProcedureStepStartDateTime")
    assert started == "20260105081500+0000"
    assert last_event() == ("COMPLETED", "steward")


def test_what_was_claimed_here_is_canceled_here(steward, make_ready):
    client, workitem = steward(), make_ready()
    act(client, "claim", workitem)
    assert act(client, "cancel", workitem, ReasonForCancellation="Twice") == [
        f"{workitem.uid}: canceled."
    ]
    assert read(workitem).state == "CANCELED"
    assert act(client, "cancel", workitem) == [f"{workitem.uid}: it is already canceled."]


def test_what_nobody_claimed_is_canceled_at_once(steward, make_ready):
    client, workitem = steward(), make_ready()
    assert act(client, "cancel", workitem) == [f"{workitem.uid}: canceled."]
    assert read(workitem).state == "CANCELED"
    assert last_event() == ("CANCELED", "steward")


def test_another_performer_is_asked_to_cancel(steward, alice, make_ready):
    client, workitem = steward(), make_ready()
    custody.claim(alice, workitem.uid)
    said = act(client, "cancel", workitem, ReasonForCancellation="Twice")
    assert said == [f"{workitem.uid}: its performer is asked to cancel it."]
    assert read(workitem).state == "IN PROGRESS"
    request = Event.objects.latest("id")
    assert dicom_json.first(request.cancellation, "ReasonForCancellation") == "Twice"


def test_many_are_rescheduled_and_each_is_told(steward, make_ready):
    client, made = steward(), [make_ready() for _ in range(3)]
    form = {"ScheduledProcedureStepStartDateTime": "2031-05-09T08:30"}
    said = act(client, "reschedule", *made, **form)
    assert sorted(said) == sorted(f"{workitem.uid}: rescheduled." for workitem in made)
    for workitem in made:
        assert read(workitem).starts_at.isoformat() == "2031-05-09T08:30:00+00:00"
    assert Event.objects.filter(kind="UPDATED").count() == 3


def test_a_start_is_read_in_the_portals_time_zone(steward, make_ready, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    client, workitem = steward(), make_ready()
    act(client, "reschedule", workitem, ScheduledProcedureStepStartDateTime="2031-05-09T08:30")
    start = dicom_json.first(read(workitem).dataset, "ScheduledProcedureStepStartDateTime")
    assert start == "20310509083000+0200"


def test_the_priority_is_changed_before_and_after_ones_own_claim(steward, make_ready):
    client, workitem = steward(), make_ready()
    for priority in ("HIGH", "LOW"):
        act(client, "prioritise", workitem, ScheduledProcedureStepPriority=priority)
        assert read(workitem).priority == priority
        act(client, "claim", workitem)


# Refused


@pytest.mark.parametrize(
    ("name", "form", "sentence"),
    [
        ("claim", {}, "Somebody else is its performer."),
        ("complete", {}, "Somebody else is its performer."),
        (
            "reschedule",
            {"ScheduledProcedureStepStartDateTime": "2031-05-09T08:30"},
            "Somebody else is its performer.",
        ),
        (
            "prioritise",
            {"ScheduledProcedureStepPriority": "HIGH"},
            "Somebody else is its performer.",
        ),
    ],
)
def test_what_another_performs_is_left_alone(steward, alice, make_ready, name, form, sentence):
    client, workitem = steward(), make_ready()
    custody.claim(alice, workitem.uid)
    before, count = read(workitem), Event.objects.count()
    [said] = act(client, name, workitem, **form)
    assert said.startswith(f"{workitem.uid}: {sentence}")
    assert read(workitem).version == before.version
    assert Event.objects.count() == count
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("claim", {}),
        ("cancel", {}),
        ("complete", {}),
        ("reschedule", {"ScheduledProcedureStepStartDateTime": "2031-05-09T08:30"}),
        ("prioritise", {"ScheduledProcedureStepPriority": "HIGH"}),
        ("cancel_for_performer", {}),
        ("correct_patient", {"PatientID": "PID-2"}),
    ],
)
def test_what_is_completed_stays_as_it_is(steward, make_ready, name, form):
    client, workitem = steward("repair_workitem"), make_ready()
    act(client, "claim", workitem)
    act(client, "complete", workitem)
    before, count = read(workitem), Event.objects.count()
    assert before.state == "COMPLETED"
    [said] = act(client, name, workitem, **form)
    assert said.startswith(f"{workitem.uid}: ")
    assert said != f"{workitem.uid}: {ACTS[name].done}."
    assert read(workitem).version == before.version
    assert Event.objects.count() == count


def test_what_is_not_in_progress_is_not_completed(steward, make_ready):
    client, workitem = steward(), make_ready()
    [said] = act(client, "complete", workitem)
    assert said == f"{workitem.uid}: The workitem is not IN PROGRESS: claim it first."


def test_a_refusal_of_one_does_not_keep_the_others(steward, alice, make_ready):
    client, free, taken = steward(), make_ready(), make_ready()
    custody.claim(alice, taken.uid)
    said = act(client, "claim", free, taken)
    assert sorted(said) == sorted([f"{free.uid}: claimed.", f"{taken.uid}: {OTHER_PERFORMER}"])
    assert read(free).state == "IN PROGRESS"


def test_a_second_claim_of_ones_own_is_refused(steward, make_ready):
    client, workitem = steward(), make_ready()
    act(client, "claim", workitem)
    assert act(client, "claim", workitem) == [
        f"{workitem.uid}: The workitem is already IN PROGRESS."
    ]


def test_no_message_tells_of_the_patient(steward, alice, make_ready):
    client, workitem = steward("repair_workitem"), make_ready()
    custody.claim(alice, workitem.uid)
    said = []
    for name in ACTS:
        said += act(client, name, workitem, PatientID="PID-2", PatientName="Roe^Ann")
    said = " ".join(said)
    for value in (*datasets.PATIENT_VALUES, "PID-2", "Roe^Ann"):
        assert value not in said


def test_a_form_that_is_not_right_is_asked_again(steward, make_ready):
    client, workitem = steward("repair_workitem"), make_ready()
    data = {"apply": "1", "_selected_action": workitem.pk}
    for name, field, value, rule in (
        ("claim", "requester", "A\\B", "not a valid AE title"),
        ("reschedule", "ScheduledProcedureStepStartDateTime", "soon", "valid date"),
        ("prioritise", "ScheduledProcedureStepPriority", "URGENT", "valid choice"),
        ("correct_patient", "PatientName", "a\\b", "not allowed"),
        ("correct_patient", "PatientID", "", "Nothing was filled in"),
    ):
        answer = client.post(WORKITEMS, {**data, "action": name, field: value})
        assert rule in answer.content.decode()
    assert Event.objects.count() == 1


def test_the_form_is_asked_for_before_anything_is_done(steward, make_ready):
    client, workitem = steward("repair_workitem"), make_ready()
    for name, one in ACTS.items():
        data = {"action": name, "_selected_action": workitem.pk}
        shown = client.post(WORKITEMS, data).content.decode()
        assert one.title in shown
        assert workitem.uid in shown
    assert Event.objects.count() == 1


def test_not_everything_at_once(steward, make_ready):
    client, workitem = steward(), make_ready()
    make_ready()
    said = act(client, "cancel", workitem, select_across="1")
    assert said == ["Choose the workitems one by one."]
    assert Event.objects.count() == 2


def test_from_its_page_one_comes_back_to_its_page(steward, make_ready):
    client, workitem = steward(), make_ready()
    data = {"action": "claim", "_selected_action": workitem.pk, "on_page": "1", "apply": "1"}
    answer = client.post(WORKITEMS, data)
    assert answer.url == reverse("admin:upsrs_workitem_change", args=[workitem.pk])


# Who may


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("permission", ["view_workitem", "change_workitem", "repair_workitem"])
def test_each_act_needs_its_permissions(
    client, django_user_model, alice, make_ready, name, permission
):
    """Alone, ``repair_workitem`` gives nothing: to repair is to change."""
    workitem = make_ready()
    custody.claim(alice, workitem.uid)
    user = django_user_model.objects.create_user("some", is_staff=True)
    names = {"view_workitem", permission}
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    offered = permission == "change_workitem" and name not in REPAIRS
    shown = client.get(WORKITEMS).content.decode()
    assert (f'value="{name}"' in shown) is offered
    page = client.get(reverse("admin:upsrs_workitem_change", args=[workitem.pk]))
    fitting = "IN PROGRESS" in ACTS[name].states
    assert (f'value="{name}"' in page.content.decode()) is (offered and fitting)
    if not offered:
        act(client, name, workitem, PatientID="PID-2")
        assert read(workitem).version == 2


def test_repairs_are_offered_to_those_who_may(steward, alice, make_ready):
    client, workitem = steward("repair_workitem"), make_ready()
    custody.claim(alice, workitem.uid)
    shown = client.get(WORKITEMS).content.decode()
    for name in REPAIRS:
        assert f'value="{name}"' in shown


class Closed:
    """A policy by which nobody may change anything, whatever Django's permissions say."""

    def may(self, user, action):
        return action == "view_workitem"

    def sight(self, user):
        from upsrs import access

        return access.EVERYTHING


def test_the_portals_policy_has_the_last_word(steward, make_ready, settings):
    client, workitem = steward(), make_ready()
    settings.UPSRS_POLICY = f"{__name__}.Closed"
    [said] = act(client, "claim", workitem)
    assert said == f"{workitem.uid}: This needs the permission upsrs.change_workitem."
    assert read(workitem).state == "SCHEDULED"


# Repairs


@pytest.mark.parametrize(
    ("name", "state"),
    [("cancel_for_performer", "CANCELED"), ("complete_for_performer", "COMPLETED")],
)
def test_a_lost_performers_work_is_ended_and_the_act_is_on_record(
    steward, alice, make_ready, name, state
):
    client, workitem = steward("repair_workitem"), make_ready()
    workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid=datasets.new_uid())
    assert act(client, name, workitem) == [f"{workitem.uid}: {ACTS[name].done}."]
    assert read(workitem).state == state
    assert last_event() == (state, "steward")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (client.user, str(workitem.pk))
    assert "Repair" in entry.get_change_message()
    key = read(workitem).transaction_uid
    assert key not in entry.get_change_message() + entry.object_repr


def test_the_patient_is_corrected_after_a_merge(steward, make_ready):
    client, workitem = steward("repair_workitem"), make_ready()
    form = {"PatientID": "PID-2", "PatientName": "Roe^Ann", "PatientBirthDate": "1980-02-29"}
    assert act(client, "correct_patient", workitem, **form) == [f"{workitem.uid}: corrected."]
    ds = read(workitem).dataset
    assert dicom_json.first(ds, "PatientName") == {"Alphabetic": "Roe^Ann"}
    assert dicom_json.first(ds, "PatientBirthDate") == "19800229"
    assert dicom_json.first(ds, "PatientSex") == "F"
    assert last_event() == ("UPDATED", "steward")
    assert "PID-2" not in LogEntry.objects.get().get_change_message()


# Creation


CREATION = {
    "ProcedureStepLabel": "CT chest triage",
    "ScheduledProcedureStepPriority": "HIGH",
    "ScheduledProcedureStepStartDateTime": "2031-05-09T08:30",
    "InputReadinessState": "READY",
}


def test_the_least_that_can_be_filled_in_makes_a_workitem(steward):
    client = steward()
    answer = client.post(ADD, CREATION)
    workitem = Workitem.objects.get()
    assert answer.url == reverse("admin:upsrs_workitem_change", args=[workitem.pk])
    assert (workitem.state, workitem.worklist_label) == ("SCHEDULED", "WORKLIST")
    assert last_event() == ("CREATED", "steward")
    assert LogEntry.objects.get().is_addition()


def test_all_that_can_be_filled_in_is_in_the_workitem(steward):
    uid, study = datasets.new_uid(), datasets.new_uid()
    client = steward()
    answer = client.post(
        ADD,
        {
            **CREATION,
            "WorklistLabel": "AI",
            "SOPInstanceUID": uid,
            "ExpectedCompletionDateTime": "2031-05-09T09:00",
            "ScheduledWorkitemCodeSequence_code": "110001",
            "ScheduledWorkitemCodeSequence_scheme": "DCM",
            "ScheduledWorkitemCodeSequence_meaning": "Image Processing",
            "ScheduledStationNameCodeSequence_code": "WS1",
            "ScheduledStationNameCodeSequence_scheme": "99LOCAL",
            "ScheduledStationNameCodeSequence_meaning": "Workstation 1",
            "CommentsOnTheScheduledProcedureStep": "two\nlines",
            "PatientName": "Roe^Ann",
            "PatientID": "PID-2",
            "PatientBirthDate": "1980-02-29",
            "PatientSex": "F",
            "StudyInstanceUID": study,
            "accession_number": "ACC-1",
            "requested_procedure_id": "RP-1",
            "requested_procedure_description": "CT chest",
        },
    )
    assert answer.status_code == 302
    ds = Workitem.objects.get(uid=uid).dataset
    for path, value in {
        "WorklistLabel": "AI",
        "ExpectedCompletionDateTime": "20310509090000+0000",
        "ScheduledWorkitemCodeSequence.CodeMeaning": "Image Processing",
        "ScheduledStationNameCodeSequence.CodeValue": "WS1",
        "PatientName": {"Alphabetic": "Roe^Ann"},
        "PatientBirthDate": "19800229",
        "StudyInstanceUID": study,
        "ReferencedRequestSequence.StudyInstanceUID": study,
        "ReferencedRequestSequence.AccessionNumber": "ACC-1",
        "ReferencedRequestSequence.RequestedProcedureDescription": "CT chest",
    }.items():
        assert dicom_json.first(ds, path) == value, path


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("ProcedureStepLabel", "", "required"),
        ("ProcedureStepLabel", "x" * 65, "longer than 64"),
        ("ScheduledProcedureStepPriority", "URGENT", "valid choice"),
        ("ScheduledProcedureStepStartDateTime", "", "required"),
        ("InputReadinessState", "", "required"),
        ("SOPInstanceUID", "1.02", "UID"),
        ("PatientName", "a\\b", "not allowed"),
        ("PatientID", "x" * 65, "longer than 64"),
        ("ScheduledStationNameCodeSequence_code", "WS1", "scheme"),
        ("StudyInstanceUID", "study", "UID"),
        ("accession_number", "ACC-1", "names its study"),
        ("accession_number", "x" * 17, "longer than 16"),
    ],
)
def test_no_invalid_workitem_can_be_made(steward, field, value, rule):
    answer = steward().post(ADD, {**CREATION, field: value})
    assert answer.status_code == 200
    assert rule in answer.content.decode()
    assert not Workitem.objects.exists()


def test_a_uid_that_is_taken_is_refused_with_what_was_filled_in(steward, make_ready):
    taken = make_ready()
    answer = steward().post(ADD, {**CREATION, "SOPInstanceUID": taken.uid})
    shown = answer.content.decode()
    assert "A workitem with this UID exists already." in shown
    assert "CT chest triage" in shown
    assert Workitem.objects.count() == 1


def test_the_form_opens_with_what_is_usual(steward):
    shown = steward().get(ADD).content.decode()
    assert '<option value="MEDIUM" selected>' in shown
    assert 'type="datetime-local"' in shown


# Subscriptions


@pytest.fixture
def end(steward):
    def end(subscription, *permissions):
        client = steward("view_subscription", *permissions)
        data = {"action": "end", "_selected_action": subscription.pk}
        shown = client.post(SUBSCRIPTIONS, data, follow=True).content.decode()
        answer = client.post(SUBSCRIPTIONS, {**data, "apply": "1"}, follow=True)
        return shown, [str(message) for message in answer.context["messages"]]

    return end


def test_a_subscription_is_ended_after_a_question(end, alice):
    subscription = follow(alice, worklistLabel="AI")
    shown, said = end(subscription, "change_subscription")
    assert "label AI" in shown
    assert said == [f"{subscription.uid}: ended."]
    row = Subscription.objects.get()
    assert row.ended_at is not None
    assert row.end_reason == "ADMINISTRATOR"
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_a_subscription_is_ended_once(end, alice):
    from upsrs import subscriptions

    subscription = follow(alice)
    subscriptions.end(alice, subscription.uid, "USER_REQUEST")
    _, said = end(subscription, "change_subscription")
    assert said == [f"{subscription.uid}: it had ended already."]
    assert Subscription.objects.get().end_reason == "USER_REQUEST"


def test_to_end_a_subscription_needs_the_permission(end, alice):
    subscription = follow(alice)
    end(subscription)
    assert Subscription.objects.get().ended_at is None


def test_the_locks_of_an_ae_that_is_gone_are_released(steward, alice, make_ready):
    workitem = make_ready()
    subscribers.subscribe(alice, "AE1", workitem.uid, deletion_lock=True)
    row = Subscription.objects.get()
    data = {"action": "release_locks", "_selected_action": row.pk}
    client = steward("view_subscription", "change_subscription")
    client.post(SUBSCRIPTIONS, data, follow=True)
    assert subscribers.held([workitem]) == {workitem.pk}, "it takes the right to repair"
    client = steward("view_subscription", "repair_workitem", name="repairer")
    said = [
        [
            str(message)
            for message in client.post(SUBSCRIPTIONS, data, follow=True).context["messages"]
        ]
        for _ in range(2)
    ]
    assert said == [[f"{row.uid}: its locks are released."], [f"{row.uid}: it holds no locks."]]
    assert subscribers.held([workitem]) == set()
    assert LogEntry.objects.get().object_id == str(row.pk)
