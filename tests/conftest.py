"""People and workitems for the tests in this process.

In every test alice is in, bob is out, and the superuser is ``superuser``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests import datasets


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The PostgreSQL of ``tests.settings`` goes with this process, and its databases with it."""
    return os.environ.get("UPSRS_TEST_DATABASE") == "postgres"


@pytest.fixture
def dataset() -> Callable[..., datasets.JSONDataset]:
    """``dataset(WorklistLabel="AI")``: the minimal valid create payload, changed."""
    return datasets.dataset


@pytest.fixture
def alice(db: None, django_user_model: Any) -> Any:
    """May do everything with the worklist."""
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("alice", password="alice")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="upsrs"))
    return user


@pytest.fixture
def bob(db: None, django_user_model: Any) -> Any:
    """Is logged in, and may do nothing."""
    return django_user_model.objects.create_user("bob", password="bob")


@pytest.fixture
def superuser(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_superuser("root", password="root")


@pytest.fixture
def make_workitem(alice: Any) -> Callable[..., Any]:
    """``make_workitem(WorklistLabel="AI")``: a workitem that alice created."""
    from upsrs import workitems
    from upsrs.models import Workitem

    def make(user: Any = None, **changes: Any) -> Workitem:
        created = workitems.create(user or alice, datasets.dataset(**changes))
        return Workitem.objects.get(uid=created.workitem_uid)

    return make


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """What a test had audited is written before its database is emptied; what it spent is back."""
    if "upsrs.audit" in sys.modules:
        sys.modules["upsrs.audit"].flush()
    if "upsrs.limits" in sys.modules:
        limits = sys.modules["upsrs.limits"]
        for limit in (limits.FAILED_LOGINS, limits.MESSAGES, limits.ROOM, limits.TICKETS):
            limit.forget()
