"""The standard's channel: the event reports of one AE (PS3.18 8.10, 11.10 and 11.13).

What an AE is subscribed to, and whether it listens, are two things to the standard. A server need
not keep what happens while nobody listens, and may forget its subscriptions when it restarts:

1. The answer to a Subscribe tells where the channel is. It is opened with ``?place=1``.
2. On each connection Subscribe is said again, now that somebody listens: a server that forgot is
   told, and the state of a single workitem is reported.
3. Reports follow. Those of a server of ours tell their place in its log (others ignore
   ``place=1``): a return goes on behind the last place that was heard whole, by ``?after=``.
   One event may make several reports of one place; those that were heard already are dropped.
4. If no places are told, a return tells the listener to look for itself: what happened meanwhile may
   have been told to nobody.
"""

from __future__ import annotations

import ssl as tls
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from upsrs.client.addresses import credentials
from upsrs.client.errors import Refused, Unreachable
from upsrs.client.lines import (
    ClientConnection,
    ComeBack,
    Line,
    LineState,
    may_pass,
)
from upsrs.client.notifications import Place
from upsrs.client.reports import EventReport
from upsrs.client.worklist import Worklist

__all__ = ["Listening", "listen"]

SILENCE_SECONDS = 30.0
"""After so long a line is asked if it is still there: this channel has no heartbeat."""

MESSAGE_ID = "00000110"


def listen(
    url: str,
    *,
    ae_title: str,
    token: str = "",
    workitem_uid: str | None = None,
    filter: Mapping[str, str] | None = None,  # noqa: A002 - the standard's word
    deletion_lock: bool = False,
    place: Place | None = None,
    on_state: Callable[[LineState, str], None] | None = None,
    headers: Mapping[str, str] | None = None,
    ssl: tls.SSLContext | None = None,
    first_delay_seconds: float = 0.5,
    longest_delay_seconds: float = 30.0,
) -> Listening:
    """Hear the event reports of an AE, from any server that has UPS-RS.

    Subscribes ``ae_title`` to one workitem, to those that ``filter`` means (the keys of a search,
    ``{"WorklistLabel": "AI"}``), or to all; `Worklist.subscribe` adds more, heard on this line too.
    ``url`` is the base of the service. ``place``, kept from an earlier run, continues where that
    one ended, on a server of ours. ``headers`` carry other credentials than a token.

    Raises `LoginRequired`, `NotAllowed`, and `Refused` with the server's words. Everything else is
    waited out, with growing and random pauses.
    """
    worklist = Worklist(url, token=token, ae_title=ae_title, headers=headers, ssl=ssl)
    return Listening(
        worklist=worklist,
        workitem_uid=workitem_uid,
        filter_=filter,
        deletion_lock=deletion_lock,
        headers=credentials(token, headers),
        place=place,
        on_state=on_state,
        ssl=ssl,
        delays=(first_delay_seconds, longest_delay_seconds),
    )


class Listening(Line[EventReport]):
    """An AE that listens."""

    _give_up = Line._give_up | {4404}

    def __init__(
        self,
        *,
        worklist: Worklist,
        workitem_uid: str | None,
        filter_: Mapping[str, str] | None,
        deletion_lock: bool,
        **line: Any,
    ) -> None:
        super().__init__(silence_seconds=SILENCE_SECONDS, **line)
        self._worklist = worklist
        self._workitem_uid = workitem_uid
        self._filter = filter_
        self._deletion_lock = deletion_lock
        self._channel = ""
        self._last_place: int | None = None
        self._told_there: list[Mapping[str, Any]] = []
        """The reports of the last place, of which there may be more."""

    async def unsubscribe(self) -> None:
        """End the subscription itself; the iteration then ends.

        Unless it is of one workitem, the AE is subscribed to nothing any more (PS3.18 11.11.2).
        """
        self._ending.set()
        try:
            await self._worklist.unsubscribe(self._workitem_uid, filter=self._filter)
        except Refused as refusal:
            if refusal.status != 404:  # it is gone already
                raise
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def _address(self) -> str:
        if not self._channel:
            self._channel = await self._subscribe()
        parts = urlsplit(self._channel)
        query: dict[str, int] = {"place": 1}
        if self.place is not None:
            query["after"] = self.place.event_id
        asked = "&".join(filter(None, (parts.query, urlencode(query))))
        return urlunsplit(parts._replace(query=asked))

    async def _opened(self, connection: ClientConnection) -> None:
        await self._subscribe()
        comes_back, self._was_confirmed = self._was_confirmed, True
        self._on_state(LineState.SUBSCRIBED, "")
        if comes_back and self.place is None:
            self._on_state(LineState.RESYNC, "the server may not have kept what happened meanwhile")
        self._on_state(LineState.LIVE, "")

    async def _subscribe(self) -> str:
        try:
            subscribed = await self._worklist.subscribe(
                self._workitem_uid, filter=self._filter, deletion_lock=self._deletion_lock
            )
        except Unreachable as error:
            if isinstance(error.__cause__, tls.SSLCertVerificationError):
                raise error.__cause__ from None  # no waiting helps
            raise ComeBack(str(error)) from error
        except Refused as refusal:
            if may_pass(refusal.status):
                raise ComeBack(refusal.detail) from refusal
            raise
        return subscribed.channel

    def _take(self, frame: dict[str, Any]) -> EventReport | None:
        report = EventReport.of(frame)
        if report is None or report.event_id is None:
            return report
        told = {tag: element for tag, element in frame.items() if tag != MESSAGE_ID}
        if report.event_id != self._last_place:
            self._last_place, self._told_there = report.event_id, []
            self.place = Place("", report.event_id - 1)
        elif told in self._told_there:
            return None
        self._told_there.append(told)
        return report

    def _handshake_refused(self, status: int) -> str:
        parts = urlsplit(self._channel)
        if status in (400, 404) and "/subscribers/" not in parts.path:
            # Until 2019b the answer told the part that the channels of all AEs have in common.
            title = quote(self._worklist.ae_title, safe="")
            path = f"{parts.path.rstrip('/')}/subscribers/{title}"
            self._channel = urlunsplit(parts._replace(path=path))
            return "the channel may be below this address"
        return super()._handshake_refused(status)
