"""Retrieve Capabilities (PS3.18 8.9), and channels that are asked for without WebSocket."""

from __future__ import annotations

import pytest
from defusedxml import ElementTree
from django.test import Client
from django.urls import resolve

from tests.rest.worklist import BASE, SERVICE, problem
from upsrs.rest.capabilities import RESOURCES

pytestmark = pytest.mark.django_db

WADL = "application/vnd.sun.wadl+xml"
NS = "{http://wadl.dev.java.net/2009/02}"


def options(worklist, accept=None):
    headers = {} if accept is None else {"Accept": accept}
    return worklist.http.generic("OPTIONS", f"{BASE}/", headers=headers)


def test_r169_the_capabilities_are_told_in_json(worklist):
    for accept in ("application/json", "*/*", None):
        response = options(worklist, accept)
        assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    told = response.json()
    assert told["base"] == SERVICE
    transactions = {
        (resource["path"], it["method"]): it["name"]
        for resource in told["resources"]
        for it in resource["transactions"]
    }
    assert transactions["workitems", "GET"] == "Search"
    assert transactions["workitems/{workitem}/state", "PUT"] == "Change State"
    suspend = "workitems/1.2.840.10008.5.1.4.34.5.1/subscribers/{aetitle}/suspend"
    assert transactions[suspend, "POST"] == "Suspend Global Subscription"


def test_r169_the_capabilities_are_told_in_wadl(worklist):
    response = options(worklist, WADL)
    assert (response.status_code, response["Content-Type"]) == (200, WADL)
    root = ElementTree.fromstring(response.content)
    resources = root.find(f"{NS}resources")
    assert resources.get("base") == f"{SERVICE}/"
    workitems = resources.find(f"{NS}resource[@path='workitems']")
    assert [it.get("name") for it in workitems.findall(f"{NS}method")] == ["GET", "POST"]
    workitem = workitems.find(f"{NS}resource[@path='{{workitem}}']")
    assert {it.get("path") for it in workitem.findall(f"{NS}resource")} == {
        *("state", "cancelrequest", "progress", "subscribers")
    }


def test_what_is_told_is_what_there_is():
    for resource in RESOURCES:
        path = resource.path.replace("{workitem}", "1.2.3").replace("{aetitle}", "AE1")
        view = resolve(f"{BASE}/{path}").func.view_class
        for it in resource.transactions:
            assert hasattr(view, it.method.lower()), f"{it.method} {resource.path}"


def test_another_type_is_406(worklist):
    assert WADL in problem(options(worklist, "image/png"), 406)["detail"]


def test_the_service_itself_is_nothing_to_get(worklist):
    response = worklist.http.get(f"{BASE}/")
    problem(response, 405)
    assert response["Allow"] == "OPTIONS"


@pytest.mark.parametrize(
    "path",
    [
        *("workitems/subscription", "workitems/subscription/2.25.1"),
        *("subscribers/AE1", "ws/subscribers/AE1"),
    ],
)
def test_r153_a_channel_without_websocket_says_how_to_open_it(worklist, path):
    response = worklist.http.get(f"{BASE}/{path}")
    assert "WebSocket" in problem(response, 426)["detail"]
    assert response["Upgrade"] == "websocket"


def test_strangers_are_told_nothing(client):
    for method, path in (("OPTIONS", ""), ("GET", "subscribers/AE1")):
        response = Client().generic(method, f"{BASE}/{path}")
        assert response.status_code == 401
        assert response["WWW-Authenticate"]
