"""Table CC.2.5-3 of PS3.4, "UPS SOP Class N-CREATE/N-SET/N-GET/C-FIND Attributes", as data.

The rows are the standard's, in its order, with its codes, for the columns that a server needs:

    create, set   what the client must do / what the server must do: 1 send with a value, 2 send,
                  may be empty, 3 may send, C if a condition holds, NA may not, - the server does
    final         R, P, X, RC: needs a value in which final state (PS3.4 Table CC.2.5-1)
    match         U, R, O: may be a matching key; * as the sequence around it; - may not
    return        1, 2, 3, C, -: what a search returns

Leading ``>`` is the level, ``+ Name`` includes a macro (Tables CC.2.5-2a to g) at that level. What
the table says in words, such as conditions, is in ``attributes.py``. The lines "All other
attributes of … Module" are no rows: whatever is not in the table is kept as sent (3/3).
"""

from __future__ import annotations

from dataclasses import dataclass

from upsrs.dicom.dataset import tag_of

__all__ = ["MACROS", "UPS", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    keyword: str
    tag: str
    create: str
    set: str
    final: str
    match: str
    returned: str
    rows: tuple[Row, ...] = ()
    """The rows of the items, if this is a sequence."""
    macros: frozenset[str] = frozenset()
    """The macros that ``rows`` include."""


_MACROS = {
    "Code": """
        CodeValue                                        1C/1C  1C/1C  -   *  1C
        CodingSchemeDesignator                           1C/1C  1C/1C  -   *  1C
        CodingSchemeVersion                              1C/1C  1C/1C  -   -  1C
        CodeMeaning                                      1/1    1/1    -   -  1
        LongCodeValue                                    1C/1C  1C/1C  -   *  1C
        URNCodeValue                                     1C/1C  1C/1C  -   *  1C
        MappingResource                                  3/3    3/3    -   -  3
        MappingResourceUID                               3/3    3/3    -   -  3
        ContextGroupVersion                              3/3    3/3    -   -  3
        ContextGroupExtensionFlag                        3/3    3/3    -   -  3
        ContextGroupLocalVersion                         3/3    3/3    -   -  3
        ContextGroupExtensionCreatorUID                  3/3    3/3    -   -  3
    """,
    # The value of a content item is printed 1/1 for N-SET; its type still decides which is meant.
    "ContentItem": """
        ValueType                                        1/1    1/1    -   *  1
        ConceptNameCodeSequence                          1/1    1/1    -   *  1
        > + Code
        DateTime                                         1C/1C  1C/1   -   *  1C
        Date                                             1C/1C  1C/1   -   *  1C
        Time                                             1C/1C  1C/1   -   *  1C
        PersonName                                       1C/1C  1C/1   -   *  1C
        UID                                              1C/1C  1C/1   -   *  1C
        TextValue                                        1C/1C  1C/1   -   *  1C
        ConceptCodeSequence                              1C/1C  1C/1   -   *  1C
        > + Code
        NumericValue                                     1C/1C  1C/1   -   *  1C
        MeasurementUnitsCodeSequence                     1C/1C  1C/1   -   *  1C
        > + Code
    """,
    "ReferencedInstances": """
        TypeOfInstances                                  1/1    1/1    -   O  1
        StudyInstanceUID                                 1C/1   1C/1   -   O  1C
        SeriesInstanceUID                                1C/1   1C/1   -   O  1C
        ReferencedSOPSequence                            1/1    1/1    -   O  1
        > ReferencedSOPClassUID                          1/1    1/1    -   O  1
        > ReferencedSOPInstanceUID                       1/1    1/1    -   O  1
        > HL7InstanceIdentifier                          1C/1   1C/1   -   O  1C
        > ReferencedFrameNumber                          1C/1   1C/1   -   O  1C
        > ReferencedSegmentNumber                        1C/1   1C/1   -   O  1C
        DICOMRetrievalSequence                           1C/1   1C/1   -   O  1C
        > RetrieveAETitle                                1/1    1/1    -   O  1
        DICOMMediaRetrievalSequence                      1C/1   1C/1   -   O  1C
        > StorageMediaFileSetID                          2/2    2/2    -   O  2
        > StorageMediaFileSetUID                         1/1    1/1    -   O  1
        WADORetrievalSequence                            1C/1   1C/1   -   O  1C
        > RetrieveURI                                    1/1    1/1    -   O  1
        XDSRetrievalSequence                             1C/1   1C/1   -   O  1C
        > RepositoryUniqueID                             1/1    1/1    -   O  1
        > HomeCommunityID                                3/2    3/2    -   O  2
        WADORSRetrievalSequence                          1C/1   1C/1   -   O  1C
        > RetrieveURL                                    1/1    1/1    -   O  1
    """,
    "HierarchicDesignator": """
        LocalNamespaceEntityID                           1C/1   NA     -   *  1C
        UniversalEntityID                                1C/1   NA     -   *  1C
        UniversalEntityIDType                            1C/1   NA     -   *  1C
    """,
    "IssuerOfPatientID": """
        IssuerOfPatientID                                2/2    NA     O   R  2
        IssuerOfPatientIDQualifiersSequence              2/2    NA     O   O  2
        > UniversalEntityID                              2/2    NA     O   O  2
        > UniversalEntityIDType                          1C/1   NA     O   O  1C
        > IdentifierTypeCode                             2/2    NA     O   O  2
        > AssigningFacilitySequence                      2/2    NA     O   O  2
        >> + HierarchicDesignator
        > AssigningJurisdictionCodeSequence              2/2    NA     O   O  2
        >> + Code
        > AssigningAgencyOrDepartmentCodeSequence        2/2    NA     O   O  2
        >> + Code
    """,
    "SOPInstanceReference": """
        ReferencedSOPClassUID                            1/1    1/1    -   *  1
        ReferencedSOPInstanceUID                         1/1    1/1    -   *  1
    """,
    # Destination AE is printed with the tag of the sequence around it; PS3.3 has (2100,0140).
    "Storage": """
        ReferencedSOPClassUID                            1C/1   1C/1   -   O  1C
        DICOMStorageSequence                             1C/1   1C/1   -   O  1C
        > DestinationAE                                  1/1    1/1    -   *  1
        STOWRSStorageSequence                            1C/1   1C/1   -   O  1C
        > StorageURL                                     1/1    1/1    -   *  1
        XDSStorageSequence                               1C/1   1C/1   -   O  1C
        > RepositoryUniqueID                             1/1    1/1    -   *  1
        > HomeCommunityID                                3/2    3/2    -   *  2
    """,
}

_UPS = """
    TransactionUID                                       2/2    NA     O   -  -

    # SOP Common Module
    SpecificCharacterSet                                 1C/1C  1C/1C  RC  -  1C
    SOPClassUID                                          -/1    NA     R   O  1
    SOPInstanceUID                                       -/1    NA     R   U  1

    # UPS Scheduled Procedure Information Module
    ScheduledProcedureStepPriority                       1/1    3/1    R   R  1
    ScheduledProcedureStepModificationDateTime           -/1    -/1    R   O  3
    ProcedureStepLabel                                   1/1    3/1    O   R  1
    WorklistLabel                                        2/1    3/1    O   R  1
    ScheduledProcessingParametersSequence                2/2    3/2    O   -  2
    > + ContentItem
    ScheduledStationNameCodeSequence                     2/2    3/2    O   R  2
    > + Code
    ScheduledStationClassCodeSequence                    2/2    3/2    O   R  2
    > + Code
    ScheduledStationGeographicLocationCodeSequence       2/2    3/2    O   R  2
    > + Code
    ScheduledHumanPerformersSequence                     2C/2C  3/2    O   R  2
    > HumanPerformerCodeSequence                         1/1    1/1    O   R  1
    >> + Code
    > HumanPerformerName                                 1/1    1/1    O   O  3
    > HumanPerformerOrganization                         1/1    1/1    O   O  3
    ScheduledProcedureStepStartDateTime                  1/1    3/1    R   R  1
    ExpectedCompletionDateTime                           3/1    3/1    O   R  3
    ScheduledProcedureStepExpirationDateTime             3/3    3/3    O   O  3
    ScheduledWorkitemCodeSequence                        2/2    3/1    O   R  2
    > + Code
    CommentsOnTheScheduledProcedureStep                  2/2    3/1    O   O  3
    InputReadinessState                                  1/1    3/1    R   R  1
    InputInformationSequence                             2/2    3/2    O   O  2
    > + ReferencedInstances
    StudyInstanceUID                                     1C/2   3/2    O   O  2
    OutputDestinationSequence                            3/3    3/3    O   O  3
    > + Storage

    # UPS Relationship Module
    PatientName                                          2/2    NA     O   R  2
    PatientID                                            1C/2   NA     O   R  2
    + IssuerOfPatientID
    OtherPatientIDsSequence                              2/2    3/3    O   O  2
    > PatientID                                          1/1    1/1    O   O  1
    > + IssuerOfPatientID
    > TypeOfPatientID                                    3/3    3/3    O   O  3
    PatientBirthDate                                     2/2    NA     O   R  2
    PatientSex                                           2/2    NA     O   R  2
    ReferencedPatientPhotoSequence                       3/3    3/3    O   -  3
    > + ReferencedInstances
    AdmissionID                                          2/2    NA     O   R  2
    IssuerOfAdmissionIDSequence                          2/2    NA     O   R  2
    > + HierarchicDesignator
    AdmittingDiagnosesDescription                        2/2    NA     O   O  2
    AdmittingDiagnosesCodeSequence                       2/2    NA     O   O  2
    > + Code
    ReferencedRequestSequence                            2/2    NA     O   R  2
    > StudyInstanceUID                                   1/1    NA     O   O  1
    > AccessionNumber                                    2/2    NA     O   R  2
    > IssuerOfAccessionNumberSequence                    2/2    NA     O   R  2
    >> + HierarchicDesignator
    > PlacerOrderNumberImagingServiceRequest             3/1    NA     O   O  1C
    > OrderPlacerIdentifierSequence                      2/2    NA     O   O  2
    >> + HierarchicDesignator
    > FillerOrderNumberImagingServiceRequest             3/1    NA     O   O  1C
    > OrderFillerIdentifierSequence                      2/2    NA     O   O  2
    >> + HierarchicDesignator
    > RequestedProcedureID                               2/2    NA     O   R  2
    > RequestedProcedureDescription                      2/2    NA     O   O  2
    > RequestedProcedureCodeSequence                     2/2    NA     O   O  2
    >> + Code
    > ReasonForTheRequestedProcedure                     3/3    3/3    O   O  3
    > ReasonForRequestedProcedureCodeSequence            3/3    3/3    O   O  3
    >> + Code
    > RequestedProcedureComments                         3/3    3/3    O   O  1C
    > ConfidentialityCode                                3/3    3/3    O   O  3
    > NamesOfIntendedRecipientsOfResults                 3/3    3/3    O   O  3
    > ImagingServiceRequestComments                      3/3    3/3    O   O  3
    > RequestingPhysician                                3/3    3/3    O   O  3
    > RequestingService                                  3/1    3/1    O   R  3
    > RequestingServiceCodeSequence                      3/3    3/3    O   O  3
    >> + Code
    > IssueDateOfImagingServiceRequest                   3/3    3/3    O   O  3
    > IssueTimeOfImagingServiceRequest                   3/3    3/3    O   O  3
    > ReferringPhysicianName                             3/3    3/3    O   O  3
    ReplacedProcedureStepSequence                        1C/1C  NA     O   R  3
    > + SOPInstanceReference

    # Patient Medical Module
    MedicalAlerts                                        3/2    3/2    O   O  2C
    PregnancyStatus                                      3/2    3/2    O   O  2C
    SpecialNeeds                                         3/2    3/2    O   O  2C

    # UPS Progress Information Module
    ProcedureStepState                                   1/1    NA     R   R  1
    ProcedureStepProgressInformationSequence             2/2    3/2    X   -  2
    > ProcedureStepProgress                              NA     3/1    O   -  -
    > ProcedureStepProgressDescription                   NA     3/1    O   -  -
    > ProcedureStepProgressParametersSequence            NA     3/3    O   -  -
    >> + ContentItem
    >> ContentItemModifierSequence                       NA     3/3    O   -  -
    >>> + ContentItem
    > ProcedureStepCommunicationsURISequence             NA     3/1    O   -  -
    >> ContactURI                                        NA     1/1    O   -  -
    >> ContactDisplayName                                NA     3/1    O   -  -
    > ProcedureStepCancellationDateTime                  NA     3/1    X   -  -
    > ReasonForCancellation                              NA     3/1    O   -  -
    > ProcedureStepDiscontinuationReasonCodeSequence     NA     3/1    X   -  -
    >> + Code

    # UPS Performed Procedure Information Module
    UnifiedProcedureStepPerformedProcedureSequence       2/2    3/2    P   -  -
    > ActualHumanPerformersSequence                      NA     3/1    RC  O  1C
    >> HumanPerformerCodeSequence                        NA     3/1    RC  -  -
    >>> + Code
    >> HumanPerformerName                                NA     3/1    RC  -  -
    >> HumanPerformerOrganization                        NA     3/1    O   -  -
    > PerformedStationNameCodeSequence                   NA     3/2    P   O  3
    >> + Code
    > PerformedStationClassCodeSequence                  NA     3/2    O   -  -
    >> + Code
    > PerformedStationGeographicLocationCodeSequence     NA     3/2    O   -  -
    >> + Code
    > PerformedProcedureStepStartDateTime                NA     3/1    P   -  -
    > PerformedProcedureStepDescription                  NA     3/1    O   -  -
    > CommentsOnThePerformedProcedureStep                NA     3/1    O   -  -
    > PerformedWorkitemCodeSequence                      NA     3/1    P   -  -
    >> + Code
    > PerformedProcessingParametersSequence              NA     3/1    O   -  -
    >> + ContentItem
    > PerformedProcedureStepEndDateTime                  NA     3/1    P   O  1C
    > OutputInformationSequence                          NA     2/2    P   -  -
    >> + ReferencedInstances
"""


def _lines(table: str) -> list[tuple[int, list[str]]]:
    """Level and words of every row."""
    lines = []
    for line in table.splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        level = len(words.pop(0)) if words[0].startswith(">") else 0
        lines.append((level, words))
    return lines


def _rows(lines: list[tuple[int, list[str]]], level: int) -> tuple[tuple[Row, ...], frozenset[str]]:
    """The rows at the head of ``lines`` that are on ``level``, with those below; takes them off."""
    rows: list[Row] = []
    macros: set[str] = set()
    while lines and lines[0][0] == level:
        _, words = lines.pop(0)
        if words[0] == "+":
            rows += MACROS[words[1]]
            macros.add(words[1])
            continue
        keyword, *codes = words
        create, set_, final, match, returned = codes
        below, included = _rows(lines, level + 1)
        rows.append(
            Row(keyword, tag_of(keyword), create, set_, final, match, returned, below, included)
        )
    return tuple(rows), frozenset(macros)


MACROS: dict[str, tuple[Row, ...]] = {}
for _name, _table in _MACROS.items():
    MACROS[_name], _ = _rows(_lines(_table), 0)

UPS, _ = _rows(_lines(_UPS), 0)
"""The rows of the workitem itself; those of its sequences' items hang below them."""
