"""What the lanes below ASGI have in common: they write ready-made frames, and pings of their own."""

from __future__ import annotations

from upsrs.ws.lanes.frames import ping_frame, text_header
from upsrs.ws.lanes.lane import Frame, Full, QueuedLane, Taken
from upsrs.ws.lanes.proofs import Proofs

__all__ = ["FramedLane"]


class FramedLane(QueuedLane):
    can_prove = True

    __slots__ = ("_proofs",)

    def __init__(self, full: Full) -> None:
        super().__init__(full)
        self._proofs = Proofs()

    def write(self, frame: Frame) -> None:
        beginning, rest = frame
        beginning = text_header(len(beginning) + len(rest)) + beginning
        self.put(beginning, rest, len(beginning) + len(rest))

    def prove(self, taken: Taken) -> None:
        ping = ping_frame(self._proofs.ask(taken))
        self.put(ping, b"", len(ping))
