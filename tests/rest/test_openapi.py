"""The OpenAPI document: valid, complete, the portal's settings notwithstanding, and true."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from django.urls import include, path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import spectacular_settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from rest_framework.throttling import UserRateThrottle
from rest_framework.versioning import AcceptHeaderVersioning

from tests.rest.worklist import BASE, DICOM_JSON, PERFORMED, SERVICE, T, Worklist, problem
from upsrs.rest import openapi
from upsrs.rest.operations import OPERATIONS
from upsrs.rest.urls import urlpatterns
from upsrs.rest.views import UPSView

pytestmark = pytest.mark.django_db

IN_ASYNCAPI = {"ChannelView"}
"""What only says that an address is to be opened by WebSocket."""


@pytest.fixture(autouse=True)
def _generated_anew():
    """Settings that a test makes count, and stay in it."""
    openapi._generated.cache_clear()
    yield
    openapi._generated.cache_clear()


@pytest.fixture
def document(worklist):
    """The document as alice gets it."""
    response = worklist.http.get(f"{BASE}/openapi.json")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    return response.json()


def operations(document):
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def schema_of(document, schema):
    """A validator of a schema as it stands in the document."""
    resource = Resource(contents=document, specification=DRAFT202012)
    registry = Registry().with_resource("urn:document", resource)
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))
    return Draft202012Validator(absolute, registry=registry)


def test_it_is_valid_openapi_3_1(document):
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_nobody_gets_it():
    problem(Worklist().http.get(f"{BASE}/openapi.json"), 401)


def test_the_server_is_where_the_client_found_it(worklist, settings):
    assert worklist.http.get(f"{BASE}/openapi.json").json()["servers"][0]["url"] == SERVICE
    settings.ALLOWED_HOSTS = ["ris.example"]
    settings.USE_X_FORWARDED_HOST = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"X-Forwarded-Host": "ris.example", "X-Forwarded-Proto": "https"}
    response = worklist.http.get(f"{BASE}/openapi.json", headers=headers)
    assert response.json()["servers"][0]["url"] == "https://ris.example/ups-rs"


def test_every_method_of_every_resource_is_in_it(document):
    described = {(path, method) for method, path, _ in operations(document).values()}
    for pattern in urlpatterns:
        view = pattern.callback.cls
        if view.__name__ in IN_ASYNCAPI:
            continue
        methods = {name.upper() for name in view.http_method_names if hasattr(view, name)}
        if "options" not in vars(view):
            methods -= {"OPTIONS"}  # Django's own answer, told by Allow
        for method in methods - {"HEAD"}:
            assert (view.__name__, method) in OPERATIONS
            path = "/" + str(pattern.pattern)
            for kind in ("str:", "path:"):
                path = path.replace(f"<{kind}", "{").replace(">", "}")
            assert (path, method) in described


def test_each_operation_has_one_id_and_says_how_to_log_in(document):
    found = [it for methods in document["paths"].values() for it in methods.values()]
    assert len({it["operationId"] for it in found}) == len(found)
    for operation in found:
        assert operation["security"] == [{"tokenAuth": []}, {"cookieAuth": []}]
        assert operation["responses"]["401"]["headers"]["WWW-Authenticate"]["required"]
        assert operation["summary"]


def test_each_refusal_stands_at_the_status_of_its_transaction(document):
    found = {name: it["responses"] for name, (_, _, it) in operations(document).items()}
    final = "may no longer be updated (C300)."
    assert final in found["updateWorkitem"]["400"]["description"]
    assert final in found["changeWorkitemState"]["409"]["description"]
    assert "0111" in found["createWorkitem"]["409"]["description"]
    warning = found["changeWorkitemState"]["400"]["headers"]["Warning"]
    assert warning["required"]
    assert "The Transaction UID is missing." in warning["description"]
    assert "Warning" not in found["createWorkitem"]["400"]["headers"]


def test_each_link_leads_to_an_operation_and_gives_what_that_takes(document):
    found = operations(document)
    links = [
        link
        for _, _, operation in found.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert links
    for link in links:
        _, _, target = found[link["operationId"]]
        assert link["parameters"].keys() <= {it["name"] for it in target["parameters"]}


# Whatever the portal has set


@pytest.fixture
def theirs(monkeypatch):
    """``theirs(TITLE="RIS")``: the portal's settings for a document of its own."""

    def set_all(**values):
        for name, value in values.items():
            monkeypatch.setattr(spectacular_settings, name, value)

    return set_all


def test_the_portals_settings_for_its_own_document_have_no_say(worklist, document, theirs):
    settings = {
        "TITLE": "RIS",
        "OAS_VERSION": "3.0.3",
        "PREPROCESSING_HOOKS": [lambda endpoints: []],
        "CAMELIZE_NAMES": True,
        "SCHEMA_PATH_PREFIX_INSERT": "/ris",
        "SECURITY": [{"ris": []}],
    }
    theirs(**settings)
    openapi._generated.cache_clear()
    assert worklist.http.get(f"{BASE}/openapi.json").json() == document
    for name, value in settings.items():
        assert getattr(spectacular_settings, name) == value


def test_a_portal_that_versions_its_api_changes_nothing(worklist, document, monkeypatch):
    monkeypatch.setattr(UPSView, "versioning_class", AcceptHeaderVersioning)
    openapi._generated.cache_clear()
    assert openapi.document(SERVICE) == document


def test_a_portal_that_throttles_is_told_of(monkeypatch):
    monkeypatch.setattr(UserRateThrottle, "get_rate", lambda self: "1/day")
    monkeypatch.setattr(UPSView, "throttle_classes", [UserRateThrottle])
    _, _, operation = operations(openapi.document(SERVICE))["createWorkitem"]
    assert "429" in operation["responses"]


def portals_document():
    """What a portal that uses drf-spectacular would tell of our part, with its default hooks."""
    patterns = [path("ris/", include("upsrs.rest.urls"))]
    return SchemaGenerator(patterns=patterns).get_schema(public=True)


def test_a_portal_that_uses_drf_spectacular_finds_us_in_its_own_document(document, theirs):
    theirs(OAS_VERSION="3.1.0")
    found = portals_document()
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    told = {name: method_path[:2] for name, method_path in operations(found).items()}
    assert told.keys() >= {"createWorkitem", "changeWorkitemState", "retrieveWorkitem"}
    assert told["createWorkitem"] == ("POST", "/ris/workitems")
    assert found["components"]["schemas"] == document["components"]["schemas"]


def test_in_a_document_of_3_0_we_would_not_be_valid_and_stay_out(theirs):
    theirs(OAS_VERSION="3.0.3")
    assert portals_document()["paths"] == {}


# True


def test_every_example_is_valid_by_its_schema(document):
    shown = 0
    for _, _, operation in operations(document).values():
        for parameter in operation["parameters"]:
            if "example" in parameter:
                schema_of(document, parameter["schema"]).validate(parameter["example"])
                shown += 1
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                schema_of(document, content["schema"]).validate(content["example"])
                shown += 1
    assert shown > 10


def send_example(worklist, document, name, *, body=True):
    """Send the example of an operation, all of it; the answer, which must be one that it names."""
    method, path, operation = operations(document)[name]
    query = {}
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(parameter["example"], safe=""))
        elif "example" in parameter:
            query[parameter["name"]] = parameter["example"]
    content = operation.get("requestBody", {}).get("content", {}) if body else {}
    media_type = next(iter(content), None)
    data = json.dumps(content[media_type]["example"]).encode() if media_type else b""
    response = worklist.http.generic(
        method, f"{BASE}{path}?{urlencode(query)}", data, content_type=media_type or ""
    )
    assert str(response.status_code) in operation["responses"], response.content
    return response


def test_the_examples_in_their_order_are_the_life_of_a_workitem(worklist, document):
    assert send_example(worklist, document, "createWorkitem").status_code == 201
    assert send_example(worklist, document, "changeWorkitemState").status_code == 200
    assert send_example(worklist, document, "updateWorkitem").status_code == 200
    assert send_example(worklist, document, "reportProgress").status_code == 200
    response = send_example(worklist, document, "retrieveWorkitem")
    assert response.status_code == 200
    responses = operations(document)["retrieveWorkitem"][2]["responses"]
    schema = responses["200"]["content"][DICOM_JSON]["schema"]
    schema_of(document, schema).validate(response.json())
    assert send_example(worklist, document, "requestCancellation").status_code == 202
    assert send_example(worklist, document, "requestCancellationByPath").status_code == 202


def test_a_refusal_is_as_described(worklist, document):
    uid = worklist.workitem("IN PROGRESS")
    schema = schema_of(document, {"$ref": "#/components/schemas/UPSProblem"})
    for refused in (
        worklist.change_state(uid, "COMPLETED", T),
        worklist.update(uid, PERFORMED),
        worklist.retrieve("1.2.3"),
    ):
        assert refused.status_code >= 400
        schema.validate(refused.json())
        assert "dicomStatus" in refused.json()


def test_what_a_new_workitem_must_have_is_what_the_server_asks_for(worklist, document):
    name = {"$ref": "#/components/schemas/WorkitemToCreate"}
    example = operations(document)["createWorkitem"][2]["requestBody"]["content"][DICOM_JSON]
    [whole] = example["example"]
    schema = schema_of(document, name)
    for tag in whole:
        without = {name: element for name, element in whole.items() if name != tag}
        response = worklist.create(without, f"?workitem=2.25.{int(tag, 16)}")
        assert schema.is_valid(without) == (response.status_code == 201), tag
