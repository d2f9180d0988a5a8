"""A record as an audit message of DICOM (PS3.15 A.5), in XML.

Least disclosure: of a patient only the ID, which the Procedure Record demands; the name, which
the schema wants to be there, is empty. Values of a query that are about a patient are left out.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from upsrs.audit.acts import ALERT, MESSAGES, PROCEDURE_RECORD, QUERY, Act, Code, Message
from upsrs.dicom.uids import UPS_PUSH
from upsrs.models import AuditRecord

__all__ = ["xml"]

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

SUCCESS, MINOR_FAILURE = "0", "4"
SYSTEM_OBJECT, PERSON = "2", "1"
PATIENT, SECURITY_RESOURCE, JOB, QUERY_ROLE = "1", "13", "20", "24"
IP_ADDRESS = "2"
APPLICATION_SERVER = "4"

PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
URI = Code("12", "RFC-3881", "URI")
SOP_CLASS_UID = Code("110181", "DCM", "SOP Class UID")
SOURCE_ROLE = Code("110153", "DCM", "Source Role ID")
DESTINATION_ROLE = Code("110152", "DCM", "Destination Role ID")
WORKITEM = Code("WORKITEM", "99UPSRS", "UPS SOP Instance UID")
SUBSCRIPTION = Code("SUBSCRIPTION", "99UPSRS", "Subscription UID")

UPS_QUERY, UPS_EVENT = "1.2.840.10008.5.1.4.34.6.3", "1.2.840.10008.5.1.4.34.6.4"
"""UPS Pull, which is asked for the worklist, and UPS Event, by which one follows it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    sentence: str
    alarming: bool


def xml(
    record: AuditRecord, *, source: str, patient_id: str = "", refusal: Refusal | None = None
) -> str:
    """The message. ``source`` is the AuditSourceID, ``refusal`` says why it was refused."""
    act = Act(record.act)
    message = ALERT if refusal and refusal.alarming else MESSAGES[act]
    root = Element("AuditMessage")
    _event(root, record, message, act, refusal)
    _participants(root, record, message, source)
    origin = SubElement(root, "AuditSourceIdentification", AuditSourceID=_clean(source))
    SubElement(origin, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    _objects(root, record, message, act, patient_id, refusal)
    return tostring(root, encoding="unicode")


def _event(
    root: Element, record: AuditRecord, message: Message, act: Act, refusal: Refusal | None
) -> None:
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=record.time.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=MINOR_FAILURE if refusal else SUCCESS,
    )
    _code(event, "EventID", message.event)
    if message.type:
        _code(event, "EventTypeCode", message.type)
    _code(event, "EventTypeCode", Code(act.name, "99UPSRS", act.value))
    if refusal:
        SubElement(event, "EventOutcomeDescription").text = _clean(refusal.sentence)


def _participants(root: Element, record: AuditRecord, message: Message, source: str) -> None:
    enters_network = message.event.value == "110108"
    asks = SubElement(
        root,
        "ActiveParticipant",
        UserID=_clean(record.user) or _unnamed(record),
        UserIsRequestor="false" if enters_network else "true",
    )
    if ae_title := record.detail.get("aeTitle"):
        asks.set("AlternativeUserID", f"AETITLES={_clean(ae_title)}")
    if record.address:
        asks.set("NetworkAccessPointID", _clean(record.address))
        asks.set("NetworkAccessPointTypeCode", IP_ADDRESS)
    if message.event is QUERY:
        _code(asks, "RoleIDCode", SOURCE_ROLE)
    if enters_network:
        return
    answers = SubElement(root, "ActiveParticipant", UserID=_clean(source), UserIsRequestor="false")
    if message.event is QUERY:
        _code(answers, "RoleIDCode", DESTINATION_ROLE)


def _unnamed(record: AuditRecord) -> str:
    """Who it is that is no user of the portal's."""
    if account := record.detail.get("account"):
        return _clean(account)
    return "nobody" if record.door else "the portal"


def _objects(
    root: Element,
    record: AuditRecord,
    message: Message,
    act: Act,
    patient_id: str,
    refusal: Refusal | None,
) -> None:
    if refusal and refusal.alarming:
        _alert_subject(root, record, refusal)
        return
    if act is Act.READ_AUDIT:
        log = _object(root, SYSTEM_OBJECT, SECURITY_RESOURCE, URI, "upsrs/auditrecord")
        SubElement(log, "ParticipantObjectName").text = "Security Audit Log"
    if message.event is QUERY:
        sop_class = UPS_QUERY if act is Act.SEARCH else UPS_EVENT
        asked = _object(root, SYSTEM_OBJECT, "3", SOP_CLASS_UID, sop_class)
        query = json.dumps(record.detail, ensure_ascii=False, sort_keys=True)
        SubElement(asked, "ParticipantObjectQuery").text = _base64(query)
    if record.workitem_uid:
        _workitem(root, record.workitem_uid, message.life_cycle)
    if message.event is PROCEDURE_RECORD:
        patient = _object(root, PERSON, PATIENT, PATIENT_NUMBER, patient_id)
        SubElement(patient, "ParticipantObjectName")
    if record.subscription_uid:
        _subscription(root, record)


def _alert_subject(root: Element, record: AuditRecord, refusal: Refusal) -> None:
    subject = record.workitem_uid or record.subscription_uid
    address = f"workitems/{subject}" if record.workitem_uid else f"subscriptions/{subject}"
    alert = _object(root, SYSTEM_OBJECT, SECURITY_RESOURCE, URI, address)
    SubElement(alert, "ParticipantObjectName").text = record.act
    _detail(alert, "Alert Description", refusal.sentence)


def _workitem(root: Element, uid: str, life_cycle: str) -> None:
    workitem = _object(root, SYSTEM_OBJECT, JOB, WORKITEM, uid)
    if life_cycle:
        workitem.set("ParticipantObjectDataLifeCycle", life_cycle)
    SubElement(workitem, "ParticipantObjectName").text = "Workitem"
    description = SubElement(workitem, "ParticipantObjectDescription")
    sop_class = SubElement(description, "SOPClass", UID=UPS_PUSH, NumberOfInstances="1")
    SubElement(sop_class, "Instance", UID=_clean(uid))


def _subscription(root: Element, record: AuditRecord) -> None:
    subscription = _object(root, SYSTEM_OBJECT, QUERY_ROLE, SUBSCRIPTION, record.subscription_uid)
    SubElement(subscription, "ParticipantObjectName").text = "Subscription"
    for name in ("place", "log_position", "connection"):
        value = getattr(record, name)
        if value is not None:
            _detail(subscription, name, str(value))


def _object(root: Element, kind: str, role: str, id_type: Code, uid: str) -> Element:
    found = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
        ParticipantObjectID=_clean(uid) or "unknown",
    )
    _code(found, "ParticipantObjectIDTypeCode", id_type)
    return found


def _detail(parent: Element, name: str, value: str) -> None:
    SubElement(parent, "ParticipantObjectDetail", type=name, value=_base64(value))


def _code(parent: Element, name: str, code: Code) -> None:
    named = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, name, named)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


def _clean(text: str) -> str:
    """What XML cannot hold is told as a question mark; white space alone is nothing to its schema."""
    return NO_XML.sub("?", text).strip()
