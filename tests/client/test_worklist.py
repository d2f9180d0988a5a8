"""The REST side of the client, against the real portal: what a performer and an orderer do."""

from __future__ import annotations

import pytest
from rest_framework.authtoken.models import Token

from tests import datasets
from upsrs.client import Claim, Code, LoginRequired, NotAllowed, Refused, Unreachable, Worklist
from upsrs.dicom import dataset as dicom_json
from upsrs.models import Workitem

pytestmark = pytest.mark.django_db(transaction=True)


def dataset() -> datasets.JSONDataset:
    """Without a UID: the client makes one."""
    made = datasets.dataset()
    del made["00080018"]
    return made


PERFORMED = Code("110001", "DCM", "Image Processing")
STATION = Code("WS1", "99LOCAL", "Workstation 1")


@pytest.fixture
def worklist(live_server, alice) -> Worklist:
    token = Token.objects.create(user=alice).key
    return Worklist(f"{live_server.url}/ups-rs", token=token, ae_title="WS1")


@pytest.fixture
def stored():
    """``stored(uid)``: the row, read outside of the event loop's thread."""
    from asgiref.sync import sync_to_async

    return sync_to_async(lambda uid: Workitem.objects.get(uid=uid), thread_sensitive=True)


async def test_a_workitem_is_created_claimed_reported_and_completed(worklist, stored):
    uid = await worklist.create(dataset())
    claim = await worklist.claim(uid)
    row = await stored(uid)
    assert (row.state, row.performer) == ("IN PROGRESS", "WS1")
    await claim.report_progress(40, "Segmenting", completed=2, remaining=3)
    await claim.report_progress(60)
    progress = dicom_json.items((await stored(uid)).dataset, "00741002")[0]
    assert dicom_json.first(progress, "ProcedureStepProgress") == 60
    assert dicom_json.first(progress, "ProcedureStepProgressDescription") == "Segmenting"
    await claim.complete(PERFORMED, STATION, description="As ordered")
    done = await worklist.retrieve(uid)
    assert dicom_json.first(done, "ProcedureStepState") == "COMPLETED"
    assert claim.transaction_uid not in str(done)
    [performed] = dicom_json.items(done, "00741216")
    began = dicom_json.first(performed, "PerformedProcedureStepStartDateTime")
    ended = dicom_json.first(performed, "PerformedProcedureStepEndDateTime")
    assert began < ended
    assert dicom_json.first(performed, "PerformedStationNameCodeSequence.CodeValue") == "WS1"


async def test_canceling_says_why_and_keeps_what_was_reported(worklist):
    claim = await worklist.claim(await worklist.create(dataset()))
    await claim.report_progress(40, completed=2)
    await claim.cancel(Code("110523", "DCM", "Object Set incomplete"), "Series 3 is missing.")
    done = await worklist.retrieve(claim.workitem_uid)
    assert dicom_json.first(done, "ProcedureStepState") == "CANCELED"
    [item] = dicom_json.items(done, "00741002")
    assert dicom_json.first(item, "ProcedureStepProgress") == 40
    assert dicom_json.first(item, "00751020") == 2
    assert dicom_json.first(item, "ReasonForCancellation") == "Series 3 is missing."
    reason = "ProcedureStepDiscontinuationReasonCodeSequence.CodeValue"
    assert dicom_json.first(item, reason) == "110523"


async def test_a_workitem_gets_the_uid_that_it_is_given(worklist):
    assert await worklist.create(dataset(), "2.25.77") == "2.25.77"
    with pytest.raises(Refused) as refusal:
        await worklist.create(dataset(), "2.25.77")
    assert refusal.value.status == 409
    assert refusal.value.problem["dicomStatus"] == "0111"


async def test_a_workitem_keeps_the_uid_of_its_dataset(worklist):
    made = datasets.dataset()
    assert [await worklist.create(made)] == made["00080018"]["Value"]


async def test_who_comes_second_is_refused(worklist):
    uid = await worklist.create(dataset())
    await worklist.claim(uid)
    with pytest.raises(Refused):
        await worklist.claim(uid)


async def test_a_scheduled_workitem_is_canceled_on_request(worklist, stored):
    uid = await worklist.create(dataset())
    await worklist.request_cancellation(uid, "Ordered by mistake.")
    assert (await stored(uid)).state == "CANCELED"
    await worklist.request_cancellation(uid)  # a warning is not an error


async def test_an_update_of_a_scheduled_workitem_needs_no_key(worklist):
    uid = await worklist.create(dataset())
    await worklist.update(uid, {"00741200": {"vr": "CS", "Value": ["HIGH"]}})
    changed = await worklist.retrieve(uid)
    assert dicom_json.first(changed, "ScheduledProcedureStepPriority") == "HIGH"


async def test_a_refusal_carries_the_servers_sentence_and_the_dicom_status(worklist):
    claim = Claim(worklist, await worklist.create(dataset()), "2.25.5")
    with pytest.raises(Refused, match="not IN PROGRESS") as refusal:
        claim.blocking._change_state("COMPLETED")
    assert refusal.value.status == 409
    assert refusal.value.problem["dicomStatus"] == "C310"


async def test_an_answer_that_got_lost_does_not_lose_the_claim(worklist, stored, monkeypatch):
    """The server has it, the performer does not know: it asks again, with the same key."""
    uid = await worklist.create(dataset())
    ask, lost = worklist.blocking._ask, []

    def ask_and_lose(*request):
        answer = ask(*request)
        if not lost:
            lost.append(answer)
            raise Unreachable("cut")
        return answer

    monkeypatch.setattr(worklist.blocking, "_ask", ask_and_lose)
    claim = await worklist.claim(uid)
    await claim.report_progress(10)
    assert (await stored(uid)).state == "IN PROGRESS"


async def test_an_answer_that_got_lost_is_no_claim_if_somebody_else_was_quicker(
    worklist, monkeypatch
):
    uid = await worklist.create(dataset())
    await worklist.claim(uid)
    ask, cut = worklist.blocking._ask, []

    def never_sent(*request):
        if not cut:
            cut.append(request)
            raise Unreachable("cut")
        return ask(*request)

    monkeypatch.setattr(worklist.blocking, "_ask", never_sent)
    with pytest.raises(Refused):
        await worklist.claim(uid)


async def test_nobody_is_told_to_log_in(live_server):
    with pytest.raises(LoginRequired):
        await Worklist(f"{live_server.url}/ups-rs").create(dataset())


async def test_who_may_not_is_told_so(live_server, bob):
    from asgiref.sync import sync_to_async

    token = await sync_to_async(Token.objects.create)(user=bob)
    with pytest.raises(NotAllowed):
        await Worklist(f"{live_server.url}/ups-rs", token=token.key).create(dataset())


async def test_a_server_that_is_away_is_unreachable():
    with pytest.raises(Unreachable):
        await Worklist("http://127.0.0.1:1/ups-rs", timeout_seconds=2).retrieve("2.25.1")


async def test_a_redirect_is_not_followed_with_the_token(worklist):
    """Wherever it points to would be handed the token."""
    worklist.blocking._base = worklist.blocking._base.removesuffix(
        "/ups-rs"
    )  # "/" + login_required redirects
    with pytest.raises(Refused) as refusal:
        worklist.blocking._ask("GET", "/")
    assert refusal.value.status == 302


@pytest.mark.parametrize(
    ("value", "tag"), [("110001", "00080100"), ("a" * 16, "00080100"), ("a" * 17, "00080119")]
)
def test_a_code_of_more_than_16_characters_is_a_long_one(value, tag):
    [item] = Code(value, "99LOCAL", "m").sequence()["Value"]
    assert item[tag]["Value"] == [value]
    assert len({"00080100", "00080119"} & item.keys()) == 1


def test_the_transaction_uid_is_not_shown():
    assert "2.25.5" not in repr(Claim(Worklist("http://h/u"), "1.2", "2.25.5"))
