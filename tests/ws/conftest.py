"""Who opens sockets in these tests."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.authtoken.models import Token


@pytest.fixture
def token(alice: Any) -> Token:
    return Token.objects.create(user=alice)


@pytest.fixture
def soon(settings: Any) -> None:
    """What ends a login reaches its sockets in a moment."""
    settings.UPSRS_LOGIN_SECONDS = 0.1
