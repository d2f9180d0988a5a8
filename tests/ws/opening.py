"""Sockets without a server: the portal's ASGI application, asked by Channels' communicator."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from tests.live.parts import PATIENCE_SECONDS

GENERAL = "/ups-rs/workitems/subscription"
EVENTS = "/ups-rs/subscribers/AI1"
ORIGIN = "http://localhost"


def by_token(key: str) -> dict[str, str]:
    return {"authorization": f"Token {key}"}


async def by_session(user: Any) -> dict[str, str]:
    """The headers of a browser that shows a page of ours, in which this user is logged in."""
    client = Client()
    await sync_to_async(client.force_login)(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    return {"cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}", "origin": ORIGIN}


class Socket:
    """One open socket; see `opened`."""

    def __init__(self, communicator: WebsocketCommunicator, subprotocol: str | None) -> None:
        self.communicator = communicator
        self.subprotocol = subprotocol

    async def send(self, message: object) -> None:
        await self.communicator.send_to(text_data=json.dumps(message))

    async def next(self) -> dict[str, Any]:
        """The next message."""
        output = await self.communicator.receive_output(PATIENCE_SECONDS)
        assert output["type"] == "websocket.send", f"it was closed with {output.get('code')}"
        message: dict[str, Any] = json.loads(output["text"])
        return message

    async def subscribe(self, **wanted: str) -> str:
        """Follow this, from now on; the UID of the subscription."""
        await self.send({"filter": wanted, "initialState": False})
        confirmation = await self.next()
        assert confirmation["subscription"]["status"] == "ACTIVE"
        return str(confirmation["subscriptionUID"])

    async def closed(self) -> int:
        """The code that it is closed with, whatever came before."""
        while True:
            output = await self.communicator.receive_output(PATIENCE_SECONDS)
            if output["type"] == "websocket.close":
                return int(output["code"])


class HandshakeRefused(Exception):
    """The server did not let it in."""


@contextlib.asynccontextmanager
async def opened(
    headers: dict[str, str],
    path: str = GENERAL,
    *,
    subprotocols: Iterable[str] = (),
    address: str = "127.0.0.1",
) -> AsyncIterator[Socket]:
    """A socket that was let in. Raises `HandshakeRefused`."""
    from portal.asgi import application

    sent = {"host": "localhost", **headers}
    communicator = WebsocketCommunicator(
        application,
        path,
        headers=[(name.encode(), value.encode()) for name, value in sent.items()],
        subprotocols=list(subprotocols),
    )
    communicator.scope["client"] = (address, 50_000)
    try:
        is_in, subprotocol = await communicator.connect(PATIENCE_SECONDS)
        if not is_in:
            raise HandshakeRefused
        yield Socket(communicator, subprotocol)
    finally:
        await communicator.disconnect(timeout=PATIENCE_SECONDS)
