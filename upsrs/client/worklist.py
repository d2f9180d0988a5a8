"""The transactions of `rest` for an event loop: each in a thread, so that the loop never waits."""

from __future__ import annotations

import asyncio
import functools
import ssl as tls
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from upsrs.client import rest

__all__ = ["Claim", "Worklist"]

Given = ParamSpec("Given")
Answered = TypeVar("Answered")


def _awaited(
    method: Callable[Concatenate[Any, Given], Answered],
) -> Callable[Concatenate[Any, Given], Coroutine[Any, Any, Answered]]:
    """The method of the blocking twin, to be awaited."""

    @functools.wraps(method)
    async def call(self: Any, /, *given: Given.args, **named: Given.kwargs) -> Answered:
        return await asyncio.to_thread(method, self.blocking, *given, **named)

    return call


class Worklist:
    """One user's hands on a worklist; `upsrs.client.sync.Worklist` has the same for threads."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        ae_title: str = "",
        headers: Mapping[str, str] | None = None,
        ssl: tls.SSLContext | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        """``url`` is the base of the service, ``https://portal.example/ups-rs``; ``ae_title``
        becomes the performer of what is claimed, and is who subscribes. ``headers`` carry other
        credentials than a token.
        """
        self.blocking = rest.Worklist(
            url,
            token=token,
            ae_title=ae_title,
            headers=headers,
            ssl=ssl,
            timeout_seconds=timeout_seconds,
        )

    @property
    def ae_title(self) -> str:
        return self.blocking.ae_title

    create = _awaited(rest.Worklist.create)
    retrieve = _awaited(rest.Worklist.retrieve)
    search = _awaited(rest.Worklist.search)
    update = _awaited(rest.Worklist.update)
    request_cancellation = _awaited(rest.Worklist.request_cancellation)
    subscribe = _awaited(rest.Worklist.subscribe)
    unsubscribe = _awaited(rest.Worklist.unsubscribe)

    async def claim(self, workitem_uid: str, transaction_uid: str | None = None) -> Claim:
        """Take a workitem: IN PROGRESS, and nobody else's from now on.

        Whoever knows the Transaction UID holds the workitem. One is made here unless given: keep
        it where a restarted performer finds it. Raises `Refused` if somebody else was quicker.
        """
        claimed = await asyncio.to_thread(self.blocking.claim, workitem_uid, transaction_uid)
        return Claim(self, claimed.workitem_uid, claimed.transaction_uid, claimed.began)


class Claim:
    """A workitem that is ours to perform, until it is completed or canceled."""

    def __init__(
        self,
        worklist: Worklist,
        workitem_uid: str,
        transaction_uid: str,
        began: datetime | None = None,
    ) -> None:
        """A claim that was kept: who has its Transaction UID goes on with it."""
        self.workitem_uid = workitem_uid
        self.transaction_uid = transaction_uid
        self.began = began or datetime.now(UTC)
        self.blocking = rest.Claim(worklist.blocking, workitem_uid, transaction_uid, self.began)

    report_progress = _awaited(rest.Claim.report_progress)
    update = _awaited(rest.Claim.update)
    complete = _awaited(rest.Claim.complete)
    cancel = _awaited(rest.Claim.cancel)
