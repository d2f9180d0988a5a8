"""What a workitem must and may carry when it is created, updated and finished (PS3.4 CC.2.5).

The table itself is in ``iod.py``; here is what it means, and what it and PS3.3 C.30 say in words.
All functions take normalised datasets. A condition of type 1C or 2C that cannot be computed from
the dataset counts as not met. Attributes outside the table, private ones too, are free (3/3).

Where the standard leaves room we are lenient: type 2 attributes may be left out at creation (see
``fill_type_2``), and a human performer needs no organization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from upsrs.dicom.dataset import JSONDataset, first, is_empty, items, make, tag_of, values
from upsrs.dicom.iod import MACROS, UPS, Row
from upsrs.dicom.states import State
from upsrs.dicom.uids import UPS_PUSH
from upsrs.errors import (
    AttributeNotAllowed,
    InvalidDataset,
    MissingAttribute,
    MissingAttributeValue,
    NotScheduledAtCreation,
)

__all__ = [
    "DOMAINS",
    "MATCHABLE",
    "RETURN_KEYS",
    "SINGLE_ITEM",
    "check_create",
    "check_update",
    "fill_type_2",
    "missing_for_final",
]

DOMAINS: dict[str, frozenset[str]] = {
    "InputReadinessState": frozenset({"INCOMPLETE", "UNAVAILABLE", "READY"}),
    "ProcedureStepState": frozenset(State),
    "ScheduledProcedureStepPriority": frozenset({"HIGH", "MEDIUM", "LOW"}),
    "TypeOfInstances": frozenset({"DICOM", "CDA"}),
}
"""Enumerated values (PS3.3 C.30, 10.6.1)."""

SINGLE_ITEM = frozenset(
    {
        "AssigningAgencyOrDepartmentCodeSequence",
        "AssigningFacilitySequence",
        "AssigningJurisdictionCodeSequence",
        "ConceptCodeSequence",
        "ConceptNameCodeSequence",
        "HumanPerformerCodeSequence",
        "IssuerOfAccessionNumberSequence",
        "IssuerOfAdmissionIDSequence",
        "IssuerOfPatientIDQualifiersSequence",
        "MeasurementUnitsCodeSequence",
        "OrderFillerIdentifierSequence",
        "OrderPlacerIdentifierSequence",
        "ProcedureStepProgressInformationSequence",
        "RequestedProcedureCodeSequence",
        "ScheduledWorkitemCodeSequence",
        "UnifiedProcedureStepPerformedProcedureSequence",
    }
)
"""Sequences of no more than one item (PS3.3 C.30 and its macros)."""

# The table says 1/1, yet most clients know the person and not the organization.
_LENIENT = frozenset({"HumanPerformerOrganization"})

# Sequences that are created empty: the performer's own report.
_CREATED_EMPTY = tuple(
    row for row in UPS if row.rows and all(inner.create == "NA" for inner in row.rows)
)

# Not allowed in N-SET as a whole, yet some members of its items are.
_PARTLY_FIXED = "ReferencedRequestSequence"

# May be empty in a final state, but must be there: "no output" has to be said.
_SAID_EMPTY = "OutputInformationSequence"

_BLOCKING = {
    State.COMPLETED: frozenset({"R", "P"}),
    State.CANCELED: frozenset({"R", "X"}),
}


def check_create(ds: JSONDataset) -> None:
    """Refuse a dataset that N-CREATE may not carry (PS3.4 CC.2.5.2, Table CC.2.5-3)."""
    if not is_empty(ds, "TransactionUID"):
        raise AttributeNotAllowed("is empty until a performer claims", element="TransactionUID")
    if first(ds, "SOPClassUID", UPS_PUSH) != UPS_PUSH:
        raise AttributeNotAllowed("must be the UPS Push SOP Class", element="SOPClassUID")
    for row in _CREATED_EMPTY:
        if not is_empty(ds, row.tag):
            raise AttributeNotAllowed("must be created empty", element=row.keyword)
    _check(ds, UPS, "", lambda row: row.create)
    if first(ds, "ProcedureStepState") != State.SCHEDULED:
        raise NotScheduledAtCreation


def fill_type_2(ds: JSONDataset) -> JSONDataset:
    """``ds`` with an empty attribute for each of type 2 that was left out, in all items too."""
    return _filled(ds, UPS)


def _filled(item: JSONDataset, rows: tuple[Row, ...]) -> JSONDataset:
    result = dict(item)
    for row in rows:
        if row.tag not in item:
            if row.create.startswith("2/") and row.keyword != "TransactionUID":
                result[row.tag] = make(row.keyword)
        elif row.rows and not is_empty(item, row.tag):
            below = [_filled(inner, row.rows) for inner in items(item, row.tag)]
            result[row.tag] = {"vr": "SQ", "Value": below}
    return dict(sorted(result.items()))


def check_update(ds: JSONDataset, current: JSONDataset) -> None:
    """Refuse a dataset that N-SET may not carry (PS3.4 CC.2.6.2, Table CC.2.5-3).

    What may not be set may be repeated as it is. Not so Procedure Step State: to send that is to
    mistake Update for Change State.
    """
    for row in UPS:
        if row.tag in ds:
            if row.keyword in ("ProcedureStepState", "TransactionUID"):
                raise AttributeNotAllowed("may not be set by an update", element=row.keyword)
            _check_unchanged(ds, current, row)
    _check(ds, UPS, "", lambda row: row.set)


def _check_unchanged(ds: JSONDataset, current: JSONDataset, row: Row) -> None:
    sent, known = values(ds, row.tag), values(current, row.tag)
    fixed = [inner for inner in row.rows if inner.set == "NA"]
    if row.keyword == _PARTLY_FIXED:
        if len(sent) != len(known):
            raise AttributeNotAllowed("may not be changed", element=row.keyword)
        for index, (item, before) in enumerate(zip(sent, known, strict=True)):
            _check_item_unchanged(item, [before], fixed, f"{row.keyword}[{index}].")
    elif row.set == "NA":
        if sent != known:
            raise AttributeNotAllowed("may not be changed", element=row.keyword)
    elif fixed:
        # Sequences are replaced as a whole, so items may come, go and move.
        for index, item in enumerate(sent):
            _check_item_unchanged(item, [{}, *known], fixed, f"{row.keyword}[{index}].")


def _check_item_unchanged(
    item: JSONDataset, before: list[JSONDataset], fixed: list[Row], where: str
) -> None:
    """What is fixed in ``item`` must be as it was in one of these."""
    changes = [
        [row for row in fixed if values(item, row.tag) != values(other, row.tag)]
        for other in before
    ]
    if all(changes):
        raise AttributeNotAllowed("may not be changed", element=where + changes[0][0].keyword)


def missing_for_final(ds: JSONDataset, state: State) -> tuple[str, ...]:
    """The attributes that keep a workitem from this final state (PS3.4 Table CC.2.5-1).

    RC never blocks: Specific Character Set means nothing in JSON, and whether the human performers
    are "known" is not for a server to say.
    """
    return tuple(_missing(ds, UPS, "", _BLOCKING[state]))


def _missing(
    item: JSONDataset, rows: tuple[Row, ...], where: str, blocking: frozenset[str]
) -> Iterator[str]:
    for row in rows:
        if row.final not in blocking:
            continue
        place = where + row.keyword
        if row.tag not in item or (is_empty(item, row.tag) and row.keyword != _SAID_EMPTY):
            yield place
        if row.rows:
            for index, inner in enumerate(items(item, row.tag) or [{}]):
                yield from _missing(inner, row.rows, f"{place}[{index}].", blocking)


def _check(
    item: JSONDataset, rows: tuple[Row, ...], where: str, code_of: Callable[[Row], str]
) -> None:
    """Walk through one column of the table; ``code_of`` picks it."""
    for row in rows:
        code = code_of(row)
        place = where + row.keyword
        needed = code == "1/1" and row.keyword not in _LENIENT
        if row.tag not in item:
            if needed:
                raise MissingAttribute(element=place)
        elif is_empty(item, row.tag):
            if needed or code == "3/1":
                raise MissingAttributeValue(element=place)
        elif not row.rows:
            _check_domain(item, row.keyword, place)
        elif code != "NA" or row.keyword == _PARTLY_FIXED:
            inside = items(item, row.tag)
            if row.keyword in SINGLE_ITEM and len(inside) > 1:
                raise InvalidDataset("must have no more than one item", element=place)
            for index, inner in enumerate(inside):
                _check(inner, row.rows, f"{place}[{index}].", code_of)
                for name in {row.keyword, *row.macros} & _CONDITIONS.keys():
                    _CONDITIONS[name](inner, f"{place}[{index}].")


def _check_domain(item: JSONDataset, keyword: str, place: str) -> None:
    value = first(item, keyword)
    if keyword in DOMAINS and value not in DOMAINS[keyword]:
        allowed = ", ".join(sorted(DOMAINS[keyword]))
        raise InvalidDataset(f"must be one of {allowed}", element=place)
    # A value that is elsewhere (BulkDataURI) is no percentage either.
    if keyword == "ProcedureStepProgress" and (value is None or not 0 <= float(value) <= 100):
        raise InvalidDataset("must be from 0 to 100 percent", element=place)


# The conditions of types 1C that the items themselves decide, by macro or by sequence


def _need(item: JSONDataset, keyword: str, where: str) -> None:
    if is_empty(item, keyword):
        kind = MissingAttributeValue if tag_of(keyword) in item else MissingAttribute
        raise kind(element=where + keyword)


def _need_one_of(item: JSONDataset, keywords: tuple[str, ...], where: str) -> None:
    if all(is_empty(item, keyword) for keyword in keywords):
        raise MissingAttribute(
            f"one of {', '.join(keywords)} is required", element=where + keywords[0]
        )


_CODES = ("CodeValue", "LongCodeValue", "URNCodeValue")


def _code(item: JSONDataset, where: str) -> None:
    """Exactly one kind of code; all but a URN are of a scheme (PS3.3 8.8)."""
    _need_one_of(item, _CODES, where)
    given = [keyword for keyword in _CODES if not is_empty(item, keyword)]
    if len(given) > 1:
        raise AttributeNotAllowed(f"not beside {given[0]}", element=where + given[1])
    if given != ["URNCodeValue"] or not is_empty(item, "CodingSchemeVersion"):
        _need(item, "CodingSchemeDesignator", where)


_VALUE_OF_TYPE = {
    "DATETIME": ("DateTime",),
    "DATE": ("Date",),
    "TIME": ("Time",),
    "PNAME": ("PersonName",),
    "UIDREF": ("UID",),
    "TEXT": ("TextValue",),
    "CODE": ("ConceptCodeSequence",),
    "NUMERIC": ("NumericValue", "MeasurementUnitsCodeSequence"),
}


def _content_item(item: JSONDataset, where: str) -> None:
    for keyword in _VALUE_OF_TYPE.get(first(item, "ValueType"), ()):
        _need(item, keyword, where)


def _hierarchic_designator(item: JSONDataset, where: str) -> None:
    _need_one_of(item, ("LocalNamespaceEntityID", "UniversalEntityID"), where)
    _universal_entity(item, where)


def _universal_entity(item: JSONDataset, where: str) -> None:
    if not is_empty(item, "UniversalEntityID"):
        _need(item, "UniversalEntityIDType", where)


_RETRIEVAL = (
    "DICOMRetrievalSequence",
    "DICOMMediaRetrievalSequence",
    "WADORetrievalSequence",
    "XDSRetrievalSequence",
    "WADORSRetrievalSequence",
)


def _referenced_instances(item: JSONDataset, where: str) -> None:
    _need_one_of(item, _RETRIEVAL, where)
    if first(item, "TypeOfInstances") == "CDA":
        for index, instance in enumerate(items(item, "ReferencedSOPSequence")):
            _need(instance, "HL7InstanceIdentifier", f"{where}ReferencedSOPSequence[{index}].")


_STORAGE = ("DICOMStorageSequence", "STOWRSStorageSequence", "XDSStorageSequence")


def _storage(item: JSONDataset, where: str) -> None:
    _need_one_of(item, _STORAGE, where)


_CONDITIONS: dict[str, Callable[[JSONDataset, str], None]] = {
    "Code": _code,
    "ContentItem": _content_item,
    "HierarchicDesignator": _hierarchic_designator,
    "IssuerOfPatientIDQualifiersSequence": _universal_entity,
    "ReferencedInstances": _referenced_instances,
    "Storage": _storage,
}


# What can be searched for, and what a search returns (PS3.4 CC.2.8)

_MACRO_ROWS = frozenset(row for rows in MACROS.values() for row in rows)


def _matchable(rows: tuple[Row, ...], path: str, around: str) -> Iterator[str]:
    for row in rows:
        if around == "-" and row in _MACRO_ROWS:
            continue  # the macro's own code holds only where the sequence can be matched
        match = around if row.match == "*" else row.match
        if row.rows:
            yield from _matchable(row.rows, f"{path}{row.tag}.", match)
        elif match != "-":
            yield path + row.tag


def _returned(rows: tuple[Row, ...], path: str, around: str) -> Iterator[tuple[str, str]]:
    for row in rows:
        if around == "-" and row in _MACRO_ROWS:
            continue
        if row.returned != "-":
            yield path + row.tag, row.returned
        yield from _returned(row.rows, f"{path}{row.tag}.", row.returned)


MATCHABLE = frozenset(_matchable(UPS, "", "O"))
"""Dotted tag paths of all matching keys, required and optional; the last is never a sequence."""

RETURN_KEYS = dict(_returned(UPS, "", "1"))
"""Dotted tag path -> 1, 2, 3, 1C or 2C: what a search returns."""
