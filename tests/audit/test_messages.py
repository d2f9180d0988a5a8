"""Every act as an audit message of PS3.15 A.5: valid, complete, and with nothing too much."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path

import pytest
import xmlschema
from defusedxml import ElementTree
from hypothesis import example, given, settings, strategies as st

from upsrs import instants
from upsrs.audit import Act, messages
from upsrs.audit.acts import MESSAGES
from upsrs.audit.messages import Refusal
from upsrs.models import AuditRecord

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).with_name("schema.xsd")))

REFUSED = {"allowed": None, "refused": Refusal("No.", False), "alarming": Refusal("No.", True)}


def record(act: Act, **facts) -> AuditRecord:
    given = {
        "time": instants.now(),
        "act": act.value,
        "user": "alice",
        "address": "10.1.2.3",
        "door": "rest",
        **facts,
    }
    return AuditRecord(**given)


def message(record: AuditRecord, **options):
    text = messages.xml(record, source="ris-1", **options)
    SCHEMA.validate(text)
    assert "\n" not in text, "syslog takes it in a line"
    return ElementTree.fromstring(text)


def objects(root) -> dict[str, str]:
    """What a message is about: kind of ID → ID."""
    return {
        found.find("ParticipantObjectIDTypeCode").get("originalText"): found.get(
            "ParticipantObjectID"
        )
        for found in root.findall("ParticipantObjectIdentification")
    }


@pytest.mark.parametrize("outcome", REFUSED)
@pytest.mark.parametrize("act", Act)
def test_every_act_is_a_valid_message_however_it_ended(act, outcome):
    full = record(
        act,
        workitem_uid="2.25.1",
        subscription_uid="2.25.2",
        connection=uuid.uuid4(),
        place=4,
        log_position=5,
        detail={"filter": {"worklistLabel": "AI"}, "aeTitle": "CT1"},
    )
    for known in (full, record(act), record(act, user="", address="", door="")):
        root = message(known, patient_id="PID-1", refusal=REFUSED[outcome])
        event = root.find("EventIdentification")
        assert event.get("EventOutcomeIndicator") == ("0" if outcome == "allowed" else "4")
        wanted = "110113" if outcome == "alarming" else MESSAGES[act].event.value
        assert event.find("EventID").get("csd-code") == wanted


@pytest.mark.parametrize(
    ("act", "action", "life_cycle"),
    [(Act.CREATE, "C", "1"), (Act.CLAIM, "U", "3"), (Act.CANCEL, "U", "3"), (Act.READ, "R", "6")],
)
def test_a_change_is_a_procedure_record_of_one_patient(act, action, life_cycle):
    root = message(record(act, workitem_uid="2.25.1"), patient_id="PID-1")
    assert root.find("EventIdentification").get("EventActionCode") == action
    assert objects(root) == {"UPS SOP Instance UID": "2.25.1", "Patient Number": "PID-1"}
    workitem, patient = root.findall("ParticipantObjectIdentification")
    assert workitem.get("ParticipantObjectDataLifeCycle") == life_cycle
    assert not patient.find("ParticipantObjectName").text, "the name is not disclosed"


def test_who_asked_and_from_where_is_told():
    asks, server = message(record(Act.READ)).findall("ActiveParticipant")
    assert (asks.get("UserID"), asks.get("UserIsRequestor")) == ("alice", "true")
    assert asks.get("NetworkAccessPointID") == "10.1.2.3"
    assert asks.get("NetworkAccessPointTypeCode") == "2"
    assert (server.get("UserID"), server.get("UserIsRequestor")) == ("ris-1", "false")


def test_a_search_tells_what_was_asked():
    root = message(record(Act.SEARCH, detail={"filter": {"WorklistLabel": "AI"}}))
    query = root.find("ParticipantObjectIdentification/ParticipantObjectQuery").text
    assert json.loads(base64.b64decode(query)) == {"filter": {"WorklistLabel": "AI"}}
    roles = [role.get("csd-code") for role in root.iter("RoleIDCode")]
    assert roles == ["110153", "110152"]


def test_a_socket_that_opens_enters_the_network_and_does_not_request():
    root = message(record(Act.OPEN, subscription_uid="2.25.2", place=0))
    assert [it.get("csd-code") for it in root.iter("EventTypeCode")] == ["110124", "OPEN"]
    [asks] = root.findall("ActiveParticipant")
    assert asks.get("UserIsRequestor") == "false"


@settings(deadline=None)
@example(user=" ", uid="\t", patient=" ")
@given(user=st.text(min_size=1), uid=st.text(min_size=1, max_size=64), patient=st.text())
def test_whatever_the_names_the_message_is_valid(user, uid, patient):
    message(record(Act.READ, user=user, workitem_uid=uid), patient_id=patient)
