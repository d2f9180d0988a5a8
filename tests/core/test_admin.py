"""The administrator's windows: what they show, to whom, and how much they ask the database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from tests import datasets
from tests.core.following import drop, follow, take
from upsrs import custody, subscriptions, workitems
from upsrs.admin import lists
from upsrs.models import Event, Subscription, Workitem

pytestmark = pytest.mark.django_db

WORKITEMS = "/admin/upsrs/workitem/"
EVENTS = "/admin/upsrs/event/"
SUBSCRIPTIONS = "/admin/upsrs/subscription/"
MATCH = "/admin/upsrs/subscription/match/"


@pytest.fixture
def administrator(client, superuser):
    client.force_login(superuser)
    return client


@pytest.fixture
def staff(client, django_user_model):
    """A client of somebody who may do no more than this."""

    def login(*permissions):
        user = django_user_model.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return login


def text(response):
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def page(workitem):
    return reverse("admin:upsrs_workitem_change", args=[workitem.pk])


def listed(response):
    return [row.uid for row in response.context["cl"].result_list]


# The list


def test_the_list_shows_what_an_administrator_looks_for(administrator, alice, make_workitem):
    workitem = make_workitem(
        WorklistLabel="AI",
        ScheduledProcedureStepPriority="HIGH",
        ScheduledProcedureStepStartDateTime="20200101080000",
        ScheduledStationNameCodeSequence=[datasets.code("WS7")],
    )
    shown = text(administrator.get(WORKITEMS))
    for word in (workitem.uid, "SCHEDULED", ">AI<", "HIGH", "WS7", "2020-01-01 08:00", "late by"):
        assert word in shown
    assert "nobody was told of it" in shown
    custody.claim(alice, workitem.uid, requester="ENGINE1")
    custody.update(
        alice,
        workitem.uid,
        datasets.elements(
            ProcedureStepProgressInformationSequence=[datasets.elements(ProcedureStepProgress=40)]
        ),
    )
    shown = text(administrator.get(WORKITEMS))
    for word in ("IN PROGRESS", "ENGINE1", "40 %"):
        assert word in shown
    assert "late by" not in shown


@pytest.mark.parametrize("attention", ["", "UNHEARD"])
@pytest.mark.parametrize("rows", [1, 30])
def test_the_list_asks_ten_queries_at_most_however_many_rows(
    staff, alice, make_workitem, django_assert_max_num_queries, rows, attention
):
    client = staff("view_workitem", "change_workitem")
    for label in ("A", "B", "C"):
        drop(follow(alice, worklistLabel=label))
    for number in range(rows):
        workitem = make_workitem(ScheduledStationNameCodeSequence=[datasets.code("WS1")])
        if number % 2 and not attention:
            custody.claim(alice, workitem.uid)
    with django_assert_max_num_queries(10):
        assert len(listed(client.get(WORKITEMS, {"attention": attention}))) == rows


def test_no_dataset_is_read_for_the_list(
    administrator, make_workitem, django_assert_max_num_queries
):
    make_workitem()
    with django_assert_max_num_queries(10) as asked:
        administrator.get(WORKITEMS)
    [rows] = [
        query["sql"]
        for query in asked
        if '"starts_at"' in query["sql"] and "ORDER BY" in query["sql"]
    ]
    read = rows.partition(" FROM ")[0].replace('JSON_EXTRACT("upsrs_workitem"."dataset"', "")
    assert '"dataset",' not in read.replace('("upsrs_workitem"."dataset" #>>', "")


def test_a_long_list_is_counted_no_further_than_it_is_paged(
    administrator, make_workitem, monkeypatch
):
    monkeypatch.setattr(lists, "COUNTED", 3)
    made = [make_workitem().uid for _ in range(5)]
    shown = text(administrator.get(WORKITEMS))
    assert "more than 3 workitems" in shown
    paginator = lists.CappedPaginator(Workitem.objects.order_by("pk"), 2)
    assert (paginator.count, paginator.num_pages, paginator.is_capped) == (3, 2, True)
    few = lists.CappedPaginator(Workitem.objects.filter(uid__in=made[:2]).order_by("pk"), 2)
    assert (few.count, few.is_capped) == (2, False)


def test_a_search_finds_exactly_what_has_the_value(administrator, make_workitem):
    request = datasets.elements(StudyInstanceUID=datasets.new_uid(), AccessionNumber="ACC-1")
    wanted = make_workitem(
        PatientID="PID-77",
        WorklistLabel="Night",
        ProcedureStepLabel="Bone age",
        ReferencedRequestSequence=[request],
    )
    make_workitem(PatientID="PID-777", WorklistLabel="Night shift")
    for term in (wanted.uid, "ACC-1", "PID-77", "Night", "Bone age", " ACC-1 "):
        assert listed(administrator.get(WORKITEMS, {"q": term})) == [wanted.uid]
    assert listed(administrator.get(WORKITEMS, {"q": "PID-7"})) == []


@pytest.mark.parametrize(
    "query",
    [
        {"state": "IN PROGRESS"},
        {"priority": "HIGH"},
        {"readiness": "INCOMPLETE"},
        {"label": "N*t"},
        {"station": "WS?"},
        {"performer": "ENGINE1"},
        {"starts_at__year": 2031},
        {"starts_at__year": 2031, "starts_at__month": 5, "starts_at__day": 9},
    ],
)
def test_the_list_is_narrowed(administrator, alice, make_workitem, query):
    wanted = make_workitem(
        WorklistLabel="Night",
        ScheduledProcedureStepPriority="HIGH",
        InputReadinessState="INCOMPLETE",
        ScheduledProcedureStepStartDateTime="20310509080000",
        ScheduledStationNameCodeSequence=[datasets.code("WS1")],
    )
    custody.claim(alice, wanted.uid, requester="ENGINE1")
    make_workitem()
    assert listed(administrator.get(WORKITEMS, query)) == [wanted.uid]


def test_the_list_is_narrowed_to_what_needs_attention(administrator, alice, make_workitem):
    subscription = follow(alice, worklistLabel="AI")
    late = make_workitem(WorklistLabel="AI", ScheduledProcedureStepStartDateTime="20200101080000")
    soon = {"ScheduledProcedureStepStartDateTime": "20990101080000"}
    unheard = make_workitem(WorklistLabel="3D", **soon)
    abandoned = make_workitem(WorklistLabel="AI", **soon)
    custody.claim(alice, abandoned.uid)
    take(subscription)
    drop(subscription)
    for name, found in (("LATE", late), ("UNHEARD", unheard), ("ABANDONED", abandoned)):
        assert listed(administrator.get(WORKITEMS, {"attention": name})) == [found.uid]
    assert len(listed(administrator.get(WORKITEMS, {"attention": "NONSENSE"}))) == 3


def test_the_dates_lead_from_years_to_days(administrator, make_workitem):
    for start in ("20300115080000", "20310509080000", "20310511080000"):
        make_workitem(ScheduledProcedureStepStartDateTime=start)

    def periods(**chosen):
        query = {f"starts_at__{part}": number for part, number in chosen.items()}
        changelist = administrator.get(WORKITEMS, query).context["cl"]
        back = changelist.back.title if changelist.back else None
        return back, changelist.chosen, [one.title for one in changelist.periods]

    assert periods() == (None, "", ["2030", "2031"])
    months = ["January 2031", "February 2031", "March 2031", "April 2031", "May 2031"]
    assert periods(year=2031) == ("All dates", "2031", months)
    days = [f"{number} May" for number in range(1, 12)]
    assert periods(year=2031, month=5) == ("2031", "May 2031", days)
    assert periods(year=2031, month=5, day=9) == ("May 2031", "9 May", [])


def test_a_mistyped_year_does_not_offer_centuries(administrator, make_workitem):
    for start in ("09990101080000", "20310509080000"):
        make_workitem(ScheduledProcedureStepStartDateTime=start)
    changelist = administrator.get(WORKITEMS).context["cl"]
    assert [one.title for one in changelist.periods] == [str(year) for year in range(2020, 2032)]


@pytest.mark.parametrize(
    "query",
    [
        {"starts_at__year": 2031, "starts_at__month": 2, "starts_at__day": 31},
        {"starts_at__year": "soon"},
        {"starts_at__year": 10_000},
    ],
)
def test_an_impossible_date_is_no_error_page(administrator, make_workitem, query):
    make_workitem()
    answer = administrator.get(WORKITEMS, query)
    assert (answer.status_code, answer.url) == (302, f"{WORKITEMS}?e=1")
    assert administrator.get(answer.url).status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"starts_at__month": 1}, 1),
        ({"starts_at__year": 2026, "starts_at__day": 5}, 1),
        ({"label": "\0"}, 1),
        ({"state": "\0"}, 1),
        ({"p": "x"}, 1),
    ],
)
def test_an_odd_address_is_no_error_page(administrator, make_workitem, query, found):
    make_workitem(ScheduledProcedureStepStartDateTime="20260105080000")
    assert len(listed(administrator.get(WORKITEMS, query))) == found


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_start_at_the_end_of_the_calendar_is_shown(administrator, make_workitem, settings, zone):
    settings.TIME_ZONE = zone
    workitem = make_workitem(ScheduledProcedureStepStartDateTime="99991231235959+0000")
    assert "9999-12-31" in text(administrator.get(WORKITEMS))
    assert "9999-12-31" in text(administrator.get(page(workitem)))
    answer = administrator.get(WORKITEMS, {"starts_at__year": 9999}, follow=True)
    assert answer.status_code == 200


# The page of a workitem


def test_the_page_shows_the_dataset_as_a_table_and_as_json(administrator, make_workitem):
    workitem = make_workitem(ScheduledStationNameCodeSequence=[datasets.code("WS7")])
    shown = text(administrator.get(page(workitem)))
    assert "PatientName" in shown
    assert "(0010,0010)" in shown
    assert "Doe^Jane" in shown
    assert "<summary>1 item</summary>" in shown
    assert "&quot;00404025&quot;" in shown


def test_what_a_person_wrote_is_text_and_never_markup(administrator, alice, make_workitem):
    evil = "<script>alert(1)</script>"
    follow(alice, worklistLabel=evil, Foo=evil)
    workitem = make_workitem(ProcedureStepLabel=evil, WorklistLabel=evil, PatientName=evil)
    for address in (
        WORKITEMS,
        page(workitem),
        EVENTS,
        reverse("admin:upsrs_event_change", args=[Event.objects.get().pk]),
        SUBSCRIPTIONS,
        reverse("admin:upsrs_subscription_change", args=[Subscription.objects.get().pk]),
        f"{MATCH}?subscription={Subscription.objects.get().uid}&workitem={workitem.uid}",
    ):
        shown = text(administrator.get(address))
        assert evil not in shown
        assert "alert(1)" in shown or address == EVENTS


def test_a_workitem_that_is_not_there_leads_back(administrator):
    assert administrator.get(f"{WORKITEMS}4711/change/").status_code == 302


def test_the_timeline_tells_what_changed_and_by_whom(administrator, alice, make_workitem):
    workitem = make_workitem()
    custody.claim(alice, workitem.uid)
    workitems.request_cancel(alice, workitem.uid)
    shown = text(administrator.get(page(workitem)))
    assert "SCHEDULED → IN PROGRESS" in shown
    assert "cancellation requested" in shown
    assert "by alice" in shown
    assert "ProcedureStepState" in shown


# Why did it not arrive?


def why(administrator, workitem):
    """The answer on the workitem's page, and on the event's own page: they agree."""
    event = Event.objects.filter(workitem_uid=workitem.uid).latest("id")
    shown = text(administrator.get(page(workitem)))
    answer = administrator.get(reverse("admin:upsrs_event_change", args=[event.pk]))
    [told] = answer.context["entry"].told
    assert told.sentence in text(answer)
    assert told.sentence in shown
    return told.sentence


def test_it_did_not_arrive_as_the_filter_did_not_match(administrator, alice, make_workitem):
    subscription = follow(alice, worklistLabel="READING", procedureStepState="SCHEDULED")
    workitem = make_workitem(WorklistLabel="AI")
    assert why(administrator, workitem) == "The filter did not match, neither before nor after."
    query = {"subscription": subscription.uid, "workitem": workitem.uid}
    answer = administrator.get(MATCH, query)
    assert "It does not match." in text(answer)
    fields = {one.name: one.matches for one in answer.context["answer"]["fields"]}
    assert fields == {"worklistLabel": False, "procedureStepState": True}


def test_it_did_not_arrive_as_the_subscriber_was_away(administrator, alice, make_workitem):
    subscription = follow(alice, worklistLabel="AI")
    drop(subscription, ago=timedelta(minutes=5))
    workitem = make_workitem(WorklistLabel="AI")
    assert why(administrator, workitem).startswith("Waits: the subscriber is away since ")


def test_it_did_not_arrive_as_the_subscription_had_ended(administrator, alice, make_workitem):
    subscription = follow(alice, worklistLabel="AI")
    subscriptions.end(alice, subscription.uid, "USER_REQUEST")
    workitem = make_workitem(WorklistLabel="AI")
    sentence = why(administrator, workitem)
    assert sentence.startswith("The subscription had ended at ")
    assert sentence.endswith(": USER_REQUEST.")


def test_it_did_arrive(administrator, alice, make_workitem):
    subscription = follow(alice, worklistLabel="AI")
    workitem = make_workitem(WorklistLabel="AI")
    take(subscription)
    assert why(administrator, workitem) == "Told at once."


def test_would_it_match_before_and_after_an_event(administrator, alice, make_workitem):
    subscription = follow(alice, procedureStepState="SCHEDULED")
    workitem = make_workitem()
    custody.claim(alice, workitem.uid)
    event = Event.objects.latest("id")
    query = {"subscription": subscription.uid, "workitem": workitem.uid, "event": event.pk}
    shown = text(administrator.get(MATCH, query))
    assert "It does not match." in shown
    assert "It matched before the event." in shown


def test_would_it_match_when_keys_hold_in_different_items(administrator, alice, make_workitem):
    sequence = "ScheduledStationNameCodeSequence"
    subscription = follow(
        alice, **{f"{sequence}.CodeValue": "A", f"{sequence}.CodingSchemeDesignator": "Y"}
    )
    workitem = make_workitem(**{sequence: [datasets.code("A", "X"), datasets.code("B", "Y")]})
    query = {"subscription": subscription.uid, "workitem": workitem.uid}
    assert "not within one item of the sequence" in text(administrator.get(MATCH, query))


def test_would_it_match_but_not_be_seen(administrator, alice, bob, make_workitem):
    subscription = follow(alice)
    Subscription.objects.update(user=bob)
    query = {"subscription": subscription.uid, "workitem": make_workitem().uid}
    assert "bob may not see this workitem" in text(administrator.get(MATCH, query))


def test_would_it_match_names_what_is_not_there(administrator):
    shown = text(administrator.get(MATCH, {"subscription": "2.25.1", "workitem": "2.25.2"}))
    assert "There is no such subscription." in shown
    assert "There is no such workitem." in shown
    assert "There is no such" not in text(administrator.get(MATCH))
    odd = {"subscription": "\0", "workitem": "\0", "event": "9" * 5000}
    assert text(administrator.get(MATCH, odd))


def test_a_filter_by_patient_is_not_shown_to_others(administrator, alice, make_workitem):
    subscription = follow(alice, PatientID="PID-4711")
    workitem = make_workitem()
    for address in (
        SUBSCRIPTIONS,
        reverse("admin:upsrs_subscription_change", args=[subscription.pk]),
        f"{MATCH}?subscription={subscription.uid}&workitem={workitem.uid}",
        page(workitem),
    ):
        shown = text(administrator.get(address))
        assert "PID-4711" not in shown
        assert "(withheld)" in shown


# Subscriptions


def test_the_list_of_subscriptions_tells_how_far_each_is(administrator, alice, make_workitem):
    connected, away = follow(alice, worklistLabel="AI"), follow(alice, worklistLabel="3D")
    ended = follow(alice)
    make_workitem()
    take(connected)
    make_workitem()
    drop(away)
    subscriptions.end(alice, ended.uid, "USER_REQUEST")
    answer = administrator.get(SUBSCRIPTIONS)
    shown = text(answer)
    for word in ("connected", "away", "USER_REQUEST", "label AI", "1, 1 event behind"):
        assert word in shown
    assert "0, 2 events behind" in shown
    assert listed(administrator.get(SUBSCRIPTIONS, {"alive": "no"})) == [ended.uid]
    assert len(listed(administrator.get(SUBSCRIPTIONS, {"alive": "yes"}))) == 2
    assert listed(administrator.get(SUBSCRIPTIONS, {"q": away.uid})) == [away.uid]
    assert len(listed(administrator.get(SUBSCRIPTIONS, {"q": "alice"}))) == 3


def test_the_list_of_subscriptions_asks_ten_queries_at_most(
    administrator, alice, django_assert_max_num_queries
):
    for number in range(20):
        follow(alice, worklistLabel=str(number))
    with django_assert_max_num_queries(10):
        assert len(listed(administrator.get(SUBSCRIPTIONS))) == 20


def test_a_subscriptions_page_tells_what_concerned_it(administrator, alice, make_workitem):
    subscription = follow(alice, worklistLabel="AI")
    concerned = make_workitem(WorklistLabel="AI")
    other = make_workitem(WorklistLabel="3D")
    address = reverse("admin:upsrs_subscription_change", args=[subscription.pk])
    shown = text(administrator.get(address))
    assert concerned.uid in shown
    assert other.uid not in shown
    assert "On its way" in shown


def test_names_without_effect_are_named(administrator, alice):
    subscription = follow(alice, Foo="1")
    address = reverse("admin:upsrs_subscription_change", args=[subscription.pk])
    assert "Without effect" in text(administrator.get(address))


# Events


def test_the_log_is_found_by_workitem_and_by_kind(administrator, alice, make_workitem):
    first, second = make_workitem(), make_workitem()
    custody.claim(alice, first.uid)
    kinds = [
        (event.workitem_uid, event.kind)
        for event in administrator.get(EVENTS, {"q": first.uid}).context["cl"].result_list
    ]
    assert kinds == [(first.uid, "STATE_REPORT"), (first.uid, "CREATED")]
    created = administrator.get(EVENTS, {"kind": "CREATED"}).context["cl"].result_list
    assert [event.workitem_uid for event in created] == [second.uid, first.uid]


def test_the_log_asks_ten_queries_at_most(
    administrator, make_workitem, django_assert_max_num_queries
):
    for _ in range(20):
        make_workitem()
    with django_assert_max_num_queries(10):
        administrator.get(EVENTS)


def test_an_event_tells_of_every_subscription_page_by_page(
    administrator, alice, make_workitem, monkeypatch
):
    monkeypatch.setattr("upsrs.admin.events.SUBSCRIPTIONS", 2)
    uids = [follow(alice, worklistLabel=str(number)).uid for number in range(3)]
    make_workitem()
    address = reverse("admin:upsrs_event_change", args=[Event.objects.get().pk])
    found = []
    for number in (1, 2):
        answer = administrator.get(address, {"p": number})
        found += [one.subscription.uid for one in answer.context["entry"].told]
    assert sorted(found) == sorted(uids)


# Who may


PAGES = {
    WORKITEMS: "view_workitem",
    EVENTS: "view_event",
    SUBSCRIPTIONS: "view_subscription",
    f"{WORKITEMS}add/": "add_workitem",
}


@pytest.mark.parametrize("address", PAGES)
def test_each_page_needs_its_permission(staff, address):
    client = staff(PAGES[address])
    for other, permission in PAGES.items():
        expected = 200 if permission == PAGES[address] else 403
        assert client.get(other).status_code == expected


@pytest.mark.parametrize("permissions", [["view_subscription"], ["view_workitem"]])
def test_would_it_match_needs_to_see_both(staff, permissions):
    assert staff(*permissions).get(MATCH).status_code == 403


def test_the_pages_of_single_rows_need_their_permissions(staff, alice, make_workitem):
    follow(alice)
    rows = (make_workitem(), Event.objects.get(), Subscription.objects.get())
    client = staff("add_workitem")
    for row in rows:
        address = reverse(f"admin:upsrs_{row._meta.model_name}_change", args=[row.pk])
        assert client.get(address).status_code == 403


def test_nothing_is_written_past_the_use_cases(administrator, alice, make_workitem):
    follow(alice)
    for row in (make_workitem(), Event.objects.get(), Subscription.objects.get()):
        model = row._meta.model_name
        change = reverse(f"admin:upsrs_{model}_change", args=[row.pk])
        delete = reverse(f"admin:upsrs_{model}_delete", args=[row.pk])
        assert administrator.post(change, {"state": "CANCELED"}).status_code == 405
        assert administrator.post(delete, {"post": "yes"}).status_code == 403
    assert administrator.get(f"{EVENTS}add/").status_code == 403
    assert administrator.get(f"{SUBSCRIPTIONS}add/").status_code == 403


class Night:
    """A policy under which staff sees the night's worklist, and what was admitted by one ID."""

    def may(self, user, action):
        return True

    def sight(self, user):
        from upsrs.dicom.matching import Keys, key_path

        return (Keys({"label": "Night"}, {}), Keys({}, {key_path("AdmissionID"): "A1"}))


class Nobody(Night):
    def sight(self, user):
        return ()


def test_what_is_out_of_sight_is_nowhere(staff, alice, make_workitem, settings):
    follow(alice)
    seen = [make_workitem(WorklistLabel="Night").uid, make_workitem(AdmissionID="A1").uid]
    hidden = make_workitem(WorklistLabel="Day")
    settings.UPSRS_POLICY = f"{__name__}.Night"
    client = staff("view_workitem", "view_event", "view_subscription")
    assert sorted(listed(client.get(WORKITEMS))) == sorted(seen)
    events = client.get(EVENTS).context["cl"].result_list
    assert sorted(event.workitem_uid for event in events) == sorted(seen)
    assert client.get(page(hidden)).status_code == 302
    event = Event.objects.get(workitem_uid=hidden.uid)
    assert client.get(reverse("admin:upsrs_event_change", args=[event.pk])).status_code == 302
    subscription = Subscription.objects.get()
    query = {"subscription": subscription.uid, "workitem": hidden.uid}
    assert "There is no such workitem." in text(client.get(MATCH, query))
    address = reverse("admin:upsrs_subscription_change", args=[subscription.pk])
    assert hidden.uid not in text(client.get(address))


def test_a_sight_that_sql_can_tell_narrows_the_list(staff, make_workitem, settings, monkeypatch):
    seen = make_workitem(WorklistLabel="Night")
    make_workitem(WorklistLabel="Day")
    monkeypatch.setattr(Night, "sight", lambda self, user: Night.everyday)
    from upsrs.dicom.matching import Keys

    Night.everyday = (Keys({"label": "N*"}, {}), Keys({"label": "Evening"}, {}))
    settings.UPSRS_POLICY = f"{__name__}.Night"
    assert listed(staff("view_workitem").get(WORKITEMS)) == [seen.uid]


def test_who_has_no_sight_sees_an_empty_list(staff, make_workitem, settings):
    make_workitem()
    settings.UPSRS_POLICY = f"{__name__}.Nobody"
    assert listed(staff("view_workitem").get(WORKITEMS)) == []


def test_a_superuser_sees_everything(administrator, make_workitem, settings):
    workitem = make_workitem()
    settings.UPSRS_POLICY = f"{__name__}.Nobody"
    assert listed(administrator.get(WORKITEMS)) == [workitem.uid]


def test_the_transaction_uid_is_on_no_page(administrator, alice, make_workitem):
    subscription = follow(alice)
    workitem = make_workitem()
    custody.claim(alice, workitem.uid)
    key = Workitem.objects.get().transaction_uid
    assert key
    for address in (
        WORKITEMS,
        page(workitem),
        reverse("admin:upsrs_workitem_history", args=[workitem.pk]),
        EVENTS,
        *(reverse("admin:upsrs_event_change", args=[one.pk]) for one in Event.objects.all()),
        SUBSCRIPTIONS,
        reverse("admin:upsrs_subscription_change", args=[subscription.pk]),
        f"{MATCH}?subscription={subscription.uid}&workitem={workitem.uid}",
        "/admin/",
    ):
        assert key not in text(administrator.get(address))
