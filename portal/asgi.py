"""HTTP to Django, the worklist's sockets to ``upsrs``, each request logged without its query."""

from __future__ import annotations

import os
from typing import Any, cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django_application = get_asgi_application()

# Django must be set up before anything that imports models.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from portal.logs import AccessLog  # noqa: E402
from upsrs.drain import Drain  # noqa: E402
from upsrs.ws.routing import websocket_urlpatterns  # noqa: E402


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """No such socket: refuse the handshake. A router alone would raise, and fill the log."""
    await receive()
    await send({"type": "websocket.close"})


# Any: Channels routes to applications with Django's own functions, which are typed for views.
elsewhere: Any = re_path(r"", refuse)  # type: ignore[arg-type]
worklist: Any = URLRouter([*websocket_urlpatterns, elsewhere])
sockets = URLRouter([cast(Any, path("ups-rs/", worklist)), elsewhere])


def under_prefix(inner: Any) -> Any:
    """Serve under a path prefix, whether or not the proxy strips it on the way.

    ASGI's ``path`` begins with its ``root_path``; a proxy that strips leaves it out, and Django
    would then send people to addresses outside of the prefix.
    """

    async def prefixed(scope: Any, receive: Any, send: Any) -> None:
        if "path" in scope:
            prefix = settings.FORCE_SCRIPT_NAME or scope.get("root_path", "")
            path_info = scope["path"].removeprefix(prefix)
            scope = scope | {"root_path": prefix, "path": prefix + path_info}
        await inner(scope, receive, send)

    return prefixed


application = Drain(
    AccessLog(under_prefix(ProtocolTypeRouter({"http": django_application, "websocket": sockets})))
)
