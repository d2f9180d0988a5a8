"""Hostile texts at the doors of the rules: each is understood or refused, and no refusal repeats it.

The seeds are fixed. That a real server stands it too is in ``live/test_hostile.py``.
"""

from __future__ import annotations

import pytest
from django.http import QueryDict

from tests.hostile import SECRETS, WORKITEM, Hostile, many
from upsrs import contract, errors, searching, subscriptions
from upsrs.dicom import attributes, dataset as dicom_json, native_xml
from upsrs.dicom.matching import snapshot
from upsrs.rest import queries

NORMAL = dicom_json.normalise(WORKITEM)


def refusal_of(attempt, *arguments):
    """What is refused, in a sentence that repeats no secret; None if it was understood."""
    try:
        attempt(*arguments)
    except errors.UPSError as refused:
        refusal = refused
    else:
        return None
    told = [refusal.detail, getattr(refusal, "element", ""), getattr(refusal, "name", "")]
    assert told[0]
    assert not any(secret in words for secret in SECRETS for words in told)
    " ".join(told).encode()
    return refusal


def attack(count, make, attempt):
    """Let every text try; how many were understood, and how many refused."""
    understood = refused = 0
    for number, text in many(count, make):
        try:
            if refusal_of(attempt, text) is None:
                understood += 1
            else:
                refused += 1
        except Exception as error:
            pytest.fail(f"text {number}, {text[:2000]!r}: {error!r}")
    assert understood, "else the first check is all that was tried"
    assert refused


def test_messages():
    here = snapshot(NORMAL)

    def attempt(text):
        request = contract.parse(text.decode("utf-8", "replace"))
        if isinstance(request, contract.SubscriptionRequest):
            keys, ignored = subscriptions.compile_filter(request.filter)
            keys.match(here)
            contract.encode({"filter": contract.shown(request.filter), "ignored": ignored}).encode()

    attack(45_000, Hostile(1).message, attempt)


def judge(dataset):
    """What is understood can be stored, sent in both forms, and read again as what it is."""
    dicom_json.pop_transaction_uid(dataset)
    text = dicom_json.encode(dataset)
    assert dicom_json.parse(text.encode()) == dataset
    native_xml.parse(native_xml.render(dataset))
    refusal_of(attributes.check_create, dataset)
    refusal_of(attributes.check_update, dataset, NORMAL)
    snapshot(dataset)


def test_datasets():
    attack(20_000, Hostile(2).dataset, lambda body: judge(dicom_json.parse(body)))


def test_documents():
    attack(12_000, Hostile(3).document, lambda body: judge(native_xml.parse(body)))


def test_queries():
    def attempt(text):
        query = QueryDict(text)
        refusal_of(queries.workitem_uid, query)
        refusal_of(queries.transaction_uid, query)
        refusal_of(queries.requester, query, None)
        refusal_of(lambda: searching.keys_of(queries.subscription(text).filter, strict=True))
        asked, _ = queries.search(query, text)
        searching.keys_of(
            asked.pairs, empty_values=asked.empty_values, several_values=asked.several_values
        ).match(snapshot(NORMAL))

    attack(22_000, Hostile(4).query, attempt)
