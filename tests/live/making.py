"""Changes made by other processes than the server: what a RIS, a worker or an administrator does."""

from __future__ import annotations

from typing import Any

from tests import datasets
from tests.live.server import Backend, shell

PRELUDE = """
from tests import datasets
from upsrs import workitems
from upsrs.models import Workitem, Subscription, Event
"""


def change(backend: Backend, code: str) -> str:
    """Run Python code in a process of its own, with the use cases at hand; what it printed."""
    return shell(backend.env, PRELUDE + code)


def create(backend: Backend, **changes: Any) -> str:
    """Create one workitem; its UID."""
    uid = datasets.new_uid()
    dataset = datasets.dataset(SOPInstanceUID=uid, **changes)
    change(backend, f"workitems.create(None, {dataset!r})")
    return uid
