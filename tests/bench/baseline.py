"""What the benchmarks compare with: a plain Channels app, as its tutorial has it.

Each socket joins one group, and events go through the channel layer with their payload. POST
``/publish?count=&bytes=`` sends some; it waits for those before, since a layer drops what is too
much for it, and a lost message would make a good time. ``/bare`` is the least that a socket with a
token costs: one look-up, and it is accepted.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any
from urllib.parse import parse_qs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

import django

django.setup()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.db import database_sync_to_async  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402

GROUP = "bench"
IN_FLIGHT = 50


class Plain(AsyncWebsocketConsumer):
    open = delivered = 0

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        Plain.open += 1
        await self.send('{"ready":true}')

    async def disconnect(self, code: int) -> None:
        Plain.open -= 1
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def notify(self, event: dict[str, Any]) -> None:
        await self.send(event["text"])
        Plain.delivered += 1


class Bare(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        key = headers.get(b"authorization", b"").decode().removeprefix("Token ")
        self.scope["user"] = await self._user(key)
        await (self.accept() if self.scope["user"] else self.close())

    @database_sync_to_async
    def _user(self, key: str) -> Any:
        token = Token.objects.select_related("user").filter(key=key).first()
        return token and token.user


async def publish(scope: Any, receive: Any, send: Any) -> None:
    query = parse_qs(scope["query_string"].decode())
    count, payload = int(query["count"][0]), "x" * int(query["bytes"][0])
    layer = get_channel_layer()
    before = Plain.delivered
    for number in range(count):
        await layer.group_send(GROUP, {"type": "notify", "text": payload})
        while Plain.delivered - before < (number - IN_FLIGHT) * Plain.open:
            await asyncio.sleep(0.001)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


plain: Any = Plain.as_asgi()
bare: Any = Bare.as_asgi()
application = ProtocolTypeRouter(
    {
        "http": publish,
        "websocket": URLRouter([path("plain", AuthMiddlewareStack(plain)), path("bare", bare)]),
    }
)
