"""The code of a ward: a page that schedules, a socket that people talk by."""

from __future__ import annotations

import json

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from upsrs.models import Workitem


@csrf_exempt
def order(request):
    """Save a workitem; ``?fail`` finds out too late that it should not have."""
    uid = request.GET["uid"]
    Workitem(uid=uid, dataset=json.loads(request.body)).save()
    if "fail" in request.GET:
        raise RuntimeError("too late")
    return HttpResponse(uid)


class Talk(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("ward", self.channel_name)
        await self.accept()

    async def receive_json(self, content):
        await self.channel_layer.group_send("ward", {"type": "said", "text": content["text"]})

    async def said(self, event):
        await self.send_json({"text": event["text"]})


def explode(error, context):
    raise AssertionError("these answers are the standard's")
