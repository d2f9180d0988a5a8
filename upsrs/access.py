"""Who may do and see what: the only way to a workitem on behalf of a user.

The portal's rule is one class, named in ``UPSRS_POLICY``. It answers per user: may they do this,
and what is in their sight, as matching keys. From those same keys come the SQL condition (rows)
and the predicate in memory (events): a notification is a disclosure like any other.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from django.utils.module_loading import import_string

from upsrs import contract, errors, selection
from upsrs.conf import conf
from upsrs.dicom.matching import Keys, Snapshot
from upsrs.models import Tombstone, Workitem, write_alias

__all__ = ["EVERYTHING", "NOTHING", "Action", "ModelPermissionPolicy", "Policy", "Sight"]

Action = Literal[
    "view_workitem",
    "add_workitem",
    "change_workitem",
    "add_subscription",
    "repair_workitem",
    "view_metrics",
]

Sight = tuple[Keys, ...]
"""What a user may see: whatever matches any of these keys."""

EVERYTHING: Sight = (Keys({}, {}),)
NOTHING: Sight = ()


class Policy(Protocol):
    """What a portal decides."""

    def may(self, user: Any, action: Action) -> bool:
        """May this user do this at all?"""

    def sight(self, user: Any) -> Sight:
        """Which workitems, and so which events, this user may see: plain `Keys`, any of them.

        It is asked again every few seconds for who has a socket open: a few queries at most.
        """

    def acts_for(self, user: Any, ae_title: str, owner: Any | None) -> bool:
        """May this user subscribe for an AE title, and open its channel?

        ``owner`` is the account that did so first; None if nobody has yet.
        """

    def grants_lock(self, user: Any, ae_title: str) -> bool:
        """May this AE keep finished workitems from being removed (PS3.4 CC.2.3.3)?"""


class ModelPermissionPolicy:
    """Django's model permissions; who may view workitems sees them all."""

    def may(self, user: Any, action: Action) -> bool:
        return bool(user.is_active and user.has_perm(f"upsrs.{action}"))

    def sight(self, user: Any) -> Sight:
        return EVERYTHING if self.may(user, "view_workitem") else NOTHING

    def acts_for(self, user: Any, ae_title: str, owner: Any | None) -> bool:
        # What an administrator has set up for an AE is there for its own account to use.
        return user.is_superuser or owner is None or owner == user or owner.is_superuser

    def grants_lock(self, user: Any, ae_title: str) -> bool:
        return True


def policy() -> Policy:
    chosen: Policy = import_string(conf.POLICY)()
    return chosen


def require(user: Any, *actions: Action) -> None:
    """Refuse unless the user may do all of this. ``None`` is the portal's own trusted code."""
    if user is None:
        return
    for action in actions:
        if not policy().may(user, action):
            raise errors.NotAuthorized(f"This needs the permission upsrs.{action}.")


def sight(user: Any) -> Sight:
    """What a user may see, in one order: users with the same rights have equal sights."""
    if user is None:
        return EVERYTHING
    allowed = set(policy().sight(user))
    assert all(keys.is_plain for keys in allowed), "a sight is made of plain keys"
    if any(not (keys.everyday or keys.attributes) for keys in allowed):
        return EVERYTHING
    return tuple(sorted(allowed, key=lambda keys: (keys.everyday, keys.attributes)))


def noted(allowed: Sight) -> list[dict[str, dict[str, str]]] | None:
    """A sight as the audit keeps it; None is everything. Values about patients are left out."""
    if allowed == EVERYTHING:
        return None
    return [
        {"everyday": dict(keys.everyday), "attributes": contract.shown(dict(keys.attributes))}
        for keys in allowed
    ]


def may_listen(user: Any) -> bool:
    """May this user subscribe, and so hear?"""
    return policy().may(user, "view_workitem") and policy().may(user, "add_subscription")


def acts_for(user: Any, ae_title: str, owner: Any | None) -> bool:
    return user is None or policy().acts_for(user, ae_title, owner)


def require_acts_for(user: Any, ae_title: str, owner: Any | None) -> None:
    """Refuse unless the user may act for this AE title."""
    if not acts_for(user, ae_title, owner):
        raise errors.NotAuthorized("This AE title belongs to another account.")


def grants_lock(user: Any, ae_title: str) -> bool:
    return user is None or policy().grants_lock(user, ae_title)


def sees(allowed: Sight, snapshot: Snapshot | None) -> bool:
    return snapshot is not None and any(keys.match(snapshot) for keys in allowed)


def workitem(user: Any, workitem_uid: str, *, for_update: bool = False) -> Workitem:
    """The row, if it is in the user's sight; else it does not exist for them.

    With ``for_update`` it is locked until the caller's transaction ends. Of one that was removed
    nobody knows any more in whose sight it was: that it existed (`WorkitemGone`) is told to those
    who see everything.
    """
    rows = Workitem.objects.using(write_alias()).filter(uid=workitem_uid)
    if for_update:
        rows = rows.select_for_update()
    row, allowed = rows.first(), sight(user)
    if row is not None and sees(allowed, row.snapshot()):
        return row
    removed = Tombstone.objects.using(write_alias()).filter(uid=workitem_uid)
    if row is None and allowed == EVERYTHING and removed.exists():
        raise errors.WorkitemGone
    raise errors.NoSuchWorkitem


def current(
    keys: Keys, allowed: Sight, *, after: int, limit: int
) -> tuple[list[Workitem], int | None]:
    """One page of what matches now and is in sight; see `upsrs.selection.current`."""
    if not allowed:
        return [], None
    return selection.current(keys, allowed, after=after, limit=limit, using=write_alias())
