"""Who may come in, and what a portal's own settings may and may not change: PS3.18 8.5."""

from __future__ import annotations

import logging

import pytest
from django.db import connection
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import (
    BasePermission,
    DjangoModelPermissions,
    DjangoModelPermissionsOrAnonReadOnly,
)
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle

from tests.datasets import elements, new_uid
from tests.rest.worklist import BASE, T, Worklist, payload, problem
from upsrs import workitems
from upsrs.models import Workitem
from upsrs.rest.views import UPSView

pytestmark = pytest.mark.django_db

RESOURCES = [
    ("POST", ""),
    ("POST", "?workitem=1.2.3"),
    ("GET", "/1.2.3"),
    ("HEAD", "/1.2.3"),
    ("POST", f"/1.2.3?{T}"),
    ("PUT", "/1.2.3/state"),
    ("PUT", "/1.2.3/state/AE"),
    ("POST", "/1.2.3/cancelrequest"),
    ("POST", "/1.2.3/cancelrequest/AE"),
    ("POST", "/1.2.3/progress"),
    ("GET", ""),  # not even which methods there are
    ("DELETE", "/1.2.3"),
]


@pytest.fixture
def authenticated_by(monkeypatch):
    """``authenticated_by(SessionAuthentication)``: the portal's classes, for one test."""
    return lambda *classes: monkeypatch.setattr(UPSView, "authentication_classes", classes)


@pytest.fixture
def permitted_by(monkeypatch):
    return lambda *classes: monkeypatch.setattr(UPSView, "permission_classes", classes)


@pytest.mark.parametrize(("method", "path"), RESOURCES)
@pytest.mark.parametrize("accept", ["*/*", "image/png"])
def test_r171_nobody_gets_nothing(method, path, accept):
    response = Worklist().send(method, path, payload(), headers={"Accept": accept})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"
    assert "Warning" not in response
    if method != "HEAD":
        assert "dicomStatus" not in problem(response, 401)
    assert not Workitem.objects.exists()


@pytest.mark.parametrize(("method", "path"), RESOURCES[:-2])
def test_r172_bob_gets_nothing_either(bobs_worklist, method, path):
    body = None if path.endswith(("cancelrequest", "/AE")) and method == "POST" else payload()
    if path.endswith("progress"):
        body = {"procedureStepProgress": 5}
    response = bobs_worklist.send(method, path, body)
    assert response.status_code == 403
    assert not Workitem.objects.exists()


def test_a_token_opens_the_door(alice):
    token = Token.objects.create(user=alice)
    worklist = Worklist()
    worklist.http.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
    assert worklist.create(payload(), f"?{new_uid()}").status_code == 201


@pytest.mark.parametrize("credentials", ["Token 0123456789abcdef", "Token", "Token a b"])
def test_a_wrong_token_does_not(credentials):
    response = Worklist().retrieve("1.2.3", headers={"Authorization": credentials})
    problem(response, 401)
    assert response["WWW-Authenticate"] == "Token"
    assert "0123456789abcdef" not in response.content.decode()


def test_a_deactivated_user_is_nobody(alice, worklist):
    uid = worklist.workitem()
    token = Token.objects.create(user=alice)
    alice.is_active = False
    alice.save()
    assert worklist.retrieve(uid).status_code == 401
    headers = {"Authorization": f"Token {token.key}"}
    assert Worklist().retrieve(uid, headers=headers).status_code == 401


def test_a_session_changes_something_only_with_its_csrf_token(alice):
    worklist = Worklist(alice, enforce_csrf_checks=True)
    uid = new_uid()
    problem(worklist.create(payload(), f"?{uid}"), 403)
    worklist.http.cookies["csrftoken"] = "a" * 32
    problem(worklist.create(payload(), f"?{uid}"), 403)
    headers = {"X-CSRFToken": "a" * 32}
    assert worklist.create(payload(), f"?{uid}", headers=headers).status_code == 201
    assert worklist.retrieve(uid).status_code == 200  # reading needs none


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
def test_the_csrf_check_reads_no_body(alice, content_type):
    """A form of any size is the wrong type, before anything is read of it."""
    worklist = Worklist(alice, enforce_csrf_checks=True)
    worklist.http.cookies["csrftoken"] = "a" * 32
    body = b"csrfmiddlewaretoken=" + b"a" * 5_000_000
    problem(worklist.send("POST", "", body, content_type=content_type), 403)
    headers = {"X-CSRFToken": "a" * 32}
    response = worklist.send("POST", "", body, content_type=content_type, headers=headers)
    problem(response, 415)


def test_the_first_challenge_that_there_is_goes_with_401(authenticated_by):
    """DRF asks the first class only, and would answer 403 here."""
    authenticated_by(SessionAuthentication, BasicAuthentication, TokenAuthentication)
    response = Worklist().retrieve("1.2.3")
    problem(response, 401)
    assert response["WWW-Authenticate"].startswith("Basic ")


def test_without_any_challenge_it_is_403(authenticated_by):
    authenticated_by(SessionAuthentication)
    response = Worklist().retrieve("1.2.3")
    problem(response, 403)
    assert "WWW-Authenticate" not in response


def test_a_portal_that_permits_everybody_does_not_open_the_worklist(permitted_by):
    permitted_by()
    problem(Worklist().retrieve("1.2.3"), 401)


def test_a_portal_may_permit_less(permitted_by, worklist):
    class Nobody(BasePermission):
        message = "Not on Sundays."

        def has_permission(self, request, view):
            return False

    uid = worklist.workitem()
    permitted_by(Nobody)
    assert problem(worklist.retrieve(uid), 403)["detail"] == "Not on Sundays."


@pytest.mark.parametrize(
    "permission", [DjangoModelPermissions, DjangoModelPermissionsOrAnonReadOnly]
)
def test_drfs_model_permissions_may_be_the_portals_default(permitted_by, worklist, permission):
    """They fail on a view without a queryset; the use cases ask for the same permissions."""
    permitted_by(permission)
    uid = worklist.workitem()
    assert worklist.retrieve(uid).status_code == 200
    problem(Worklist().retrieve(uid), 401)


def test_a_portal_may_throttle(monkeypatch, worklist):
    class OnceADay(SimpleRateThrottle):
        rate = "1/day"

        def get_cache_key(self, request, view):
            return f"once-{request.user.pk}-{id(self.__class__)}"

    uid = worklist.workitem()
    monkeypatch.setattr(UPSView, "throttle_classes", [OnceADay])
    assert worklist.retrieve(uid).status_code == 200
    response = worklist.retrieve(uid)
    problem(response, 429)
    assert int(response["Retry-After"]) > 80_000


def test_the_portals_exception_handler_is_not_asked(worklist, settings):
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "EXCEPTION_HANDLER": "tests.rest.test_authentication.teapot",
    }
    problem(worklist.retrieve(new_uid()), 404)


def teapot(error, context):
    return Response(status=418)


def test_what_the_portals_own_classes_say_is_passed_on_in_one_sentence(authenticated_by):
    class Gateway(BaseAuthentication):
        def authenticate(self, request):
            raise AuthenticationFailed({"detail": "Log in again.", "messages": ["Expired."]})

        def authenticate_header(self, request):
            return "Bearer"

    authenticated_by(Gateway)
    response = Worklist().retrieve("1.2.3")
    assert problem(response, 401)["detail"] == "Log in again. Expired."
    assert response["WWW-Authenticate"] == "Bearer"


# What nobody expects


class Unexpected(RuntimeError):
    pass


@pytest.fixture
def broken(monkeypatch):
    """A use case that fails as a database does: quoting the row."""

    name, row = "Doe^Jane", f"Key (patient_id)=(PID-1) {T}"

    def fail(*args, **kwargs):
        try:
            raise ValueError(name)
        except ValueError as cause:
            raise Unexpected(row) from cause

    for use_case in ("retrieve", "update"):
        monkeypatch.setattr(workitems, use_case, fail)


def test_a_fault_is_500_and_tells_nothing(worklist, broken):
    body = elements(PatientName="Doe^Jane")
    for response in (
        worklist.retrieve("1.2.3", f"?{T}"),
        worklist.update("1.2.3", body, f"?transaction-uid={T}"),
    ):
        problem(response, 500)
        assert "Warning" not in response
        for secret in (T, "Doe", "PID-1", "Unexpected"):
            assert secret not in f"{response.content!r}{response.headers}"


def test_a_fault_is_logged_with_its_place_and_without_what_it_was_about(worklist, broken, caplog):
    worklist.update("1.2.3", elements(PatientName="Doe^Jane"), f"?transaction-uid={T}")
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    [record] = errors  # Django does not log it again, with the request
    assert record.name == "upsrs.rest.refusals"
    assert f"POST {BASE}/workitems/1.2.3 failed" in record.getMessage()
    assert "Unexpected" in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert "test_authentication.py" in record.getMessage()
    assert record.exc_info is None
    for secret in (T, "Doe^Jane", "PID-1"):
        assert secret not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_refused_request_leaves_nothing_behind_under_atomic_requests(
    authenticated_by, alice, bob, monkeypatch
):
    """Not even what was written on the way to the refusal, here by the portal's own login."""

    class Visits(BaseAuthentication):
        def authenticate(self, request):
            alice.first_name = f"{alice.first_name}+"
            alice.save()
            return alice, None

    authenticated_by(Visits)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    def visits():
        alice.refresh_from_db()
        return len(alice.first_name)

    worklist = Worklist()
    problem(worklist.create({}, f"?{new_uid()}"), 400)
    assert visits() == 0
    problem(worklist.retrieve(new_uid()), 404)
    assert visits() == 0
    problem(worklist.send("PATCH", ""), 405)
    assert visits() == 0
    uid = new_uid()
    assert worklist.create(payload(), f"?{uid}").status_code == 201
    assert visits() == 1
    assert Workitem.objects.filter(uid=uid).exists()
    problem(worklist.change_state(uid, "COMPLETED", T), 409)
    assert visits() == 1
    monkeypatch.setattr(workitems, "retrieve", lambda *args: 1 / 0)
    problem(worklist.retrieve(uid), 500)
    assert visits() == 1
