"""An example of a policy: people see the worklists of their groups, AE titles belong to accounts.

Off until ``UPSRS_POLICY`` is ``portal.policy.GroupWorklists``. What somebody may do is still said by
Django's permissions; here is said with which workitems.
"""

from __future__ import annotations

from typing import Any

from portal.worklists.models import AETitle, GroupWorklist
from upsrs.access import EVERYTHING, NOTHING, ModelPermissionPolicy, Sight
from upsrs.dicom.matching import Keys

__all__ = ["GroupWorklists"]


class GroupWorklists(ModelPermissionPolicy):
    """The superuser sees all and acts for all; nobody else acts for an AE title that is not theirs."""

    def sight(self, user: Any) -> Sight:
        if not self.may(user, "view_workitem"):
            return NOTHING
        if user.is_superuser:
            return EVERYTHING
        labels = GroupWorklist.objects.filter(group__user=user).values_list("label", flat=True)
        return tuple(Keys({"label": label}, {}) for label in set(labels))

    def acts_for(self, user: Any, ae_title: str, owner: Any | None) -> bool:
        return user.is_superuser or AETitle.objects.filter(title=ae_title, user=user).exists()

    def grants_lock(self, user: Any, ae_title: str) -> bool:
        return self.acts_for(user, ae_title, None)
