"""A day in a hospital, as the pictures show it: run by `Site.change` in a process of its own."""

from datetime import UTC, datetime, timedelta
from itertools import count, cycle

from django.contrib.auth.models import User

from tests import datasets
from tests.core.following import drop, follow, take
from upsrs import instants, workitems
from upsrs.models import Connection, Subscription

NOW = datetime.now(UTC)
numbers = count(4711, 3)


def at(minutes):
    """Whatever happens from here on happens so many minutes from now."""
    moment = NOW + timedelta(minutes=minutes)
    instants.now = lambda: moment


def order(label, step, subject, station, minutes, priority="MEDIUM", **more):
    """An order whose work starts so many minutes from now; its UID."""
    number = next(numbers)
    start = (NOW + timedelta(minutes=minutes)).strftime("%Y%m%d%H%M%S+0000")
    code = datasets.code(station, "99LOCAL", station.replace("_", " ").title())
    request = datasets.elements(
        AccessionNumber=f"A{number}",
        RequestedProcedureDescription=subject,
        RequestedProcedureID=f"P{number}",
        StudyInstanceUID=datasets.new_uid(),
    )
    dataset = datasets.dataset(
        WorklistLabel=label,
        ProcedureStepLabel=step,
        ScheduledProcedureStepStartDateTime=start,
        ScheduledProcedureStepPriority=priority,
        ScheduledStationNameCodeSequence=[code],
        ReferencedRequestSequence=[request],
        **more,
    )
    at(min(minutes - 40, -1))
    return workitems.create(None, dataset).workitem_uid


def claim(uid, performer, percent=None, doing="", *, minutes=-3):
    key = datasets.new_uid()
    at(minutes)
    workitems.change_state(None, uid, "IN PROGRESS", transaction_uid=key, requester=performer)
    if percent is not None:
        workitems.report_progress(
            None, uid, transaction_uid=key, progress=percent, description=doing
        )
    return key


def complete(uid, performer, claimed, completed):
    key = claim(uid, performer, minutes=claimed)
    at(completed)
    workitems.update(None, uid, datasets.performed(), transaction_uid=key)
    workitems.change_state(None, uid, "COMPLETED", transaction_uid=key)


def cancel(uid, performer, reason, minutes):
    key = claim(uid, performer, minutes=minutes)
    workitems.update(None, uid, datasets.discontinued(reason), transaction_uid=key)
    workitems.change_state(None, uid, "CANCELED", transaction_uid=key)


at(-24 * 60)
alice = User.objects.get(username="alice")
reader = follow(alice, worklistLabel="READING")
engine = follow(alice, worklistLabel="AI*", performerAETitle="")
drop(follow(alice, worklistLabel="3D LAB"))
Subscription.objects.update(created_at=instants.now())
Connection.objects.update(opened_at=instants.now())

order("AI TRIAGE", "Stroke triage", "CT head without contrast", "AI_TRIAGE", -4, "HIGH")
order("READING", "Read CT chest", "CT chest, pulmonary embolism?", "READ_1", 6, "HIGH")
order("READING", "Read MR knee", "MR knee left", "READ_2", -38)
order("AI TRIAGE", "Lung nodule search", "CT chest, follow-up", "AI_CHEST", -7)
for n, (step, subject, station) in enumerate(
    [
        ("3D model", "CT aorta before TAVI", "3D_LAB"),
        ("Read X-ray chest", "Chest PA and lateral", "READ_1"),
        ("Bone age", "X-ray hand left", "AI_BONE"),
        ("Read CT abdomen", "CT abdomen, staging", "READ_2"),
        ("Fracture triage", "X-ray wrist right", "AI_BONE"),
        ("Cardiac function", "MR heart with stress", "3D_LAB"),
        ("Read US abdomen", "Ultrasound abdomen", "READ_1"),
        ("Dose report", "CT head and neck", "AI_QC"),
    ]
):
    label = (
        "READING" if station.startswith("READ") else "AI TRIAGE" if "AI" in station else "3D LAB"
    )
    order(label, step, subject, station, 9 + 7 * n, "LOW" if n == 7 else "MEDIUM")
order("CONTROL", "Image quality check", "Mammography, both sides", "AI_QC", 60 * 27)

claim(
    order("AI TRIAGE", "Pneumothorax triage", "X-ray chest, bed", "AI_CHEST", -9, "HIGH"),
    "AI-CHEST-1",
    60,
    "Comparing with priors",
)
claim(
    order("3D LAB", "3D model", "CT pelvis, fracture", "3D_LAB", -22),
    "3D-LAB-2",
    35,
    "Segmenting bones",
)
claim(order("READING", "Read MR brain", "MR brain with contrast", "READ_2", -15), "dr.okafor")
uid = order("AI TRIAGE", "Lung nodule search", "CT chest, screening", "AI_CHEST", -12)
claim(uid, "AI-CHEST-2", 80, "Measuring nodules")
workitems.request_cancel(
    None, uid, datasets.elements(ReasonForCancellation="Wrong series was sent")
)

DONE = [
    ("AI TRIAGE", "Stroke triage", "CT head", "AI_TRIAGE", "AI-TRIAGE-1"),
    ("READING", "Read X-ray chest", "Chest PA", "READ_1", "dr.lindqvist"),
    ("AI TRIAGE", "Bone age", "X-ray hand left", "AI_BONE", "AI-BONE"),
    ("READING", "Read CT chest", "CT chest, follow-up", "READ_2", "dr.okafor"),
    ("3D LAB", "3D model", "CT aorta", "3D_LAB", "3D-LAB-1"),
    ("READING", "Read MR spine", "MR lumbar spine", "READ_1", "dr.lindqvist"),
]
starts = [-25, -32, -44, -51, -66, -75, -95, -118, -125, -140, -171, -190, -204, -236, -255, -290]
starts += [-301, -330, -352, -371, -395, -420, -446, -470]
waits, works = cycle([2, 11, 1, 24, 70, 8, 14]), cycle([3, 9, 4, 12, 7])
for start, (label, step, subject, station, performer) in zip(starts, cycle(DONE), strict=False):
    claimed = min(start + next(waits), -9)
    uid = order(label, step, subject, station, start)
    complete(uid, performer, claimed, min(claimed + next(works), -1))
cancel(
    order("3D LAB", "3D model", "CT foot left", "3D_LAB", -70),
    "3D-LAB-1",
    "Patient moved: images are blurred",
    minutes=-22,
)
for heard in (reader, engine):
    take(heard)
