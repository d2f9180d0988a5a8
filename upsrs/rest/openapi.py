"""The OpenAPI 3.1 document of the REST door, made by drf-spectacular.

drf-spectacular finds the routes and knows how the portal lets people in; what a request and its
answers look like stands in the table of `operations`.

The portal need not know of drf-spectacular. One that uses it finds our operations in its own
document too, if that is OpenAPI 3.1: in 3.0 our schemas would not be valid, and we stay out.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, patched_settings, spectacular_settings
from rest_framework.views import APIView
from uritemplate import variables

from upsrs import __version__
from upsrs.dicom import schemas
from upsrs.dicom.schemas import Schema, ref
from upsrs.rest import refusals
from upsrs.rest.fragments import PATH, PROBLEM_JSON, TEXT, Document, answer, header, warning
from upsrs.rest.operations import OPERATIONS, SERVICE, SUBSCRIPTIONS, WORKITEMS, Operation

__all__ = ["document", "security_schemes"]

OPENAPI = "3.1.0"

COMPONENTS: Mapping[str, Schema] = {
    **schemas.COMPONENTS,
    "UPSProblem": {
        "description": "Why a request was refused (RFC 9457). It never repeats a value.",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": TEXT,
            "dicomStatus": {
                "type": "string",
                "pattern": "^[0-9A-F]{4}$",
                "description": "The DIMSE status that means the same (PS3.4 CC.2, PS3.7 C).",
            },
            "element": {**TEXT, "description": "The attribute at fault, as a path of keywords."},
            "elements": {
                "type": "array",
                "items": TEXT,
                "description": "What still needs a value before the final state.",
            },
        },
    },
}


class Schema31(AutoSchema):
    """One operation, written from the table."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> Document | None:
        view = self.view
        found = OPERATIONS.get((type(view).__name__, method.upper()))
        if found is None or not spectacular_settings.OAS_VERSION.startswith("3.1"):
            return None
        self.registry = registry
        for name, schema in copy.deepcopy(dict(COMPONENTS)).items():
            self.registry.register_on_missing(
                ResolvedComponent(name, ResolvedComponent.SCHEMA, schema, object=Schema31)
            )
        in_path = list(variables(path))
        older = "requester" in in_path
        described: Document = {
            "operationId": f"{found.id}ByPath" if older else found.id,
            "summary": (inspect.getdoc(getattr(view, method.lower())) or "").partition("\n")[0],
            "tags": [found.tag],
            "parameters": [
                *({"name": name, "in": "path", "required": True, **PATH[name]} for name in in_path),
                *found.query,
            ],
            "security": self.get_auth(),
            "responses": dict(sorted(_responses(found, view, method.upper()))),
        }
        if found.text:
            described["description"] = found.text
        if found.body:
            described["requestBody"] = found.body
        if older:
            described["deprecated"] = True
        return copy.deepcopy(described)  # hooks of the portal may work on it in place


def _responses(found: Operation, view: Any, method: str) -> Iterator[tuple[str, Document]]:
    """The successes, then the refusals by status, as the transaction's own table has them."""
    for success, described in found.answers.items():
        yield str(success), described
    table = view.refused_as.get(method, refusals.GENERAL)
    sentences: dict[int, dict[str, None]] = {}
    warnings: dict[int, dict[str, None]] = {}
    for refused in (it() for it in found.refusals):
        status = table.status(refused)
        told = refused.detail if refused.status is None else f"{refused.detail[:-1]} "
        code = "" if refused.status is None else f"({refused.status:04X})."
        sentences.setdefault(status, {})[told + code] = None
        if text := table.warning(refused):
            warnings.setdefault(status, {})[text] = None
    for status, sentence in {**(found.also or {}), **(BODY if found.body else {})}.items():
        sentences.setdefault(status, {})[sentence] = None
        if table.otherwise:
            warnings.setdefault(status, {})[table.otherwise] = None
    yield "401", _problem([UNAUTHORIZED], WWW_Authenticate=header("How to log in."))
    yield "429", _problem([THROTTLED], Retry_After=header("In so many seconds it may be."))
    for status in sentences:
        headers = {}
        if status in warnings:
            # A 403 may come from the portal's own rules, before the transaction began.
            certain = bool(table.otherwise) and status != HTTPStatus.FORBIDDEN
            headers["Warning"] = warning(*warnings[status], required=certain)
        yield str(int(status)), _problem(sentences[status], **headers)


UNAUTHORIZED = "There are no valid credentials."
THROTTLED = "A limit of the server or of the portal is reached."
BODY = {
    411: "The server needs a Content-Length.",
    413: "The body is larger than the server accepts.",
    415: "The body is of a type, charset or coding that the server does not read.",
}


def _problem(sentences: Iterable[str], **headers: Document) -> Document:
    content = {PROBLEM_JSON: {"schema": ref("UPSProblem")}}
    return answer(" ".join(sentences), content, **headers)


class Described(OpenApiViewExtension):
    """Makes drf-spectacular use the table for our views, whatever the portal's default is."""

    target_class = "upsrs.rest.views.UPSView"
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        # No version: the addresses are the standard's, and the portal's versioning is not theirs.
        members = {"schema": Schema31(), "versioning_class": None}
        return type(self.target.__name__, (self.target,), members)


class Endpoints(EndpointEnumerator):
    """All methods that the table knows; drf-spectacular leaves OPTIONS out."""

    def get_allowed_methods(self, callback: Any) -> list[str]:
        methods: list[str] = super().get_allowed_methods(callback)
        if (callback.cls.__name__, "OPTIONS") in OPERATIONS:
            methods.append("OPTIONS")
        return methods


class Generator(SchemaGenerator):
    endpoint_inspector_cls = Endpoints


_generating = threading.Lock()


def document(service: str) -> Document:
    """The document of the service at this base URL."""
    return {**_described(), "servers": [{"url": service, "description": "This server"}]}


def security_schemes() -> Mapping[str, Schema]:
    """The ways to log in that the portal offers, as OpenAPI has them, by name."""
    schemes: Mapping[str, Schema] = _described()["components"].get("securitySchemes", {})
    return schemes


def _described() -> Document:
    """All but the address, made once: meanwhile drf-spectacular's settings are ours."""
    with _generating:
        return _generated()


@cache
def _generated() -> Document:
    from upsrs.rest.urls import urlpatterns  # this module is a part of what it describes

    generator = Generator(patterns=urlpatterns)
    ours = {
        name: default
        for name, default in SPECTACULAR_DEFAULTS.items()
        if not name.startswith("SERVE_") and name != "DEFAULT_GENERATOR_CLASS"
    }
    with patched_settings({**ours, "OAS_VERSION": OPENAPI}):
        paths = generator.parse(None, public=True)
        components = generator.registry.build({})
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "DICOM UPS-RS",
            "version": __version__,
            "description": (
                "The worklist service of PS3.18 chapter 11. What happens to workitems is told "
                "over WebSocket: see asyncapi.json."
            ),
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in (WORKITEMS, SUBSCRIPTIONS, SERVICE)],
        "paths": paths,
        "components": components,
    }
