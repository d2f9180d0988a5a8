"""What a subscriber hears: one frame of the customer's channel, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

__all__ = ["Notification", "Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a follower stands in the log. Keep it, and a later run continues from there."""

    subscription_uid: str
    event_id: int
    log_id: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """A change of a workitem, or a report of its present state."""

    event_type: str
    """CREATED, UPDATED, STATE_REPORT, CANCELED or COMPLETED."""
    workitem_uid: str
    subscription_uid: str
    state: str
    report: bool
    """True: how things stand, told when following begins. False: something happened just now."""
    event_id: int | None
    """The event's place in the log; a report has none."""
    event_time: str
    workitem: Mapping[str, Any] = field(repr=False)
    """The ``workitem`` member, empty if this user no longer may see the workitem."""
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, frame: Mapping[str, Any]) -> Self:
        """Read a frame that has the member ``eventType``."""
        workitem = frame.get("workitem") or {}
        return cls(
            event_type=frame["eventType"],
            workitem_uid=frame["workitemUID"],
            subscription_uid=frame.get("subscriptionUID", ""),
            state=frame.get("procedureStepState") or workitem.get("procedureStepState", ""),
            report=bool(frame.get("report")),
            event_id=frame.get("eventId"),
            event_time=frame.get("eventTime", ""),
            workitem=workitem,
            raw=frame,
        )

    @property
    def label(self) -> str:
        """The worklist that the workitem is on."""
        return str(self.workitem.get("worklistLabel", ""))

    @property
    def step_label(self) -> str:
        """What is to be done."""
        return str(self.workitem.get("procedureStepLabel", ""))

    @property
    def priority(self) -> str:
        return str(self.workitem.get("scheduledProcedureStepPriority", ""))

    @property
    def stations(self) -> tuple[str, ...]:
        return _texts(self.workitem.get("scheduledStationAETitle"))

    @property
    def performers(self) -> tuple[str, ...]:
        return _texts(self.workitem.get("performerAETitle"))

    @property
    def cancellation_reason(self) -> str | None:
        """Why it was canceled; in an UPDATED, why somebody asks the performer to cancel."""
        return self.raw.get("cancellationReason")

    @property
    def progress(self) -> float | None:
        """Percent complete, as far as the performer reported it."""
        value = (self.raw.get("progressInformation") or {}).get("procedureStepProgress")
        return None if value is None else float(value)


def _texts(value: object) -> tuple[str, ...]:
    """The titles in one text: several are separated as DICOM does."""
    return tuple(title for title in str(value or "").split("\\") if title)
