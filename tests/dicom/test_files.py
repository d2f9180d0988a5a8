"""Workitems from the headers of DICOM files, broken ones included."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from upsrs.dicom import attributes, dataset as dicom_json, files
from upsrs.errors import InvalidDataset

SHIPPED = Path(pydicom.__file__).parent / "data"

CT = "1.2.840.10008.5.1.4.1.1.2"

ORDER = files.Order(
    step_label="Read",
    code=files.code_item("110005", "DCM", "Interpretation"),
    start="20260105080000+0000",
    label="READING",
    station="WS1",
    priority="HIGH",
    retrieve_ae="PACS",
)


def header(instance: str = "1", *, series: str = "1", study: str = "1.2.3", **values) -> Dataset:
    """As a file has it: without judging the values."""
    ds = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.SOPClassUID = CT
        ds.SOPInstanceUID = f"{study}.{series}.{instance}"
        ds.SeriesInstanceUID = f"{study}.{series}"
        ds.StudyInstanceUID = study
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return ds


def study_of(*headers: Dataset) -> files.Study:
    studies: dict[str, files.Study] = {}
    for one in headers:
        files.add(studies, one)
    [study] = studies.values()
    return study


def workitem(*headers: Dataset, order: files.Order = ORDER) -> tuple[dict, list[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study_of(*headers).workitem(order)


def shipped_headers() -> dict[str, Dataset]:
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted(SHIPPED.rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                try:
                    ds = pydicom.dcmread(
                        path, stop_before_pixels=True, specific_tags=list(files.HEADER)
                    )
                except InvalidDicomError:
                    continue
                found[str(path.relative_to(SHIPPED))] = ds
    return found


@pytest.fixture(scope="module")
def shipped() -> dict[str, files.Study]:
    studies: dict[str, files.Study] = {}
    for one in shipped_headers().values():
        try:
            files.add(studies, one)
        except InvalidDataset:
            continue
    return studies


def test_every_shipped_study_becomes_a_valid_workitem(shipped):
    assert len(shipped) > 30, "pydicom ships real files"
    for study in shipped.values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds, _ = study.workitem(ORDER)
        assert dicom_json.normalise(ds) == ds
        attributes.check_create(ds)
        referred = dicom_json.values(
            ds, "InputInformationSequence.ReferencedSOPSequence.ReferencedSOPInstanceUID"
        )
        assert len(referred) == len(set(referred)) == study.instances


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chrArab.dcm", {"Alphabetic": "قباني^لنزار"}),
        ("chrFrenMulti.dcm", {"Alphabetic": "Buc^Jérôme"}),
        ("chrGerm.dcm", {"Alphabetic": "Äneas^Rüdiger"}),
        (
            "chrH31.dcm",
            {
                "Alphabetic": "Yamada^Tarou",
                "Ideographic": "山田^太郎",
                "Phonetic": "やまだ^たろう",
            },
        ),
        (
            "chrI2.dcm",
            {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동"},
        ),
        ("chrX2.dcm", {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}),
    ],
)
def test_names_are_read_in_the_files_own_character_set(name, expected):
    ds, words = workitem(shipped_headers()[f"charset_files/{name}"])
    assert dicom_json.first(ds, "PatientName") == expected
    assert words == []


def test_a_study_is_one_workitem_and_a_series_one_input():
    ds, words = workitem(
        header("1"), header("2"), header("1", series="2"), header("2"), order=ORDER
    )
    first, second = dicom_json.items(ds, "InputInformationSequence")
    assert dicom_json.first(first, "TypeOfInstances") == "DICOM"
    assert dicom_json.first(first, "StudyInstanceUID") == "1.2.3"
    assert dicom_json.first(first, "SeriesInstanceUID") == "1.2.3.1"
    assert dicom_json.values(first, "ReferencedSOPSequence.ReferencedSOPInstanceUID") == [
        "1.2.3.1.1",
        "1.2.3.1.2",
    ]
    assert dicom_json.values(first, "ReferencedSOPSequence.ReferencedSOPClassUID") == [CT, CT]
    assert dicom_json.first(first, "DICOMRetrievalSequence.RetrieveAETitle") == "PACS"
    assert dicom_json.first(second, "SeriesInstanceUID") == "1.2.3.2"
    assert words == []


def test_an_instance_counts_once():
    studies: dict[str, files.Study] = {}
    assert files.add(studies, header())
    assert not files.add(studies, header())
    assert studies["1.2.3"].instances == 1


def test_the_order_is_what_is_asked_for():
    ds, _ = workitem(header(Modality="CT", StudyDescription="Head"))
    expected = {
        "ProcedureStepLabel": "Read",
        "WorklistLabel": "READING",
        "ScheduledProcedureStepPriority": "HIGH",
        "ScheduledProcedureStepStartDateTime": "20260105080000+0000",
        "InputReadinessState": "READY",
        "ProcedureStepState": "SCHEDULED",
        "ScheduledWorkitemCodeSequence.CodeValue": "110005",
        "ScheduledStationNameCodeSequence.CodeValue": "WS1",
        "ScheduledProcedureStepDescription": "Read: CT Head",
    }
    assert {path: dicom_json.first(ds, path) for path in expected} == expected


def test_instances_can_be_had_by_dicomweb():
    order = files.Order("Read", ORDER.code, ORDER.start, retrieve_url="https://pacs/dicom-web/")
    ds, _ = workitem(header(), order=order)
    [item] = dicom_json.items(ds, "InputInformationSequence")
    assert dicom_json.first(item, "WADORSRetrievalSequence.RetrieveURL") == (
        "https://pacs/dicom-web/studies/1.2.3/series/1.2.3.1"
    )
    assert dicom_json.is_empty(item, "DICOMRetrievalSequence")


def test_the_same_study_and_step_give_the_same_uid():
    study, other = study_of(header()), study_of(header(study="1.2.4"))
    again = study_of(header(series="7"))
    measure = files.Order("Measure", ORDER.code, ORDER.start)
    assert study.workitem_uid(ORDER) == again.workitem_uid(ORDER)
    uids = {study.workitem_uid(ORDER), study.workitem_uid(measure), other.workitem_uid(ORDER)}
    assert len(uids) == 3
    assert all(uid.startswith("2.25.") for uid in uids)


def test_the_patient_is_taken_over_from_whichever_series_knows():
    ds, words = workitem(
        header(PatientID="P1"),
        header(series="2", PatientID="P1", PatientSex="F", PatientBirthDate="19700101"),
    )
    assert dicom_json.first(ds, "PatientID") == "P1"
    assert dicom_json.first(ds, "PatientSex") == "F"
    assert dicom_json.first(ds, "PatientBirthDate") == "19700101"
    assert words == []


def test_a_study_whose_files_name_two_patients_is_refused():
    with pytest.raises(InvalidDataset, match="different patients") as refusal:
        workitem(header("1", PatientID="P1"), header("2", PatientID="P2"))
    assert "P1" not in str(refusal.value)


def test_the_orders_behind_a_study_are_taken_over_each_once():
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    request.RequestedProcedureDescription = "CT of the head"
    request.ReasonForTheRequestedProcedure = "Headache"
    asked = {
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "House^G",
        "RequestAttributesSequence": [request],
    }
    ds, words = workitem(header(**asked), header(series="2", **asked))
    [item] = dicom_json.items(ds, "ReferencedRequestSequence")
    expected = {
        "StudyInstanceUID": "1.2.3",
        "AccessionNumber": "A1",
        "RequestedProcedureID": "RP1",
        "RequestedProcedureDescription": "CT of the head",
        "ReasonForTheRequestedProcedure": "Headache",
        "ReferringPhysicianName": {"Alphabetic": "House^G"},
    }
    assert {path: dicom_json.first(item, path) for path in expected} == expected
    assert words == []


def test_a_study_without_an_order_refers_to_none():
    ds, _ = workitem(header(ReferringPhysicianName="House^G"))
    assert dicom_json.is_empty(ds, "ReferencedRequestSequence")


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientBirthDate", "1970.01.31", "19700131"),
        ("PatientSex", "f", "F"),
        ("AdmittingDiagnosesDescription", "x" * 80, "x" * 64),
    ],
)
def test_what_has_only_one_reading_is_mended_with_a_word(keyword, value, expected):
    ds, words = workitem(header(**{keyword: value}))
    assert dicom_json.first(ds, keyword) == expected
    [word] = words
    assert word.startswith(keyword)
    assert word.endswith("Mended.")
    assert value not in word


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "31/01/1970"),
        ("PatientBirthDate", "19701341"),
        ("PatientSex", "?!"),
        ("PatientID", "P" * 65),
        ("PatientID", ["P1", "P2"]),
        ("PatientName", "N" * 65),
        ("AdmissionID", "a\x07b"),
        ("PatientSize", "tall"),
    ],
)
def test_an_invalid_value_is_left_out_with_a_word_and_never_guessed(keyword, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = pydicom.config.settings
        mode, settings.writing_validation_mode = settings.writing_validation_mode, 0
        try:
            one = header()
            one.add_new(keyword, pydicom.datadict.dictionary_VR(keyword), value)
        except ValueError:
            # pydicom itself converts numbers: a file's bytes are converted on access.
            tag = pydicom.tag.Tag(keyword)
            one[tag] = pydicom.dataelem.RawDataElement(
                tag, "DS", len(value), value.encode(), 0, False, True
            )
        finally:
            settings.writing_validation_mode = mode
    ds, words = workitem(one)
    assert dicom_json.is_empty(ds, keyword)
    [word] = words
    assert word.startswith(keyword)
    assert word.endswith("Left out.")
    assert str(value) not in word


def test_a_sequence_that_no_workitem_may_carry_is_left_out_with_a_word():
    """A code without its meaning (PS3.4 Table CC.2.5-2a)."""
    code = Dataset()
    code.CodeValue = "X"
    code.CodingSchemeDesignator = "99X"
    ds, words = workitem(header(AccessionNumber="A1", RequestedProcedureCodeSequence=[code]))
    assert dicom_json.is_empty(ds, "ReferencedRequestSequence")
    [word] = words
    assert "CodeMeaning" in word


@pytest.mark.parametrize("keyword", files.UIDS)
@pytest.mark.parametrize("value", ["", "1.02.3", "1." * 40, "none"])
def test_a_file_that_cannot_be_referred_to_is_refused_by_name(keyword, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        broken = header(**{keyword: value})
    with pytest.raises(InvalidDataset) as refusal:
        files.add({}, broken)
    assert refusal.value.element == keyword


def test_a_refused_file_leaves_no_trace():
    studies: dict[str, files.Study] = {}
    with pytest.raises(InvalidDataset):
        files.add(studies, header(SeriesInstanceUID=""))
    assert studies == {}


def test_an_order_that_is_not_valid_is_refused_and_not_mended():
    order = files.Order("x" * 65, ORDER.code, ORDER.start, retrieve_ae="PACS")
    with pytest.raises(InvalidDataset, match="ProcedureStepLabel"):
        workitem(header(), order=order)


def test_a_description_is_fit_for_its_attribute():
    ds, _ = workitem(header(Modality="CT", StudyDescription="a\\b\n" + "c" * 80))
    text = dicom_json.first(ds, "ScheduledProcedureStepDescription")
    assert text.startswith("Read: CT a/b c")
    assert len(text) == 64
