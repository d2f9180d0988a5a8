"""Through pydicom and back: what a dataset says stays the same, for every VR."""

from __future__ import annotations

import base64
import io
import json

import pydicom
import pytest
from hypothesis import given, strategies as st

from upsrs.dicom import vrs
from upsrs.dicom.dataset import from_pydicom, normalise, parse, to_pydicom
from upsrs.errors import InvalidDataset

TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\\="), max_size=16
)
LINES = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\r\n\t\f"))
DATES = st.dates().map(lambda date: f"{date.year:04}{date:%m%d}")
TIMES = st.times().map(lambda time: f"{time:%H%M%S}.{time.microsecond:06}") | st.just("08")
GROUP = TEXT.filter(lambda text: text.strip(" ^"))


def integers(bits, signed):
    return (
        st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if signed
        else st.integers(0, 2**bits - 1)
    )


def decimals():
    return st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6).map(lambda f: round(f, 3))


def or_string(numbers):
    return numbers | numbers.map(str)


VALUES = {
    "AE": st.from_regex(r"[!-\[\]-~]{1,16}", fullmatch=True),
    "AS": st.from_regex(r"[0-9]{3}[DWMY]", fullmatch=True),
    "AT": integers(32, signed=False).map(lambda tag: f"{tag:08X}"),
    "CS": st.from_regex(r"[A-Z0-9_]{1,16}", fullmatch=True),
    "DA": DATES,
    "DS": or_string(decimals()),
    "DT": st.builds("{}{}{}".format, DATES, TIMES, st.sampled_from(["", "+0100", "-0930"])),
    "FD": st.floats(allow_nan=False, allow_infinity=False),
    "FL": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "IS": or_string(integers(32, signed=True)),
    "LO": TEXT,
    "LT": LINES,
    "PN": st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), GROUP),
    "SH": TEXT,
    "SL": integers(32, signed=True),
    "SS": integers(16, signed=True),
    "ST": LINES,
    "SV": or_string(integers(64, signed=True)),
    "TM": TIMES,
    "UC": TEXT,
    "UI": st.uuids().map(lambda uuid: f"2.25.{uuid.int}"),
    "UL": integers(32, signed=False),
    "UR": st.from_regex(r"https://[a-z]{1,9}/[a-z0-9%?&=~._-]{0,30}", fullmatch=True),
    "US": integers(16, signed=False),
    "UT": LINES,
    "UV": or_string(integers(64, signed=False)),
}


def attributes(inner):
    def one(vr):
        if vr == "SQ":
            return st.lists(inner, max_size=3).map(lambda found: {"vr": vr, "Value": found})
        if vr in vrs.BINARY:
            return st.binary(max_size=4).map(
                lambda found: {
                    "vr": vr,
                    "InlineBinary": base64.b64encode(found * vrs.BINARY[vr]).decode(),
                }
            )
        nullable = vr not in vrs.NEVER_NULL | vrs.SINGLE
        value = VALUES[vr] | st.none() if nullable else VALUES[vr]
        size = 1 if vr in vrs.SINGLE else 3
        return st.lists(value, max_size=size).map(lambda found: {"vr": vr, "Value": found})

    return st.sampled_from(sorted(vrs.KNOWN)).flatmap(one)


# Tags of an even group that the dictionary does not know keep the VR that they are given.
TAGS = st.integers(0x00101F00, 0x00101FFF).map(lambda tag: f"{tag:08X}")
DATASETS = st.recursive(
    st.just({}), lambda inner: st.dictionaries(TAGS, attributes(inner), max_size=6), max_leaves=10
)


def as_numbers(ds):
    """``ds`` with numbers in place of strings of digits: the one thing that pydicom forgets."""

    def value(vr, one):
        if vr == "SQ":
            return as_numbers(one)
        if vr in ("DS", "IS", "SV", "UV") and one is not None:
            return float(one) if vr == "DS" else int(one)
        return one

    return {
        tag: attribute | {"Value": [value(attribute["vr"], one) for one in attribute["Value"]]}
        if "Value" in attribute
        else attribute
        for tag, attribute in ds.items()
    }


def test_every_vr_is_walked():
    assert set(VALUES) == set(vrs.CHECKS)


@given(DATASETS)
def test_normalising_twice_is_normalising_once(sent):
    ds = normalise(sent)
    assert normalise(ds) == ds
    assert list(ds) == sorted(ds)


@given(DATASETS)
def test_json_to_pydicom_and_back_is_the_same(sent):
    ds = normalise(sent)
    assert as_numbers(from_pydicom(to_pydicom(ds))) == as_numbers(ds)


@given(DATASETS)
def test_json_text_and_back_is_the_same(sent):
    ds = normalise(sent)
    assert parse(json.dumps([ds]).encode()) == ds
    assert parse(json.dumps(ds, ensure_ascii=False).encode()) == ds


def test_a_workitem_survives_a_dicom_file():
    ds = normalise(
        {
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
            "00101001": {"vr": "PN", "Value": [{"Alphabetic": "A"}, {"Phonetic": "や"}]},
            "00102000": {"vr": "LO", "Value": ["a", None, "b"]},
            "00404005": {"vr": "DT", "Value": ["20260105080000.5+0100"]},
            "00404025": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["CT1"]}}, {}]},
            "00741004": {"vr": "DS", "Value": [12.5]},
        }
    )  # fmt: skip
    file = io.BytesIO()
    to_pydicom(ds).save_as(file, implicit_vr=False, little_endian=True)
    file.seek(0)
    assert from_pydicom(pydicom.dcmread(file, force=True)) == ds


def test_what_pydicom_reads_from_a_real_file_is_accepted():
    from pydicom.data import get_testdata_file

    read = pydicom.dcmread(get_testdata_file("CT_small.dcm"), stop_before_pixels=True)
    # PatientName and the like are as pydicom says; private blocks travel with their creators.
    ds = from_pydicom(read)
    assert ds["00100010"]["Value"] == [{"Alphabetic": str(read.PatientName)}]
    assert ds["0020000D"]["Value"] == [read.StudyInstanceUID]
    assert type(ds["0020000D"]["Value"][0]) is str
    assert as_numbers(from_pydicom(to_pydicom(ds))) == as_numbers(ds)


def test_a_value_that_pydicom_cannot_tell_is_a_refusal():
    file = io.BytesIO()
    names = {"00101001": {"vr": "PN", "Value": [{"Alphabetic": "A"}, None]}}
    to_pydicom(names).save_as(file, implicit_vr=False, little_endian=True)
    file.seek(0)
    with pytest.raises(InvalidDataset, match="pydicom"):
        from_pydicom(pydicom.dcmread(file, force=True))


def test_bulk_data_that_is_elsewhere_is_not_given_to_pydicom():
    ds = {
        "00404025": {"vr": "SQ", "Value": [{"00282000": {"vr": "OB", "BulkDataURI": "https://x"}}]}
    }
    with pytest.raises(InvalidDataset) as refusal:
        to_pydicom(normalise(ds))
    assert refusal.value.element == "ScheduledStationNameCodeSequence[0].ICCProfile"
