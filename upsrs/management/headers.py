"""Reading the headers of DICOM files: which there are, which are none, and what study each is of."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from upsrs.dicom import files
from upsrs.errors import InvalidDataset

__all__ = ["Gathered", "gather", "quietly", "walk"]

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass
class Gathered:
    """What was found in files."""

    studies: dict[str, files.Study] = field(default_factory=dict)
    read: int = 0
    doubles: int = 0
    """Files of an instance that another file had already."""
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    """Each with the reason."""


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """All files at and below these paths, in order. ``OSError`` for a path that is not there."""
    for path in paths:
        if not path.is_dir():
            path.stat()
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                yield Path(folder, name)


@contextmanager
def quietly() -> Iterator[None]:
    """Without what pydicom says about broken files: it names no file, and may show values."""
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydicom")
            yield
    finally:
        log.setLevel(level)


def gather(paths: Iterable[Path]) -> Gathered:
    """Read the header of each file, and put it where it belongs."""
    found = Gathered()
    for path in paths:
        try:
            header = _header(path)
            is_new = files.add(found.studies, header)
        except (_NoInstance, InvalidDataset) as reason:
            found.skipped.append((path, str(reason)))
        else:
            found.read += 1
            found.doubles += not is_new
    return found


class _NoInstance(Exception):
    """The file holds no instance that a workitem could refer to."""


def _header(path: Path) -> pydicom.Dataset:
    if not path.is_file():
        raise _NoInstance("is not a regular file")  # a pipe would wait for ever
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(files.HEADER))
    except InvalidDicomError:
        raise _NoInstance("is not a DICOM file") from None
    except OSError as error:
        raise _NoInstance(f"cannot be read: {error.strerror or error}") from None
    except Exception as error:  # what a broken file provokes in the parser is an open set
        raise _NoInstance(f"is a broken DICOM file ({type(error).__name__})") from None
    if header.file_meta.get("MediaStorageSOPClassUID") == MEDIA_STORAGE_DIRECTORY:
        raise _NoInstance("is a DICOMDIR: the files that it lists are read themselves")
    return header
