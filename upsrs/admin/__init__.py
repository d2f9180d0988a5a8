"""The worklist administrator's windows: workitems, the log, and who follows it.

They look through `upsrs.delivery`, and act through the use cases, with the same rules as REST: a
change made here is heard like any other, and a refused one is a message that names the workitem.
"""

from __future__ import annotations

from upsrs.admin.audit import AuditRecordAdmin
from upsrs.admin.events import EventAdmin
from upsrs.admin.subscriptions import SubscriptionAdmin
from upsrs.admin.workitems import WorkitemAdmin

__all__ = ["AuditRecordAdmin", "EventAdmin", "SubscriptionAdmin", "WorkitemAdmin"]
