"""What an AE hears on the standard's channel: one event report, read (PS3.4 CC.2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self

__all__ = ["EventReport", "EventType"]

PRIVATE_CREATOR, PLACE = "00090010", "00091001"
"""Ours: the place of the event in the server's log."""

Dataset = Mapping[str, Any]


class EventType(IntEnum):
    """Event Type ID (0000,1002), as in PS3.4 Table CC.2.4-1."""

    STATE_REPORT = 1
    """How a workitem stands: it was created, its state changed, or it was subscribed to."""
    CANCEL_REQUESTED = 2
    """Somebody asks the performer to stop."""
    PROGRESS_REPORT = 3
    SERVER_STATUS = 4
    """The server restarted, or goes down."""
    ASSIGNED = 5
    """A workitem was given to stations or people."""


@dataclass(frozen=True, slots=True)
class EventReport:
    """One event report: its type, whose it is, and all that it carries."""

    event_type: EventType
    workitem_uid: str
    """Of a SERVER_STATUS, whatever the server puts there."""
    dataset: Dataset = field(repr=False)
    """The whole report, a DICOM JSON object."""

    @classmethod
    def of(cls, dataset: Dataset) -> Self | None:
        """Read a frame; None if it is no event report of the standard."""
        number, uid = _first(dataset, "00001002"), _first(dataset, "00001000")
        try:
            return cls(EventType(int(number)), str(uid or ""), dataset)
        except (TypeError, ValueError):
            return None

    @property
    def event_id(self) -> int | None:
        """The event's place in the log of a server of ours. One event may make several reports."""
        if _first(self.dataset, PRIVATE_CREATOR) != "UPSRS":
            return None
        place = _first(self.dataset, PLACE)
        return None if place is None else int(place)

    @property
    def state(self) -> str:
        """SCHEDULED, IN PROGRESS, COMPLETED or CANCELED, in a STATE_REPORT."""
        return self._text("00741000")

    @property
    def readiness(self) -> str:
        """INCOMPLETE, UNAVAILABLE or READY: what the input is, in a STATE_REPORT."""
        return self._text("00404041")

    @property
    def cancellation_reason(self) -> str | None:
        """Why it was canceled, or should be: in words, else the meaning of the code."""
        code = _item(self.dataset, "0074100E")
        reason = _first(self.dataset, "00741238") or _first(code, "00080104")
        return None if reason is None else str(reason)

    @property
    def requester(self) -> str:
        """The AE that asks for a cancellation."""
        return self._text("00741236")

    @property
    def progress(self) -> float | None:
        """Percent complete, in a PROGRESS_REPORT, as far as the performer said it."""
        percent = _first(_item(self.dataset, "00741002"), "00741004")
        return None if percent is None else float(percent)

    @property
    def progress_description(self) -> str:
        return str(_first(_item(self.dataset, "00741002"), "00741006") or "")

    @property
    def stations(self) -> tuple[str, ...]:
        """The codes of the stations that it was given to, in ASSIGNED."""
        items = (self.dataset.get("00404025") or {}).get("Value") or ()
        return tuple(str(_first(item, "00080100") or _first(item, "00080119")) for item in items)

    @property
    def human_performer(self) -> str:
        """Whom it was given to, in ASSIGNED: what the code means."""
        return str(_first(_item(self.dataset, "00404009"), "00080104") or "")

    @property
    def server_status(self) -> str:
        """RESTARTED or GOING DOWN, in a SERVER_STATUS."""
        return self._text("00741242")

    def _text(self, tag: str) -> str:
        return str(_first(self.dataset, tag) or "")


def _first(dataset: Dataset, tag: str) -> Any:
    """The first value of an attribute; None if it has none. Its VR is known, whatever is told."""
    return ((dataset.get(tag) or {}).get("Value") or [None])[0]


def _item(dataset: Dataset, tag: str) -> Dataset:
    item: Dataset = _first(dataset, tag) or {}
    return item
