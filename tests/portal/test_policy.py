"""The example policy: the worklists of one's groups, and the AE titles of one's account."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from portal.policy import GroupWorklists
from portal.worklists.models import AETitle, GroupWorklist
from upsrs import access

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy(settings):
    settings.UPSRS_POLICY = "portal.policy.GroupWorklists"
    return GroupWorklists()


@pytest.fixture
def group(alice):
    group = Group.objects.create(name="readers")
    alice.groups.add(group)
    return group


def labels(user):
    return {dict(keys.everyday).get("label", "*") for keys in access.sight(user)}


def test_nobody_sees_more_than_their_groups(policy, alice, bob, group):
    GroupWorklist.objects.create(group=group, label="CT*")
    GroupWorklist.objects.create(group=Group.objects.create(name="others"), label="MR")
    bob.groups.add(group)
    assert labels(alice) == {"CT*"}
    assert labels(bob) == set(), "who may not view workitems sees none"


def test_groups_add_up_and_no_group_is_nothing(policy, alice, group):
    assert access.sight(alice) == access.NOTHING
    for label in ("CT", "MR"):
        GroupWorklist.objects.create(group=group, label=label)
    other = Group.objects.create(name="others")
    GroupWorklist.objects.create(group=other, label="CT")
    alice.groups.add(other)
    assert labels(alice) == {"CT", "MR"}


def test_a_star_is_every_worklist(policy, alice, group):
    GroupWorklist.objects.create(group=group, label="*")
    assert access.sight(alice) == access.EVERYTHING


def test_an_ae_title_is_one_accounts(policy, alice, bob, superuser):
    AETitle.objects.create(title="AI1", user=alice)
    assert policy.acts_for(alice, "AI1", None)
    assert policy.grants_lock(alice, "AI1")
    assert policy.acts_for(superuser, "AI1", alice)
    for user, title in ((bob, "AI1"), (alice, "AI2")):
        assert not policy.acts_for(user, title, user), "having used it first gives nothing"
        assert not policy.grants_lock(user, title)


@pytest.mark.parametrize("title", ["A" * 17, "A\\B", "   ", ""])
def test_what_is_no_ae_title_cannot_be_given(alice, title):
    with pytest.raises(ValidationError):
        AETitle(title=title, user=alice).full_clean()


def test_an_administrator_gives_them_in_the_admin(admin_client, alice, group):
    for path, sent in (
        ("groupworklist", {"group": group.pk, "label": "CT"}),
        ("aetitle", {"title": "CT1", "user": alice.pk}),
    ):
        page = f"/admin/worklists/{path}/"
        assert admin_client.post(f"{page}add/", sent).status_code == 302
        assert admin_client.get(page).status_code == 200
    assert GroupWorklist.objects.get().label == "CT"
    assert AETitle.objects.get().user == alice
