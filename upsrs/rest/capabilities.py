"""Retrieve Capabilities: which resources there are, and what can be done with them (PS3.18 8.9).

One table, told as WADL or as JSON; and the answer to who opens a channel without WebSocket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from django.http import HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.response import Response

from upsrs.dicom.uids import FILTERED_GLOBAL_SUBSCRIPTION, GLOBAL_SUBSCRIPTION
from upsrs.rest import media
from upsrs.rest.media import DATASET_TYPES, JSON
from upsrs.rest.views import UPSView

__all__ = ["RESOURCES", "CapabilitiesView", "ChannelView", "Resource", "Transaction"]

WADL = "application/vnd.sun.wadl+xml"
NAMESPACE = "http://wadl.dev.java.net/2009/02"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction on a resource."""

    method: str
    name: str
    query: Sequence[str] = ()
    request: Sequence[str] = ()
    """Media types of the request's body; none if it has none."""
    response: Sequence[str] = ()
    statuses: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    path: str
    transactions: Sequence[Transaction]


SUBSCRIPTION = (
    Transaction(
        "POST", "Subscribe", ("deletionlock", "filter"), statuses=(201, 400, 403, 404, 410)
    ),
    Transaction("DELETE", "Unsubscribe", statuses=(200, 400, 403, 404, 410)),
)
SUSPEND = (Transaction("POST", "Suspend Global Subscription", statuses=(200, 400, 403, 404)),)

RESOURCES = (
    Resource(
        "workitems",
        (
            Transaction(
                "GET",
                "Search",
                (
                    *("{attribute}", "includefield", "limit", "offset", "accept"),
                    *("fuzzymatching", "emptyvaluematching", "multiplevaluematching"),
                ),
                response=DATASET_TYPES,
                statuses=(200, 204, 400, 403, 406),
            ),
            Transaction(
                "POST",
                "Create",
                ("workitem",),
                request=DATASET_TYPES,
                statuses=(201, 400, 403, 409, 413, 415),
            ),
        ),
    ),
    Resource(
        "workitems/{workitem}",
        (
            Transaction(
                "GET",
                "Retrieve",
                ("accept",),
                response=DATASET_TYPES,
                statuses=(200, 400, 403, 404, 406, 410),
            ),
            Transaction(
                "POST",
                "Update",
                ("transaction-uid",),
                request=DATASET_TYPES,
                statuses=(200, 400, 403, 404, 409, 410, 413, 415),
            ),
        ),
    ),
    Resource(
        "workitems/{workitem}/state",
        (
            Transaction(
                "PUT",
                "Change State",
                ("requester",),
                request=DATASET_TYPES,
                statuses=(200, 400, 403, 404, 409, 410, 413, 415),
            ),
        ),
    ),
    Resource(
        "workitems/{workitem}/cancelrequest",
        (
            Transaction(
                "POST",
                "Request Cancellation",
                ("requester",),
                request=DATASET_TYPES,
                statuses=(202, 400, 403, 404, 409, 410, 413, 415),
            ),
        ),
    ),
    Resource(
        "workitems/{workitem}/progress",
        (
            Transaction(
                "POST",
                "Report Progress",
                ("transaction-uid",),
                request=media.JSON_TYPES,
                statuses=(200, 400, 403, 404, 409, 410, 413, 415),
            ),
        ),
    ),
    Resource("workitems/{workitem}/subscribers/{aetitle}", SUBSCRIPTION),
    Resource(f"workitems/{GLOBAL_SUBSCRIPTION}/subscribers/{{aetitle}}", SUBSCRIPTION),
    Resource(f"workitems/{GLOBAL_SUBSCRIPTION}/subscribers/{{aetitle}}/suspend", SUSPEND),
    Resource(f"workitems/{FILTERED_GLOBAL_SUBSCRIPTION}/subscribers/{{aetitle}}", SUBSCRIPTION),
    Resource(f"workitems/{FILTERED_GLOBAL_SUBSCRIPTION}/subscribers/{{aetitle}}/suspend", SUSPEND),
    Resource(
        "tickets",
        (
            Transaction(
                "POST",
                "Issue Ticket",
                request=media.JSON_TYPES,
                response=(JSON,),
                statuses=(201, 400, 403, 413, 415, 429),
            ),
        ),
    ),
    Resource(
        "subscribers/{aetitle}",
        (Transaction("GET", "Open Notification Connection", ("after", "place"), statuses=(101,)),),
    ),
)


class CapabilitiesView(UPSView):
    """The service itself."""

    http_method_names = ["options"]

    def options(self, request: Any, *_: Any, **__: Any) -> Any:
        """Retrieve Capabilities (PS3.18 8.9)."""
        media_type = media.negotiate(request, (JSON, WADL))
        headers = {**self.default_response_headers, "Vary": "Accept"}
        if media_type == WADL:
            return HttpResponse(_wadl(self.service), content_type=WADL, headers=headers)
        return JsonResponse(_json(self.service), headers=headers)


class ChannelView(UPSView):
    """A channel, as who comes without WebSocket sees it."""

    def get(self, request: Request, **_: str) -> Response:
        """Upgrade required (RFC 9110 15.5.22; PS3.18 8.10.4)."""
        raise media.UpgradeRequired


def _json(service: str) -> dict[str, Any]:
    return {
        "base": service,
        "resources": [
            {
                "path": resource.path,
                "transactions": [
                    {
                        "method": it.method,
                        "name": it.name,
                        "query": list(it.query),
                        "request": list(it.request),
                        "response": list(it.response),
                        "statuses": list(it.statuses),
                    }
                    for it in resource.transactions
                ],
            }
            for resource in RESOURCES
        ],
    }


def _wadl(service: str) -> bytes:
    """A tree, as WADL has it: what two paths have in common is one resource."""
    application = Element("application", {"xmlns": NAMESPACE})
    root = SubElement(application, "resources", {"base": f"{service}/"})
    method = SubElement(root, "method", {"name": "OPTIONS", "id": "RetrieveCapabilities"})
    _representations(method, "response", (WADL, JSON), {"status": "200"})
    known: dict[str, Element] = {"": root}
    for resource in RESOURCES:
        path = ""
        for part in resource.path.split("/"):
            parent, path = known[path], f"{path}/{part}"
            if path not in known:
                known[path] = SubElement(parent, "resource", {"path": part})
        for it in resource.transactions:
            _method(known[path], it)
    document: bytes = tostring(application, encoding="utf-8", xml_declaration=True)
    return document


def _method(resource: Element, it: Transaction) -> None:
    method = SubElement(resource, "method", {"name": it.method, "id": it.name.replace(" ", "")})
    request = _representations(method, "request", it.request, {})
    for name in it.query:
        SubElement(request, "param", {"name": name, "style": "query"})
    for status in it.statuses:
        types = it.response if status == it.statuses[0] else ()
        _representations(method, "response", types, {"status": str(status)})


def _representations(
    method: Element, direction: str, types: Sequence[str], attributes: Mapping[str, str]
) -> Element:
    element = SubElement(method, direction, dict(attributes))
    for media_type in types:
        SubElement(element, "representation", {"mediaType": media_type})
    return element
