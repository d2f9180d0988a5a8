"""A worklist of any size on PostgreSQL, in seconds, and the keys it is searched by every day.

The rows are what ``Workitem.save()`` would have left, written by the database itself.
"""

from __future__ import annotations

import json

from django.db import connection

from tests import datasets

LABELS, STATIONS, PATIENTS = 20, 100, 30_000

PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"
HUMAN = "ScheduledHumanPerformersSequence"

EVERYDAY = {
    "state": [("ProcedureStepState", "IN PROGRESS")],
    "label": [("WorklistLabel", "LABEL-9")],
    "station": [("ScheduledStationNameCodeSequence.CodeValue", "STATION-7")],
    "performer": [(f"{PERFORMED}.PerformedStationNameCodeSequence.CodeValue", "WS-7")],
    "human performer": [(f"{HUMAN}.HumanPerformerCodeSequence.CodeValue", "DR-7")],
    "start time": [("ScheduledProcedureStepStartDateTime", "20260105080000-20260105095959")],
    "priority": [("ScheduledProcedureStepPriority", "HIGH")],
    "readiness": [("InputReadinessState", "INCOMPLETE")],
    "patient ID": [("PatientID", "PID-77")],
    "accession number": [("ReferencedRequestSequence.AccessionNumber", "ACC-777")],
    "study": [("StudyInstanceUID", "1.2.826.777")],
    "study to read": [("InputInformationSequence.StudyInstanceUID", "1.2.826.778")],
    "requested study": [("ReferencedRequestSequence.StudyInstanceUID", "1.2.826.779")],
    "workitem UID": [("SOPInstanceUID", "2.25.777")],
    "state and label": [("ProcedureStepState", "SCHEDULED"), ("WorklistLabel", "LABEL-9")],
    "label and station": [
        ("WorklistLabel", "LABEL-9"),
        ("ScheduledStationNameCodeSequence.CodeValue", "STATION-7"),
    ],
}
"""Name → the pairs of a search."""


def fill(rows: int) -> None:
    """One workitem a minute from 2026 on; three of four are SCHEDULED. Not inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_workitems(), [_template(), rows])
        # Each key looks for its workitem: by the index, not as in the small table of a moment ago.
        cursor.execute("ANALYZE upsrs_workitem")
        cursor.execute(_KEYS)
        cursor.execute("VACUUM ANALYZE")


TOKENS = {
    "@uid": "'2.25.' || n",
    "@state": "(ARRAY['SCHEDULED', 'SCHEDULED', 'SCHEDULED', 'IN PROGRESS'])[mod(n, 4) + 1]",
    "@label": f"'LABEL-' || mod(n / 3, {LABELS})",
    "@station": f"'STATION-' || mod(n, {STATIONS})",
    "@performer": f"'WS-' || mod(n, {STATIONS})",
    "@human": f"'DR-' || mod(n, {STATIONS})",
    "@patient": f"'PID-' || mod(n, {PATIENTS})",
    "@accession": "'ACC-' || n",
    "@study": "'1.2.826.' || n",
    "@priority": "CASE mod(n, 50) WHEN 0 THEN 'HIGH' ELSE 'MEDIUM' END",
    "@readiness": "CASE mod(n, 10) WHEN 0 THEN 'INCOMPLETE' ELSE 'READY' END",
    "@start": "to_char(timestamp '2026-01-01' + n * interval '1 minute', 'YYYYMMDDHH24MISS')",
}
"""What stands in the template → SQL for the n-th workitem."""


def _template() -> str:
    dataset = datasets.dataset(
        SOPInstanceUID="@uid",
        WorklistLabel="@label",
        PatientID="@patient",
        ProcedureStepState="@state",
        ScheduledProcedureStepPriority="@priority",
        InputReadinessState="@readiness",
        ScheduledProcedureStepStartDateTime="@start",
        StudyInstanceUID="@study",
        ScheduledStationNameCodeSequence=[datasets.code("@station")],
        ScheduledHumanPerformersSequence=[
            datasets.elements(HumanPerformerCodeSequence=[datasets.code("@human")])
        ],
        InputInformationSequence=[datasets.elements(StudyInstanceUID="@study")],
        ReferencedRequestSequence=[
            datasets.elements(StudyInstanceUID="@study", AccessionNumber="@accession")
        ],
        UnifiedProcedureStepPerformedProcedureSequence=[
            datasets.elements(PerformedStationNameCodeSequence=[datasets.code("@performer")])
        ],
    )
    del dataset["00081195"]
    return json.dumps(dataset)


def _workitems() -> str:
    sql = "%s"
    for token, value in TOKENS.items():
        sql = f"replace({sql}, '{token}', {value})"
    return f"""
        INSERT INTO upsrs_workitem (
            uid, state, dataset, transaction_uid, performer, version, created_at, changed_at,
            worklist_label, step_label, priority, readiness, starts_at, patient_id
        )
        SELECT
            {TOKENS["@uid"]}, {TOKENS["@state"]}, ({sql})::jsonb,
            CASE mod(n, 4) WHEN 3 THEN '2.25.1' ELSE '' END, '', 1, now(), now(),
            {TOKENS["@label"]}, '3D reconstruction', {TOKENS["@priority"]}, {TOKENS["@readiness"]},
            timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute', {TOKENS["@patient"]}
        FROM generate_series(1, %s) AS n
    """


_KEYS = """
    INSERT INTO upsrs_workitemkey (workitem_id, name, value)
    SELECT id, key.name, key.value #>> '{}'
    FROM upsrs_workitem, LATERAL (VALUES
        ('station', dataset #> '{00404025,Value,0,00080100,Value,0}'),
        ('performer', dataset #> '{00741216,Value,0,00404028,Value,0,00080100,Value,0}'),
        ('performed', dataset #> '{00741216,Value,0,00404028,Value,0,00080100,Value,0}'),
        ('human', dataset #> '{00404034,Value,0,00404009,Value,0,00080100,Value,0}'),
        ('accession', dataset #> '{0040A370,Value,0,00080050,Value,0}'),
        ('study', dataset #> '{0020000D,Value,0}')
    ) AS key (name, value)
"""
