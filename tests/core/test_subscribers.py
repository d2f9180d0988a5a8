"""What an AE is subscribed to: PS3.4 Table CC.2.3-2, row by row and in any history."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from hypothesis.extra.django import TestCase

from tests import datasets
from upsrs import access, errors, events, instants, subscribers, subscriptions, workitems
from upsrs.dicom.uids import FILTERED_GLOBAL_SUBSCRIPTION as FILTERED, GLOBAL_SUBSCRIPTION as GLOBAL
from upsrs.models import (
    Event,
    GlobalSubscription,
    Log,
    Server,
    Subscription,
    Workitem,
    WorkitemSubscription,
)

pytestmark = pytest.mark.django_db

State = WorkitemSubscription.State
NOT, LOCK, PLAIN = State.NOT_SUBSCRIBED, State.WITH_LOCK, State.WITHOUT_LOCK
AI = [("WorklistLabel", "AI")]


def roster(ae_title="AE1"):
    return subscribers.roster(Subscription.objects.get(ae_title=ae_title, ended_at=None).uid)


def state(workitem, ae_title="AE1"):
    return roster(ae_title).decided(Workitem.objects.get(pk=workitem.pk)).state


def due(ae_title="AE1"):
    """The UIDs of which the last instruction makes an initial event."""
    events.number()
    event = Event.objects.order_by("id").last()
    if not event.reports_due:
        return []
    if event.workitem_pk:
        return [event.workitem_uid]
    rows, _ = subscribers.to_report(
        roster(ae_title), access.EVERYTHING, since=event.position, after=0, limit=100
    )
    return [row.uid for row in rows]


PREPARE = {
    NOT: [],
    LOCK: [("specific", True)],
    PLAIN: [("specific", False)],
}
TABLE = [
    # event, what the workitem is before → after, initial event
    (("global", True), NOT, LOCK, True),
    (("global", True), LOCK, LOCK, False),
    (("global", True), PLAIN, PLAIN, False),
    (("global", False), NOT, PLAIN, False),
    (("global", False), LOCK, LOCK, False),
    (("global", False), PLAIN, PLAIN, False),
    (("filtered", True), NOT, LOCK, True),
    (("filtered", True), LOCK, LOCK, False),
    (("filtered", True), PLAIN, PLAIN, False),
    (("filtered", False), NOT, PLAIN, False),
    (("specific", True), NOT, LOCK, True),
    (("specific", True), LOCK, LOCK, True),
    (("specific", True), PLAIN, LOCK, True),
    (("specific", False), NOT, PLAIN, True),
    (("specific", False), LOCK, PLAIN, True),
    (("specific", False), PLAIN, PLAIN, True),
    (("unsubscribe specific", None), LOCK, NOT, False),
    (("unsubscribe specific", None), PLAIN, NOT, False),
    (("unsubscribe global", None), LOCK, NOT, False),
    (("unsubscribe global", None), PLAIN, NOT, False),
]


def instruct(user, instruction, workitem):
    what, lock = instruction
    match what:
        case "global":
            subscribers.subscribe(user, "AE1", GLOBAL, deletion_lock=lock)
        case "filtered":
            subscribers.subscribe(user, "AE1", FILTERED, deletion_lock=lock, filter=AI)
        case "specific":
            subscribers.subscribe(user, "AE1", workitem.uid, deletion_lock=lock)
        case "unsubscribe specific":
            subscribers.unsubscribe(user, "AE1", workitem.uid)
        case "unsubscribe global":
            subscribers.unsubscribe(user, "AE1", GLOBAL)
        case "suspend":
            subscribers.suspend(user, "AE1", GLOBAL)


@pytest.mark.parametrize(("instruction", "before", "after", "reported"), TABLE)
def test_the_table_of_subscription_states(
    make_workitem, alice, instruction, before, after, reported
):
    workitem = make_workitem(WorklistLabel="AI")
    for preparation in PREPARE[before]:
        instruct(alice, preparation, workitem)
    instruct(alice, instruction, workitem)
    assert state(workitem) == after
    assert due() == ([workitem.uid] if reported else [])


@pytest.mark.parametrize("lock", [True, False])
def test_what_is_created_under_a_global_subscription_is_subscribed(make_workitem, alice, lock):
    subscribers.subscribe(alice, "AE1", GLOBAL, deletion_lock=lock)
    assert state(make_workitem()) == (LOCK if lock else PLAIN)
    subscribers.suspend(alice, "AE1", GLOBAL)
    assert state(make_workitem()) == NOT


def test_a_filter_longer_than_any_value_covers_nothing(make_workitem, alice):
    """Only a database that minds the length of its columns shows it."""
    make_workitem()
    wanted = [("ScheduledStationNameCodeSequence.CodeValue", "CT1" * 3_000)]
    subscribers.subscribe(alice, "AE1", FILTERED, filter=wanted)
    assert state(make_workitem()) == NOT


def test_what_is_created_under_two_is_locked_if_one_of_them_wants_so(make_workitem, alice):
    old = make_workitem(WorklistLabel="AI")
    subscribers.subscribe(alice, "AE1", GLOBAL)
    subscribers.subscribe(alice, "AE1", FILTERED, deletion_lock=True, filter=AI)
    assert state(old) == PLAIN, "what is subscribed is not upgraded"
    assert state(make_workitem(WorklistLabel="AI")) == LOCK
    assert state(make_workitem(WorklistLabel="CT")) == PLAIN


def test_a_global_subscription_is_one_small_write_whatever_it_covers(make_workitem, alice):
    make_workitem(), make_workitem()
    subscribers.subscribe(alice, "AE0", GLOBAL)
    with CaptureQueriesContext(connection) as few:
        subscribers.subscribe(alice, "AE1", GLOBAL, deletion_lock=True)
    for _ in range(50):
        make_workitem()
    with CaptureQueriesContext(connection) as many:
        subscribers.subscribe(alice, "AE2", GLOBAL, deletion_lock=True)
    assert len(many) == len(few)
    assert WorkitemSubscription.objects.count() == 0
    assert GlobalSubscription.objects.count() == 3


def test_the_same_subscription_again_is_no_second_row(make_workitem, alice):
    for _ in range(3):
        subscribers.subscribe(alice, "AE1", GLOBAL)
        subscribers.subscribe(alice, "AE1", FILTERED, filter=AI)
    assert GlobalSubscription.objects.count() == 2


def test_a_refused_subscription_changes_nothing(make_workitem, alice, bob, superuser):
    workitem = make_workitem()
    subscribers.subscribe(alice, "AE1", workitem.uid)
    logged = Event.objects.count()
    refused = [
        (errors.NotAuthorized, bob, "AE1", workitem.uid, {}),
        (errors.NotAuthorized, bob, "AE2", GLOBAL, {}),
        (errors.NoSuchWorkitem, alice, "AE1", "2.25.1", {}),
        (errors.InvalidArgument, alice, "A" * 17, GLOBAL, {}),
        (errors.InvalidArgument, alice, "AE1", FILTERED, {}),
        (errors.InvalidArgument, alice, "AE1", FILTERED, {"filter": []}),
        (errors.InvalidArgument, alice, "AE1", FILTERED, {"filter": [("Nonsense", "1")]}),
        (errors.InvalidArgument, alice, "AE1", GLOBAL, {"filter": AI}),
    ]
    for refusal, user, title, target, more in refused:
        with pytest.raises(refusal):
            subscribers.subscribe(user, title, target, **more)
    assert Event.objects.count() == logged
    assert Subscription.objects.count() == 1
    assert state(workitem) == PLAIN


def test_r131_a_lock_that_the_policy_refuses_is_not_held(make_workitem, alice, settings):
    settings.UPSRS_POLICY = f"{__name__}.NoLocks"
    workitem = make_workitem()
    assert not subscribers.subscribe(alice, "AE1", workitem.uid, deletion_lock=True)
    assert subscribers.subscribe(alice, "AE1", workitem.uid)
    assert state(workitem) == PLAIN


class NoLocks(access.ModelPermissionPolicy):
    def grants_lock(self, user, ae_title):
        return False


def test_what_an_administrator_set_up_is_there_for_the_account_of_the_ae(alice, superuser, bob):
    subscribers.subscribe(superuser, "AE1", GLOBAL)
    subscribers.subscribe(alice, "AE1", GLOBAL)
    assert Subscription.objects.get().user == alice
    subscribers.subscribe(superuser, "AE1", GLOBAL)
    assert Subscription.objects.get().user == alice


def test_locks_hold_until_the_last_is_released(make_workitem, alice, bob):
    one, other = make_workitem(WorklistLabel="AI"), make_workitem(WorklistLabel="CT")
    both = [one, other]
    assert subscribers.held(both) == set()
    subscribers.subscribe(alice, "AE1", one.uid, deletion_lock=True)
    subscribers.subscribe(alice, "AE2", FILTERED, deletion_lock=True, filter=AI)
    subscribers.subscribe(alice, "AE3", GLOBAL)
    assert subscribers.held(both) == {one.pk}
    subscribers.subscribe(alice, "AE1", one.uid)
    assert subscribers.held(both) == {one.pk}
    subscribers.unsubscribe(alice, "AE2", one.uid)
    assert subscribers.held(both) == set()
    subscribers.subscribe(alice, "AE4", GLOBAL, deletion_lock=True)
    assert subscribers.held(both) == {one.pk, other.pk}
    with pytest.raises(errors.NotAuthorized):
        subscribers.release_locks(bob, "AE4")
    subscribers.release_locks(alice, "AE4")
    assert subscribers.held(both) == set()
    assert state(one, "AE4") == PLAIN
    for title in ("AE4", "AE5", ""):
        with pytest.raises(errors.NoSuchSubscription):
            subscribers.release_locks(alice, title)


def test_what_a_filter_covered_is_kept_when_it_stops_matching(make_workitem, alice):
    workitem, other = make_workitem(WorklistLabel="AI"), make_workitem(WorklistLabel="CT")
    subscribers.subscribe(alice, "AE1", FILTERED, deletion_lock=True, filter=AI)
    subscribers.subscribe(alice, "AE2", FILTERED, filter=AI)
    subscribers.subscribe(alice, "AE3", GLOBAL)
    for each in (workitem, other):
        workitems.update(alice, each.uid, datasets.elements(WorklistLabel="MR"))
    assert [state(workitem, f"AE{n}") for n in (1, 2, 3)] == [LOCK, PLAIN, PLAIN]
    assert [state(other, f"AE{n}") for n in (1, 2, 3)] == [NOT, NOT, PLAIN]
    assert WorkitemSubscription.objects.count() == 2


def test_a_change_of_keys_neither_takes_nor_gives_a_lock(make_workitem, alice):
    """The state is that of the moment at which the workitem came to be covered."""
    subscribers.subscribe(alice, "AE1", GLOBAL)
    subscribers.subscribe(alice, "AE1", FILTERED, deletion_lock=True, filter=AI)
    subscribers.subscribe(alice, "AE2", FILTERED, deletion_lock=True, filter=AI)
    subscribers.subscribe(alice, "AE2", GLOBAL)
    leaving, coming = make_workitem(WorklistLabel="AI"), make_workitem(WorklistLabel="CT")
    workitems.update(alice, leaving.uid, datasets.elements(WorklistLabel="CT"))
    workitems.update(alice, coming.uid, datasets.elements(WorklistLabel="AI"))
    assert [state(leaving, f"AE{n}") for n in (1, 2)] == [LOCK, LOCK]
    assert [state(coming, f"AE{n}") for n in (1, 2)] == [PLAIN, PLAIN]


class AnyHistory(TestCase):
    """Any history of instructions and changes, against a state per AE and workitem."""

    @hypothesis_settings(
        deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("create"), st.sampled_from(["AI", "CT"])),
                st.tuples(st.sampled_from(["global", "filtered"]), st.booleans()),
                st.tuples(st.just("specific"), st.booleans(), st.integers(0, 5)),
                st.tuples(st.just("unsubscribe specific"), st.none(), st.integers(0, 5)),
                st.tuples(st.sampled_from(["unsubscribe global", "suspend"]), st.none()),
                st.tuples(st.just("relabel"), st.sampled_from(["AI", "CT"]), st.integers(0, 5)),
            ),
            max_size=14,
        )
    )
    def test_the_state_is_that_of_the_table(self, history):
        model = Model()
        rows: list[Workitem] = []
        for what, argument, *which in history:
            if what == "create":
                created = workitems.create(None, datasets.dataset(WorklistLabel=argument))
                rows.append(Workitem.objects.get(uid=created.workitem_uid))
                model.create(argument)
                continue
            number = which[0] % len(rows) if which and rows else None
            if which and number is None:
                continue
            if what == "relabel":
                label = datasets.elements(WorklistLabel=argument)
                workitems.update(None, rows[number].uid, label)
                model.relabel(number, argument)
                continue
            try:
                instruct(self.user, (what, argument), rows[number] if which else None)
                refused = False
            except errors.NoSuchSubscription:
                refused = True
            assert refused == model.instruct(what, argument, number)
        if Subscription.objects.exists():
            states = [state(row) for row in rows]
            assert states == model.states
            held = subscribers.held(list(Workitem.objects.order_by("pk")))
            assert held == {row.pk for row, its in zip(rows, states, strict=True) if its == LOCK}

    def setUp(self):
        from django.contrib.auth import get_user_model

        self.user = get_user_model().objects.create_superuser("ae", password="ae")


class Model:
    """PS3.4 CC.2.3 as it is written: one state for each workitem, changed by each instruction."""

    def __init__(self):
        self.states: list[str] = []
        self.labels: list[str] = []
        self.globals: dict[str, bool] = {}
        """Those that cover what is created: "global" or "filtered" → lock."""
        self.filters: list[list] = []
        """What comes to match is covered too: lock, and of which workitems, first to last."""
        self.refused: set[int] = set()
        self.has_subscribed = False

    def create(self, label):
        active = [lock for kind, lock in self.globals.items() if kind == "global" or label == "AI"]
        self.states.append((LOCK if any(active) else PLAIN) if active else NOT)
        self.labels.append(label)

    def relabel(self, number, label):
        self.labels[number] = label
        if label == "AI" and self.states[number] == NOT and number not in self.refused:
            reach = [it for it in self.filters if it[2] is None or number < it[2]]
            if reach:
                locked = reach[0][0] or any(lock and number >= since for lock, since, _ in reach)
                self.states[number] = LOCK if locked else PLAIN

    def instruct(self, what, lock, number):
        """Returns whether it is refused."""
        match what:
            case "global" | "filtered":
                for n, its in enumerate(self.states):
                    if its == NOT and (what == "global" or self.labels[n] == "AI"):
                        self.states[n] = LOCK if lock else PLAIN
                        self.refused.discard(n)
                if what == "filtered" and self.globals.get(what) != lock:
                    if self.filters:
                        self.filters[-1][2] = len(self.states)
                    self.filters.append([lock, len(self.states), None])
                self.globals[what] = lock
                self.has_subscribed = True
            case "specific":
                self.states[number] = LOCK if lock else PLAIN
                self.refused.discard(number)
                self.has_subscribed = True
            case "unsubscribe specific":
                if self.states[number] == NOT:
                    return True
                self.states[number] = NOT
                self.refused.add(number)
            case "unsubscribe global":
                if not self.has_subscribed:
                    return True
                self.states = [NOT] * len(self.states)
                self.globals, self.filters, self.refused = {}, [], set()
                self.has_subscribed = False
            case "suspend":
                return self.globals.pop("global", None) is None
        return False


def test_a_place_told_without_its_log_is_of_the_log_that_was_heard_last(alice, make_workitem):
    server = Server.objects.create(host="here", pid=1, seen_at=instants.now())

    def comes_back(after):
        here = subscriptions.Here(server.pk)
        return subscribers.open_channel(alice, "AE1", here=here, after=after).taken_up.resync

    subscribers.subscribe(alice, "AE1", GLOBAL)
    make_workitem()
    events.number()
    assert comes_back(after=1) is False
    Log.objects.update(log_id=uuid.uuid4())  # a backup was restored, and has grown since
    assert comes_back(after=1) is True
    assert comes_back(after=1) is False
    Log.objects.update(log_id=uuid.uuid4())
    assert comes_back(after=0) is False, "all that there is"
