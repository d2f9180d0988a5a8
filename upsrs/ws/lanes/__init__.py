"""How a frame reaches a socket, per server.

    portable    any ASGI server: a bounded queue, and a task that awaits each send
    daphne      straight to the network, past Autobahn's and Twisted's work for each message
    uvicorn     straight to the transport, past the work of the protocol for each message

ASGI says when a frame was handed over, not when it was taken; what a lane knows beyond that it
learns below ASGI. Whatever touches a server is in the module of its name. Where a server is not as
that module knows it (TLS that ends in daphne, compression, another version), or where
``UPSRS_FAST_LANE`` is off, the portable lane does the work by itself.
"""

from __future__ import annotations

from upsrs.ws.lanes.choice import lane_for
from upsrs.ws.lanes.farewell import GOING_AWAY, before_goodbye
from upsrs.ws.lanes.lane import Lane

__all__ = ["GOING_AWAY", "Lane", "before_goodbye", "lane_for"]
