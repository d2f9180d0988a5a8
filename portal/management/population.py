"""The people of the demo. Run inside the demo's own database only, see `commands.demo`."""

from __future__ import annotations

import json

from django.contrib.auth.models import Group, User
from rest_framework.authtoken.models import Token

PEOPLE = {"radiographer": "radiographer", "radiologist": "radiologist", "performer": "AI service"}
"""User → the group that says what they may do."""


def populate(password: str) -> str:
    """An administrator and one user of each role, with a token each; the tokens as JSON.

    The AI service has no password: a token is all that a machine needs.
    """
    User.objects.create_superuser("admin", password=password)
    tokens: dict[str, str] = {}
    for name, group in PEOPLE.items():
        user = User.objects.create_user(name, password=None if name == "performer" else password)
        user.groups.add(Group.objects.get(name=group))
        tokens[name] = Token.objects.create(user=user).key
    return json.dumps(tokens)
