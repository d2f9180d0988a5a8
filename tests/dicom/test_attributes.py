"""Table CC.2.5-3 of PS3.4, row by row: creation, update, final states, matching keys."""

from __future__ import annotations

import copy

import pytest

from upsrs import errors
from upsrs.dicom import attributes, uids
from upsrs.dicom.attributes import check_create, check_update, fill_type_2, missing_for_final
from upsrs.dicom.dataset import is_empty, items, make, normalise, tag_of
from upsrs.dicom.dictionary import entry_of
from upsrs.dicom.iod import MACROS, UPS
from upsrs.dicom.states import State

STATE = "ProcedureStepState"
PROGRESS = "ProcedureStepProgressInformationSequence"
PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"
REQUEST = "ReferencedRequestSequence"
OTHER_IDS = "OtherPatientIDsSequence"
INPUT = "InputInformationSequence"
STATION = "ScheduledStationNameCodeSequence"
PERFORMERS = "ScheduledHumanPerformersSequence"

MINIMAL = normalise(
    {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080018": {"vr": "UI", "Value": ["2.25.329800735698586629295641978511506172918"]},
        "00081080": {"vr": "LO"},
        "00081084": {"vr": "SQ"},
        "00081195": {"vr": "UI"},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        "00100020": {"vr": "LO", "Value": ["PID-1"]},
        "00100021": {"vr": "LO", "Value": ["HOSP"]},
        "00100024": {"vr": "SQ"},
        "00100030": {"vr": "DA", "Value": ["19700101"]},
        "00100040": {"vr": "CS", "Value": ["F"]},
        "00101002": {"vr": "SQ"},
        "00380010": {"vr": "LO"},
        "00380014": {"vr": "SQ"},
        "00400400": {"vr": "LT"},
        "00404005": {"vr": "DT", "Value": ["20260105080000"]},
        "00404018": {
            "vr": "SQ",
            "Value": [
                {
                    "00080100": {"vr": "SH", "Value": ["110001"]},
                    "00080102": {"vr": "SH", "Value": ["DCM"]},
                    "00080104": {"vr": "LO", "Value": ["Image Processing"]},
                }
            ],
        },
        "00404021": {"vr": "SQ"},
        "00404025": {"vr": "SQ"},
        "00404026": {"vr": "SQ"},
        "00404027": {"vr": "SQ"},
        "00404041": {"vr": "CS", "Value": ["READY"]},
        "0040A370": {"vr": "SQ"},
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00741002": {"vr": "SQ"},
        "00741200": {"vr": "CS", "Value": ["MEDIUM"]},
        "00741202": {"vr": "LO"},
        "00741204": {"vr": "LO", "Value": ["3D reconstruction"]},
        "00741210": {"vr": "SQ"},
        "00741216": {"vr": "SQ"},
    }
)
"""The smallest payload that the standard accepts; all type 2 attributes are there."""

VALUES = {
    STATE: "SCHEDULED",
    "InputReadinessState": "READY",
    "ScheduledProcedureStepPriority": "HIGH",
    "TypeOfInstances": "DICOM",
    "SOPClassUID": uids.UPS_PUSH,
    "ValueType": "TEXT",
    "SpecificCharacterSet": "ISO_IR 192",
}
BY_VR = {
    "AE": "CT1",
    "CS": "X",
    "DA": "20260101",
    "DS": 5,
    "DT": "20260101",
    "IS": 1,
    "LO": "x",
    "LT": "x",
    "PN": "Doe^Jane",
    "SH": "x",
    "ST": "x",
    "TM": "08",
    "UC": "x",
    "UI": "1.2.3",
    "UR": "https://h/",
    "US": 1,
    "UT": "x",
}


def full(rows, allowed):
    """An item with every attribute that ``allowed`` lets in, each with a value."""
    item = {}
    for row in rows:
        if not allowed(row) or row.keyword in ("LongCodeValue", "URNCodeValue"):
            continue
        if row.rows:
            item[row.tag] = make(row.keyword, full(row.rows, allowed))
        else:
            vr = entry_of(row.tag).vrs[0]
            item[row.tag] = make(row.keyword, VALUES.get(row.keyword, BY_VR[vr]))
    return normalise(item)


CREATED_EMPTY = {PROGRESS, PERFORMED}
WHOLE_CREATE = full(
    UPS, lambda row: row.keyword not in {"TransactionUID", *CREATED_EMPTY}
)  # fmt: skip
WHOLE_UPDATE = full(UPS, lambda row: row.set != "NA")
CURRENT = WHOLE_CREATE | full(UPS, lambda row: row.keyword in CREATED_EMPTY or row.set != "NA")


def walk(rows, path=()):
    """Every row below ``rows`` with the rows around it."""
    for row in rows:
        yield (*path, row)
        yield from walk(row.rows, (*path, row))


def place(path):
    *around, row = path
    return "".join(f"{outer.keyword}[0]." for outer in around) + row.keyword


def changed(ds, path, change):
    """``ds`` with the attribute at ``path`` removed, emptied or otherwise changed."""
    row, *below = path
    ds = dict(ds)
    if below:
        first, *others = ds[row.tag]["Value"]
        ds[row.tag] = make(row.keyword, changed(first, below, change), *others)
    else:
        change(ds, row)
    return ds


def remove(item, row):
    del item[row.tag]


def empty(item, row):
    item[row.tag] = make(row.keyword)


def reached(ds, path):
    return all(
        not is_empty(item, row.tag) for item, row in zip(_items_on(ds, path), path, strict=True)
    )


def _items_on(ds, path):
    for row in path:
        yield ds
        ds = next(iter(items(ds, row.tag)), {}) if row.rows else {}


ROWS = list(walk(UPS))
ON_CREATE = [path for path in ROWS if reached(WHOLE_CREATE, path)]
ON_UPDATE = [path for path in ROWS if reached(WHOLE_UPDATE, path)]
LENIENT = "HumanPerformerOrganization"


def rows_with(paths, column, *codes):
    found = [path for path in paths if getattr(path[-1], column) in codes]
    return pytest.mark.parametrize("path", found, ids=[place(path) for path in found])


def refusal_of(check, *arguments):
    with pytest.raises(errors.UPSError) as refusal:
        check(*arguments)
    return refusal.value


# The table itself


def test_every_row_has_codes_of_the_standard():
    for path in ROWS:
        row = path[-1]
        assert row.tag == tag_of(row.keyword)
        assert row.create in {"1/1", "2/1", "2/2", "3/1", "3/2", "3/3", "NA", "-/1"} | {
            "1C/1C", "1C/1", "1C/2", "2C/2C"
        }  # fmt: skip
        assert row.set in {"1/1", "2/2", "3/1", "3/2", "3/3", "NA", "-/1", "1C/1C", "1C/1"}
        assert row.final in {"R", "RC", "P", "X", "O", "-"}
        assert row.match in {"U", "R", "O", "*", "-"}
        assert row.returned in {"1", "2", "3", "1C", "2C", "-"}
        assert bool(row.rows) == (entry_of(row.tag).vrs == ("SQ",))


def test_only_some_members_of_two_sequences_are_fixed():
    """What ``check_update`` counts on: NA is found inside no other sequence that may be sent."""
    mixed = {
        path[-2].keyword
        for path in ROWS
        if len(path) > 1 and path[-1].set == "NA" and path[-2].set != "NA"
    }
    assert mixed == {OTHER_IDS}
    deeper = [path for path in ROWS if path[-1].keyword == OTHER_IDS and len(path) > 1]
    assert deeper == []


def test_the_walks_below_reach_most_of_the_table():
    assert len(ROWS) == 614
    assert len(ON_CREATE) > 300
    assert len(ON_UPDATE) > 250


# Creation


def test_the_minimal_payload_is_accepted():
    check_create(MINIMAL)
    without_uid = {tag: one for tag, one in MINIMAL.items() if tag != "00081195"}
    assert fill_type_2(without_uid) == without_uid


def test_the_whole_payload_is_accepted():
    check_create(WHOLE_CREATE)


@rows_with(ON_CREATE, "create", "1/1")
def test_a_type_1_attribute_is_needed_at_creation(path):
    missing = changed(WHOLE_CREATE, path, remove)
    valueless = changed(WHOLE_CREATE, path, empty)
    if path[-1].keyword == LENIENT:
        check_create(missing)
        check_create(valueless)
        return
    refusal = refusal_of(check_create, missing)
    assert (type(refusal), refusal.element) == (errors.MissingAttribute, place(path))
    refusal = refusal_of(check_create, valueless)
    assert (type(refusal), refusal.element) == (errors.MissingAttributeValue, place(path))


def test_the_type_1_attributes_of_the_workitem_are_the_five_of_the_standard():
    assert {row.keyword for row in UPS if row.create == "1/1"} == {
        STATE,
        "ScheduledProcedureStepPriority",
        "ProcedureStepLabel",
        "ScheduledProcedureStepStartDateTime",
        "InputReadinessState",
    }


@rows_with(ON_CREATE, "create", "2/1", "2/2", "2C/2C", "1C/2", "3/2", "3/3", "-/1")
def test_an_attribute_of_another_type_may_be_missing_or_empty_at_creation(path):
    if path[-1].tag in WHOLE_CREATE:
        check_create(changed(WHOLE_CREATE, path, empty))
    check_create(changed(WHOLE_CREATE, path, remove))


@rows_with(ON_CREATE, "create", "3/1")
def test_an_attribute_of_type_3_1_has_a_value_if_it_is_sent_at_creation(path):
    check_create(changed(WHOLE_CREATE, path, remove))
    refusal = refusal_of(check_create, changed(WHOLE_CREATE, path, empty))
    assert (type(refusal), refusal.element) == (errors.MissingAttributeValue, place(path))


@rows_with(ON_CREATE, "create", "2/1", "2/2")
def test_a_type_2_attribute_that_was_left_out_is_filled_empty(path):
    filled = fill_type_2(changed(WHOLE_CREATE, path, remove))
    assert filled == fill_type_2(changed(WHOLE_CREATE, path, empty))
    *_, (item, row) = zip(_items_on(filled, path), path, strict=True)
    assert item[row.tag] == make(row.keyword)
    assert normalise(filled) == filled
    assert list(filled) == sorted(filled)


def test_filling_adds_no_transaction_uid_and_changes_nothing_that_is_there():
    sent = {"00741204": {"vr": "LO", "Value": ["x"]}, "00091001": {"vr": "LO"}}
    before = copy.deepcopy(sent)
    filled = fill_type_2(sent)
    assert sent == before
    assert "00081195" not in filled
    assert filled.items() >= sent.items()
    assert {tag for tag in filled if tag not in sent} == {
        row.tag for row in UPS if row.create in ("2/1", "2/2") and row.keyword != "TransactionUID"
    }


@pytest.mark.parametrize("keyword", sorted(CREATED_EMPTY))
@pytest.mark.parametrize("item", [{}, {"00101FFE": {"vr": "LO"}}])
def test_progress_and_performance_are_created_empty(keyword, item):
    refusal = refusal_of(check_create, MINIMAL | {tag_of(keyword): make(keyword, item)})
    assert (type(refusal), refusal.element) == (errors.AttributeNotAllowed, keyword)


@pytest.mark.parametrize("path", [path for path in ROWS if path[-1].create == "NA"], ids=place)
def test_what_the_performer_reports_is_not_allowed_at_creation(path):
    around = path[0].keyword
    ds = MINIMAL | {tag_of(around): CURRENT[tag_of(around)]}
    refusal = refusal_of(check_create, ds)
    assert (type(refusal), refusal.element) == (errors.AttributeNotAllowed, around)


def test_a_transaction_uid_is_not_allowed_at_creation():
    refusal = refusal_of(check_create, MINIMAL | {"00081195": make("TransactionUID", "1.2.3")})
    assert (type(refusal), refusal.element) == (errors.AttributeNotAllowed, "TransactionUID")
    assert "1.2.3" not in str(refusal)


def test_a_workitem_is_created_scheduled_and_of_the_push_class():
    for state in set(State) - {State.SCHEDULED}:
        ds = MINIMAL | {"00741000": make(STATE, state.value)}
        assert type(refusal_of(check_create, ds)) is errors.NotScheduledAtCreation
    check_create(MINIMAL | {"00080016": make("SOPClassUID", uids.UPS_PUSH)})
    check_create(MINIMAL | {"00080016": make("SOPClassUID")})
    refusal = refusal_of(check_create, MINIMAL | {"00080016": make("SOPClassUID", uids.UPS_WATCH)})
    assert (type(refusal), refusal.element) == (errors.AttributeNotAllowed, "SOPClassUID")


def test_attributes_outside_the_table_are_free():
    free = {
        "00080201": make("TimezoneOffsetFromUTC", "+0100"),
        "00101030": make("PatientWeight", 70),
        "00321066": make("ReasonForVisit"),
        "00400001": make("ScheduledStationAETitle", "CT1"),
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00091001": {"vr": "LO", "Value": ["x"]},
    }
    check_create(normalise(MINIMAL | free))
    check_update(normalise(free), MINIMAL)


# Value domains


DOMAINS = {
    "ScheduledProcedureStepPriority": {"HIGH", "MEDIUM", "LOW"},
    "InputReadinessState": {"INCOMPLETE", "UNAVAILABLE", "READY"},
}


@pytest.mark.parametrize("keyword", sorted(DOMAINS))
def test_an_enumerated_value_is_one_of_its_values(keyword):
    for value in DOMAINS[keyword]:
        ds = {tag_of(keyword): make(keyword, value)}
        check_create(MINIMAL | ds)
        check_update(ds, MINIMAL)
    for check, ds in ((check_create, MINIMAL), (lambda ds: check_update(ds, MINIMAL), {})):
        refusal = refusal_of(check, ds | {tag_of(keyword): make(keyword, "STAT")})
        assert (type(refusal), refusal.element) == (errors.InvalidDataset, keyword)
        assert "STAT" not in str(refusal)


def test_an_illegal_state_at_creation_is_a_bad_value_and_not_a_bad_move():
    refusal = refusal_of(check_create, MINIMAL | {"00741000": make(STATE, "CANCELLED")})
    assert (type(refusal), refusal.element) == (errors.InvalidDataset, STATE)


SINGLE_IN_TABLE = [path for path in ROWS if path[-1].keyword in attributes.SINGLE_ITEM]


def test_every_single_item_rule_is_about_a_row_of_the_table():
    assert {path[-1].keyword for path in SINGLE_IN_TABLE} == attributes.SINGLE_ITEM


def double(item, row):
    item[row.tag] = make(row.keyword, *item[row.tag]["Value"] * 2)


@pytest.mark.parametrize("path", [path for path in ON_CREATE if path in SINGLE_IN_TABLE], ids=place)
def test_a_sequence_of_one_item_has_no_two_at_creation(path):
    refusal = refusal_of(check_create, changed(WHOLE_CREATE, path, double))
    assert (type(refusal), refusal.element) == (errors.InvalidDataset, place(path))


@pytest.mark.parametrize("path", [path for path in ON_UPDATE if path in SINGLE_IN_TABLE], ids=place)
def test_a_sequence_of_one_item_has_no_two_in_an_update(path):
    refusal = refusal_of(check_update, changed(WHOLE_UPDATE, path, double), CURRENT)
    assert (type(refusal), refusal.element) == (errors.InvalidDataset, place(path))


@pytest.mark.parametrize("percent", [0, 100, 12.5, "0", "100.0", "1e1"])
def test_progress_is_a_percentage(percent):
    item = {"00741004": make("ProcedureStepProgress", percent)}
    check_update({"00741002": make(PROGRESS, item)}, MINIMAL)


@pytest.mark.parametrize("percent", [-1, 100.1, "101", "-0.1", "1e3"])
def test_progress_is_no_other_number(percent):
    item = {"00741004": make("ProcedureStepProgress", percent)}
    refusal = refusal_of(check_update, {"00741002": make(PROGRESS, item)}, MINIMAL)
    assert refusal.element == f"{PROGRESS}[0].ProcedureStepProgress"


# Conditions


def code(**members):
    return {tag_of(keyword): make(keyword, value) for keyword, value in members.items()}


GOOD_CODES = [
    code(CodeValue="1", CodingSchemeDesignator="DCM", CodeMeaning="x"),
    code(CodeValue="1", CodingSchemeDesignator="DCM", CodingSchemeVersion="2", CodeMeaning="x"),
    code(LongCodeValue="1" * 20, CodingSchemeDesignator="DCM", CodeMeaning="x"),
    code(URNCodeValue="urn:oid:1.2", CodeMeaning="x"),
    code(URNCodeValue="urn:oid:1.2", CodeValue=None, CodeMeaning="x"),
]
BAD_CODES = [
    (code(CodingSchemeDesignator="DCM", CodeMeaning="x"), errors.MissingAttribute, "CodeValue"),
    (code(CodeValue=None, CodeMeaning="x"), errors.MissingAttribute, "CodeValue"),
    (code(CodeValue="1", CodeMeaning="x"), errors.MissingAttribute, "CodingSchemeDesignator"),
    (
        code(CodeValue="1", CodingSchemeDesignator=None, CodeMeaning="x"),
        errors.MissingAttributeValue,
        "CodingSchemeDesignator",
    ),
    (code(LongCodeValue="1", CodeMeaning="x"), errors.MissingAttribute, "CodingSchemeDesignator"),
    (
        code(URNCodeValue="urn:x", CodingSchemeVersion="1", CodeMeaning="x"),
        errors.MissingAttribute,
        "CodingSchemeDesignator",
    ),
    (
        code(CodeValue="1", LongCodeValue="1", CodingSchemeDesignator="D", CodeMeaning="x"),
        errors.AttributeNotAllowed,
        "LongCodeValue",
    ),
    (
        code(CodeValue="1", URNCodeValue="urn:x", CodingSchemeDesignator="D", CodeMeaning="x"),
        errors.AttributeNotAllowed,
        "URNCodeValue",
    ),
    (code(CodeValue="1", CodingSchemeDesignator="D"), errors.MissingAttribute, "CodeMeaning"),
]


@pytest.mark.parametrize("item", GOOD_CODES)
def test_a_code_has_one_value_a_scheme_and_a_meaning(item):
    check_create(MINIMAL | {tag_of(STATION): make(STATION, item)})
    check_update({tag_of(STATION): make(STATION, item)}, MINIMAL)


@pytest.mark.parametrize(("item", "kind", "keyword"), BAD_CODES)
def test_a_code_that_is_none_is_refused(item, kind, keyword):
    good = GOOD_CODES[0]
    sent = {tag_of(STATION): make(STATION, good, item)}
    for refusal in (
        refusal_of(check_create, MINIMAL | sent),
        refusal_of(check_update, sent, MINIMAL),
    ):
        assert (type(refusal), refusal.element) == (kind, f"{STATION}[1].{keyword}")


CONTENT = {
    "DATETIME": ["DateTime"],
    "DATE": ["Date"],
    "TIME": ["Time"],
    "PNAME": ["PersonName"],
    "UIDREF": ["UID"],
    "TEXT": ["TextValue"],
    "CODE": ["ConceptCodeSequence"],
    "NUMERIC": ["NumericValue", "MeasurementUnitsCodeSequence"],
    "IMAGE": [],
}


@pytest.mark.parametrize("value_type", CONTENT)
def test_a_content_item_has_the_value_of_its_type(value_type):
    keyword = "ScheduledProcessingParametersSequence"
    whole = full(MACROS["ContentItem"], lambda row: True) | code(ValueType=value_type)
    needed = CONTENT[value_type]
    bare = {
        tag: one
        for tag, one in whole.items()
        if tag in map(tag_of, ["ValueType", "ConceptNameCodeSequence", *needed])
    }
    check_create(MINIMAL | {tag_of(keyword): make(keyword, bare)})
    for name in needed:
        item = {tag: one for tag, one in bare.items() if tag != tag_of(name)}
        refusal = refusal_of(check_create, MINIMAL | {tag_of(keyword): make(keyword, item)})
        assert refusal.element == f"{keyword}[0].{name}"


RETRIEVAL = ["DICOM", "DICOMMedia", "WADO", "XDS", "WADORS"]


def input_without(*keywords, kind="DICOM"):
    whole = full(MACROS["ReferencedInstances"], lambda row: True)
    item = {tag: one for tag, one in whole.items() if tag not in map(tag_of, keywords)}
    return MINIMAL | {tag_of(INPUT): make(INPUT, item | code(TypeOfInstances=kind))}


@pytest.mark.parametrize("way", RETRIEVAL)
def test_one_way_to_get_the_instances_is_enough_and_none_is_refused(way):
    others = [f"{other}RetrievalSequence" for other in RETRIEVAL if other != way]
    check_create(input_without(*others))
    refusal = refusal_of(check_create, input_without(*others, f"{way}RetrievalSequence"))
    assert (type(refusal), refusal.element) == (
        errors.MissingAttribute,
        f"{INPUT}[0].DICOMRetrievalSequence",
    )


def test_instances_are_dicom_or_cda_and_cda_has_an_identifier():
    ds = input_without(kind="CDA")
    check_create(ds)
    del ds[tag_of(INPUT)]["Value"][0]["00081199"]["Value"][0]["0040E001"]
    refusal = refusal_of(check_create, ds)
    assert refusal.element == f"{INPUT}[0].ReferencedSOPSequence[0].HL7InstanceIdentifier"
    check_create(ds | {tag_of(INPUT): make(INPUT)})
    refusal = refusal_of(check_create, input_without(kind="PDF"))
    assert refusal.element == f"{INPUT}[0].TypeOfInstances"


@pytest.mark.parametrize("way", ["DICOMStorage", "STOWRSStorage", "XDSStorage"])
def test_one_way_to_store_is_enough_and_none_is_refused(way):
    keyword = "OutputDestinationSequence"
    whole = full(MACROS["Storage"], lambda row: True)
    item = {tag_of(f"{way}Sequence"): whole[tag_of(f"{way}Sequence")]}
    check_create(MINIMAL | {tag_of(keyword): make(keyword, item)})
    refusal = refusal_of(check_create, MINIMAL | {tag_of(keyword): make(keyword, {})})
    assert refusal.element == f"{keyword}[0].DICOMStorageSequence"


def test_an_issuer_has_a_local_or_a_universal_id_and_the_type_of_that():
    keyword = "IssuerOfAdmissionIDSequence"

    def sent(**members):
        return MINIMAL | {tag_of(keyword): make(keyword, code(**members))}

    check_create(sent(LocalNamespaceEntityID="x"))
    check_create(sent(UniversalEntityID="1.2", UniversalEntityIDType="ISO"))
    refusal = refusal_of(check_create, sent(UniversalEntityIDType="ISO"))
    assert refusal.element == f"{keyword}[0].LocalNamespaceEntityID"
    refusal = refusal_of(check_create, sent(UniversalEntityID="1.2"))
    assert refusal.element == f"{keyword}[0].UniversalEntityIDType"


def test_a_universal_id_in_the_qualifiers_has_a_type():
    keyword = "IssuerOfPatientIDQualifiersSequence"
    ds = MINIMAL | {tag_of(keyword): make(keyword, {})}
    check_create(ds)
    ds[tag_of(keyword)] = make(keyword, code(UniversalEntityID="1.2"))
    assert refusal_of(check_create, ds).element == f"{keyword}[0].UniversalEntityIDType"


# Update


def test_every_attribute_that_may_be_set_can_be_set():
    check_update(WHOLE_UPDATE, CURRENT)
    check_update({}, CURRENT)


def test_what_may_not_be_set_at_all():
    assert {row.keyword for row in UPS if row.set == "NA"} == {
        "TransactionUID",
        "SOPClassUID",
        "SOPInstanceUID",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
        "PatientBirthDate",
        "PatientSex",
        "AdmissionID",
        "IssuerOfAdmissionIDSequence",
        "AdmittingDiagnosesDescription",
        "AdmittingDiagnosesCodeSequence",
        REQUEST,
        "ReplacedProcedureStepSequence",
        STATE,
    }


NOT_SET = [row for row in UPS if row.set == "NA" and row.keyword not in (STATE, "TransactionUID")]


@pytest.mark.parametrize("row", NOT_SET, ids=lambda row: row.keyword)
def test_what_may_not_be_set_may_be_repeated_and_not_changed(row):
    same = {row.tag: CURRENT[row.tag]}
    check_update(same, CURRENT)
    check_update({row.tag: make(row.keyword)}, {})  # empty, as it is
    if row.rows:
        inner = copy.deepcopy(CURRENT[row.tag]["Value"][0])
        fixed = next(one for one in row.rows if one.tag in inner)
        inner[fixed.tag] = make(fixed.keyword)
        different = make(row.keyword, inner)
        more = make(row.keyword, *CURRENT[row.tag]["Value"] * 2)
    else:
        different = make(row.keyword, "19991231" if row.keyword.endswith("Date") else "9")
        more = different
    for sent in (different, more, make(row.keyword)):
        refusal = refusal_of(check_update, {row.tag: sent}, CURRENT)
        assert type(refusal) is errors.AttributeNotAllowed
        assert refusal.element.startswith(row.keyword)
    refusal = refusal_of(check_update, same, {})
    assert type(refusal) is errors.AttributeNotAllowed


@pytest.mark.parametrize("keyword", [STATE, "TransactionUID"])
def test_state_and_credential_may_not_even_be_repeated(keyword):
    for sent in (make(keyword), make(keyword, VALUES.get(keyword, "1.2.3"))):
        refusal = refusal_of(check_update, {tag_of(keyword): sent}, {tag_of(keyword): sent})
        assert (type(refusal), refusal.element) == (errors.AttributeNotAllowed, keyword)


IN_REQUEST = [path for path in ROWS if path[0].keyword == REQUEST and len(path) == 2]


@pytest.mark.parametrize("path", IN_REQUEST, ids=place)
def test_of_a_request_only_the_members_of_type_3_may_be_changed(path):
    tag = tag_of(REQUEST)
    gone = changed({tag: CURRENT[tag]}, path, remove)
    if path[-1].set == "NA":
        refusal = refusal_of(check_update, gone, CURRENT)
        assert (type(refusal), refusal.element) == (errors.AttributeNotAllowed, place(path))
        check_update(gone, {tag: gone[tag]})
    else:
        check_update(gone, CURRENT)
        check_update({tag: CURRENT[tag]}, gone)


def test_an_issuer_among_the_other_patient_ids_may_move_and_not_be_set():
    tag, issuer = tag_of(OTHER_IDS), tag_of("IssuerOfPatientID")
    one = code(PatientID="1", IssuerOfPatientID="A")
    two = code(PatientID="2", IssuerOfPatientID="B")
    current = {tag: make(OTHER_IDS, one, two)}
    check_update({tag: make(OTHER_IDS, two)}, current)
    check_update({tag: make(OTHER_IDS, two, code(PatientID="3"), one)}, current)
    check_update({tag: make(OTHER_IDS)}, current)
    refusal = refusal_of(
        check_update, {tag: make(OTHER_IDS, one, two | {issuer: make(issuer, "C")})}, current
    )
    assert refusal.element == f"{OTHER_IDS}[1].IssuerOfPatientID"


@rows_with(ON_UPDATE, "set", "1/1")
def test_a_type_1_attribute_of_an_item_is_needed_in_an_update(path):
    missing = changed(WHOLE_UPDATE, path, remove)
    valueless = changed(WHOLE_UPDATE, path, empty)
    if path[-1].keyword == LENIENT:
        check_update(missing, CURRENT)
        check_update(valueless, CURRENT)
        return
    refusal = refusal_of(check_update, missing, CURRENT)
    assert (type(refusal), refusal.element) == (errors.MissingAttribute, place(path))
    refusal = refusal_of(check_update, valueless, CURRENT)
    assert (type(refusal), refusal.element) == (errors.MissingAttributeValue, place(path))


@rows_with(ON_UPDATE, "set", "3/1")
def test_an_attribute_of_type_3_1_may_be_left_out_of_an_update_and_not_be_emptied(path):
    check_update(changed(WHOLE_UPDATE, path, remove), CURRENT)
    refusal = refusal_of(check_update, changed(WHOLE_UPDATE, path, empty), CURRENT)
    assert (type(refusal), refusal.element) == (errors.MissingAttributeValue, place(path))


@rows_with(ON_UPDATE, "set", "2/2", "3/2", "3/3", "-/1")
def test_an_attribute_of_another_type_may_be_left_out_and_emptied(path):
    check_update(changed(WHOLE_UPDATE, path, remove), CURRENT)
    check_update(changed(WHOLE_UPDATE, path, empty), CURRENT)


def test_the_counts_of_the_contract_may_be_set():
    item = {"00741004": make("ProcedureStepProgress", 50)}
    item |= {"00750010": {"vr": "LO", "Value": ["UPSRS"]}}
    item |= {f"0075102{n}": {"vr": "UL", "Value": [n]} for n in range(4)}
    check_update(normalise({"00741002": make(PROGRESS, item)}), CURRENT)


# Final states


DONE = fill_type_2(CURRENT | {"00404010": CURRENT["00404010"]})
BLOCKS = {State.COMPLETED: ("R", "P"), State.CANCELED: ("R", "X")}


def final_rows(state):
    return [path for path in ROWS if path[-1].final in BLOCKS[state]]


def test_the_attributes_of_final_states_are_those_of_the_standard():
    always = {
        "SOPClassUID",
        "SOPInstanceUID",
        "ScheduledProcedureStepPriority",
        "ScheduledProcedureStepModificationDateTime",
        "ScheduledProcedureStepStartDateTime",
        "InputReadinessState",
        STATE,
    }
    assert {place(path) for path in final_rows(State.COMPLETED)} == always | {
        PERFORMED,
        f"{PERFORMED}[0].PerformedStationNameCodeSequence",
        f"{PERFORMED}[0].PerformedProcedureStepStartDateTime",
        f"{PERFORMED}[0].PerformedWorkitemCodeSequence",
        f"{PERFORMED}[0].PerformedProcedureStepEndDateTime",
        f"{PERFORMED}[0].OutputInformationSequence",
    }
    assert {place(path) for path in final_rows(State.CANCELED)} == always | {
        PROGRESS,
        f"{PROGRESS}[0].ProcedureStepCancellationDateTime",
        f"{PROGRESS}[0].ProcedureStepDiscontinuationReasonCodeSequence",
    }


@pytest.mark.parametrize("state", sorted(BLOCKS))
def test_a_workitem_that_has_them_all_is_ready(state):
    assert missing_for_final(DONE, state) == ()


@pytest.mark.parametrize(
    ("state", "path"),
    [(state, path) for state in sorted(BLOCKS) for path in ROWS if reached(DONE, path)],
    ids=lambda found: place(found) if isinstance(found, tuple) else found,
)
def test_each_attribute_blocks_the_final_states_that_its_code_names(state, path):
    around = [row.final in BLOCKS[state] for row in path]
    blocks = all(around)
    name = place(path)
    for change in (remove, empty):
        missing = missing_for_final(changed(DONE, path, change), state)
        if change is empty and path[-1].keyword == "OutputInformationSequence":
            assert missing == ()  # no relevant output
        elif blocks:
            assert missing[0] == name
            assert all(one.startswith(name) for one in missing)
        else:
            assert missing == ()


def test_all_that_is_missing_is_told_at_once():
    assert missing_for_final(MINIMAL, State.COMPLETED) == (
        "SOPClassUID",
        "ScheduledProcedureStepModificationDateTime",
        PERFORMED,
        f"{PERFORMED}[0].PerformedStationNameCodeSequence",
        f"{PERFORMED}[0].PerformedProcedureStepStartDateTime",
        f"{PERFORMED}[0].PerformedWorkitemCodeSequence",
        f"{PERFORMED}[0].PerformedProcedureStepEndDateTime",
        f"{PERFORMED}[0].OutputInformationSequence",
    )


# Matching and return keys


def paths(text):
    return {".".join(map(tag_of, path.split("."))) for path in text.split()}


CODES = ("CodeValue", "CodingSchemeDesignator", "LongCodeValue", "URNCodeValue")
DESIGNATORS = ("LocalNamespaceEntityID", "UniversalEntityID", "UniversalEntityIDType")
REQUIRED = paths(
    "SOPInstanceUID ScheduledProcedureStepPriority ProcedureStepLabel WorklistLabel "
    "ScheduledProcedureStepStartDateTime ExpectedCompletionDateTime InputReadinessState "
    "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex AdmissionID "
    "ReferencedRequestSequence.AccessionNumber ReferencedRequestSequence.RequestedProcedureID "
    "ReferencedRequestSequence.RequestingService "
    "ReplacedProcedureStepSequence.ReferencedSOPClassUID "
    "ReplacedProcedureStepSequence.ReferencedSOPInstanceUID ProcedureStepState "
    + " ".join(
        f"{sequence}.{member}"
        for sequence in (
            "ScheduledStationNameCodeSequence",
            "ScheduledStationClassCodeSequence",
            "ScheduledStationGeographicLocationCodeSequence",
            "ScheduledHumanPerformersSequence.HumanPerformerCodeSequence",
            "ScheduledWorkitemCodeSequence",
        )
        for member in CODES
    )
    + " "
    + " ".join(
        f"{sequence}.{member}"
        for sequence in (
            "IssuerOfAdmissionIDSequence",
            "ReferencedRequestSequence.IssuerOfAccessionNumberSequence",
        )
        for member in DESIGNATORS
    )
)


def test_every_required_matching_key_can_be_matched():
    assert REQUIRED <= attributes.MATCHABLE


@pytest.mark.parametrize(
    "path",
    sorted(
        paths(
            "TransactionUID ScheduledProcessingParametersSequence.ValueType SpecificCharacterSet "
            "ProcedureStepProgressInformationSequence.ProcedureStepProgress "
            "ReferencedPatientPhotoSequence.StudyInstanceUID "
            "ScheduledStationNameCodeSequence ScheduledStationNameCodeSequence.CodeMeaning "
            "UnifiedProcedureStepPerformedProcedureSequence.OutputInformationSequence.StudyInstanceUID "
            "UnifiedProcedureStepPerformedProcedureSequence.PerformedProcedureStepDescription"
        )
    ),
)
def test_what_is_no_matching_key_cannot_be_matched(path):
    assert path not in attributes.MATCHABLE


def test_optional_keys_can_be_matched():
    assert (
        paths(
            "SOPClassUID ScheduledProcedureStepModificationDateTime MedicalAlerts "
            "InputInformationSequence.StudyInstanceUID "
            "InputInformationSequence.ReferencedSOPSequence.ReferencedSOPInstanceUID "
            "UnifiedProcedureStepPerformedProcedureSequence.PerformedStationNameCodeSequence.CodeValue "
            "UnifiedProcedureStepPerformedProcedureSequence.PerformedProcedureStepEndDateTime"
        )
        <= attributes.MATCHABLE
    )


def test_a_search_returns_what_the_table_says():
    keys = attributes.RETURN_KEYS
    assert keys["00080018"] == keys["00741000"] == "1"
    assert keys["00100010"] == keys["00404025"] == keys["00741002"] == "2"
    assert keys["00102000"] == "2C"
    assert keys["00404025.00080104"] == "1"
    assert "00081195" not in keys
    assert "00741002.00741004" not in keys
    assert "00741216" not in keys
    assert keys["00741216.00404051"] == "1C"
    assert "00741216.00404033.0040E020" not in keys
