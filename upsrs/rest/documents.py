"""The documents that describe the service, for who writes a client: OpenAPI and AsyncAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from upsrs.contract import asyncapi
from upsrs.rest import media, openapi
from upsrs.rest.views import UPSView

__all__ = ["AsyncAPI3View", "AsyncAPIView", "OpenAPIView"]

ASYNCAPI_TYPES: Mapping[str, str] = {"apiKey": "httpApiKey"}
"""AsyncAPI's name of a kind of credentials, where it differs from OpenAPI's."""


class OpenAPIView(UPSView):
    """``openapi.json``"""

    def get(self, request: Request) -> Response:
        """Describe what can be asked by HTTP, as OpenAPI 3.1."""
        return Response(openapi.document(self.service), content_type=media.JSON)


class AsyncAPIView(UPSView):
    """``asyncapi.json``"""

    document: Callable[..., dict[str, Any]] = staticmethod(asyncapi.document_2)

    def get(self, request: Request) -> Response:
        """Describe what is told over WebSocket, as AsyncAPI."""
        # The sockets let people in as REST does, and http becomes ws, https wss.
        security = {
            name: {**scheme, "type": ASYNCAPI_TYPES.get(scheme["type"], scheme["type"])}
            for name, scheme in openapi.security_schemes().items()
        }
        channels = self.service.replace("http", "ws", 1)
        return Response(self.document(channels, security), content_type=media.JSON)


class AsyncAPI3View(AsyncAPIView):
    """``asyncapi-3.json``"""

    document = staticmethod(asyncapi.document_3)
