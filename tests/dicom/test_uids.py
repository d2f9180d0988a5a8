"""UIDs and AE titles: what is one, and what a refusal says."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, strategies as st
from pydicom.config import IGNORE
from pydicom.uid import UID

from upsrs.dicom import uids
from upsrs.errors import InvalidArgument

GOOD_UIDS = ["1.2.3", "0", "0.0", "2.25.0", "1.2.840.10008.5.1.4.34.6.1", "1." + "2" * 62]
BAD_UIDS = [
    "",
    " ",
    "abc",
    "1..2",
    ".1",
    "1.",
    "1.02",
    "01.2",
    "1.2 ",
    " 1.2",
    "1.2\n",
    "1.2\0",
    "1,2",
    "1.-2",
    "1.٣",
    "1." + "2" * 63,
    None,
    12,
    b"1.2",
]


@pytest.mark.parametrize("text", GOOD_UIDS)
def test_a_uid_is_accepted_and_returned_as_it_is(text):
    assert uids.is_uid(text)
    assert uids.check_uid(text, "workitem") == text


@pytest.mark.parametrize("text", BAD_UIDS)
def test_what_is_no_uid_is_refused_by_the_name_of_its_parameter(text):
    assert not uids.is_uid(text)
    with pytest.raises(InvalidArgument) as refusal:
        uids.check_uid(text, "transaction-uid")
    assert refusal.value.name == "transaction-uid"
    assert refusal.value.detail == "transaction-uid is not a valid UID."


@given(st.uuids())
def test_every_uuid_gives_a_valid_uid_that_tells_the_uuid(given_uuid):
    uid = uids.uid_of(given_uuid)
    assert uids.is_uid(uid)
    assert uuid.UUID(int=int(uid.removeprefix("2.25."))) == given_uuid


@given(st.text(alphabet="0123456789.", max_size=70))
def test_uids_are_what_pydicom_holds_for_valid(text):
    assert uids.is_uid(text) == UID(text, validation_mode=IGNORE).is_valid


def test_the_well_known_uids_are_those_of_the_dicom_registry():
    names = {
        uids.UPS_PUSH: "Unified Procedure Step - Push SOP Class",
        uids.UPS_WATCH: "Unified Procedure Step - Watch SOP Class",
        uids.UPS_PULL: "Unified Procedure Step - Pull SOP Class",
        uids.UPS_EVENT: "Unified Procedure Step - Event SOP Class",
        uids.UPS_QUERY: "Unified Procedure Step - Query SOP Class",
        uids.GLOBAL_SUBSCRIPTION: "UPS Global Subscription SOP Instance",
        uids.FILTERED_GLOBAL_SUBSCRIPTION: "UPS Filtered Global Subscription SOP Instance",
    }
    assert {uid: UID(uid).name for uid in names} == names


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("CT1", "CT1"),
        ("  CT 1 ", "CT 1"),
        ("a*?~!", "a*?~!"),
        ("A" * 16, "A" * 16),
        (" " * 9 + "A" * 16, "A" * 16),
    ],
)
def test_an_ae_title_loses_its_outer_spaces(text, title):
    assert uids.check_ae_title(text, "requester") == title


@pytest.mark.parametrize(
    "text", ["", "   ", "A" * 17, "A\\B", "A\tB", "A\n", "Ä", "A\x7f", "A\0", None, 7]
)
def test_what_is_no_ae_title_is_refused_by_the_name_of_its_parameter(text):
    with pytest.raises(InvalidArgument) as refusal:
        uids.check_ae_title(text, "requester")
    assert refusal.value.name == "requester"
    assert refusal.value.detail == (
        "requester is not a valid AE title: 1 to 16 ASCII characters without backslash."
    )
