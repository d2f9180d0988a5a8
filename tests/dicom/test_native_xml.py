"""The Native DICOM Model: what a dataset says is the same in XML and in JSON (PS3.19 A.1)."""

from __future__ import annotations

import pytest
from defusedxml import ElementTree
from hypothesis import given

from tests.datasets import code, dataset, elements
from tests.dicom.test_round_trip import DATASETS
from upsrs.dicom.dataset import Limits, normalise
from upsrs.dicom.native_xml import parse, render
from upsrs.errors import DatasetTooLarge, InvalidDataset

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"


def document(inside: str, head: str = "") -> bytes:
    return f"{head}<NativeDicomModel>{inside}</NativeDicomModel>".encode()


def comparable(ds):
    """What XML cannot keep: how a number was written, and form feeds; and empty ends of names."""

    def value(vr, one):
        if one is None:
            return None
        match vr:
            case "SQ":
                return comparable(one)
            case "DS":
                return float(one)
            case "IS" | "SV" | "UV":
                return int(one)
            case "PN":
                return {group: name.rstrip("^") for group, name in one.items()}
            case "LT" | "ST" | "UT":
                return one.replace("\f", "\ufffd")
        return one

    return {
        tag: {**attribute, "Value": [value(attribute["vr"], one) for one in attribute["Value"]]}
        if "Value" in attribute
        else attribute
        for tag, attribute in ds.items()
    }


@given(DATASETS)
def test_through_xml_and_back_a_dataset_says_the_same(sent):
    ds = normalise(sent)
    assert comparable(parse(render(ds))) == comparable(ds)


def test_a_workitem_is_the_same_in_both():
    ds = normalise(
        dataset(
            PatientName=[{"Alphabetic": "Doe^Jane", "Ideographic": "山田^花子"}],
            CommentsOnTheScheduledProcedureStep="first\r\nsecond <b> & 'c'",
            ScheduledStationNameCodeSequence=[code("CT1"), code("CT2")],
        )
    )
    assert parse(render(ds)) == ds


def test_the_document_has_the_names_of_the_standard():
    private = {"00750010": {"vr": "LO", "Value": ["UPSRS"]}, "00751020": {"vr": "UL", "Value": [3]}}
    ds = normalise(
        {**elements(PatientName="Doe^Jane^^Dr", WorklistLabel="", PatientID="é"), **private}
    )
    assert render(ds).startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel')
    root = ElementTree.fromstring(render(ds))
    assert {child.get("keyword") for child in root} == {
        *("PatientName", "PatientID", "WorklistLabel", None)
    }
    name = root.find("DicomAttribute[@tag='00100010']")
    assert name.get("vr") == "PN"
    parts = name.find("PersonName[@number='1']/Alphabetic")
    assert [(part.tag, part.text) for part in parts] == [
        *(("FamilyName", "Doe"), ("GivenName", "Jane"), ("NamePrefix", "Dr"))
    ]
    assert len(root.find("DicomAttribute[@tag='00741202']")) == 0
    count = root.find("DicomAttribute[@tag='00751020']")
    assert count.get("privateCreator") == "UPSRS"
    assert count.find("Value").text == "3"


@pytest.mark.parametrize(
    ("inside", "read"),
    [
        ('<DicomAttribute tag="00741202" vr="LO"/>', {"00741202": {"vr": "LO"}}),
        (
            '<DicomAttribute tag="0074100c" vr="LO"><Value number="1">x</Value></DicomAttribute>',
            {"0074100C": {"vr": "LO", "Value": ["x"]}},
        ),
        (
            '<DicomAttribute tag="00741004" vr="DS"><Value number="1">5.50</Value></DicomAttribute>',
            {"00741004": {"vr": "DS", "Value": ["5.50"]}},
        ),
        (
            '<DicomAttribute tag="00741004" vr="DS"><Value number="1">50</Value></DicomAttribute>',
            {"00741004": {"vr": "DS", "Value": [50]}},
        ),
        (
            '<DicomAttribute tag="00101000" vr="LO"><Value number="2">x</Value></DicomAttribute>',
            {"00101000": {"vr": "LO", "Value": [None, "x"]}},
        ),
        (
            '<DicomAttribute tag="00751020" vr="UL" privateCreator="UPSRS">'
            '<Value number="1">3</Value></DicomAttribute>',
            {
                "00750010": {"vr": "LO", "Value": ["UPSRS"]},
                "00751020": {"vr": "UL", "Value": [3]},
            },
        ),
        (
            '<DicomAttribute tag="00404025" vr="SQ"><Item number="1"/></DicomAttribute>',
            {"00404025": {"vr": "SQ", "Value": [{}]}},
        ),
    ],
)
def test_what_others_write_is_understood(inside, read):
    assert parse(document(inside)) == read
    inside_namespace = f'<NativeDicomModel xmlns="{NAMESPACE}">{inside}</NativeDicomModel>'
    assert parse(inside_namespace.encode()) == read


LABEL = '<DicomAttribute tag="00741202" vr="LO">{}</DicomAttribute>'
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not XML"),
        (b"{}", "not XML"),
        (b"<NativeDicomModel>", "not XML"),
        (b"<other/>", "root"),
        (document("", head='<?xml version="1.0" encoding="klingon"?>'), "encoding"),
        (document(LABEL.format('<Value number="1">&b;</Value>'), head=BOMB), "entities"),
        (document("", head='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "document type"),
        (document("<Value/>"), "DicomAttribute"),
        (document(LABEL.format("") * 2), "twice"),
        (document(LABEL.format('<Value number="0">x</Value>')), "numbered"),
        (document(LABEL.format("<Value>x</Value>")), "numbered"),
        (document(LABEL.format('<Value number="99999999">x</Value>')), "numbered"),
        (document(LABEL.format('<Value number="1">x</Value>' * 2)), "same number"),
        (document(LABEL.format('<Value number="1">x</Value><Item number="1"/>')), "kind"),
        (document(LABEL.format('<Item number="1"/>')), "vr"),
        (document(LABEL.format("<Other/>")), "vr"),
        (document('<DicomAttribute tag="00741202" vr="XX"/>'), "vr"),
        (document('<DicomAttribute tag="label" vr="LO"/>'), "eight hex digits"),
        (
            document(
                '<DicomAttribute tag="00280010" vr="US"><Value number="1">x</Value></DicomAttribute>'
            ),
            "number",
        ),
        (
            document(
                '<DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic>'
                "<Nickname>x</Nickname></Alphabetic></PersonName></DicomAttribute>"
            ),
            "person names",
        ),
    ],
)
def test_what_is_wrong_is_said_without_a_value(body, words):
    with pytest.raises(InvalidDataset) as refused:
        parse(body)
    assert words in refused.value.detail


def attribute(tag, vr, inside, more=""):
    return f'<DicomAttribute tag="{tag}" vr="{vr}"{more}>{inside}</DicomAttribute>'


def name(inside):
    return attribute("00100010", "PN", f'<PersonName number="1">{inside}</PersonName>')


BINARY = ("00420011", "OB")  # Encapsulated Document
IN_ITEM = attribute("00404025", "SQ", '<Item number="1">{}</Item>')


@pytest.mark.parametrize(
    ("inside", "element", "words"),
    [
        (attribute(*BINARY, '<BulkData uuid="1-2"/>'), "EncapsulatedDocument", "UUID"),
        (attribute(*BINARY, '<BulkData uri="x" uuid="1-2"/>'), "EncapsulatedDocument", "UUID"),
        (attribute(*BINARY, "<BulkData/>"), "EncapsulatedDocument", "URI"),
        (attribute(*BINARY, '<BulkData uri="a"/><BulkData uri="b"/>'), "EncapsulatedDocument", ""),
        (
            attribute(*BINARY, "<InlineBinary>AAAA</InlineBinary>" * 2),
            "EncapsulatedDocument",
            "more than once",
        ),
        (attribute(*BINARY, "<InlineBinary>A<b/>A</InlineBinary>"), "EncapsulatedDocument", ""),
        (name("<Alphabetic/>" * 2), "PatientName", "more than once"),
        (
            name(f"<Alphabetic>{'<FamilyName>a</FamilyName>' * 2}</Alphabetic>"),
            "PatientName",
            "more than once",
        ),
        (name("<Alphabetic><FamilyName>Doe^</FamilyName></Alphabetic>"), "PatientName", "^"),
        (name("<Alphabetic><FamilyName>D^J</FamilyName></Alphabetic>"), "PatientName", "^"),
        (name("<Alphabetic><NameSuffix>D^</NameSuffix></Alphabetic>"), "PatientName", "^"),
        (name("<Alphabetic>Doe</Alphabetic>"), "PatientName", "text"),
        (name("Doe"), "PatientName", "text"),
        (
            name("<Alphabetic><FamilyName><b>D</b></FamilyName></Alphabetic>"),
            "PatientName",
            "within",
        ),
        (LABEL.format("AI"), "WorklistLabel", "text"),
        (LABEL.format('<Value number="1">A</Value>I'), "WorklistLabel", "text"),
        (LABEL.format('<Value number="1">A<b/>I</Value>'), "WorklistLabel", "within"),
        (attribute("00404025", "SQ", '<Item number="1"/>AI'), "ScheduledStation", "text"),
        (IN_ITEM.format("AI"), "ScheduledStationNameCodeSequence[0]", "text"),
        (IN_ITEM.format("<Value/>"), "ScheduledStationNameCodeSequence[0]", "DicomAttribute"),
        *(
            (attribute("00280010", "US", f'<Value number="1">{number}</Value>'), "Rows", "number")
            for number in ("1_0", "\u0663", "1.0", "0x1", "1e1", "--1", "9" * 5000)
        ),
        *(
            (attribute("00720074", "FD", f'<Value number="1">{number}</Value>'), "", "number")
            for number in ("nan", "inf", "1_0.5", "1e", ".", "1,5")
        ),
        (
            attribute("00750010", "LO", '<Value number="1">ACME</Value>')
            + attribute("00751020", "UL", "", ' privateCreator="UPSRS"'),
            "00750010",
            "creator",
        ),
        (
            attribute("00751020", "UL", "", ' privateCreator="A"')
            + attribute("00751021", "UL", "", ' privateCreator="B"'),
            "00750010",
            "creator",
        ),
    ],
)
def test_what_would_be_lost_is_refused_by_its_name(inside, element, words):
    for body, place in (
        (document(inside), element),
        (document(IN_ITEM.format(inside)), f"ScheduledStationNameCodeSequence[0].{element}"),
    ):
        with pytest.raises(InvalidDataset) as refused:
            parse(body)
        assert words in refused.value.detail
        assert refused.value.element.startswith(place)


def test_the_creator_of_a_private_element_may_stand_behind_it():
    count = attribute("00751020", "UL", '<Value number="1"> 3 </Value>', ' privateCreator="UPSRS"')
    creator = attribute("00750010", "LO", '<Value number="1">UPSRS </Value>')
    wanted = {"00750010": {"vr": "LO", "Value": ["UPSRS"]}, "00751020": {"vr": "UL", "Value": [3]}}
    assert parse(document(count + creator)) == parse(document(creator + count)) == wanted


@pytest.mark.parametrize("text", ["Doe^", "Doe^Jane^^^", "a^b^c^d^e^f", "a^b^c^d^e^f^", "^^^^e^"])
def test_a_name_says_the_same_after_a_round_trip(text):
    ds = normalise(elements(PatientName=text))
    [read] = parse(render(ds))["00100010"]["Value"]
    assert read["Alphabetic"] == text.rstrip("^")


def test_the_limits_are_those_of_json():
    nested = ""
    for _ in range(20):
        nested = f'<DicomAttribute tag="00404025" vr="SQ"><Item number="1">{nested}</Item></DicomAttribute>'
    for body in (document(nested), document("<a/>" * 600_000)):
        with pytest.raises(DatasetTooLarge):
            parse(body)
    with pytest.raises(DatasetTooLarge):
        parse(document(" " * 1_000), Limits(max_bytes=1_000))
