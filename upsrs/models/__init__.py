"""The rows: workitems, the log of what happened to them, who follows it, and the audit."""

from upsrs.models.audit import AuditRecord
from upsrs.models.log import Event, Log
from upsrs.models.subscriptions import (
    Connection,
    GlobalSubscription,
    Server,
    Subscription,
    WorkitemSubscription,
)
from upsrs.models.tickets import Ticket
from upsrs.models.workitems import Tombstone, Workitem, WorkitemKey, write_alias

__all__ = [
    "AuditRecord",
    "Connection",
    "Event",
    "GlobalSubscription",
    "Log",
    "Server",
    "Subscription",
    "Ticket",
    "Tombstone",
    "Workitem",
    "WorkitemKey",
    "WorkitemSubscription",
    "write_alias",
]
