"""The AsyncAPI documents: valid by their own tools, true to the customer's, and the served ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests import channels
from tests.channels import EVENT_REPORTS, GENERAL, SENT_BY_CLIENT, SPECIFIC, judge, validator
from tests.contract.samples import BERLIN, NOW, UID, notified, rich
from tests.contract.test_any_request import JSON, VALID_SUBSCRIPTIONS, VALID_UNSUBSCRIPTIONS
from tests.rest.worklist import BASE
from tests.subscriber import FILTERED_GLOBAL, NOTIFICATION, checked
from upsrs import contract
from upsrs.contract import asyncapi
from upsrs.contract.schemas import COMPONENTS, EVENT_TYPES, MESSAGES
from upsrs.dicom.changes import Kind
from upsrs.dicom.schemas import EVENT_REPORTS as REPORTS
from upsrs.ws import channel, lanes

OURS = {"requestId", "initialState", "resume", "heartbeatSeconds"}
LOG_ID = "8d3f0d8e-4e1c-4b5e-9d34-0a8f7c1f2b11"

PARSER = """
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Parser } = createRequire(process.argv[1] + "/")("@asyncapi/parser");
const text = readFileSync(0, "utf8");
const { document, diagnostics } = await new Parser().parse(text);
console.log(JSON.stringify({ parsed: document !== undefined, diagnostics }));
"""

# What the parser would like and we leave: whom to ask is the portal's to say, the version is meant,
# and a messageId may not stand in two channels, as ours would.
LEFT = {"asyncapi-info-contact", "asyncapi-latest-version", "asyncapi2-message-messageId"}


@pytest.fixture
def served(client, alice):
    """``served("asyncapi.json")``: the document as alice gets it."""

    def get(name, **headers):
        client.force_login(alice)
        response = client.get(f"{BASE}/{name}", **headers)
        assert response.status_code == 200
        assert response["Content-Type"] == "application/json"
        return response.json()

    return get


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["asyncapi.json", "asyncapi-3.json"])
def test_the_asyncapi_parser_finds_nothing_wrong_with_what_is_served(served, name):
    node, modules = shutil.which("node"), os.environ.get("UPSRS_NODE_MODULES", "")
    if node is None or not Path(modules, "@asyncapi", "parser").is_dir():
        pytest.skip("UPSRS_NODE_MODULES names no node_modules with @asyncapi/parser")
    done = subprocess.run(
        [node, "--input-type=module", "--eval", PARSER, modules],
        input=json.dumps(served(name)),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["parsed"]
    assert {it["code"] for it in found["diagnostics"]} <= LEFT, found["diagnostics"]


@pytest.mark.django_db
def test_nobody_gets_the_documents(client):
    for name in ("asyncapi.json", "asyncapi-3.json"):
        assert client.get(f"{BASE}/{name}").status_code == 401


@pytest.mark.django_db
def test_the_served_document_is_the_one_that_frames_are_judged_by(served):
    told, judged = served("asyncapi.json"), asyncapi.document_2("ws://testserver/ups-rs")
    assert told["channels"] == judged["channels"]
    assert told["components"]["messages"] == judged["components"]["messages"]
    assert told["components"]["schemas"] == judged["components"]["schemas"]


@pytest.mark.django_db
def test_the_server_and_how_to_log_in_are_the_portals_own(served):
    told = served("asyncapi.json", secure=True, headers={"Host": "localhost:8443"})
    server = told["servers"]["portal"]
    assert (server["protocol"], server["url"]) == ("wss", "localhost:8443/ups-rs")
    assert server["security"] == [{"cookieAuth": []}, {"tokenAuth": []}]
    schemes = told["components"]["securitySchemes"]
    assert schemes["cookieAuth"] == {"type": "httpApiKey", "in": "cookie", "name": "sessionid"}
    assert schemes["tokenAuth"]["type"] == "httpApiKey"

    told = served("asyncapi-3.json", secure=True, headers={"Host": "localhost:8443"})
    server = told["servers"]["portal"]
    assert server["protocol"] == "wss"
    assert (server["host"], server["pathname"]) == ("localhost:8443", "/ups-rs")
    assert server["security"] == [
        {"$ref": "#/components/securitySchemes/cookieAuth"},
        {"$ref": "#/components/securitySchemes/tokenAuth"},
    ]


# True to the customer's document


def test_the_customers_channels_and_operations_are_there_by_name():
    channels_ = asyncapi.document_2("wss://host/ups-rs")["channels"]
    assert channels_[GENERAL]["publish"]["operationId"] == "receiveWorkitemNotifications"
    assert channels_[GENERAL]["subscribe"]["operationId"] == "subscribeToWorkitems"
    specific = channels_[SPECIFIC]
    assert specific["publish"]["operationId"] == "receiveSpecificSubscriptionNotifications"
    assert specific["subscribe"]["operationId"] == "unsubscribeFromWorkitems"
    assert specific["parameters"].keys() == {"subscriptionUID"}
    assert {it.name for it in MESSAGES.values()} >= {
        "ups.workitem.event.notification.general",
        "ups.workitem.event.notification.specific",
        "ups.workitem.subscription.request",
        "ups.workitem.unsubscription.request",
    }


def test_version_3_tells_the_same_from_the_side_of_the_server():
    old = asyncapi.document_2("wss://host/ups-rs")
    new = asyncapi.document_3("wss://host/ups-rs")
    assert old["components"] == new["components"]
    assert {it["address"] for it in new["channels"].values()} == old["channels"].keys()
    for described in old["channels"].values():
        sends = new["operations"][described["publish"]["operationId"]]
        assert sends["action"] == "send"
        if "subscribe" in described:
            receives = new["operations"][described["subscribe"]["operationId"]]
            assert receives["action"] == "receive"
            assert receives["reply"]["channel"] == receives["channel"]


def test_the_types_of_events_are_the_customers():
    schema = json.loads(
        (Path(__file__).parents[1] / "schemas" / "event-notification.schema.json").read_text()
    )
    assert list(EVENT_TYPES) == schema["properties"]["eventType"]["enum"]
    assert set(EVENT_TYPES) <= set(Kind)


def customers_names(schema):
    """Every member that the schema names, by path."""
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from (f"{name}.{inner}" for inner in customers_names(part.get("items", part)))


def inlined(schema):
    """The schema with its references to components followed."""
    if isinstance(schema, dict) and "$ref" in schema:
        return inlined(COMPONENTS[schema["$ref"].rpartition("/")[2]])
    if isinstance(schema, dict):
        return {name: inlined(part) for name, part in schema.items()}
    return schema


def test_no_member_of_the_customers_is_missing():
    for file, ours in {
        "event-notification": COMPONENTS["Notification"],
        "subscription-request": MESSAGES["SubscriptionRequest"].payload,
        "unsubscription-request": MESSAGES["UnsubscriptionRequest"].payload,
    }.items():
        path = Path(__file__).parents[1] / "schemas" / f"{file}.schema.json"
        theirs = set(customers_names(json.loads(path.read_text())))
        assert theirs
        assert theirs <= set(customers_names(inlined(ours)))


@given(VALID_SUBSCRIPTIONS)
def test_what_is_valid_as_the_customers_subscription_request_is_valid_as_ours(message):
    message = {name: value for name, value in message.items() if name not in OURS}
    validator("#/components/messages/SubscriptionRequest/payload").validate(message)


@given(VALID_UNSUBSCRIPTIONS)
def test_what_is_valid_as_the_customers_unsubscription_request_is_valid_as_ours(message):
    message = {name: value for name, value in message.items() if name not in OURS}
    validator("#/components/messages/UnsubscriptionRequest/payload").validate(message)


CODES = st.fixed_dictionaries(
    {name: st.text() for name in ("codeValue", "codingSchemeDesignator", "codeMeaning")}
)
THEIR_NOTIFICATIONS = st.builds(
    lambda more, notification: {**more, **notification},
    st.dictionaries(
        st.text().filter(lambda name: name not in COMPONENTS["Notification"]["properties"]), JSON
    ),
    st.fixed_dictionaries(
        {"eventType": st.sampled_from(EVENT_TYPES), "workitemUID": st.text()},
        optional={
            "subscriptionUID": st.text(),
            "procedureStepState": st.sampled_from(["SCHEDULED", "COMPLETED"]),
            "progressInformation": st.fixed_dictionaries(
                {}, optional={"numberOfFailedSuboperations": st.integers()}
            ),
            "cancellationReason": st.text(),
            "workitem": st.fixed_dictionaries(
                {
                    "workitemUID": st.text(),
                    "procedureStepState": st.just("IN PROGRESS"),
                    "scheduledProcedureStepStartDateTime": st.just("2026-01-05T08:00:00+01:00"),
                    "scheduledWorkitemCodeSequence": CODES,
                    "inputInformationSequence": st.lists(
                        st.fixed_dictionaries({}, optional={"studyInstanceUID": st.text()}),
                        max_size=2,
                    ),
                },
                optional={"scheduledProtocolCodeSequence": CODES},
            ),
        },
    ),
)


@given(THEIR_NOTIFICATIONS)
def test_what_is_valid_as_the_customers_notification_is_valid_as_ours(message):
    NOTIFICATION.validate(message)
    validator("#/components/schemas/Notification").validate(message)


# True to the code


@pytest.mark.parametrize("name", MESSAGES)
def test_each_example_is_of_its_kind_and_of_no_other(name):
    found = 0
    for described in asyncapi.CHANNELS:
        for direction, operation in {
            channels.SENT_BY_SERVER: described.sends,
            channels.SENT_BY_CLIENT: described.receives,
        }.items():
            if operation and name in operation.messages:
                assert judge(MESSAGES[name].example, described.address, direction) == name
                found += 1
    assert found, "no channel has it"


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in REPORTS])
def test_each_example_of_what_is_sent_is_valid_by_the_customers_schema(name):
    if name not in asyncapi.CHANNELS[0].sends.messages:
        return
    checked(json.dumps(MESSAGES[name].example))


def test_what_the_code_builds_is_of_the_kind_that_it_is_built_as():
    def told(message):
        return judge({"subscriptionUID": "2.25.1", **message}, GENERAL)

    assert told(notified(rich())) == "EventNotification"
    assert told(contract.report(UID, NOW, rich(), BERLIN)) == "WorkitemReport"
    assert told(contract.initial_state_complete(time=NOW, position=0)) == "InitialStateComplete"
    assert told(contract.heartbeat(time=NOW, position=1, log_id=LOG_ID)) == "Heartbeat"
    for more in ({}, {"complete_at": 3}, {"status": "DELETED", "reason": "USER_REQUEST"}):
        message = contract.confirmation(time=NOW, keys={}, log_id=LOG_ID, **more)
        assert told(message) == "Confirmation"
    problem = contract.error(400, "Bad Request", "No.", request_id="r")
    assert judge(problem, GENERAL) == "Problem"


def test_an_event_on_the_specific_channel_has_the_customers_name_there():
    assert judge(notified(rich()), SPECIFIC) == "SpecificEventNotification"


@pytest.mark.parametrize(
    "broken",
    [
        {"eventId": None},
        {"eventId": "7"},
        {"eventTime": "yesterday"},
        {"subscriptionUID": "not a UID"},
        {"eventType": "SUBSCRIPTION"},
        {"report": True},
        {"subscription": {}},
        {"unheardOf": 1},
        {"workitem": {}},
    ],
)
def test_a_message_that_is_not_as_described_is_found_out(broken):
    message = {**notified(rich()), **broken}
    message = {name: value for name, value in message.items() if value is not None}
    with pytest.raises(AssertionError, match="of no kind"):
        judge(message, GENERAL)


def test_a_report_with_a_foreign_attribute_is_found_out():
    report = dict(MESSAGES["UPSStateReport"].example)
    assert judge(report, EVENT_REPORTS) == "UPSStateReport"
    for tag, element in {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        "00081195": {"vr": "UI", "Value": ["2.25.1"]},
        "00001002": {"vr": "US", "Value": [6]},
    }.items():
        with pytest.raises(AssertionError, match="of no kind"):
            judge({**report, tag: element}, EVENT_REPORTS)
    del report["00090010"]
    with pytest.raises(AssertionError, match="of no kind"):
        judge(report, EVENT_REPORTS)  # a private element needs its creator


def test_the_close_codes_are_those_of_the_sockets():
    sent = {value for name, value in vars(channel).items() if name.isupper() and name != "ABNORMAL"}
    codes = {value for value in sent if isinstance(value, int) and 1000 <= value < 5000}
    assert codes | {lanes.GOING_AWAY} == asyncapi.CLOSE_CODES.keys()


def test_the_worklist_is_meant_by_its_uid():
    assert MESSAGES["Confirmation"].example["workitemUID"] == FILTERED_GLOBAL


def test_on_the_general_channel_an_unsubscription_names_its_subscription():
    with pytest.raises(AssertionError, match="of no kind"):
        judge({"reason": "USER_REQUEST"}, GENERAL, SENT_BY_CLIENT)
    assert judge({"reason": "USER_REQUEST"}, SPECIFIC, SENT_BY_CLIENT) == "UnsubscriptionRequest"
