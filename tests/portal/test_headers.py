"""What pages tell the browser: nothing within them runs, nothing from elsewhere loads."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

pytestmark = pytest.mark.django_db

PAGES = ["/", "/orders/", "/orders/new/", "/admin/", "/admin/upsrs/workitem/"]
PAGES += [
    "/admin/upsrs/workitem/add/",
    "/admin/upsrs/subscription/",
    "/admin/auth/user/",
    "/nowhere",
]


@pytest.mark.parametrize("address", ["/accounts/login/", *PAGES])
def test_the_policy_is_strict_on_every_page_and_every_page_keeps_it(client, superuser, address):
    client.force_login(superuser)
    answer = client.get(address)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    page = answer.content.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>", page), "no inline script"
    assert not re.search(r"<style|\sstyle=|\son\w+=", page), "no inline style, no inline handler"
    assert not re.search(r'(src|href)="(https?:|//|data:)', page), "nothing from elsewhere"


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_not_kept_by_the_browser(client, superuser, address):
    client.force_login(superuser)
    answer = client.get(address)
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


def test_static_files_may_be_kept(client):
    answer = client.get("/static/portal/portal.css")
    assert "max-age" in answer["Cache-Control"]
    assert "no-store" not in answer["Cache-Control"]


def test_the_icon_is_where_browsers_look_for_it(client):
    assert client.get("/favicon.ico", follow=True)["Content-Type"] == "image/svg+xml"


# Error pages


def broken(request):
    raise RuntimeError("PATIENT^SECRET")


@pytest.fixture
def tolerant(client):
    """A client that takes a fault of the server as the browser does: by its page."""
    client.raise_request_exception = False
    return client


def test_an_address_that_is_none_has_a_page(client):
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.templates[0].name) == (404, "404.html")


def test_what_may_not_be_seen_has_a_page(client, bob):
    client.force_login(bob)
    answer = client.get("/orders/")
    assert (answer.status_code, answer.templates[0].name) == (403, "403.html")


def test_a_host_that_is_not_ours_has_a_page(client):
    answer = client.get("/", headers={"host": "elsewhere.example"})
    assert (answer.status_code, answer.templates[0].name) == (400, "400.html")


def test_a_fault_has_a_page_without_its_cause(tolerant, monkeypatch):
    monkeypatch.setattr("django.contrib.auth.views.LoginView.get", broken)
    answer = tolerant.get("/accounts/login/")
    assert (answer.status_code, answer.templates[0].name) == (500, "500.html")
    assert "SECRET" not in answer.content.decode()


def test_a_form_that_is_out_of_date_has_a_page(alice):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    answer = client.post("/accounts/login/", {"username": "alice", "password": "alice"})
    assert (answer.status_code, answer.templates[0].name) == (403, "403_csrf.html")


def test_the_policy_needs_no_exception_for_debugging():
    assert "EXCLUDE_URL_PREFIXES" not in settings.CONTENT_SECURITY_POLICY
