"""What a client may send, and how it is understood or refused."""

from __future__ import annotations

import json

import pytest

from tests.subscriber import SUBSCRIPTION_REQUEST, UNSUBSCRIPTION_REQUEST
from upsrs import contract
from upsrs.contract import BadMessage, SubscriptionRequest, UnsubscriptionRequest
from upsrs.errors import UPSError

SECRET = "Doe^Jane-4711"


def parse(message):
    return contract.parse(json.dumps(message))


def refusal(message):
    text = message if isinstance(message, str) else json.dumps(message)
    with pytest.raises(BadMessage) as caught:
        contract.parse(text)
    return caught.value


# --- subscribing --------------------------------------------------------------------------------


def test_the_customers_own_example_is_understood():
    request = parse(
        {
            "filter": {
                "worklistLabel": "string",
                "procedureStepState": "SCHEDULED",
                "scheduledStationAETitle": "string",
                "performerAETitle": "string",
            },
            "deleteSubscription": True,
        }
    )
    assert request == SubscriptionRequest(
        filter={
            "performerAETitle": "string",
            "procedureStepState": "SCHEDULED",
            "scheduledStationAETitle": "string",
            "worklistLabel": "string",
        },
        delete=True,
    )


def test_an_empty_filter_asks_for_everything_and_nothing_special():
    request = parse({"filter": {}})
    assert request == SubscriptionRequest(
        filter={},
        delete=False,
        initial_state=True,
        resume=True,
        heartbeat_seconds=None,
        request_id=None,
        ignored=(),
    )


def test_every_extension_of_ours_is_understood():
    request = parse(
        {
            "filter": {},
            "requestId": "r-1",
            "initialState": False,
            "resume": False,
            "heartbeatSeconds": 30,
        }
    )
    assert request == SubscriptionRequest(
        filter={}, initial_state=False, resume=False, heartbeat_seconds=30, request_id="r-1"
    )


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (15, 15),
        (120, 120),
        (20.5, 20.5),
        (0, 15),
        (-1e999, 15),
        (14.999, 15),
        (121, 120),
        (10**400, 120),
        (-(10**400), 15),
    ],
)
def test_a_heartbeat_is_clamped_to_15_to_120_seconds(asked, given):
    text = json.dumps({"filter": {}, "heartbeatSeconds": asked}).replace("Infinity", "1e999")
    request = contract.parse(text)
    assert request.heartbeat_seconds == given
    assert request.ignored == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("heartbeatSeconds", True),
        ("heartbeatSeconds", "30"),
        ("heartbeatSeconds", None),
        ("heartbeatSeconds", [30]),
        ("initialState", "false"),
        ("initialState", 0),
        ("initialState", None),
        ("resume", "no"),
        ("resume", {}),
        ("requestId", 7),
        ("requestId", None),
        ("requestId", "x" * 129),
        ("requestId", "nul\0"),
        ("requestId", "half\ud800"),
        ("somethingElse", 1),
        ("subscriptionUID", "2.25.1"),
    ],
)
def test_an_unusable_value_of_an_extension_is_reported_and_has_no_effect(name, value):
    request = parse({"filter": {}, name: value})
    assert request == SubscriptionRequest(filter={}, ignored=(name,))


@pytest.mark.parametrize(
    ("text", "given"), [("30", 30), ("20.5", 20.5), ("1", 15), ("-5", 15), ("3600", 120)]
)
def test_a_heartbeat_in_an_address_is_clamped_alike(text, given):
    assert contract.heartbeat_seconds(text) == given


@pytest.mark.parametrize("text", ["", "often", "nan", "inf", "-inf", "0x10", "30s"])
def test_what_is_no_number_is_no_heartbeat_in_an_address(text):
    with pytest.raises(ValueError, match=r"not an interval|convert"):
        contract.heartbeat_seconds(text)


def test_a_request_id_of_128_characters_is_kept():
    assert parse({"filter": {}, "requestId": "x" * 128}).request_id == "x" * 128


# --- unsubscribing ------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["USER_REQUEST", "CONNECTION_CLOSURE"])
def test_either_reason_ends_a_subscription(reason):
    assert parse({"reason": reason}) == UnsubscriptionRequest(reason=reason)


def test_an_unsubscription_may_name_its_subscription():
    request = parse(
        {"reason": "USER_REQUEST", "subscriptionUID": " 2.25.7 ", "requestId": "r", "resume": 1}
    )
    assert request == UnsubscriptionRequest(
        reason="USER_REQUEST", subscription_uid="2.25.7", request_id="r", ignored=("resume",)
    )


@pytest.mark.parametrize("uid", ["", "  "])
def test_an_empty_subscription_uid_names_none(uid):
    request = parse({"reason": "USER_REQUEST", "subscriptionUID": uid})
    assert request.subscription_uid is None


def test_a_subscription_uid_can_always_be_looked_up():
    request = parse({"reason": "USER_REQUEST", "subscriptionUID": "2.25\0\ud800"})
    assert request.subscription_uid == "2.25\ufffd\ufffd"


# --- both at once -------------------------------------------------------------------------------


def test_a_message_with_a_filter_and_a_reason_subscribes():
    request = parse({"filter": {"worklistLabel": "CT"}, "reason": "USER_REQUEST"})
    assert request == SubscriptionRequest(filter={"worklistLabel": "CT"}, ignored=("reason",))


@pytest.mark.parametrize(
    "message",
    [
        {"filter": 5},
        {"filter": {"procedureStepState": "DONE"}},
        {"filter": {}, "deleteSubscription": 1},
    ],
)
def test_a_message_that_is_valid_as_an_unsubscription_only_is_one(message):
    message = {**message, "reason": "USER_REQUEST"}
    assert UNSUBSCRIPTION_REQUEST.is_valid(message)
    request = parse(message)
    assert isinstance(request, UnsubscriptionRequest)
    assert "filter" in request.ignored


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({}, "filter"),
        ({"deleteSubscription": True}, "filter"),
        ({"filter": None}, "filter"),
        ({"filter": SECRET}, "filter"),
        ({"filter": [SECRET]}, "filter"),
        ({"filter": {"worklistLabel": 4711}}, "filter.worklistLabel"),
        ({"filter": {"worklistLabel": None}}, "filter.worklistLabel"),
        ({"filter": {"scheduledStationAETitle": [SECRET]}}, "filter.scheduledStationAETitle"),
        ({"filter": {"performerAETitle": {"x": SECRET}}}, "filter.performerAETitle"),
        ({"filter": {"procedureStepState": 1}}, "filter.procedureStepState"),
        ({"filter": {"procedureStepState": SECRET}}, "filter.procedureStepState"),
        ({"filter": {"procedureStepState": "scheduled"}}, "filter.procedureStepState"),
        ({"filter": {}, "deleteSubscription": SECRET}, "deleteSubscription"),
        ({"filter": {}, "deleteSubscription": 1}, "deleteSubscription"),
        ({"filter": {}, "deleteSubscription": None}, "deleteSubscription"),
        ({"filter": 5, "reason": SECRET}, "filter"),
        ({"reason": SECRET}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": ["USER_REQUEST"]}, "reason"),
        ({"reason": {}}, "reason"),
        ({"reason": "USER_REQUEST", "subscriptionUID": 4711}, "subscriptionUID"),
        ({"reason": "USER_REQUEST", "subscriptionUID": None}, "subscriptionUID"),
    ],
)
def test_a_wrong_type_is_refused_by_the_name_of_its_field(message, name):
    refused = refusal(message)
    assert refused.name == name
    assert name in refused.detail
    assert SECRET not in refused.detail
    assert "4711" not in refused.detail
    assert not SUBSCRIPTION_REQUEST.is_valid(message)
    assert not UNSUBSCRIPTION_REQUEST.is_valid(message)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        "{",
        '{"filter": {}} {}',
        "{'filter': {}}",
        '{"filter": {}, "requestId": "a\nb"}',
        '{"filter": {}, "heartbeatSeconds": NaN}',
        '{"filter": {}, "heartbeatSeconds": Infinity}',
        '{"filter": {}, "heartbeatSeconds": 01}',
        "\ufeff{}",
    ],
)
def test_what_is_not_json_is_refused(text):
    refused = refusal(text)
    assert refused.detail.startswith("The message is not JSON: ")
    assert SECRET not in refused.detail


@pytest.mark.parametrize("text", ["null", "1", "[]", '"filter"', '[{"filter": {}}]', "true"])
def test_what_is_not_an_object_is_refused(text):
    assert refusal(text).detail == "A message must be a JSON object."


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"filter": {}, "filter": {"worklistLabel": "X"}}', "filter"),
        ('{"filter": {"worklistLabel": "a", "worklistLabel": "b"}}', "worklistLabel"),
        ('{"filter": {}, "more": [{"deep": 1, "deep": 1}]}', "deep"),
        ('{"reason": "USER_REQUEST", "reason": "USER_REQUEST"}', "reason"),
    ],
)
def test_a_name_given_twice_is_refused(text, name):
    refused = refusal(text)
    assert refused.name == name
    assert refused.detail == f"{name} is given twice in one object."


@pytest.mark.parametrize(
    "text",
    [
        '{"filter": {}, "x": ' + "[" * 30_000 + "]" * 30_000 + "}",
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        "[" * 60_000,
    ],
    ids=["arrays", "objects", "unfinished"],
)
def test_what_is_nested_too_deeply_is_refused(text):
    assert refusal(text).detail == "The message is nested too deeply."


def test_a_number_of_any_length_is_a_number():
    request = contract.parse(f'{{"filter": {{}}, "heartbeatSeconds": {"9" * 60_000}}}')
    assert request.heartbeat_seconds == 120


@pytest.mark.parametrize(
    "message",
    [{"requestId": "r-9"}, {"requestId": "r-9", "filter": 1}, {"requestId": "r-9", "reason": 1}],
)
def test_a_refusal_knows_which_request_it_answers(message):
    refused = refusal(message)
    assert refused.request_id == "r-9"
    assert isinstance(refused, UPSError)
    assert refused.status == 0x0115
