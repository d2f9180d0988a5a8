"""A search finds what a plain matcher finds, in order, page by page, on the database of this run."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, note, settings, strategies as st
from hypothesis.extra.django import TestCase

from tests import datasets
from tests.core import plain
from tests.datasets import code, elements
from upsrs import access, selection, workitems
from upsrs.dicom.matching import Keys, key_path
from upsrs.models import Workitem
from upsrs.searching import keys_of

LABELS = ["AI", "ai", "AI.1", "A%I", "A_I", "Ä/u", "(x)[y]", "a|b", "x y", "x-y^$", "A+I", '"A"']
STATIONS = ["CT1", "ct1", "CT_1", "C%", "ST*"]
NAMES = [
    "Doe^Jane",
    "DOE^JOHN",
    "Doe",
    "Doe^",
    "Müller^Änne",
    "Strauß^Eva",
    "Kay^\u212aim",
    "Il\u0131ç^I",
]
ALERTS = ["LATEX", "PEANUTS", "Pain acute", "A,B"]
DAYS = ["20260105", "20260106", "20260131", "20260201"]
TIMES = ["08", "0830", "083000", "235959"]
MOMENTS = [f"{day}{time}" for day in DAYS for time in ("080000", "083015", "235959")]
OFFSETS = ["", "+0100", "+0530"]
STUDIES = ["1.2.3", "1.2.4", "1.2.5"]
STATES = ["SCHEDULED", "IN PROGRESS"]


def patterns(values):
    return st.one_of(
        st.sampled_from(values),
        st.sampled_from(
            ["*", "?", "A*", "?I", "*1", "C?1", "[A]*", "A.I", "^*", "a|*", "D*^J*", ""]
        ),
        st.text("AICTactDoek1*?._%[]()|^$-/ Äß", min_size=1, max_size=5).map(str.strip),
    )


def ranges(values):
    value = st.sampled_from(values)
    return st.one_of(
        value,
        value.map(lambda low: f"{low}-"),
        value.map(lambda high: f"-{high}"),
        st.tuples(value, value).map("-".join),
    )


UIDS = st.lists(st.sampled_from([*STUDIES, "9.9"]), min_size=1, max_size=2).map(",".join)
DATE_TIMES = ranges(
    ["2026", "202601", *DAYS, "2026010508", "202601050830", *MOMENTS]
    + [f"{moment}{offset}" for moment in MOMENTS[:3] for offset in OFFSETS]
)
REQUEST = "ReferencedRequestSequence"
KEYS = {
    "ProcedureStepState": st.sampled_from([*STATES, "S*", "COMPLETED"]),
    "WorklistLabel": patterns(LABELS),
    "ProcedureStepLabel": patterns(LABELS),
    "PatientID": patterns(STATIONS),
    "PatientName": patterns([*NAMES, "müller*", "STRAUSS^EVA", "kay*", "?oe^*", "il\u0131ç*"]),
    "PatientBirthDate": ranges(DAYS),
    "AdmissionID": patterns(["A1", "A2"]),
    "MedicalAlerts": st.sampled_from(
        ["LATEX", "LATEX,PEANUTS", "PEANUTS\\Pain acute", "P*", "A,B", "A,B\\LATEX"]
    ),
    "PregnancyStatus": st.sampled_from(["1", "01", "4"]),
    "StudyInstanceUID": UIDS,
    "ScheduledProcedureStepStartDateTime": DATE_TIMES,
    "ExpectedCompletionDateTime": DATE_TIMES,
    "ScheduledStationNameCodeSequence.CodeValue": patterns(STATIONS),
    "ScheduledStationNameCodeSequence.CodingSchemeDesignator": st.sampled_from(["DCM", "LOC"]),
    "InputInformationSequence.StudyInstanceUID": UIDS,
    f"{REQUEST}.StudyInstanceUID": UIDS,
    f"{REQUEST}.AccessionNumber": patterns(["A1", "A2"]),
    f"{REQUEST}.RequestedProcedureID": patterns(["R1", "R2"]),
    f"{REQUEST}.IssuerOfAccessionNumberSequence.UniversalEntityID": patterns(["H1", "H2"]),
    f"{REQUEST}.IssueDateOfImagingServiceRequest": ranges(DAYS),
    f"{REQUEST}.IssueTimeOfImagingServiceRequest": ranges(TIMES),
}
CANNOT_BE_EMPTY = {
    "PregnancyStatus",
    *(name for name in KEYS if name.endswith("UID")),
}


@st.composite
def searches(draw):
    """Pairs and options; a value fits its attribute, so that nothing is refused."""
    empty, several = draw(st.booleans()), draw(st.booleans())
    pairs = {}
    for name in draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=4, unique=True)):
        value = draw(KEYS[name])
        if empty and name not in CANNOT_BE_EMPTY and draw(st.integers(0, 3)) == 0:
            value = '""'
        pairs[name] = value
    if draw(st.booleans()):
        pairs["TimezoneOffsetFromUTC"] = draw(st.sampled_from(["+0100", "+0530"]))
    return list(pairs.items()), {"empty_values": empty, "several_values": several}


def some_workitem(chance: random.Random):
    def some(values, most=1):
        return chance.sample(values, chance.randint(0, most))

    def request():
        return elements(
            StudyInstanceUID=chance.choice(STUDIES),
            AccessionNumber=some(["A1", "A2"]),
            RequestedProcedureID=some(["R1", "R2"]),
            IssuerOfAccessionNumberSequence=[
                elements(UniversalEntityID=issuer, UniversalEntityIDType="DNS")
                for issuer in some(["H1", "H2"])
            ],
            IssueDateOfImagingServiceRequest=some(DAYS),
            IssueTimeOfImagingServiceRequest=some(TIMES),
        )

    def input_of(study):
        return elements(
            TypeOfInstances="DICOM",
            StudyInstanceUID=study,
            SeriesInstanceUID="1.2.9",
            ReferencedSOPSequence=[
                elements(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.3")
            ],
            DICOMRetrievalSequence=[elements(RetrieveAETitle="PACS")],
        )

    changes = {
        "MedicalAlerts": some(ALERTS, 3),
        "PregnancyStatus": some([1, 4]),
        "ExpectedCompletionDateTime": [moment + chance.choice(OFFSETS) for moment in some(MOMENTS)],
        "TimezoneOffsetFromUTC": some(["+0100", "-0300"]),
    }
    return datasets.dataset(
        WorklistLabel=chance.choice(LABELS),
        ProcedureStepLabel=chance.choice(LABELS),
        PatientID=chance.choice(STATIONS),
        PatientName=some(NAMES),
        PatientBirthDate=some(DAYS),
        AdmissionID=some(["A1", "A2"]),
        StudyInstanceUID=some(STUDIES),
        ScheduledProcedureStepStartDateTime=chance.choice(MOMENTS) + chance.choice(OFFSETS),
        ScheduledStationNameCodeSequence=[
            code(station, chance.choice(["DCM", "LOC"])) for station in some(STATIONS, 2)
        ],
        InputInformationSequence=[input_of(study) for study in some(STUDIES, 2)],
        ReferencedRequestSequence=[request() for _ in range(chance.randint(0, 2))],
        **{name: values for name, values in changes.items() if values},
    )


class Searches(TestCase):
    """One worklist, any search."""

    @classmethod
    def setUpTestData(cls):
        chance = random.Random(1)
        for number in range(80):
            uid = workitems.create(None, some_workitem(chance)).workitem_uid
            if number % 3 == 0:
                workitems.change_state(None, uid, "IN PROGRESS", transaction_uid="2.25.1")
        cls.rows = list(Workitem.objects.order_by("pk"))

    @settings(
        deadline=None, suppress_health_check=list(HealthCheck), max_examples=150, derandomize=True
    )
    @given(search=searches(), limit=st.integers(20, 90), sees_all=st.booleans())
    def test_a_search_finds_what_a_plain_matcher_finds(self, search, limit, sees_all):
        pairs, options = search
        note(f"{pairs} {options}")
        keys = keys_of(pairs, **options)
        # Part of the sight is told by a column, part of it by the dataset alone.
        sight = (Keys({"label": "A*"}, {}), Keys({}, {key_path("AdmissionID"): "A1"}))
        wanted = [
            row.uid
            for row in self.rows
            if plain.matches(
                row.dataset,
                pairs,
                empty=options["empty_values"],
                several=options["several_values"],
            )
            and (
                sees_all
                or row.worklist_label.startswith("A")
                or "A1" in plain.values(row.dataset, "AdmissionID")
            )
        ]
        found = []
        for offset in range(0, len(self.rows) + 1, limit):
            allowed = access.EVERYTHING if sees_all else sight
            page, more = selection.page(keys, allowed, offset=offset, limit=limit, using="default")
            found += [row.uid for row in page]
            assert more is (len(wanted) > offset + limit)
        assert selection.count(keys, allowed, using="default") == len(wanted)
        assert found == wanted
