"""A day in a hospital, as the pictures show it: run by `Site.change` in a process of its own."""

from datetime import UTC, datetime, timedelta
from itertools import count

from tests import datasets
from upsrs import workitems

NOW = datetime.now(UTC)
numbers = count(4711, 3)


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
    return workitems.create(None, dataset).workitem_uid


def claim(uid, performer, percent=None, doing=""):
    key = datasets.new_uid()
    workitems.change_state(None, uid, "IN PROGRESS", transaction_uid=key, requester=performer)
    if percent is not None:
        workitems.report_progress(
            None, uid, transaction_uid=key, progress=percent, description=doing
        )
    return key


def complete(uid, performer):
    key = claim(uid, performer)
    workitems.update(None, uid, datasets.performed(), transaction_uid=key)
    workitems.change_state(None, uid, "COMPLETED", transaction_uid=key)


def cancel(uid, performer, reason):
    key = claim(uid, performer)
    workitems.update(None, uid, datasets.discontinued(reason), transaction_uid=key)
    workitems.change_state(None, uid, "CANCELED", transaction_uid=key)


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

for step, subject in [
    ("Read X-ray chest", "Chest PA"),
    ("Bone age", "X-ray hand left"),
    ("Read CT chest", "CT chest, follow-up"),
    ("Stroke triage", "CT head"),
    ("Read MR spine", "MR lumbar spine"),
]:
    station = "AI_TRIAGE" if "triage" in step or "age" in step else "READ_1"
    complete(
        order("READING" if station == "READ_1" else "AI TRIAGE", step, subject, station, -80),
        "dr.lindqvist" if station == "READ_1" else "AI-TRIAGE-1",
    )
cancel(
    order("3D LAB", "3D model", "CT foot left", "3D_LAB", -70),
    "3D-LAB-1",
    "Patient moved: images are blurred",
)
