"""A workitem and its history in words that a person in a hospital reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.utils import timezone
from django.utils.dateformat import format as date_format
from pydicom.datadict import dictionary_description, dictionary_has_tag

from upsrs import access, contract, events
from upsrs.access import Sight
from upsrs.dicom import dataset as dicom_json
from upsrs.dicom.changes import Kind
from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.dictionary import entry_of
from upsrs.events import LoggedEvent
from upsrs.models import Event, Workitem, write_alias

__all__ = ["Entry", "Fact", "facts", "history"]

EVENTS = 100
"""So much of a long history is shown: the newest."""

SEXES = {"F": "female", "M": "male", "O": "other"}
UNTOLD = frozenset({"00404010", "00741000", "00741002", "00741216"})
"""What changes with everything, or is said in words of its own."""


@dataclass(frozen=True, slots=True)
class Fact:
    term: str
    value: str = ""
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a workitem's history."""

    kind: str
    time: datetime
    title: str
    actor: str = ""
    notes: list[str] = field(default_factory=list)


def facts(workitem: Workitem) -> list[tuple[str, list[Fact]]]:
    """What is known, under a few headings; what is empty is left out."""
    ds, snapshot = workitem.dataset, workitem.snapshot()
    groups = {
        "Patient": [
            Fact("Name", _name(dicom_json.first(ds, "PatientName", {}))),
            Fact("Patient ID", _texts(ds, "PatientID")),
            Fact("Born", _date(dicom_json.first(ds, "PatientBirthDate", ""))),
            Fact("Sex", SEXES.get(_texts(ds, "PatientSex"), "")),
        ],
        "Order": [
            Fact("Accession number", _texts(ds, "ReferencedRequestSequence.AccessionNumber")),
            Fact(
                "Procedure", _texts(ds, "ReferencedRequestSequence.RequestedProcedureDescription")
            ),
            Fact("Work", _texts(ds, "ScheduledWorkitemCodeSequence.CodeMeaning")),
            Fact("Comments", _texts(ds, "CommentsOnTheScheduledProcedureStep")),
            Fact("Input", _inputs(ds)),
        ],
        "Work": [
            Fact("Worklist", snapshot.label),
            Fact("Station", ", ".join(snapshot.stations)),
            Fact("Performer", ", ".join(snapshot.performers)),
            Fact("Start", time=_instant(ds, "ScheduledProcedureStepStartDateTime")),
            Fact("Expected end", time=_instant(ds, "ExpectedCompletionDateTime")),
            Fact("Priority", workitem.priority.capitalize()),
            Fact("Input readiness", workitem.readiness.capitalize()),
        ],
        "Identifiers": [
            Fact("Workitem UID", workitem.uid),
            Fact("Study UID", _texts(ds, "ReferencedRequestSequence.StudyInstanceUID")),
        ],
    }
    told = {
        heading: [fact for fact in group if fact.value or fact.time]
        for heading, group in groups.items()
    }
    return [(heading, group) for heading, group in told.items() if group]


def history(workitem_uid: str, sight: Sight) -> list[Entry]:
    """Its events, newest first, as far as the reader could see the workitem at the time."""
    rows = Event.objects.using(write_alias()).filter(workitem_uid=workitem_uid)
    rows = rows.exclude(kind=Kind.SUBSCRIPTION.value).order_by("-pk")[:EVENTS]
    shown = [(row, events.logged(row)) for row in rows]
    return [_entry(row, event, sight) for row, event in shown if access.sees(sight, event.after)]


def _entry(row: Event, event: LoggedEvent, sight: Sight) -> Entry:
    said = contract.notification(
        kind=event.kind,
        workitem_uid=event.workitem_uid,
        time=event.time,
        position=row.position,
        snapshot=event.after,
        cancellation=event.cancellation,
        timezone=timezone.get_default_timezone(),
    )
    reason, notes = said.get("cancellationReason", ""), []
    kind = event.kind.value
    title = kind.capitalize()
    changed = row.differed or {}
    if event.cancellation is not None:
        kind, title, notes = "ASKED", "Asked to cancel", [reason] if reason else []
    elif event.kind is Kind.STATE_REPORT:
        title = "Claimed"
        notes = [f"by {performer}" for performer in event.after.performers]
    elif event.kind is Kind.CANCELED:
        notes = [reason] if reason else []
    elif event.kind is Kind.UPDATED:
        if set(changed) <= UNTOLD:
            title = "Progress" if "00741002" in changed else "Results recorded"
        if "00741002" in changed:
            notes = _progress(said.get("progressInformation", {}))
        # What stood before may have been out of sight.
        notes += _changes(changed, event.after.dataset) if access.sees(sight, event.before) else []
    return Entry(kind, _local(event.time), title, event.actor, notes)


def _progress(progress: dict[str, Any]) -> list[str]:
    percent = progress.get("procedureStepProgress")
    told = ["" if percent is None else f"{percent:g} %"]
    told.append(progress.get("procedureStepProgressDescription", ""))
    return [": ".join(filter(None, told))] if any(told) else []


def _changes(before: JSONDataset, after: JSONDataset) -> Iterable[str]:
    for tag, element in before.items():
        if tag in UNTOLD:
            continue
        name = dictionary_description(tag) if dictionary_has_tag(tag) else f"({tag[:4]},{tag[4:]})"
        entry = entry_of(tag)
        if entry is None or "SQ" in entry.vrs:
            yield f"{name} changed"
        else:
            yield f"{name}: {_told(element)} → {_told(after.get(tag))}"


def _told(element: dict[str, Any] | None) -> str:
    values = (element or {}).get("Value", [])
    told = (_name(value) if isinstance(value, dict) else str(value) for value in values)
    return ", ".join(told) or "nothing"


def _texts(ds: JSONDataset, path: str) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in dicom_json.values(ds, path)))


def _name(name: Any) -> str:
    """A PN (PS3.5 6.2.1) as it is read: family name first, its other parts behind."""
    if not isinstance(name, dict):
        return ""
    written = name.get("Alphabetic") or name.get("Ideographic") or name.get("Phonetic") or ""
    family, *others = (part.strip() for part in written.split("^"))
    return ", ".join(filter(None, (family, " ".join(filter(None, others)))))


def _date(text: str) -> str:
    """A DA as people write it; what is none, as it was sent."""
    try:
        return date_format(date.fromisoformat(text), "j M Y")
    except ValueError:
        return text


def _instant(ds: JSONDataset, keyword: str) -> datetime | None:
    value = dicom_json.first(ds, keyword)
    offset = dicom_json.first(ds, "TimezoneOffsetFromUTC")
    if not value:
        return None
    return _local(dicom_json.dt_instant(value, timezone.get_default_timezone(), offset))


def _local(instant: datetime) -> datetime:
    """In the portal's zone with USE_TZ off too, as far as its calendar goes: some start in 9999."""
    try:
        return timezone.localtime(instant)
    except OverflowError:
        return instant


def _inputs(ds: JSONDataset) -> str:
    inputs = dicom_json.items(ds, "InputInformationSequence")
    series = {dicom_json.first(item, "SeriesInstanceUID") for item in inputs} - {None}
    return f"{len(series)} series" if series else ""
