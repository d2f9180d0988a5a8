from __future__ import annotations

import pytest

from tests.access.callers import People


@pytest.fixture
def people(db, settings):
    settings.UPSRS_POLICY = "portal.policy.GroupWorklists"
    return People()
