"""How clients spell what they subscribe to: every form means the same."""

from __future__ import annotations

import pytest

from upsrs.errors import InvalidArgument
from upsrs.rest.queries import subscription

AI = ("WorklistLabel", "AI")
CAD = ("ScheduledStationNameCodeSequence.CodeValue", "CAD1")
BOTH = "WorklistLabel=AI,ScheduledStationNameCodeSequence.CodeValue=CAD1"


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("filter=", []),
        ("filter=WorklistLabel=AI", [AI]),
        ("filter=WorklistLabel%3DAI", [AI]),
        (f"filter={BOTH}", [AI, CAD]),
        (f"filter={BOTH.replace('=', '%3D').replace(',', '%2C')}", [AI, CAD]),
        (f"filter={BOTH.replace('=', '%3D')}", [AI, CAD]),
        ("filter=WorklistLabel=AI&filter=00741204=CT", [AI, ("00741204", "CT")]),
        ("WorklistLabel=AI&ScheduledStationNameCodeSequence.CodeValue=CAD1", [AI, CAD]),
        ("filter=WorklistLabel=AI&00741204=CT", [AI, ("00741204", "CT")]),
        ("filter=WorklistLabel=A%2CI", [("WorklistLabel", "A,I")]),
        ("filter=WorklistLabel=A%3DI", [("WorklistLabel", "A=I")]),
        ("filter=WorklistLabel=A=I", [("WorklistLabel", "A=I")]),
        ("filter=ProcedureStepState=IN%20PROGRESS", [("ProcedureStepState", "IN PROGRESS")]),
        ("filter=ProcedureStepState=IN+PROGRESS", [("ProcedureStepState", "IN PROGRESS")]),
        ("filter=ProcedureStepState%3DIN+PROGRESS", [("ProcedureStepState", "IN PROGRESS")]),
        ("filter=PatientName=J%C3%BCrgen%2A", [("PatientName", "Jürgen*")]),
        ("WorklistLabel=", [("WorklistLabel", "")]),
        ("deletionlock=true&accept=x&charset=y&requester=AE1", []),
    ],
)
def test_a_filter_means_the_same_in_every_spelling(query, pairs):
    assert subscription(query).filter == pairs


@pytest.mark.parametrize(
    ("query", "lock"),
    [
        ("", False),
        ("deletionlock=true", True),
        ("deletionlock=false", False),
        ("filter=WorklistLabel=AI&deletionlock=true", True),
        ("deletionlock=true&deletionlock=true", True),
    ],
)
def test_a_lock_is_wanted_or_not(query, lock):
    assert subscription(query).deletion_lock is lock


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("deletionlock=maybe", "deletionlock"),
        ("deletionlock=", "deletionlock"),
        ("deletionlock=TRUE", "deletionlock"),
        ("deletionlock=true&deletionlock=false", "deletionlock"),
        ("filter=WorklistLabel", "filter"),
        ("filter=WorklistLabel=AI,nonsense", "filter"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused_by_name(query, name):
    with pytest.raises(InvalidArgument) as refused:
        subscription(query)
    assert refused.value.name == name
