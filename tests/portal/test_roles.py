"""The groups of the portal: there after ``migrate``, and then the administrators' own."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from portal.roles import ROLES

pytestmark = pytest.mark.django_db


def granted():
    return {
        group.name: {
            f"{app}.{codename}"
            for app, codename in group.permissions.values_list(
                "content_type__app_label", "codename"
            )
        }
        for group in Group.objects.all()
    }


def test_they_are_there_after_migrate():
    assert granted() == {name: set(permissions) for name, permissions in ROLES.items()}


def test_a_second_migrate_puts_back_a_group_but_no_permission():
    ai = Group.objects.get(name="AI service")
    ai.permissions.remove(Permission.objects.get(codename="change_workitem"))
    Group.objects.get(name="radiologist").delete()
    before = granted()
    call_command("migrate", verbosity=0)
    assert granted() == {**before, "radiologist": set(ROLES["radiologist"])}


def test_no_group_may_edit_accounts():
    assert not {name for names in ROLES.values() for name in names if name.startswith("auth")}
