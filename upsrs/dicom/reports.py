"""Event reports: what the standard's subscribers are told of a change (PS3.4 CC.2.4, PS3.18 11.13).

One change makes none to several reports. Each is a dataset of its own, sent as one frame in which
only the Message ID is the receiver's own; the rest is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.matching import Snapshot
from upsrs.dicom.uids import GLOBAL_SUBSCRIPTION, UPS_PUSH

__all__ = ["EventType", "Report", "beginning", "initial", "reports", "restarted"]

STATE = "00741000"
READINESS = "00404041"
STATIONS = "00404025"
HUMANS = "00404034"
HUMAN_CODES = "00404009"
HUMAN_ORGANIZATION = "00404036"
PROGRESS = "00741002"
REASONS = ("0074100E", "00741238")
"""Why it was canceled: of the progress item, told with the state."""

NOT_KNOWN = "INCOMPLETE"
"""Readiness is type 1 in a State Report; a workitem that the portal saved may have none."""

FIRST_MESSAGE_ID, LAST_MESSAGE_ID = 1, 65_535

_BEGINNING = f'{{"00000002":{{"vr":"UI","Value":["{UPS_PUSH}"]}},"00000110":{{"vr":"US","Value":['


class EventType(IntEnum):
    """Event Type ID (0000,1002), as in PS3.4 Table CC.2.4-1."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SCP_STATUS_CHANGE = 4
    ASSIGNED = 5


@dataclass(frozen=True, slots=True)
class Report:
    """One N-EVENT-REPORT: its type, the instance it is about, and the attributes of its type."""

    event_type: EventType
    instance_uid: str
    attributes: JSONDataset

    def end(self, position: int | None = None) -> bytes:
        """The frame behind its Message ID, in UTF-8; with ``position``, the place in the log is told.

        That is ours: UV (0009,1001) of the private block ``UPSRS`` is the ``eventId``.
        """
        place: JSONDataset = {}
        if position is not None:
            place["00090010"] = {"vr": "LO", "Value": ["UPSRS"]}
            place["00091001"] = {"vr": "UV", "Value": [position]}
        rest = {
            "00001000": {"vr": "UI", "Value": [self.instance_uid]},
            "00001002": {"vr": "US", "Value": [int(self.event_type)]},
            **place,
            **dict(sorted(self.attributes.items())),
        }
        return f"]}},{dicom_json.encode(rest)[1:]}".encode()


def beginning(message_id: int) -> bytes:
    """What is particular to one frame; `Report.end` is the rest."""
    return f"{_BEGINNING}{message_id}".encode()


def reports(
    workitem_uid: str,
    before: Snapshot | None,
    after: Snapshot,
    *,
    cancellation: JSONDataset | None = None,
    requesting_ae: str = "",
) -> list[Report]:
    """What a change is reported as, in order; nothing if no trigger of CC.2.4.3 is among it.

    ``before`` is None for who learns of the workitem by this change. ``cancellation`` is the
    contents of a cancellation request, ``requesting_ae`` who made it.
    """
    old, new = (before.dataset if before else None), after.dataset
    found: list[Report] = []
    if cancellation is not None:
        asked = {"00741236": dicom_json.make("RequestingAE", requesting_ae), **cancellation}
        found.append(Report(EventType.CANCEL_REQUESTED, workitem_uid, asked))
    if old is None or any(old.get(tag) != new.get(tag) for tag in (STATE, READINESS)):
        found.append(_state_report(workitem_uid, new))
    if old is not None and _progress(old) != _progress(new):
        progress = {PROGRESS: new.get(PROGRESS, {"vr": "SQ"})}
        found.append(Report(EventType.PROGRESS_REPORT, workitem_uid, progress))
    if old is None or any(old.get(tag) != new.get(tag) for tag in (STATIONS, HUMANS)):
        found += _assigned(workitem_uid, new, even_to_nobody=old is not None)
    return found


def initial(workitem_uid: str, now: JSONDataset) -> Report:
    """The initial event of a subscription (PS3.4 CC.2.3.3): the state as it is now."""
    return _state_report(workitem_uid, now)


def restarted() -> Report:
    """SCP Status Change: we were restarted, and have both lists still (PS3.4 CC.2.4.3)."""
    return Report(
        EventType.SCP_STATUS_CHANGE,
        GLOBAL_SUBSCRIPTION,
        {
            "00741242": dicom_json.make("SCPStatus", "RESTARTED"),
            "00741244": dicom_json.make("SubscriptionListStatus", "WARM START"),
            "00741246": dicom_json.make("UnifiedProcedureStepListStatus", "WARM START"),
        },
    )


def _state_report(workitem_uid: str, ds: JSONDataset) -> Report:
    attributes = {STATE: ds[STATE]}
    attributes[READINESS] = (
        dicom_json.make("InputReadinessState", NOT_KNOWN)
        if dicom_json.is_empty(ds, READINESS)
        else ds[READINESS]
    )
    for item in dicom_json.items(ds, "ProcedureStepProgressInformationSequence")[:1]:
        for tag in REASONS:
            if not dicom_json.is_empty(item, tag):
                attributes[tag] = item[tag]
    return Report(EventType.STATE_REPORT, workitem_uid, attributes)


def _progress(ds: JSONDataset) -> list[JSONDataset]:
    """What a Progress Report is about: the reason of a cancellation is told with the state."""
    untold = (*REASONS, "00404052")
    items = dicom_json.items(ds, "ProcedureStepProgressInformationSequence")
    told = [{tag: el for tag, el in item.items() if tag not in untold} for item in items]
    return [item for item in told if item]


def _assigned(workitem_uid: str, ds: JSONDataset, *, even_to_nobody: bool) -> Iterator[Report]:
    """One report for each scheduled human performer, or one for the stations alone."""
    stations = {} if dicom_json.is_empty(ds, STATIONS) else {STATIONS: ds[STATIONS]}
    humans = dicom_json.items(ds, "ScheduledHumanPerformersSequence")
    for human in humans:
        told = (HUMAN_CODES, HUMAN_ORGANIZATION)
        who = {tag: human[tag] for tag in told if not dicom_json.is_empty(human, tag)}
        yield Report(EventType.ASSIGNED, workitem_uid, {**stations, **who})
    if not humans and (stations or even_to_nobody):
        yield Report(EventType.ASSIGNED, workitem_uid, stations)
