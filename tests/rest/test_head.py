"""HEAD is GET without a body (RFC 9110 9.3.2), and we are the ones who leave it out."""

from __future__ import annotations

import pytest
from django.core.handlers.base import BaseHandler
from django.test import RequestFactory

from tests.rest.worklist import BASE

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", ["/workitems", "/workitems/{uid}", "/openapi.json"])
def test_head_has_the_headers_of_get_and_no_body(worklist, address):
    path = f"{BASE}{address.format(uid=worklist.workitem())}"
    got = worklist.http.get(path)
    request = RequestFactory().head(path)
    request.COOKIES = {name: it.value for name, it in worklist.http.cookies.items()}
    handler = BaseHandler()  # the test client would leave the body out by itself
    handler.load_middleware()

    response = handler.get_response(request)

    assert response.status_code == got.status_code == 200
    assert response.content == b""
    assert response["Content-Length"] == got["Content-Length"] == str(len(got.content))
    assert response["Content-Type"] == got["Content-Type"]
