"""The border between the loop and the database: use cases run on a few threads of our own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async

__all__ = ["in_database"]

P = ParamSpec("P")
T = TypeVar("T")

_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="upsrs-database")


def in_database(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a use case off the loop.

    Channels' default is one thread for the whole process, shared with the portal's own code.
    """
    return database_sync_to_async(function, thread_sensitive=False, executor=_threads)
