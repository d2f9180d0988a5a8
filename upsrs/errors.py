"""The refusals: what the server declines to do, and the DICOM status that says so.

One class is one refusal. Its docstring is the sentence a person reads; facts travel as
attributes, so that no door has to read English. Nothing here knows HTTP or WebSocket: each
door translates in its own ``refusals.py``. No text ever carries an attribute's *value*, so no
patient data and no Transaction UID can leave through an error.

    UPSError
    ├── InvalidDataset              0x0106  the body, or a value in it, is not valid DICOM JSON
    │   ├── DatasetTooLarge         0x0106  … is beyond a limit on size, depth or count
    │   ├── MissingAttribute        0x0120  … lacks an attribute
    │   ├── MissingAttributeValue   0x0121  … has an empty attribute that needs a value
    │   └── AttributeNotAllowed     0x0106  … has an attribute that this request may not carry
    ├── InvalidArgument             0x0115  a UID, an AE title, a key or a parameter is malformed
    ├── DuplicateWorkitem           0x0111
    ├── NotAuthorized               0x0124
    ├── MayNoLongerBeUpdated        0xC300
    ├── TransactionUIDRefused       0xC301  (missing: TransactionUIDMissing, else …Incorrect)
    ├── AlreadyInProgress           0xC302
    ├── OnlyCreateSchedules         0xC303
    ├── FinalStateNotReady          0xC304
    ├── NoSuchWorkitem              0xC307
    │   └── WorkitemGone            0xC307  … any more: it was removed after its end
    ├── NotScheduledAtCreation      0xC309
    ├── NotYetInProgress            0xC310
    ├── AlreadyCompleted            0xC311
    ├── StaleWorkitem               (ours)  a save based on an older version of the row
    ├── NotNotified                 (ours)  a way of writing that would notify nobody
    ├── NoSuchSubscription          (ours)
    └── LimitReached                (ours)  enough of it, for one user or one address
"""

from __future__ import annotations

from typing import Self

__all__ = [
    "AlreadyCompleted",
    "AlreadyInProgress",
    "AttributeNotAllowed",
    "DatasetTooLarge",
    "DuplicateWorkitem",
    "FinalStateNotReady",
    "InvalidArgument",
    "InvalidDataset",
    "LimitReached",
    "MayNoLongerBeUpdated",
    "MissingAttribute",
    "MissingAttributeValue",
    "NoSuchSubscription",
    "NoSuchWorkitem",
    "NotAuthorized",
    "NotNotified",
    "NotScheduledAtCreation",
    "NotYetInProgress",
    "OnlyCreateSchedules",
    "StaleWorkitem",
    "TransactionUIDIncorrect",
    "TransactionUIDMissing",
    "TransactionUIDRefused",
    "UPSError",
    "WorkitemGone",
]


class UPSError(Exception):
    """The request was refused."""

    status: int | None = None
    """The DICOM status (PS3.4 CC, PS3.7 Annex C), or None where DICOM has none."""

    index: int | None = None
    """Which of several workitems was refused, counted from 0; None where there was only one."""

    def __init__(self, detail: str = "") -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.detail)

    def at(self, index: int) -> Self:
        """The same refusal, of the one with this index among several."""
        self.index = index
        self.detail = f"Workitem {index}: {self.detail}"
        self.args = (self.detail,)
        return self


class InvalidDataset(UPSError):
    """The dataset is not valid."""

    status = 0x0106

    def __init__(self, detail: str = "", *, element: str = "") -> None:
        """``element`` names the place, as a path of keywords or tags: ``00404021[2].0020000D``."""
        self.element = element
        super().__init__(detail)
        if element and element not in self.detail:
            self.detail = f"{element}: {self.detail}"
            self.args = (self.detail,)


class DatasetTooLarge(InvalidDataset):
    """The dataset is larger, deeper or longer than this server accepts."""


class MissingAttribute(InvalidDataset):
    """A required attribute is missing."""

    status = 0x0120


class MissingAttributeValue(InvalidDataset):
    """A required attribute has no value."""

    status = 0x0121


class AttributeNotAllowed(InvalidDataset):
    """This attribute may not be sent with this request."""


class InvalidArgument(UPSError):
    """A parameter of the request is not valid."""

    status = 0x0115

    def __init__(self, detail: str = "", *, name: str = "") -> None:
        self.name = name
        super().__init__(detail)


class DuplicateWorkitem(UPSError):
    """A workitem with this UID exists already."""

    status = 0x0111


class NotAuthorized(UPSError):
    """You do not have the permission that this needs."""

    status = 0x0124


class MayNoLongerBeUpdated(UPSError):
    """The workitem is COMPLETED or CANCELED and may no longer be updated."""

    status = 0xC300


class TransactionUIDRefused(UPSError):
    """The correct Transaction UID was not provided."""

    status = 0xC301


class TransactionUIDMissing(TransactionUIDRefused):
    """The Transaction UID is missing."""


class TransactionUIDIncorrect(TransactionUIDRefused):
    """The Transaction UID is incorrect."""


class AlreadyInProgress(UPSError):
    """The workitem is already IN PROGRESS."""

    status = 0xC302


class OnlyCreateSchedules(UPSError):
    """A workitem becomes SCHEDULED by its creation only."""

    status = 0xC303


class FinalStateNotReady(UPSError):
    """The workitem does not meet the requirements of this final state."""

    status = 0xC304

    def __init__(self, detail: str = "", *, elements: tuple[str, ...] = ()) -> None:
        """``elements`` are the paths of the attributes that still need a value."""
        self.elements = elements
        super().__init__(detail)
        if elements:
            self.detail = f"{self.detail} Needs a value: {', '.join(elements)}."
            self.args = (self.detail,)


class NoSuchWorkitem(UPSError):
    """There is no such workitem."""

    status = 0xC307


class WorkitemGone(NoSuchWorkitem):
    """The workitem has ended and was removed some time later."""


class NotScheduledAtCreation(UPSError):
    """A workitem must be SCHEDULED when it is created."""

    status = 0xC309


class NotYetInProgress(UPSError):
    """The workitem is not IN PROGRESS: claim it first."""

    status = 0xC310


class AlreadyCompleted(UPSError):
    """The workitem is already COMPLETED."""

    status = 0xC311


class StaleWorkitem(UPSError):
    """Somebody else saved this workitem since it was read: read it again, then change it."""


class NotNotified(UPSError):
    """This way of writing would notify nobody."""


class NoSuchSubscription(UPSError):
    """There is no such subscription."""


class LimitReached(UPSError):
    """A limit of this server is reached."""

    def __init__(self, detail: str = "", *, name: str = "", wait: float | None = None) -> None:
        """``name`` is the setting; ``wait`` in how many seconds it is worth another try."""
        self.name = name
        self.wait = wait
        super().__init__(detail)
