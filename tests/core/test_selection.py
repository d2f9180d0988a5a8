"""The same filter gives the same answer in SQL and in memory, on the database of this run."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.django import TestCase

from tests import datasets
from upsrs import access, selection, workitems
from upsrs.dicom.matching import Keys, key_path
from upsrs.models import Event, Workitem, write_alias

LABELS = ["AI", "ai", "AI.1", "A%I", "A_I", "Ä\\u", "(x)[y]", "a|b", "x y", "x-y^$"]
LABELS = [label.replace("\\", "/") for label in LABELS]
STATIONS = ["CT1", "ct1", "CT_1", "C%", "ST*"]
VALUES = LABELS + STATIONS
PATTERNS = st.one_of(
    st.sampled_from(VALUES),
    st.sampled_from(["*", "?", "A*", "?I", "*1", "C?1", "[A]*", "(?i)ai", "A.I", "^*", "a|*"]),
    st.text("AICTact1*?._%[]()|^$-/ Ä", max_size=6),
)
STATES = st.sampled_from(["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"])
EVERYDAY = st.fixed_dictionaries(
    {}, optional={"state": STATES, "label": PATTERNS, "station": PATTERNS, "performer": PATTERNS}
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        key_path(name): PATTERNS
        for name in (
            "PatientID",
            "ProcedureStepLabel",
            "ScheduledProcedureStepPriority",
            "ReferencedRequestSequence.AccessionNumber",
            "AdmissionID",
            "ScheduledStationNameCodeSequence.CodingSchemeDesignator",
        )
    },
)


class Selection(TestCase):
    """One worklist, any filter."""

    @classmethod
    def setUpTestData(cls):
        chance = random.Random(1)
        for number in range(60):
            uid = datasets.new_uid()
            workitems.create(
                None,
                datasets.dataset(
                    SOPInstanceUID=uid,
                    WorklistLabel=chance.choice(LABELS),
                    PatientID=chance.choice(VALUES),
                    ProcedureStepLabel=chance.choice(VALUES),
                    ScheduledProcedureStepPriority=chance.choice(["HIGH", "LOW"]),
                    AdmissionID=chance.choice(["", "A1"]),
                    ScheduledStationNameCodeSequence=[
                        datasets.code(station)
                        for station in chance.sample(STATIONS, chance.randint(0, 2))
                    ],
                ),
            )
            if number % 3:
                workitems.change_state(
                    None,
                    uid,
                    "IN PROGRESS",
                    transaction_uid="2.25.1",
                    requester=chance.choice(["", *STATIONS]),
                )

    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=150)
    @given(everyday=EVERYDAY, attributes=ATTRIBUTES)
    def test_sql_and_memory_agree(self, everyday, attributes):
        keys = Keys(everyday, attributes)
        rows = Workitem.objects.order_by("pk")
        in_memory = [row.pk for row in rows if keys.match(row.snapshot())]
        in_sql = list(rows.filter(selection.condition(keys)).values_list("pk", flat=True))
        if selection.is_exact(keys):
            assert in_sql == in_memory
        assert set(in_sql) >= set(in_memory)
        page, more = access.current(keys, access.EVERYTHING, after=0, limit=1000)
        assert more is None
        assert [row.pk for row in page] == [
            pk for pk in in_memory if everyday.get("state") or rows.get(pk=pk).state != "COMPLETED"
        ]


@pytest.mark.django_db
def test_pages_hold_each_workitem_once_and_final_ones_only_if_named(make_workitem, alice):
    made = [make_workitem().uid for _ in range(5)]
    workitems.request_cancel(alice, made[2])
    found, after = [], 0
    while after is not None:
        page, after = access.current(Keys({}, {}), access.EVERYTHING, after=after, limit=2)
        found += [row.uid for row in page]
    assert found == made[:2] + made[3:]
    page, _ = access.current(Keys({"state": "CANCELED"}, {}), access.EVERYTHING, after=0, limit=9)
    assert [row.uid for row in page] == [made[2]]


@pytest.mark.django_db
def test_what_is_not_in_sight_is_not_there(make_workitem):
    make_workitem(WorklistLabel="A")
    allowed = (Keys({"label": "B"}, {}), Keys({"label": "C"}, {}))
    assert access.current(Keys({}, {}), allowed, after=0, limit=9) == ([], None)
    assert access.current(Keys({}, {}), access.NOTHING, after=0, limit=9) == ([], None)
    make_workitem(WorklistLabel="C")
    page, _ = access.current(Keys({}, {}), allowed, after=0, limit=9)
    assert [row.worklist_label for row in page] == ["C"]


@pytest.mark.django_db
def test_a_sight_that_sql_cannot_tell_is_decided_in_memory(make_workitem):
    make_workitem(WorklistLabel="A", AdmissionID="1")
    by_admission = Keys({}, {key_path("AdmissionID"): "1"})
    for allowed in (
        (Keys({"label": "B"}, {}), by_admission),
        (by_admission, Keys({"label": "B"}, {})),
        (Keys({"label": "B"}, {}), *access.EVERYTHING),
    ):
        page, _ = access.current(Keys({}, {}), allowed, after=0, limit=9)
        assert len(page) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("part", ["*a", "?", "a", "*?*"])
@pytest.mark.parametrize(
    "name", ["label", "station", "performer", "state", "00100020", "0040A370.00080050"]
)
def test_a_pattern_as_long_as_a_frame_matches_nothing_on_any_database(make_workitem, name, part):
    make_workitem()
    pattern = {name: part * (60_000 // len(part)) + "*"}
    keys = Keys({}, pattern) if "0" in name else Keys(pattern, {})
    assert selection.count(keys, access.EVERYTHING, using=write_alias()) == 0
    assert Event.objects.filter(selection.in_log(keys)).count() <= 1, "it may let through more"


@pytest.mark.django_db
def test_stars_beside_each_other_are_one(make_workitem):
    made = make_workitem(WorklistLabel="AI")
    keys = Keys({"label": "*" * 60_000 + "I"}, {})
    page, _ = access.current(keys, access.EVERYTHING, after=0, limit=9)
    assert [row.uid for row in page] == [made.uid]
