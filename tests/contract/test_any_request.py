"""The golden rule: what is valid by the customer's schemas is never refused for its form."""

from __future__ import annotations

import json

from hypothesis import example, given, strategies as st

from tests.subscriber import SUBSCRIPTION_REQUEST, UNSUBSCRIPTION_REQUEST
from upsrs import contract
from upsrs.contract import BadMessage, SubscriptionRequest, UnsubscriptionRequest
from upsrs.dicom.states import State

ANY_CHARACTER = st.characters(codec=None, exclude_categories=())
TEXT = st.text(ANY_CHARACTER, max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELD_NAMES = st.sampled_from(
    ["worklistLabel", "scheduledStationAETitle", "performerAETitle", "PatientID", "TransactionUID"]
)
EXTENSIONS = ["requestId", "initialState", "resume", "heartbeatSeconds", "subscriptionUID", "other"]

VALID_SUBSCRIPTIONS = st.builds(
    lambda more, labels, contract_part, filter_part: {
        **more,
        **contract_part,
        "filter": {**labels, **filter_part},
    },
    st.dictionaries(st.sampled_from([*EXTENSIONS, "reason"]) | TEXT, JSON, max_size=5),
    st.dictionaries(TEXT | st.sampled_from(["PatientName", "00081195"]), JSON, max_size=3),
    st.fixed_dictionaries({}, optional={"deleteSubscription": st.booleans()}),
    st.fixed_dictionaries(
        {},
        optional={
            "worklistLabel": TEXT,
            "scheduledStationAETitle": TEXT,
            "performerAETitle": TEXT,
            "procedureStepState": st.sampled_from(State),
        },
    ),
).filter(SUBSCRIPTION_REQUEST.is_valid)

VALID_UNSUBSCRIPTIONS = st.builds(
    lambda more, contract_part: {**more, **contract_part},
    st.dictionaries(
        st.sampled_from([*EXTENSIONS[:4], "filter", "deleteSubscription"]) | TEXT, JSON, max_size=5
    ),
    st.fixed_dictionaries(
        {"reason": st.sampled_from(["USER_REQUEST", "CONNECTION_CLOSURE"])},
        optional={"subscriptionUID": TEXT},
    ),
).filter(UNSUBSCRIPTION_REQUEST.is_valid)


def storable(text):
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def assert_usable(request):
    """What is kept of a request can be stored in PostgreSQL and sent as UTF-8."""
    texts = [*request.ignored, request.request_id or ""]
    if isinstance(request, SubscriptionRequest):
        assert all(value and value == value.strip() for value in request.filter.values())
        assert list(request.filter) == sorted(request.filter)
        assert "TransactionUID" not in request.filter
        texts += [*request.filter, *request.filter.values()]
    else:
        texts.append(request.subscription_uid or "")
    assert all(map(storable, texts))


@given(VALID_SUBSCRIPTIONS, st.booleans())
def test_what_is_valid_as_a_subscription_request_is_never_refused(message, escaped):
    request = contract.parse(json.dumps(message, ensure_ascii=escaped))
    assert isinstance(request, SubscriptionRequest)
    assert request.delete is message.get("deleteSubscription", False)
    assert_usable(request)


@given(VALID_UNSUBSCRIPTIONS)
@example({"reason": "USER_REQUEST", "filter": None})
def test_what_is_valid_as_an_unsubscription_request_is_never_refused(message):
    request = contract.parse(json.dumps(message))
    assert_usable(request)
    if isinstance(request, UnsubscriptionRequest):
        assert request.reason == message["reason"]
    else:
        assert isinstance(message["filter"], dict)


ANYTHING = st.dictionaries(
    st.sampled_from(["filter", "reason", "deleteSubscription", "subscriptionUID", "requestId"]),
    JSON
    | st.dictionaries(FIELD_NAMES | st.just("procedureStepState"), JSON, max_size=3)
    | st.sampled_from(["USER_REQUEST", "SCHEDULED"]),
    max_size=4,
)


def answer(text):
    """What parsing comes to: a request, or a refusal."""
    try:
        return contract.parse(text)
    except BadMessage as refused:
        return refused


@given(ANYTHING)
def test_what_is_valid_as_neither_is_refused_by_the_name_of_a_field(message):
    valid = SUBSCRIPTION_REQUEST.is_valid(message) or UNSUBSCRIPTION_REQUEST.is_valid(message)
    answered = answer(json.dumps(message))
    if isinstance(answered, BadMessage):
        assert not valid
        assert answered.name in {
            *("filter", "filter.worklistLabel", "filter.procedureStepState"),
            *("filter.scheduledStationAETitle", "filter.performerAETitle"),
            *("deleteSubscription", "reason", "subscriptionUID"),
        }
        assert answered.name in answered.detail
    else:
        if not valid:
            # The one leniency: outer spaces and nothing at all, in the state as in other fields.
            assert message["filter"]["procedureStepState"].strip() in ["", *State]
        assert_usable(answered)


@given(st.text(max_size=200) | JSON.map(json.dumps))
def test_no_text_whatever_costs_more_than_a_refusal(text):
    answered = answer(text)
    if isinstance(answered, BadMessage):
        assert answered.detail
    else:
        assert_usable(answered)
