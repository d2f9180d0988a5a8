from __future__ import annotations

import pytest

from tests.rest.worklist import Worklist


@pytest.fixture
def worklist(alice):
    """The service as alice sees it, who may do everything."""
    return Worklist(alice)


@pytest.fixture
def bobs_worklist(bob):
    """The service as bob sees it, who may log in and nothing else."""
    return Worklist(bob)
