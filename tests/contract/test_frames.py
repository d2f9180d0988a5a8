"""How a message becomes a frame, and how a refusal is told."""

from __future__ import annotations

import json
from datetime import UTC

import pytest

from tests.contract.samples import NOW, UID, rich
from upsrs import contract


def test_an_error_is_problem_details_and_no_notification():
    assert contract.error(400, "Bad Request", "filter must be an object.", request_id="r") == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "filter must be an object.",
        "requestId": "r",
    }


def test_an_error_without_a_request_id_has_none():
    problem = contract.error(403, "Forbidden", "No.", type_="urn:x")
    assert problem == {"type": "urn:x", "title": "Forbidden", "status": 403, "detail": "No."}


def test_one_encoding_serves_all_subscriptions():
    message = contract.report(UID, NOW, rich(), UTC)
    tail = contract.frame_parts(message)
    for subscription_uid in ("2.25.1", "2.25.340282366920938463463374607431768211455"):
        received = json.loads(contract.beginning(subscription_uid) + tail)
        assert received == {"subscriptionUID": subscription_uid, **message}


def test_a_frame_is_compact_and_keeps_its_letters():
    assert contract.encode({"a": "Müller 山 🩻", "b": [1, 2]}) == '{"a":"Müller 山 🩻","b":[1,2]}'


@pytest.mark.parametrize("half", [chr(0xD800), chr(0xDBFF), chr(0xDC00), chr(0xDFFF)])
def test_half_a_character_never_breaks_a_frame(half):
    frame = contract.encode({f"n{half}": f"a{half}b"})
    assert json.loads(frame.encode("utf-8")) == {"n\ufffd": "a\ufffdb"}


def test_a_number_that_json_does_not_know_is_never_sent():
    with pytest.raises(ValueError, match="JSON"):
        contract.encode({"a": float("nan")})
