"""The DICOM JSON Model: bodies, structure, the normal form, limits, and the readers."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.dataset import Limits, normalise, parse
from upsrs.errors import DatasetTooLarge, InvalidDataset

NAME = {"vr": "PN", "Value": [{"Alphabetic": "SECRET^NAME"}]}
CODE = {
    "00080100": {"vr": "SH", "Value": ["110001"]},
    "00080102": {"vr": "SH", "Value": ["DCM"]},
    "00080104": {"vr": "LO", "Value": ["Image Processing"]},
}


def body(obj):
    return json.dumps(obj).encode()


def refused(obj, kind=InvalidDataset):
    """The refusal of a body, or of an object, whose text must not tell a value."""
    with pytest.raises(kind) as refusal:
        parse(obj) if isinstance(obj, bytes) else normalise(obj)
    assert "SECRET" not in str(refusal.value)
    return refusal.value


def nested(levels):
    ds = {}
    for _ in range(levels):
        ds = {"0040A730": {"vr": "SQ", "Value": [ds]}}
    return ds


# Bodies


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_body_is_one_dataset_bare_or_in_an_array(wrapped, mark):
    ds = {"00100010": NAME}
    assert parse(mark + body([ds] if wrapped else ds)) == ds


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (b"", "not JSON"),
        (b"SECRET", "not JSON"),
        (b'{"00100010": SECRET}', "not JSON"),
        (b'{"00100010": "SECRET\n"}', "not JSON"),
        (b"{} {}", "not JSON"),
        (b'<?xml version="1.0"?>', "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        ('{"00100010": {"vr": "PN", "Value": ["J\xf6rg"]}}'.encode("latin-1"), "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"[]", "exactly one dataset"),
        (b"[{}, {}]", "exactly one dataset"),
        (b"[[{}]]", "must be an object"),
        (b"[null]", "must be an object"),
        (b"null", "must be an object"),
        (b'"SECRET"', "must be an object"),
        (b"5", "must be an object"),
        (b'{"00101030": {"vr": "DS", "Value": [NaN]}}', "not finite"),
        (b'{"00101030": {"vr": "DS", "Value": [Infinity]}}', "not finite"),
        (b'{"00101030": {"vr": "DS", "Value": [-Infinity]}}', "not finite"),
        (b'{"00101030": {"vr": "DS", "Value": [1e999]}}', "too large"),
        (b'{"00101030": {"vr": "DS", "Value": [-1e999]}}', "too large"),
        (b'{"00101030": {"vr": "DS", "Value": [' + b"9" * 5000 + b"]}}", "too long"),
        (b'{"00100010": {"vr": "PN"}, "00100010": {"vr": "PN"}}', "PatientName: given twice"),
        (b'{"00100010": {"vr": "PN", "vr": "PN"}}', "vr: given twice"),
        (b'[{"00404018": {"vr": "SQ", "Value": [{"00080100":1,"00080100":2}]}}]', "CodeValue"),
        (b'{"SECRET": 1, "SECRET": 2}', "given twice"),
        (b'{"x": 1, "00100010": 1, "00100010": 2}', "PatientName: given twice"),
        (b'{"0040a370": {"vr": "SQ"}, "0040A370": {"vr": "SQ"}}', "ReferencedRequestSequence"),
    ],
)
def test_a_bad_body_is_refused_with_its_rule(bad, rule):
    assert rule in refused(bad).detail


@pytest.mark.parametrize("opening", [b"[", b'{"00404018":', b'{"00404018":{"vr":"SQ","Value":['])
def test_brackets_by_the_thousand_are_refused(opening):
    deep = opening * 20_000
    assert isinstance(refused(deep), DatasetTooLarge)


def test_a_body_over_the_limit_is_refused_unread():
    limits = Limits(max_bytes=10)
    assert parse(b"{}        ", limits) == {}
    with pytest.raises(DatasetTooLarge, match="longer than 10 bytes"):
        parse(b"{}         ", limits)
    with pytest.raises(DatasetTooLarge):
        parse(b"x" * 20_000_000)


def test_depth_is_limited():
    assert parse(body(nested(16))) == nested(16)
    refusal = refused(body(nested(17)), DatasetTooLarge)
    assert refusal.element.startswith("ContentSequence[0].ContentSequence[0].")
    assert "16 levels" in refusal.detail
    refused(body(nested(30)), DatasetTooLarge)
    with pytest.raises(DatasetTooLarge):
        normalise(nested(2), Limits(max_depth=1))


def test_elements_are_counted_over_all_items():
    item = {"00080100": {"vr": "SH", "Value": ["a"]}, "00080102": {"vr": "SH"}}
    ds = {"00404025": {"vr": "SQ", "Value": [item, item]}}
    assert normalise(ds, Limits(max_elements=5)) == ds
    with pytest.raises(DatasetTooLarge, match="More than 4 elements"):
        normalise(ds, Limits(max_elements=4))


def test_items_are_counted_over_all_sequences():
    ds = {
        "00404025": {"vr": "SQ", "Value": [{}, {}]},
        "00404026": {"vr": "SQ", "Value": [{"00080121": {"vr": "SQ", "Value": [{}]}}]},
    }
    assert normalise(ds, Limits(max_items=4)) == ds
    with pytest.raises(DatasetTooLarge) as refusal:
        normalise(ds, Limits(max_items=3))
    assert refusal.value.element == ("ScheduledStationClassCodeSequence[0].EquivalentCodeSequence")


# Structure


@pytest.mark.parametrize(
    ("obj", "element", "rule"),
    [
        ({"PatientName": NAME}, "", "eight hex digits"),
        ({"SECRET": NAME}, "", "eight hex digits"),
        ({"0010001": NAME}, "", "eight hex digits"),
        ({"0010001G": NAME}, "", "eight hex digits"),
        ({1: NAME}, "", "eight hex digits"),
        ({"00404018": {"vr": "SQ", "Value": [{"SECRET": NAME}]}}, "ScheduledWorkitemCodeSequence[0]", "eight hex"),
        ({"00000100": {"vr": "US"}}, "CommandField", "no place"),
        ({"00000000": {"vr": "UL"}}, "CommandGroupLength", "no place"),
        ({"00020010": {"vr": "UI"}}, "TransferSyntaxUID", "no place"),
        ({"FFFEE000": {"vr": "UN"}}, "Item", "no place"),
        ({"00010010": {"vr": "LO"}}, "00010010", "may not be used"),
        ({"FFFF0010": {"vr": "LO"}}, "FFFF0010", "may not be used"),
        ({"00100010": None}, "PatientName", "object with a vr"),
        ({"00100010": "SECRET"}, "PatientName", "object with a vr"),
        ({"00100010": [NAME]}, "PatientName", "object with a vr"),
        ({"00100010": {}}, "PatientName", "must have a vr"),
        ({"00100010": {"Value": ["SECRET"]}}, "PatientName", "must have a vr"),
        ({"00100010": {"vr": "SECRET"}}, "PatientName", "must have a vr"),
        ({"00100010": {"vr": ["PN"]}}, "PatientName", "must have a vr"),
        ({"00100010": {"vr": "pn"}}, "PatientName", "must have a vr"),
        ({"00100010": {"vr": "LO", "Value": ["SECRET"]}}, "PatientName", "the vr must be PN"),
        ({"00741000": {"vr": "US", "Value": [1]}}, "ProcedureStepState", "the vr must be CS"),
        ({"00280106": {"vr": "UL"}}, "SmallestImagePixelValue", "the vr must be US or SS"),
        ({"00100010": {"vr": "UN", "InlineBinary": "QQ=="}}, "PatientName", "the vr must be PN"),
        ({"0074100A": {"vr": "LO"}}, "ContactURI", "the vr must be UR"),
        ({"00100010": {"vr": "PN", "value": ["SECRET"]}}, "PatientName", "has a member other"),
        ({"00100010": NAME | {"SECRET": 1}}, "PatientName", "has a member other"),
        ({"00100020": {"vr": "LO", "Value": ["a"], "BulkDataURI": "b"}}, "PatientID", "at most one"),
        ({"00100020": {"vr": "LO", "Value": "SECRET"}}, "PatientID", "must be an array"),
        ({"00100020": {"vr": "LO", "Value": None}}, "PatientID", "must be an array"),
        ({"00100020": {"vr": "LO", "Value": {"0": "SECRET"}}}, "PatientID", "must be an array"),
        ({"00100020": {"vr": "LO", "Value": ["SECRET", "b"]}}, "PatientID", "no more than 1 value"),
        ({"00200037": {"vr": "DS", "Value": [0] * 7}}, "ImageOrientationPatient", "no more than 6 values"),
        ({"00404018": {"vr": "SQ", "Value": {}}}, "ScheduledWorkitemCodeSequence", "must be an array"),
        ({"00404018": {"vr": "SQ", "Value": [None, {}]}}, "ScheduledWorkitemCodeSequence[0]", "an object"),
        ({"00404018": {"vr": "SQ", "Value": ["SECRET"]}}, "ScheduledWorkitemCodeSequence[0]", "an object"),
        ({"00404018": {"vr": "SQ", "Value": [{}, [{}]]}}, "ScheduledWorkitemCodeSequence[1]", "an object"),
        ({"00080005": {"vr": "CS", "Value": ["SECRET"]}}, "SpecificCharacterSet", "character set"),
        ({"00080005": {"vr": "CS", "Value": ["UTF-8"]}}, "SpecificCharacterSet", "A to Z"),
        ({"00080201": {"vr": "SH", "Value": ["SECRET"]}}, "TimezoneOffsetFromUTC", "&ZZXX"),
        ({"00081195": {"vr": "UI", "Value": [5]}}, "TransactionUID", "must be a string"),
        ({"00081195": {"vr": "UI", "Value": ["1.2", "1.3"]}}, "TransactionUID", "no more than 1"),
        (
            {"00404018": {"vr": "SQ", "Value": [{"00081195": {"vr": "UI"}}]}},
            "ScheduledWorkitemCodeSequence[0].TransactionUID",
            "a credential",
        ),
        (
            {"00404018": {"vr": "SQ", "Value": [CODE, CODE | {"00080100": {"vr": "SH", "Value": ["x" * 17]}}]}},
            "ScheduledWorkitemCodeSequence[1].CodeValue",
            "longer than 16",
        ),
    ],
)  # fmt: skip
def test_a_bad_structure_is_refused_by_the_path_of_its_element(obj, element, rule):
    refusal = refused(obj)
    assert refusal.element == element
    assert rule in refusal.detail


@pytest.mark.parametrize("vr", ["ST", "UT", "UR"])
def test_the_vr_of_an_older_edition_becomes_todays(vr):
    sent = {"0074100A": {"vr": vr, "Value": ["tel:+49-1"]}}
    assert normalise(sent) == {"0074100A": {"vr": "UR", "Value": ["tel:+49-1"]}}
    assert refused({"0074100A": {"vr": vr, "Value": ["not a uri"]}}).element == "ContactURI"


@pytest.mark.parametrize(("vr", "value"), [("US", 65535), ("SS", -1)])
def test_a_tag_of_two_vrs_keeps_the_one_sent(vr, value):
    sent = {"00280106": {"vr": vr, "Value": [value]}}
    assert normalise(sent) == sent


def test_an_unknown_standard_tag_keeps_its_vr():
    sent = {"00101FFE": {"vr": "LO", "Value": ["a", "b"]}}
    assert normalise(sent) == sent


def test_a_tag_that_the_dictionary_has_as_a_pattern_is_known():
    assert normalise({"60020010": {"vr": "US", "Value": [1]}})
    assert refused({"60020010": {"vr": "LO"}}).detail == "60020010: the vr must be US"


def test_the_normal_form_is_upper_case_ascending_and_without_group_lengths():
    sent = {
        "00741204": {"vr": "LO", "Value": [" label "]},
        "0040a370": {"vr": "SQ", "Value": []},
        "00100000": {"vr": "UL", "Value": [5]},
        "00090000": {"vr": "UL", "Value": [5]},
        "00080005": {"vr": "CS", "Value": ["ISO 2022 IR 6", "ISO 2022 IR 87"]},
    }
    before = copy.deepcopy(sent)
    result = normalise(sent)
    assert list(result.items()) == [
        ("00080005", {"vr": "CS", "Value": ["ISO_IR 192"]}),
        ("0040A370", {"vr": "SQ"}),
        ("00741204", {"vr": "LO", "Value": ["label"]}),
    ]
    assert sent == before


@pytest.mark.parametrize("sent", [{"vr": "CS"}, {"vr": "CS", "Value": [None, "ISO 2022 IR 87"]}])
def test_the_character_set_is_always_unicode(sent):
    assert normalise({"00080005": sent})["00080005"]["Value"] == ["ISO_IR 192"]


@pytest.mark.parametrize(
    ("sent", "stored"), [("-0500", ["-0500"]), ("+1400 ", ["+1400"]), (" ", None)]
)
def test_the_timezone_offset_is_an_offset(sent, stored):
    attribute = normalise({"00080201": {"vr": "SH", "Value": [sent]}})["00080201"]
    assert attribute.get("Value") == stored


def test_an_empty_item_stays_an_item():
    sent = {"00404025": {"vr": "SQ", "Value": [{}, CODE, {}]}}
    assert normalise(sent) == sent


def test_what_is_returned_shares_nothing_with_what_was_given():
    sent = {"00404025": {"vr": "SQ", "Value": [{"00100010": copy.deepcopy(NAME)}]}}
    result = normalise(sent)
    sent["00404025"]["Value"][0]["00100010"]["Value"][0]["Alphabetic"] = "changed"
    assert result["00404025"]["Value"][0]["00100010"] == NAME


# Private elements


def test_a_private_element_is_kept_with_its_creator():
    sent = {
        "00090010": {"vr": "LO", "Value": ["ACME "]},
        "00091001": {"vr": "SQ", "Value": [{}]},
        "000910FF": {"vr": "UN", "InlineBinary": "QQ=="},
    }
    assert normalise(sent) == sent | {"00090010": {"vr": "LO", "Value": ["ACME"]}}


@pytest.mark.parametrize(
    "creator",
    [
        {},
        {"00090011": {"vr": "LO", "Value": ["ACME"]}},
        {"00090010": {"vr": "LO"}},
        {"00090010": {"vr": "LO", "Value": [" "]}},
        {"00090010": {"vr": "LO", "Value": [5]}},
        {"00090010": {"vr": "LO", "Value": "ACME"}},
        {"00090010": "ACME"},
    ],
)
def test_a_private_element_without_its_creator_is_refused(creator):
    refusal = refused(creator | {"00091001": {"vr": "LO", "Value": ["SECRET"]}})
    assert refusal.element in ("00091001", "00090010")


def test_the_creator_must_be_in_the_same_item():
    ds = {
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00404025": {"vr": "SQ", "Value": [{"00091001": {"vr": "LO"}}]},
    }
    assert refused(ds).element == "ScheduledStationNameCodeSequence[0].00091001"


@pytest.mark.parametrize("tag", ["00090001", "0009000F", "00090100", "00090FFF"])
def test_a_private_element_outside_any_block_is_refused(tag):
    ds = {"00090010": {"vr": "LO", "Value": ["ACME"]}, tag: {"vr": "LO"}}
    assert refused(ds).element == tag


def test_the_counts_of_the_contract_are_a_private_block_in_the_progress_item():
    counts = {f"0075102{n}": {"vr": "UL", "Value": [n]} for n in range(4)}
    item = {"00750010": {"vr": "LO", "Value": ["UPSRS"]}} | counts
    sent = {"00741002": {"vr": "SQ", "Value": [item]}}
    assert normalise(sent) == sent
    for bad in ({"vr": "LO", "Value": ["1"]}, {"vr": "UL", "Value": [1, 2]}):
        ds = {"00741002": {"vr": "SQ", "Value": [item | {"00751021": bad}]}}
        assert refused(ds).element == "ProcedureStepProgressInformationSequence[0].00751021"


# The Transaction UID


@pytest.mark.parametrize(
    ("attribute", "uid"),
    [
        (None, None),
        ({"vr": "UI"}, None),
        ({"vr": "UI", "Value": [""]}, None),
        ({"vr": "UI", "Value": ["1.2.3"]}, "1.2.3"),
        ({"vr": "UI", "Value": ["1.2.3\0"]}, "1.2.3"),
        ({"vr": "UI", "Value": ["not a uid"]}, "not a uid"),
    ],
)
def test_the_transaction_uid_is_taken_out_of_the_dataset(attribute, uid):
    sent = {"00100010": NAME} | ({"00081195": attribute} if attribute else {})
    ds = normalise(sent)
    assert normalise(ds) == ds
    assert dicom_json.pop_transaction_uid(ds) == uid
    assert ds == {"00100010": NAME}


# Readers


DS = normalise(
    {
        "00404025": {
            "vr": "SQ",
            "Value": [
                CODE,
                {},
                {"00080100": {"vr": "SH"}},
                {"00080100": {"vr": "SH", "Value": ["CT2"]}},
            ],
        },
        "00101001": {"vr": "PN", "Value": [NAME["Value"][0], None]},
        "00102000": {"vr": "LO", "Value": ["a", None, "b"]},
        "00101030": {"vr": "DS", "Value": [0]},
        "00100020": {"vr": "LO"},
        "00282000": {"vr": "OB", "InlineBinary": "QQ=="},
    }
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("ScheduledStationNameCodeSequence.CodeValue", ["110001", "CT2"]),
        ("00404025.CodeMeaning", ["Image Processing"]),
        ("MedicalAlerts", ["a", "b"]),
        ("OtherPatientNames", NAME["Value"]),
        ("PatientWeight", [0]),
        ("PatientID", []),
        ("PatientName", []),
        ("ScheduledWorkitemCodeSequence.CodeValue", []),
    ],
)
def test_values_are_found_in_all_items_without_the_empty_ones(path, found):
    assert dicom_json.values(DS, path) == found
    assert dicom_json.first(DS, path, "nothing") == (found[0] if found else "nothing")


def test_first_finds_a_zero():
    assert dicom_json.first(DS, "PatientWeight") == 0
    assert dicom_json.first(DS, "PatientName") is None


def test_items_are_those_of_a_sequence():
    assert dicom_json.items(DS, "ScheduledStationNameCodeSequence")[0] == CODE
    assert len(dicom_json.items(DS, "00404025")) == 4
    assert dicom_json.items(DS, "ScheduledWorkitemCodeSequence") == []


@pytest.mark.parametrize(
    ("name", "empty"),
    [
        ("PatientName", True),
        ("PatientID", True),
        ("00100020", True),
        ("MedicalAlerts", False),
        ("PatientWeight", False),
        ("ICCProfile", False),
        ("00404025", False),
    ],
)
def test_absent_and_valueless_are_empty(name, empty):
    assert dicom_json.is_empty(DS, name) is empty


@pytest.mark.parametrize(
    "name", ["", "Nonsense", "patientName", "0010001", "0010001G", "0010,0010"]
)
def test_an_unknown_name_is_a_key_error(name):
    for lookup in (
        dicom_json.tag_of,
        lambda name: dicom_json.values(DS, name),
        lambda name: dicom_json.make(name, "x"),
    ):
        with pytest.raises(KeyError):
            lookup(name)


def test_names_are_keywords_or_tags():
    assert dicom_json.tag_of("ReferencedRequestSequence") == "0040A370"
    assert dicom_json.tag_of("0040a370") == "0040A370"
    assert dicom_json.keyword_of("0040a370") == "ReferencedRequestSequence"
    assert dicom_json.keyword_of("00091001") == "00091001"
    with pytest.raises(KeyError):
        dicom_json.make("00091001", "x")


@pytest.mark.parametrize(
    ("made", "attribute"),
    [
        (("PatientID", "1"), {"vr": "LO", "Value": ["1"]}),
        (("PatientID",), {"vr": "LO"}),
        (("PatientID", None), {"vr": "LO"}),
        (("PatientID", ""), {"vr": "LO"}),
        (("00100010", "Doe^Jane"), {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}),
        (("PatientName", NAME["Value"][0]), NAME),
        (("MedicalAlerts", "a", "b"), {"vr": "LO", "Value": ["a", "b"]}),
        (("PatientWeight", 0), {"vr": "DS", "Value": [0]}),
        (("ScheduledWorkitemCodeSequence", CODE), {"vr": "SQ", "Value": [CODE]}),
        (("SmallestImagePixelValue", 1), {"vr": "US", "Value": [1]}),
        (("ICCProfile", b"A"), {"vr": "OB", "InlineBinary": "QQ=="}),
    ],
)
def test_make_gives_the_attribute_with_the_vr_of_the_dictionary(made, attribute):
    result = dicom_json.make(*made)
    assert result == attribute
    assert normalise({dicom_json.tag_of(made[0]): result}) == {
        dicom_json.tag_of(made[0]): attribute
    }


# Date-times


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "offset", "instant"),
    [
        ("2026", None, "2025-12-31T23:00:00+00:00"),
        ("202607", None, "2026-06-30T22:00:00+00:00"),
        ("20260705", None, "2026-07-04T22:00:00+00:00"),
        ("2026070508", None, "2026-07-05T06:00:00+00:00"),
        ("202607050830", None, "2026-07-05T06:30:00+00:00"),
        ("20260705083015", None, "2026-07-05T06:30:15+00:00"),
        ("20260705083015.5", None, "2026-07-05T06:30:15.500000+00:00"),
        ("20260705083015.000001", None, "2026-07-05T06:30:15.000001+00:00"),
        ("20260705083015", "-0500", "2026-07-05T13:30:15+00:00"),
        ("20260705083015", "", "2026-07-05T06:30:15+00:00"),
        ("20260705083015+1400", "-0500", "2026-07-04T18:30:15+00:00"),
        ("2026-1200", "-0500", "2026-01-01T12:00:00+00:00"),
        ("20161231235960+0000", None, "2016-12-31T23:59:59+00:00"),
        ("20260329023000", None, "2026-03-29T01:30:00+00:00"),  # skipped: as if the clock went on
        ("20261025023000", None, "2026-10-25T00:30:00+00:00"),  # twice: the first
        ("0001+1400", None, "0001-01-01T00:00:00+00:00"),
        ("99991231235959-1200", None, "9999-12-31T23:59:59+00:00"),
    ],
)
def test_a_dt_is_its_first_instant_in_utc(value, offset, instant):
    result = dicom_json.dt_instant(value, BERLIN, offset)
    assert result.isoformat() == instant
    assert result.tzinfo is UTC


@pytest.mark.parametrize(("value", "offset"), [("SECRET", None), ("2026", "x"), ("", None)])
def test_what_is_no_dt_is_a_value_error_that_does_not_echo(value, offset):
    with pytest.raises(ValueError, match="must be") as error:
        dicom_json.dt_instant(value, UTC, offset)
    assert "SECRET" not in str(error.value)


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001
    st.integers(-12 * 60, 14 * 60),
)
def test_a_full_dt_with_offset_tells_the_instant_that_was_written(naive, minutes):
    at = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    text = f"{at.year:04}{at:%m%d%H%M%S}.{at.microsecond:06}{sign}{hours:02}{rest:02}"
    assert dicom_json.dt_instant(text, BERLIN) == at
    assert normalise({"00404005": {"vr": "DT", "Value": [text]}})["00404005"]["Value"] == [text]


# Idempotence, and that nothing but a refusal comes of any JSON


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["vr", "Value", "InlineBinary", "00100010", "00404018", "00091001", "x"]),
        inner | st.sampled_from(["PN", "SQ", "LO", "UN", "DS"]),
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_any_json_is_normalised_or_refused(obj):
    try:
        result = normalise(obj)
    except InvalidDataset:
        return
    assert normalise(result) == result
    assert json.loads(json.dumps(result)) == result


@given(st.binary(max_size=200) | JSON.map(lambda obj: json.dumps(obj).encode()))
def test_any_body_is_parsed_or_refused(sent):
    try:
        result = parse(sent)
    except InvalidDataset:
        return
    assert parse(json.dumps(result).encode()) == result
