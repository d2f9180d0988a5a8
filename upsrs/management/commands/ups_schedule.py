"""Schedule a workitem for each study in folders of DICOM files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from upsrs import instants, workitems
from upsrs.dicom import dataset as dicom_json, files
from upsrs.dicom.dataset import JSONDataset
from upsrs.errors import DuplicateWorkitem, UPSError
from upsrs.management import headers
from upsrs.origin import coming_from

WORKITEM_CODES = {
    "110001": "Image Processing",
    "110002": "Quality Control",
    "110003": "Computer Aided Diagnosis",
    "110004": "Computer Aided Detection",
    "110005": "Interpretation",
    "110006": "Transcription",
    "110007": "Report Verification",
    "128001": "Add Addendum to Report",
    "110008": "Print",
    "110009": "No subsequent Workitems",
    "110013": "Media Import",
}
"""PS3.16 CID 9231, which is extensible; coding scheme DCM."""

DEFAULT_RETRIEVE_AE = "PACS"

AT_ONCE = 200
"""So many workitems are one transaction: who listens hears of the first before the last is made."""

OUTCOMES = SCHEDULED, KNOWN, REFUSED = ("scheduled", "already scheduled", "refused")


class Command(BaseCommand):
    help = (
        "Schedule one workitem for each study found in files and folders. Run again, it schedules "
        "what is new: the workitem's UID is derived from the study and the step label."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="+", type=Path, help="a DICOM file, or a folder of them")
        parser.add_argument("--label", default="", help="the worklist it goes on")
        parser.add_argument("--step-label", default="Interpretation", help="what is to be done")
        parser.add_argument("--station", default="", help="the AE title that is to do it")
        parser.add_argument("--priority", choices=("HIGH", "MEDIUM", "LOW"), default="MEDIUM")
        parser.add_argument("--start", default="", help="when, as in 2026-01-05T08:00 (now)")
        parser.add_argument(
            "--code",
            default="110005",
            help="what kind of work: a code of DICOM's context group 9231 (110005, Interpretation) "
            "or VALUE:SCHEME:MEANING",
        )
        parser.add_argument(
            "--retrieve-ae",
            default="",
            help=f"the AE title to get the instances from ({DEFAULT_RETRIEVE_AE}, if no URL)",
        )
        parser.add_argument(
            "--retrieve-url", default="", help="the DICOMweb service to get the instances from"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be scheduled")

    def handle(self, *args: Any, **options: Any) -> None:
        order = _order(options)
        with headers.quietly(), coming_from("command", {}):
            found = self._gather(options["path"])
            for path, reason in found.skipped:
                self.stderr.write(f"skipped {path}: {reason}", self.style.WARNING)
            counts = Counter[str]()
            studies = iter(found.studies.values())
            while batch := list(islice(studies, AT_ONCE)):
                counts.update(self._schedule(batch, order, dry_run=options["dry_run"]))
        summary = ", ".join(f"{counts[what]} {what}" for what in OUTCOMES)
        dry = " (dry run: nothing was written)" if options["dry_run"] else ""
        self.stdout.write(
            f"{_count(len(found.studies), 'study', 'studies')} in {found.read} DICOM files: "
            f"{summary}; {found.doubles} doubles, {len(found.skipped)} other files skipped{dry}"
        )
        if counts["refused"]:
            raise CommandError(
                f"{_count(counts['refused'], 'study', 'studies')} could not be scheduled."
            )

    def _gather(self, paths: list[Path]) -> headers.Gathered:
        try:
            return headers.gather(_with_progress(list(headers.walk(paths))))
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from None

    def _schedule(
        self, studies: Sequence[files.Study], order: files.Order, *, dry_run: bool
    ) -> list[str]:
        """Schedule what is new of these studies in one transaction; the outcome of each."""
        made: dict[str, tuple[files.Study, JSONDataset]] = {}
        outcomes = []
        for study in studies:
            try:
                dataset, words = study.workitem(order)
            except UPSError as refusal:
                outcomes.append(self._refuse(study, refusal))
                continue
            uid = study.workitem_uid(order)
            made[uid] = (study, {**dataset, "00080018": dicom_json.make("SOPInstanceUID", uid)})
            for word in words:
                self.stderr.write(f"study {study.uid}: {word}", self.style.WARNING)
        known = workitems.taken(made)
        fresh = {uid: dataset for uid, (_, dataset) in made.items() if uid not in known}
        refused = {} if dry_run else _create(fresh)
        for uid, (study, _) in made.items():
            why = refused.get(uid)
            if why is None or isinstance(why, DuplicateWorkitem):
                is_new = uid in fresh and why is None
                outcomes.append(self._tell(study, uid, is_new=is_new, dry_run=dry_run))
            else:
                outcomes.append(self._refuse(study, why))
        return outcomes

    def _refuse(self, study: files.Study, refusal: UPSError) -> str:
        self.stderr.write(f"refused study {study.uid}: {refusal.detail}", self.style.ERROR)
        return REFUSED

    def _tell(self, study: files.Study, uid: str, *, is_new: bool, dry_run: bool) -> str:
        outcome = SCHEDULED if is_new else KNOWN
        style = self.style.SUCCESS if is_new else self.style.HTTP_NOT_MODIFIED
        would = "would be " if dry_run and is_new else ""
        series = _count(len(study.series), "series", "series")
        self.stdout.write(
            f"{style(would + outcome)} {uid}: {series}, {_count(study.instances, 'instance', 'instances')} "
            f"of study {study.uid}"
        )
        return outcome


def _create(datasets: Mapping[str, JSONDataset]) -> dict[str, UPSError]:
    """Create all that can be; the others with their refusals, by UID."""
    wanted = dict(datasets)
    refused: dict[str, UPSError] = {}
    while wanted:
        try:
            workitems.create_many(None, wanted.values())
        except UPSError as refusal:
            uid = list(wanted)[refusal.index or 0]
            refused[uid] = refusal
            del wanted[uid]
        else:
            break
    return refused


def _order(options: dict[str, Any]) -> files.Order:
    has_place = options["retrieve_ae"] or options["retrieve_url"]
    return files.Order(
        step_label=options["step_label"],
        code=_code(options["code"]),
        start=_start(options["start"]),
        label=options["label"],
        station=options["station"],
        priority=options["priority"],
        retrieve_ae=options["retrieve_ae"] if has_place else DEFAULT_RETRIEVE_AE,
        retrieve_url=options["retrieve_url"],
    )


def _code(text: str) -> JSONDataset:
    if text in WORKITEM_CODES:
        return files.code_item(text, "DCM", WORKITEM_CODES[text])
    parts = [part.strip() for part in text.split(":", 2)]
    if len(parts) != 3 or not all(parts):
        known = ", ".join(f"{value} {meaning}" for value, meaning in WORKITEM_CODES.items())
        raise CommandError(f"--code is VALUE:SCHEME:MEANING or one of: {known}.")
    return files.code_item(*parts)


def _start(text: str) -> str:
    """A DT with its offset; a time without one is the portal's."""
    try:
        at = datetime.fromisoformat(text) if text else instants.now()
    except ValueError:
        raise CommandError("--start is a date and time, as in 2026-01-05T08:00.") from None
    if timezone.is_naive(at):
        at = timezone.make_aware(at)
    return timezone.localtime(at).strftime("%Y%m%d%H%M%S%z")


def _with_progress(paths: list[Path]) -> Iterable[Path]:
    """The paths, with a progress bar on a terminal."""
    if not sys.stderr.isatty():
        return paths
    try:
        from tqdm import tqdm
    except ImportError:  # an optional convenience, see the extra "files"
        return paths
    bar: Iterable[Path] = tqdm(paths, unit="file", desc="Reading", leave=False)
    return bar


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
