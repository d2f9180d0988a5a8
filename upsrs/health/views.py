"""Two addresses that anybody may ask, and that say nothing but ok or not ok."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from health_check.views import HealthCheckView

from upsrs import drain
from upsrs.health import checks

__all__ = ["LivenessView", "ReadinessView"]


class OkView(HealthCheckView):  # type: ignore[misc]  # it is untyped
    """The answer of all checks together: 200 or 503. What failed stands in the log."""

    http_method_names = ["get", "head"]

    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        results = [await check.get_result() for check in self.get_checks()]
        failed = any(result.error for result in results)
        word, status = ("not ok", 503) if failed else ("ok", 200)
        return HttpResponse(f"{word}\n", content_type="text/plain", status=status)


class LivenessView(OkView):
    """This process answers. It asks nothing of others: a database that is away is no reason to
    restart it, and would become none by it."""

    checks = ()


class ReadinessView(OkView):
    """This process can serve. The channel layer is not among what it needs: without it events come
    by polling, and taking all servers away would lose more than that. A server that was told to
    stop still answers what it has begun (`upsrs.drain`), and is not to be given more."""

    checks = (checks.Log,)

    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if drain.is_going_down():
            return HttpResponse("not ok\n", content_type="text/plain", status=503)
        return await super().get(request, *args, **kwargs)
