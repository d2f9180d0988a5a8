"""What a change amounts to: its kind, and which attributes differ.

One save is one event in the log. The customer's contract hears the strongest kind; the DICOM
reports (PS3.4 CC.2.4) are derived from what differs.
"""

from __future__ import annotations

from enum import StrEnum

from upsrs.dicom.dataset import JSONDataset
from upsrs.dicom.matching import Snapshot
from upsrs.dicom.states import State

__all__ = ["Kind", "differences", "kind_of", "restore"]

MODIFICATION = "00404010"
"""Scheduled Procedure Step Modification DateTime moves with every save: no change in itself."""


class Kind(StrEnum):
    """What happened, in the order of strength in which one save is told."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    STATE_REPORT = "STATE_REPORT"
    CANCELED = "CANCELED"
    COMPLETED = "COMPLETED"
    SUBSCRIPTION = "SUBSCRIPTION"
    """No change of a workitem: an AE's subscriptions changed, from here on."""


REACHED = {
    State.IN_PROGRESS.value: Kind.STATE_REPORT,
    State.CANCELED.value: Kind.CANCELED,
    State.COMPLETED.value: Kind.COMPLETED,
}


def differences(before: JSONDataset, after: JSONDataset) -> JSONDataset:
    """What stood before in each top-level attribute that differs; None where there was none.

    ``restore`` undoes it. The modification date-time does not count.
    """
    return {
        tag: before.get(tag)
        for tag in sorted(before.keys() | after.keys())
        if tag != MODIFICATION and before.get(tag) != after.get(tag)
    }


def restore(after: JSONDataset, differed: JSONDataset) -> JSONDataset:
    """The dataset before a change, from the one after it and the `differences`."""
    dataset = {**after, **differed}
    return {tag: element for tag, element in dataset.items() if element is not None}


def kind_of(before: Snapshot | None, after: Snapshot, *, differs: bool) -> Kind | None:
    """The kind of a saved change; None if nothing changed that anybody could be told."""
    if before is None:
        return Kind.CREATED
    if before.state != after.state:
        return REACHED[after.state]
    if differs or before.performers != after.performers:
        return Kind.UPDATED
    return None
