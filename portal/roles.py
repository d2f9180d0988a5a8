"""The groups of this portal: who does what with the worklist and with orders.

Made after each ``migrate``, which is when the permissions are there. A group that exists is left as
it is: what an administrator gave it or took from it is not put back.

None of them may edit accounts: who may do that can give themselves any right. That is for the
superuser.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

__all__ = ["ROLES", "make_groups"]

FOLLOWS = ("upsrs.view_workitem", "upsrs.add_subscription")
PERFORMS = (*FOLLOWS, "upsrs.change_workitem")

ROLES = {
    "radiographer": (
        *PERFORMS,
        "upsrs.add_workitem",
        "orders.view_order",
        "orders.add_order",
        "orders.change_order",
    ),
    "radiologist": (*PERFORMS, "orders.view_order"),
    "AI service": PERFORMS,
    # With staff status, which no group can give, the tool of these is Django's admin.
    "worklist administrator": (
        *PERFORMS,
        "upsrs.add_workitem",
        "upsrs.repair_workitem",
        "upsrs.view_event",
        "upsrs.view_subscription",
        "upsrs.change_subscription",
        "orders.view_order",
    ),
}
"""Group → its permissions, as ``app.codename``."""


def make_groups(using: str = "default", **_: Any) -> None:
    """Make the groups that are missing."""
    for name, permissions in ROLES.items():
        group, is_new = Group.objects.using(using).get_or_create(name=name)
        if is_new:
            wanted = Q()
            for app, codename in (permission.split(".") for permission in permissions):
                wanted |= Q(content_type__app_label=app, codename=codename)
            found = Permission.objects.using(using).filter(wanted)
            assert len(found) == len(permissions), f"{name} names a permission that is none"
            group.permissions.set(found)
