"""Every kind of caller, and the table that says what each is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from rest_framework.authtoken.models import Token

from portal.worklists.models import AETitle, GroupWorklist
from tests import datasets
from upsrs import workitems
from upsrs.models import Workitem

TABLES = Path(__file__).parents[2] / "docs" / "access.md"

CALLERS = (
    *("nobody", "no rights", "other group", "owner", "administrator"),
    *("expired", "deactivated"),
)
LABEL = "SECRET WORKLIST"
SECRETS = (*datasets.PATIENT_VALUES, LABEL)

PERFORMS = ("view_workitem", "add_workitem", "change_workitem", "add_subscription")

AE_TITLES = {"other group": "OTHER1", "owner": "OWNER1", "administrator": "ADMIN1"}


def rows(heading: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Door → caller → answer, of one table of the document."""
    section = TABLES.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line.strip("| ").split(" | ") for line in re.findall(r"^\|.*\|$", section, re.M)]
    assert table[0] == ["Door", *CALLERS]
    for door, *answers in table[2:]:
        yield door, dict(zip(CALLERS, answers, strict=True))


class People:
    """The callers, in a portal with the example policy; made anew for each test."""

    def __init__(self) -> None:
        allowed = Permission.objects.filter(content_type__app_label="upsrs", codename__in=PERFORMS)
        self.users: dict[str, Any] = {
            "no rights": User.objects.create_user("none"),
            "administrator": User.objects.create_superuser("root"),
        }
        for caller, label in (("owner", LABEL), ("other group", "OTHER")):
            group = Group.objects.create(name=f"group of {caller}")
            group.permissions.set(allowed)
            GroupWorklist.objects.create(group=group, label=label)
            user = User.objects.create_user(caller.replace(" ", "-"))
            user.groups.add(group)
            self.users[caller] = user
        # Who has just lost it could do all that the owner can.
        for caller in ("expired", "deactivated"):
            user = User.objects.create_user(caller)
            user.groups.set(self.users["owner"].groups.all())
            self.users[caller] = user
        for caller, title in AE_TITLES.items():
            AETitle.objects.create(title=title, user=self.users[caller])
        for user in (self.users["expired"], self.users["deactivated"]):
            AETitle.objects.create(title=self.ae_title(user.username), user=user)

    def ae_title(self, caller: str) -> str:
        """Their own; who has none asks for one that is nobody's."""
        return AE_TITLES.get(caller, caller.replace(" ", "").upper())

    def token(self, caller: str) -> str | None:
        if caller == "nobody":
            return None
        token = Token.objects.get_or_create(user=self.users[caller])[0]
        if caller == "expired":
            token.delete()
        return str(token.key)

    def by_token(self, caller: str) -> Client:
        """Whoever it is, as REST sees them."""
        token = self.token(caller)
        client = Client(headers={"Authorization": f"Token {token}"} if token else None)
        self.deactivate(caller)
        return client

    def by_session(self, caller: str) -> Client:
        """Whoever it is, in front of a page."""
        client = Client()
        if caller != "nobody":
            client.force_login(self.users[caller])
        if caller == "expired":
            Session.objects.all().delete()
        self.deactivate(caller)
        return client

    def deactivate(self, caller: str) -> None:
        if caller == "deactivated":
            User.objects.filter(pk=self.users[caller].pk).update(is_active=False)


def secret_workitem(**changes: Any) -> Workitem:
    """One that is in the owner's sight, and not in the other group's."""
    created = workitems.create(None, datasets.dataset(WorklistLabel=LABEL, **changes))
    return Workitem.objects.get(uid=created.workitem_uid)
