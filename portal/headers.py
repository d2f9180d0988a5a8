"""What every page tells the browser about itself, beside the Content-Security-Policy."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

PERMISSIONS = ", ".join(f"{feature}=()" for feature in ("camera", "geolocation", "microphone"))


class PageHeadersMiddleware(MiddlewareMixin):
    """A page may name a patient: the next user of a shared workstation must not page back to it."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if response.get("Content-Type", "").startswith("text/html"):
            response.setdefault("Cache-Control", "no-store")
            response.setdefault("Permissions-Policy", PERMISSIONS)
        return response
