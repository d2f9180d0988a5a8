"""What the orders hear from the worklist: that their work was taken up, done or canceled."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from portal.orders.models import Order
from upsrs.models import Workitem
from upsrs.signals import workitem_changed

__all__ = ["catch_up", "follow"]

State = Order.State

EARLIER = {
    State.IN_PROGRESS: [State.SCHEDULED],
    State.COMPLETED: [State.SCHEDULED, State.IN_PROGRESS],
    State.CANCELED: [State.SCHEDULED, State.IN_PROGRESS],
}
"""Orders move forward only: news from two threads may come in the wrong order."""


@receiver(workitem_changed, sender=Workitem)
def follow(workitem_uid: str, state_after: str, state_before: str, actor: str, **_: Any) -> None:
    """Note a new state. Called by upsrs after each commit, so it may not take long."""
    if state_before and state_before != state_after:
        changes: dict[str, Any] = {"state": state_after}
        if state_after == State.IN_PROGRESS:
            changes["performer"] = actor
        else:
            changes["finished_at"] = timezone.now()
        orders = Order.objects.filter(workitem_uid=workitem_uid)
        orders.filter(state__in=EARLIER[State(state_after)]).update(**changes)


def catch_up() -> int:
    """Compare the open orders with their workitems, once a process was killed between the two.

    Returns how many had missed something.
    """
    open_orders = Order.objects.filter(state__in=EARLIER[State.COMPLETED])
    states = dict(open_orders.values_list("workitem_uid", "state"))
    moved = [
        workitem
        for workitem in Workitem.objects.filter(uid__in=states).defer("dataset")
        if workitem.state != states[workitem.uid]
    ]
    for workitem in moved:
        follow(
            workitem_uid=workitem.uid,
            state_before=states[workitem.uid],
            state_after=workitem.state,
            actor="",
        )
    return len(moved)
