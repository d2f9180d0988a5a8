"""Search for Workitems: PS3.18 11.9, 8.3.4; PS3.4 C.2.2.2."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.datasets import code, elements, new_uid
from tests.rest.worklist import DICOM_JSON, T, problem
from upsrs.dicom import native_xml
from upsrs.dicom.attributes import MATCHABLE, RETURN_KEYS
from upsrs.dicom.dataset import keyword_of

pytestmark = pytest.mark.django_db

W15 = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
CODES = "ScheduledStationNameCodeSequence"


def search(worklist, query="", **options):
    query = query if isinstance(query, str) else urlencode(query)
    return worklist.send("GET", f"?{query}", **options)


def found(worklist, query=""):
    """The UIDs of the answer, in order."""
    response = search(worklist, query)
    if response.status_code == 204:
        assert response.content == b""
        return []
    assert response.status_code == 200, response.content
    return [dataset["00080018"]["Value"][0] for dataset in response.json()]


def make(worklist, **changes):
    return worklist.workitem(**elements(**changes)) if changes else worklist.workitem()


@pytest.fixture
def berlin(settings):
    """The portal's time zone, before there is any workitem."""
    settings.TIME_ZONE = "Europe/Berlin"


@pytest.fixture
def three(worklist):
    """Labels CT-1, CT-2 and MR-1, in January, February and March."""
    return [
        make(
            worklist,
            WorklistLabel=label,
            ProcedureStepLabel=f"read {label}",
            ScheduledProcedureStepStartDateTime=f"2026010{month}080000",
        )
        for month, label in enumerate(("CT-1", "CT-2", "MR-1"), start=1)
    ]


def test_r097_r098_r100_search_by_state_and_by_uid(worklist):
    uids = {state: worklist.workitem(state) for state in ("SCHEDULED", "IN PROGRESS", "COMPLETED")}
    for state, uid in uids.items():
        for name in ("ProcedureStepState", "00741000"):
            response = search(worklist, {name: state})
            assert response["Content-Type"] == DICOM_JSON
            assert [it["00741000"]["Value"] for it in response.json()] == [[state]]
        assert found(worklist, {"SOPInstanceUID": uid}) == [uid]
    both = f"{uids['SCHEDULED']},{uids['COMPLETED']}"
    assert found(worklist, {"SOPInstanceUID": both}) == [uids["SCHEDULED"], uids["COMPLETED"]]


def test_r099_nothing_found_is_204(worklist, three):
    assert found(worklist, "WorklistLabel=PET") == []


def test_r101_r102_keys_of_a_sequence_hold_within_one_item(worklist):
    one = make(worklist, **{CODES: [code("A", "DCM"), code("B", "LOC")]})
    other = make(worklist, **{CODES: [code("X", "DCM")]})
    for name in (f"{CODES}.CodeValue", "00404025.00080100", f"{CODES}.00080100"):
        assert found(worklist, {name: "A"}) == [one]
        assert found(worklist, {name: "X"}) == [other]
    for scheme, uids in (("DCM", [one]), ("LOC", [])):
        keys = {f"{CODES}.CodeValue": "A", f"{CODES}.CodingSchemeDesignator": scheme}
        assert found(worklist, keys) == uids


def test_r103_a_value_is_matched_as_it_is_written(worklist):
    one, other = make(worklist, WorklistLabel="AI"), make(worklist, WorklistLabel="ai")
    assert found(worklist, "WorklistLabel=AI") == [one]
    assert found(worklist, "WorklistLabel=ai") == [other]


def test_r104_wildcards(worklist, three):
    assert found(worklist, {"ProcedureStepLabel": "read CT-*"}) == three[:2]
    assert found(worklist, {"ProcedureStepLabel": "read CT-?"}) == three[:2]
    assert found(worklist, {"ProcedureStepLabel": "*"}) == three
    assert found(worklist, {"WorklistLabel": "?T-1"}) == three[:1]


@pytest.mark.parametrize(
    ("wanted", "which"),
    [
        ("20260101000000-20260102235959", [0, 1]),
        ("20260101080000-20260102080000", [0, 1]),
        ("20260101080001-20260102075959", []),
        ("-20260102", [0, 1]),
        ("20260102-", [1, 2]),
        ("20260102", [1]),
        ("20260102080000", [1]),
        ("20260102070000%2B0000-20260102070000%2B0000", [1]),
        ("20260102070000+0000-20260102070000+0000", [1]),
        ("20260102090000%2B0200", [1]),
        ("202601", [0, 1, 2]),
        ("2025", []),
    ],
)
def test_r105_ranges_of_instants(worklist, berlin, three, wanted, which):
    query = f"ScheduledProcedureStepStartDateTime={wanted}"
    assert found(worklist, query) == [three[number] for number in which]


def test_the_query_may_have_a_zone_of_its_own(worklist, berlin, three):
    start = "ScheduledProcedureStepStartDateTime=20260102070000-20260102070000"
    assert found(worklist, start) == []
    for offset in ("%2B0000", "+0000"):
        assert found(worklist, f"{start}&TimezoneOffsetFromUTC={offset}") == three[1:2]
    problem(search(worklist, f"{start}&TimezoneOffsetFromUTC=nonsense"), 400)


REQUIRED = {
    "ScheduledProcedureStepPriority": "HIGH",
    "ProcedureStepLabel": "L",
    "WorklistLabel": "L",
    f"{CODES}.CodeValue": "C",
    "ScheduledStationClassCodeSequence.CodeValue": "C",
    "ScheduledStationGeographicLocationCodeSequence.CodingSchemeDesignator": "S",
    "ScheduledHumanPerformersSequence.HumanPerformerCodeSequence.CodeValue": "C",
    "ScheduledProcedureStepStartDateTime": "20300101",
    "ExpectedCompletionDateTime": "20300101",
    "ScheduledWorkitemCodeSequence.CodeValue": "C",
    "InputReadinessState": "INCOMPLETE",
    "PatientName": "roe^*",
    "PatientID": "P2",
    "IssuerOfPatientID": "I",
    "PatientBirthDate": "19990101-19991231",
    "PatientSex": "O",
    "AdmissionID": "A",
    "IssuerOfAdmissionIDSequence.LocalNamespaceEntityID": "E",
    "ReferencedRequestSequence.AccessionNumber": "N",
    "ReferencedRequestSequence.IssuerOfAccessionNumberSequence.UniversalEntityID": "U",
    "ReferencedRequestSequence.RequestedProcedureID": "R",
    "ReferencedRequestSequence.RequestingService": "S",
    "ReplacedProcedureStepSequence.ReferencedSOPInstanceUID": "2.25.9",
    "StudyInstanceUID": "2.25.7",
}


@pytest.fixture
def special(worklist):
    """One workitem that has something of its own in each required key, beside an ordinary one."""
    worklist.workitem()
    request = elements(
        AccessionNumber="N",
        RequestedProcedureID="R",
        RequestingService="S",
        StudyInstanceUID="2.25.7",
        RequestedProcedureCodeSequence=[],
        RequestedProcedureDescription="",
        IssuerOfAccessionNumberSequence=[
            elements(UniversalEntityID="U", UniversalEntityIDType="DNS")
        ],
    )
    return make(
        worklist,
        ScheduledProcedureStepPriority="HIGH",
        ProcedureStepLabel="L",
        WorklistLabel="L",
        ScheduledStationNameCodeSequence=[code("C", "S")],
        ScheduledStationClassCodeSequence=[code("C", "S")],
        ScheduledStationGeographicLocationCodeSequence=[code("C", "S")],
        ScheduledHumanPerformersSequence=[
            elements(
                HumanPerformerCodeSequence=[code("C")],
                HumanPerformerName="Smith",
                HumanPerformerOrganization="Radiology",
            )
        ],
        ScheduledProcedureStepStartDateTime="20300101120000",
        ExpectedCompletionDateTime="20300101130000",
        ScheduledWorkitemCodeSequence=[code("C", "S")],
        InputReadinessState="INCOMPLETE",
        PatientName="Roe^Richard",
        PatientID="P2",
        IssuerOfPatientID="I",
        PatientBirthDate="19990607",
        PatientSex="O",
        AdmissionID="A",
        IssuerOfAdmissionIDSequence=[elements(LocalNamespaceEntityID="E")],
        ReferencedRequestSequence=[request],
        ReplacedProcedureStepSequence=[
            elements(
                ReferencedSOPClassUID="1.2.840.10008.5.1.4.34.6.1",
                ReferencedSOPInstanceUID="2.25.9",
            )
        ],
        StudyInstanceUID="2.25.7",
    )


@pytest.mark.parametrize(("name", "value"), REQUIRED.items(), ids=REQUIRED)
def test_r106_each_required_key_narrows(worklist, special, name, value):
    assert found(worklist, {name: value}) == [special]


def test_r107_keys_are_all_to_hold(worklist, three):
    assert found(worklist, {"WorklistLabel": "CT-*", "ProcedureStepLabel": "*1"}) == three[:1]
    assert found(worklist, {"WorklistLabel": "CT-*", "ProcedureStepState": "COMPLETED"}) == []


def test_r108_an_empty_key_is_any(worklist):
    uids = [make(worklist, PatientID=""), make(worklist)]
    for query in ("PatientID=", "PatientID=*", "PatientID"):
        assert found(worklist, query) == uids


def test_r109_what_is_always_returned(worklist):
    make(worklist)
    [dataset] = search(worklist).json()
    for path, kind in RETURN_KEYS.items():
        if "." not in path and kind in ("1", "2"):
            assert path in dataset, keyword_of(path)
            assert kind == "2" or dataset[path]["Value"], keyword_of(path)
    assert list(dataset) == sorted(dataset)
    assert "00404010" not in dataset, "the modification date-time is not asked for"


def test_r110_the_transaction_uid_is_never_found(worklist):
    worklist.workitem("IN PROGRESS")
    for query in ("", "includefield=all", "includefield=TransactionUID", "includefield=00081195"):
        response = search(worklist, query)
        assert response.status_code == 200
        assert "00081195" not in response.json()[0]
        assert T not in response.content.decode()


def test_r111_r113_what_is_asked_for_is_returned(worklist):
    expiry = "ScheduledProcedureStepExpirationDateTime"
    uid = make(worklist, **{expiry: "20300101", "CommentsOnTheScheduledProcedureStep": "so"})
    for query in (
        f"includefield={expiry}",
        f"includefield=PatientName,{expiry}&includefield=00400400",
        f"{expiry}=2030",
        "includefield=all",
    ):
        [dataset] = search(worklist, query).json()
        assert dataset["00404008"]["Value"] == ["20300101"], query
    assert search(worklist, "includefield=all").json() == [worklist.dataset(uid)]
    [dataset] = search(worklist, f"includefield={CODES},Nonsense").json()
    assert "00404008" not in dataset


def test_a_finished_workitem_is_returned_with_what_was_performed(worklist):
    worklist.workitem("COMPLETED")
    [dataset] = search(worklist).json()
    assert dataset["00741216"]["Value"]


def test_r112_all_is_all(worklist):
    problem(search(worklist, "includefield=all&includefield=PatientName"), 400)
    problem(search(worklist, "includefield=all,PatientName"), 400)


def test_r114_r115_r116_r117_pages(worklist):
    uids = [make(worklist, WorklistLabel="AI") for _ in range(5)]
    make(worklist, WorklistLabel="CT")
    for keys in ("WorklistLabel=AI", f"WorklistLabel=AI&{CODES}.CodeMeaning="):
        response = search(worklist, f"{keys}&limit=2")
        assert [it["00080018"]["Value"][0] for it in response.json()] == uids[:2]
        assert response["Warning"] == (
            "299 http://testserver/ups-rs: There are 3 additional results that can be requested"
        )
        assert "Warning" not in search(worklist, f"{keys}&limit=2&offset=4")
        assert found(worklist, f"{keys}&limit=2&offset=4") == uids[4:]
        assert found(worklist, f"{keys}&limit=5") == uids
        for offset in (5, 6, 999_999_999):
            assert found(worklist, f"{keys}&offset={offset}") == []
        pages = [found(worklist, f"{keys}&limit=2&offset={at}") for at in (0, 2, 4)]
        assert [uid for page in pages for uid in page] == uids
    assert found(worklist, "limit=0") == []


@pytest.mark.parametrize("keys", ["WorklistLabel=AI", "PatientName=doe*"])
def test_pages_are_counted_alike_whoever_decides(worklist, keys):
    """The database alone, or the keys row by row."""
    for number in range(7):
        make(worklist, WorklistLabel="AI" if number % 2 else "CT", PatientName="Doe")
    matches = found(worklist, keys)
    for limit in (1, 2, 3):
        for offset in range(len(matches)):
            response = search(worklist, f"{keys}&limit={limit}&offset={offset}")
            page = [it["00080018"]["Value"][0] for it in response.json()]
            assert page == matches[offset : offset + limit]
            remaining = len(matches) - offset - len(page)
            assert (f" {remaining} additional" in response.get("Warning", "")) is (remaining > 0)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=-1", "limit=x", "limit=", "offset=x", "offset=-1", "limit=1&limit=2"),
        *("fuzzymatching=maybe", "emptyvaluematching=1", "multiplevaluematching=TRUE"),
        "ScheduledProcedureStepStartDateTime=tomorrow",
        "PatientBirthDate=2026-01-01",
        "WorklistLabel.CodeValue=X",
        f"{CODES}=X",
        "PatientName.PatientID=1",
        *("WorklistLabel=A%00B", "SOPInstanceUID=1.2.*", "PregnancyStatus=nan"),
    ],
)
def test_r118_what_cannot_be_read_is_400(worklist, query):
    assert problem(search(worklist, query), 400)["dicomStatus"] == "0115"


@pytest.mark.parametrize(
    "query",
    ["WorklistLabel=A&WorklistLabel=B", "WorklistLabel=A&00741202=A", "00741202=A&00741202=A"],
)
def test_r119_an_attribute_is_given_once(worklist, query):
    problem(search(worklist, query), 400)


def test_r120_names_are_matched_literally_and_it_is_said(worklist):
    uid = make(worklist, PatientName="Doe^Jane")
    response = search(worklist, "fuzzymatching=true&PatientName=doe*")
    assert response["Warning"] == f"299 http://testserver/ups-rs: {W15}"
    assert response.json()[0]["00080018"]["Value"] == [uid]
    assert W15 in search(worklist, "fuzzymatching=true&PatientName=dough*")["Warning"]
    assert "Warning" not in search(worklist, "fuzzymatching=false&PatientName=doe*")


def test_empty_values_can_be_looked_for(worklist):
    nobody = make(worklist, PatientID="", **{CODES: []})
    someone = make(worklist, PatientID="P1", **{CODES: [code("CT1")]})
    empty = "%22%22"
    assert found(worklist, f"PatientID={empty}&emptyvaluematching=true") == [nobody]
    assert found(worklist, f"PatientID={empty}") == []
    assert found(worklist, f"{CODES}.CodeValue={empty}&emptyvaluematching=true") == [nobody]
    assert found(worklist, "PatientID=P1&emptyvaluematching=true") == [someone]
    assert found(worklist, f"AdmissionID={empty}&emptyvaluematching=true") == [nobody, someone]


def test_several_values_can_be_looked_for(worklist):
    both = make(worklist, MedicalAlerts=["LATEX", "IODINE"])
    make(worklist, MedicalAlerts=["LATEX"])
    for value in ("LATEX,IODINE", "IODINE,LATEX"):
        assert found(worklist, {"MedicalAlerts": value, "multiplevaluematching": "true"}) == [both]
        assert found(worklist, {"MedicalAlerts": value}) == []


def test_a_comma_that_is_encoded_may_be_part_of_a_value(worklist):
    whole = make(worklist, MedicalAlerts=["A,B", "C"])
    both = make(worklist, MedicalAlerts=["A", "B"])
    several = "multiplevaluematching=true"
    assert found(worklist, f"MedicalAlerts=A%2CB,C&{several}") == [whole]
    assert found(worklist, f"MedicalAlerts=C,A%2cB&{several}") == [whole]
    assert found(worklist, f"MedicalAlerts=A,B&{several}") == [both]
    # Alone it may be either: many clients encode every comma.
    assert found(worklist, f"MedicalAlerts=A%2CB&{several}") == [whole, both]
    assert found(worklist, f"00102000=A%2CB,C&{several}&00100020=PID*") == [whole]


def test_a_comma_parts_nothing_where_an_attribute_has_one_value(worklist):
    uid = make(worklist, PatientID="A,B")
    make(worklist, PatientID="A")
    for value in ("A,B", "A%2CB"):
        assert found(worklist, f"PatientID={value}&multiplevaluematching=true") == [uid]


def test_a_date_and_its_time_are_one_instant(worklist):
    def request(date, time):
        asked = elements(
            IssueDateOfImagingServiceRequest=date, IssueTimeOfImagingServiceRequest=time
        )
        return make(worklist, ReferencedRequestSequence=[{**REQUEST, **asked}])

    uids = [request("20260101", "2000"), request("20260102", "0700"), request("20260102", "0900")]
    path = "ReferencedRequestSequence.Issue{}OfImagingServiceRequest"
    keys = {path.format("Date"): "20260101-20260102", path.format("Time"): "1200-0800"}
    assert found(worklist, keys) == uids[:2]
    keys = {path.format("Date"): '""', path.format("Time"): "2000", "emptyvaluematching": "true"}
    assert found(worklist, keys) == []


def test_a_date_with_its_time_is_an_instant_in_its_zone(worklist, berlin):
    def requested(offset):
        request = elements(
            StudyInstanceUID="1.2.3",
            IssueDateOfImagingServiceRequest="20260105",
            IssueTimeOfImagingServiceRequest="0030",
        )
        changes = {"TimezoneOffsetFromUTC": offset} if offset else {}
        return make(worklist, ReferencedRequestSequence=[request], **changes)

    in_berlin, in_new_york = requested(""), requested("-0500")
    date = "ReferencedRequestSequence.IssueDateOfImagingServiceRequest"
    time = "ReferencedRequestSequence.IssueTimeOfImagingServiceRequest"
    assert found(worklist, f"{date}=20260105&{time}=0030") == [in_berlin]
    # 00:30 in Berlin is still the fourth in UTC, and 00:30 in New York is 06:30 in Berlin.
    utc = "TimezoneOffsetFromUTC=%2B0000"
    assert found(worklist, f"{date}=20260104&{time}=2330&{utc}") == [in_berlin]
    assert found(worklist, f"{date}=20260105&{time}=0630") == [in_new_york]
    assert found(worklist, f"{date}=20260105-&{time}=01-&{utc}") == [in_new_york]
    assert found(worklist, f"{date}=-20260105&{time}=-0530&{utc}") == [in_berlin, in_new_york]


REQUEST = elements(
    AccessionNumber="",
    StudyInstanceUID="2.25.7",
    RequestedProcedureID="",
    RequestedProcedureCodeSequence=[],
    RequestedProcedureDescription="",
    IssuerOfAccessionNumberSequence=[],
    RequestingService="S",
)


def test_r122_an_unknown_parameter_is_ignored(worklist, three):
    assert found(worklist, "foo=bar&NoSuchKeyword=1&foo=baz&_=123") == three


@pytest.mark.parametrize("name", ["TransactionUID", "00081195"])
def test_r123_nobody_looks_for_transaction_uids(worklist, name):
    worklist.workitem("IN PROGRESS")
    answers = {
        (response.status_code, response.content)
        for uid in (T, new_uid())
        if (response := search(worklist, {name: uid}))
    }
    [(status, content)] = answers
    assert status == 400
    assert T not in content.decode()


def test_r124_the_answer_in_xml_has_a_part_for_each(worklist, three):
    from tests.rest.test_xml import documents

    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    response = search(worklist, "includefield=all", headers=accept)
    assert response.status_code == 200
    parsed = [native_xml.parse(document) for document in documents(response)]
    assert parsed == [worklist.dataset(uid) for uid in three]


def test_r125_the_server_gives_no_more_than_it_may(worklist, three, settings):
    settings.UPSRS_SEARCH_LIMIT = 2
    for limit in ("", "&limit=100"):
        response = search(worklist, f"WorklistLabel={limit}")
        assert len(response.json()) == 2
        assert "There are 1 additional results" in response["Warning"]


def test_r177_a_name_in_any_script_is_found(worklist):
    uid = make(worklist, PatientName="Ångström^Žofie")
    worklist.workitem()
    for name in ("Ångström^Žofie", "ångström*", "Ångström^Žofi?"):
        assert found(worklist, {"PatientName": name}) == [uid]
    japanese = make(worklist, PatientName=[{"Alphabetic": "Yamada", "Ideographic": "山田^花子"}])
    assert found(worklist, {"PatientName": "山田*"}) == [japanese]


def test_every_matching_key_of_the_table_can_be_asked_for(worklist):
    uid = worklist.workitem()
    for path in sorted(MATCHABLE):
        assert found(worklist, f"{path}=") == [uid], path


def test_who_may_not_see_finds_nothing(worklist, bobs_worklist, three, settings):
    assert problem(search(bobs_worklist), 403)["dicomStatus"] == "0124"
    settings.UPSRS_POLICY = f"{__name__}.OnlyCT"
    assert found(worklist) == three[:2]
    assert found(worklist, "WorklistLabel=MR-1") == []
    assert "There are 1 additional" in search(worklist, "limit=1")["Warning"]


class OnlyCT:
    def may(self, user, action):
        return True

    def sight(self, user):
        from upsrs.dicom.matching import Keys

        return (Keys({"label": "CT-*"}, {}), Keys({}, {"00100020": "NOBODY"}))
