"""``manage.py ups_schedule``: a folder of files becomes a worklist."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pydicom
import pytest
from django.core.management import CommandError, call_command

from upsrs.dicom import dataset as dicom_json
from upsrs.models import Event, Workitem

pytestmark = pytest.mark.django_db

SHIPPED = Path(pydicom.__file__).parent / "data"


def schedule(*arguments: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("ups_schedule", *map(str, arguments), stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two studies, a double, and what is found beside them."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    shutil.copy(SHIPPED / "test_files" / "CT_small.dcm", tmp_path / "deep" / "er" / "1")
    shutil.copy(SHIPPED / "test_files" / "CT_small.dcm", tmp_path / "deep" / "again.dcm")
    shutil.copy(SHIPPED / "charset_files" / "chrH31.dcm", tmp_path)
    shutil.copy(SHIPPED / "test_files" / "dicomdirtests" / "DICOMDIR", tmp_path)
    (tmp_path / "notes.txt").write_text("lunch at noon")
    (tmp_path / "empty.dcm").touch()
    whole = (SHIPPED / "test_files" / "MR_small.dcm").read_bytes()
    (tmp_path / "broken.dcm").write_bytes(whole[:200])
    return tmp_path


def test_each_study_becomes_a_workitem_and_is_heard_of(folder):
    out, _ = schedule(folder, "--label", "READING", "--station", "WS1", "--priority", "HIGH")
    assert Workitem.objects.count() == Event.objects.count() == 2
    for workitem in Workitem.objects.all():
        assert workitem.state == "SCHEDULED"
        assert dicom_json.first(workitem.dataset, "WorklistLabel") == "READING"
        assert dicom_json.first(workitem.dataset, "ScheduledProcedureStepPriority") == "HIGH"
        assert workitem.uid in out
    assert "2 scheduled, 0 already scheduled, 0 refused" in out
    assert "1 doubles" in out


def test_what_is_no_instance_is_named_with_the_reason(folder):
    _, err = schedule(folder)
    reasons = {
        "notes.txt": "not a DICOM file",
        "empty.dcm": "not a DICOM file",
        "DICOMDIR": "is a DICOMDIR",
        "broken.dcm": "",
    }
    for name, reason in reasons.items():
        [line] = [line for line in err.splitlines() if f"/{name}:" in line]
        assert reason in line


def test_a_second_run_schedules_nothing_twice(folder):
    schedule(folder)
    out, _ = schedule(folder)
    assert "0 scheduled, 2 already scheduled" in out
    assert Workitem.objects.count() == Event.objects.count() == 2


def test_another_step_of_the_same_study_is_another_workitem(folder):
    schedule(folder, "--step-label", "Triage")
    schedule(folder, "--step-label", "Read")
    assert Workitem.objects.count() == 4


def test_a_dry_run_says_what_would_be_and_writes_nothing(folder):
    out, _ = schedule(folder, "--dry-run")
    assert out.count("would be scheduled") == 2
    assert not Workitem.objects.exists()
    schedule(folder)
    out, _ = schedule(folder, "--dry-run")
    assert "already scheduled" in out
    assert "would be" not in out


def test_no_patient_is_named_in_the_output(folder):
    out, err = schedule(folder)
    for text in ("Yamada", "山田", "H31EXAMPLE", "CompressedSamples", "1CT1"):
        assert text not in out + err


def test_everything_that_pydicom_ships_goes_through():
    out, _ = schedule(SHIPPED)
    assert "0 refused" in out
    assert Workitem.objects.count() > 30


def test_a_study_that_cannot_be_scheduled_is_named_and_fails_the_run_after_the_others(tmp_path):
    for number, patient in enumerate(("P1", "P2")):
        ds = pydicom.dcmread(SHIPPED / "test_files" / "CT_small.dcm")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}"
        ds.PatientID = patient
        ds.save_as(tmp_path / f"{patient}.dcm")
    shutil.copy(SHIPPED / "charset_files" / "chrH31.dcm", tmp_path)
    err = io.StringIO()
    with pytest.raises(CommandError, match="1 study could not be scheduled"):
        call_command("ups_schedule", str(tmp_path), stdout=io.StringIO(), stderr=err)
    assert "different patients" in err.getvalue()
    assert Workitem.objects.count() == 1


def test_a_file_that_may_not_be_read_is_named(folder, monkeypatch):
    read = pydicom.dcmread

    def locked(path, **options):
        if path.name == "chrH31.dcm":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, **options)

    monkeypatch.setattr(pydicom, "dcmread", locked)
    out, err = schedule(folder)
    assert "chrH31.dcm: cannot be read: Permission denied" in err
    assert "1 scheduled" in out


def test_a_pipe_in_the_folder_does_not_hold_the_run(folder):
    os.mkfifo(folder / "pipe")
    _, err = schedule(folder)
    assert "pipe: is not a regular file" in err


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("110003", ("110003", "DCM", "Computer Aided Diagnosis")),
        ("T1:99LOCAL:Triage: fast", ("T1", "99LOCAL", "Triage: fast")),
    ],
)
def test_the_kind_of_work_is_a_code(folder, code, expected):
    schedule(folder, "--code", code)
    ds = Workitem.objects.first().dataset
    found = tuple(
        dicom_json.first(ds, f"ScheduledWorkitemCodeSequence.{keyword}")
        for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    )
    assert found == expected


@pytest.mark.parametrize("code", ["4711", "a:b", "::"])
def test_a_code_that_is_none_is_refused(folder, code):
    with pytest.raises(CommandError, match="--code"):
        schedule(folder, "--code", code)


def test_a_start_without_an_offset_is_the_portals_time(folder, settings):
    settings.TIME_ZONE = "Europe/Vienna"
    schedule(folder, "--start", "2026-01-05T08:00")
    ds = Workitem.objects.first().dataset
    start = dicom_json.first(ds, "ScheduledProcedureStepStartDateTime")
    assert start == "20260105080000+0100"


def test_a_start_that_is_none_is_refused(folder):
    with pytest.raises(CommandError, match="--start"):
        schedule(folder, "--start", "soon")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        schedule(tmp_path / "nowhere")
