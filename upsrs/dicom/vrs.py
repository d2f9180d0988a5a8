"""What a value of each Value Representation may look like in DICOM JSON (PS3.5 6.2, PS3.18 F).

Each check takes a value as JSON gave it and returns its normal form: without padding, and ``""``
(or ``{}`` for a person name) if nothing is left. A value that breaks the rules is a ``ValueError``
whose text is the rule and never the value. pydicom's validators accept what only a query may
carry (ranges, any backslash) and echo the value, so the checks are our own.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from math import isfinite
from typing import Any

from upsrs.dicom.uids import is_uid

__all__ = [
    "BINARY",
    "BULK_DATA",
    "CHECKS",
    "KNOWN",
    "NEVER_NULL",
    "SINGLE",
    "check_inline_binary",
    "instant",
    "parse_offset",
]

Check = Callable[[Any], Any]

_PADDING = " \0"
_MAX_FLOAT32 = float.fromhex("0x1.fffffep+127")
_PERSON_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_PERSON_NAME_GROUP_LENGTH = 64

# Control characters (C0, DEL, C1) and halves of a surrogate pair, as a class of a regex.
_LONE = r"\ud800-\udfff"
_NO_CONTROL = rf"[^\x00-\x1f\x7f-\x9f\\{_LONE}]*"
_NO_CONTROL_RULE = "control characters and the backslash are not allowed"
_LINES = rf"[^\x00-\x08\x0b\x0e-\x1f\x7f-\x9f{_LONE}]*"
_LINES_RULE = "control characters other than tab, line feed, form feed and return are not allowed"

_DT = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})"
    r"(?:([0-9]{2})(?:\.([0-9]{1,6}))?)?)?)?)?)?([+-][0-9]{4})?"
)
_DT_RULE = "must be a date and time: YYYYMMDDHHMMSS.FFFFFF&ZZXX, the end may be left out"
_DA_RULE = "must be a date of the calendar: YYYYMMDD"
_OFFSET = re.compile(r"([+-])([0-9]{2})([0-5][0-9])")
_OFFSET_RULE = "must be an offset from UTC between -1200 and +1400: &ZZXX"
_LEAP_SECOND = 60
_UI_RULE = "must be a UID: 1 to 64 digits and dots, no component empty or with a leading zero"


def _string(
    allowed: str, rule: str, *, length: int | None = None, leading_space_counts: bool = True
) -> Check:
    matches = re.compile(allowed).fullmatch

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        text = value.rstrip(_PADDING)
        if not leading_space_counts:
            text = text.lstrip(" ")
        if length is not None and len(text) > length:
            raise ValueError(f"longer than {length} characters")
        if text and not matches(text):
            raise ValueError(rule)
        return text

    return check


def _then(check: Check, further: Callable[[str], object]) -> Check:
    """``check``, and ``further`` on what is left of a value that is not empty."""

    def both(value: object) -> str:
        text: str = check(value)
        if text:
            further(text)
        return text

    return both


def _integer(low: int, high: int) -> Check:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}")
        return value

    return check


def _number_or_string(number: Check, string: Check) -> Check:
    """Keeps the form that was sent: a string may carry digits that a number would lose."""

    def check(value: object) -> Any:
        return string(value) if isinstance(value, str) else number(value)

    return check


def _integer_or_string(low: int, high: int, length: int) -> Check:
    number = _integer(low, high)
    string = _string(
        r"[+-]?[0-9]+", "must be a whole number", length=length, leading_space_counts=False
    )
    return _number_or_string(number, _then(string, lambda text: number(int(text))))


def _real(largest: float) -> Check:
    def check(value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")
        if not -largest <= value <= largest:  # also refuses NaN
            raise ValueError("the number is too large")
        return value

    return check


def _finite(text: str) -> None:
    if not isfinite(float(text)):
        raise ValueError("the number is too large")


def _uid(text: str) -> None:
    if not is_uid(text):
        raise ValueError(_UI_RULE)


def _date(text: str) -> None:
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise ValueError(_DA_RULE) from None


def _person_name(value: object) -> dict[str, str]:
    """An object of groups; a plain string is taken for the first (PS3.18 F.2.2)."""
    groups = {"Alphabetic": value} if isinstance(value, str) else value
    if not isinstance(groups, dict) or not groups.keys() <= set(_PERSON_NAME_GROUPS):
        raise ValueError(f"must be an object of {', '.join(_PERSON_NAME_GROUPS)}")
    checked = {name: _person_name_group(groups.get(name, "")) for name in _PERSON_NAME_GROUPS}
    return {name: text for name, text in checked.items() if text}


_person_name_group = _string(
    rf"[^\x00-\x1f\x7f-\x9f\\={_LONE}]*",
    "control characters, the backslash and the equals sign are not allowed",
    length=_PERSON_NAME_GROUP_LENGTH,
)


def parse_offset(text: str) -> timezone:
    """``&ZZXX`` as a time zone; -0000 is no offset (PS3.5 6.2, DT)."""
    match = _OFFSET.fullmatch(text)
    if not match or text == "-0000":
        raise ValueError(_OFFSET_RULE)
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    if match[1] == "-":
        offset = -offset
    if not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        raise ValueError(_OFFSET_RULE)
    return timezone(offset)


def instant(text: str, zone: tzinfo) -> datetime:
    """The first instant of a DT, in its own offset if it has one, else in ``zone``.

    A leap second is told as the second before it, since Python has none.
    """
    match = _DT.fullmatch(text)
    if not match:
        raise ValueError(_DT_RULE)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    seconds = int(second or 0)
    try:
        return datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            seconds - 1 if seconds == _LEAP_SECOND else seconds,
            int((fraction or "").ljust(6, "0")),
            tzinfo=parse_offset(offset) if offset else zone,
        )
    except ValueError:
        raise ValueError(_DT_RULE) from None


_tag_digits = _string("[0-9A-Fa-f]{8}", "must be a tag: eight hex digits")


def _tag(value: object) -> str:
    digits: str = _tag_digits(value)
    return digits.upper()


_CODE_STRING = _string(
    "[A-Z0-9 _]*",
    "only A to Z, 0 to 9, space and underscore are allowed",
    length=16,
    leading_space_counts=False,
)
_DECIMAL = _then(
    _string(
        r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
        "must be a decimal number",
        length=16,
        leading_space_counts=False,
    ),
    _finite,
)

CHECKS: dict[str, Check] = {
    "AE": _string(
        r"[\x20-\x5b\x5d-\x7e]*",
        "only ASCII characters without backslash are allowed",
        length=16,
        leading_space_counts=False,
    ),
    "AS": _string("[0-9]{3}[DWMY]", "must be an age: three digits and D, W, M or Y"),
    "AT": _tag,
    "CS": _CODE_STRING,
    "DA": _then(_string("[0-9]{8}", _DA_RULE), _date),
    "DS": _number_or_string(_real(float.fromhex("0x1.fffffffffffffp+1023")), _DECIMAL),
    "DT": _then(_string(_DT.pattern, _DT_RULE), lambda text: instant(text, UTC)),
    "FD": _real(float.fromhex("0x1.fffffffffffffp+1023")),
    "FL": _real(_MAX_FLOAT32),
    "IS": _integer_or_string(-(2**31), 2**31 - 1, 12),
    "LO": _string(_NO_CONTROL, _NO_CONTROL_RULE, length=64, leading_space_counts=False),
    "LT": _string(_LINES, _LINES_RULE, length=10_240),
    "PN": _person_name,
    "SH": _string(_NO_CONTROL, _NO_CONTROL_RULE, length=16, leading_space_counts=False),
    "SL": _integer(-(2**31), 2**31 - 1),
    "SS": _integer(-(2**15), 2**15 - 1),
    "ST": _string(_LINES, _LINES_RULE, length=1024),
    "SV": _integer_or_string(-(2**63), 2**63 - 1, 20),
    "TM": _string(
        r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?",
        "must be a time: HHMMSS.FFFFFF, the end may be left out",
    ),
    "UC": _string(_NO_CONTROL, _NO_CONTROL_RULE),
    "UI": _then(_string("[0-9.]*", _UI_RULE), _uid),
    "UL": _integer(0, 2**32 - 1),
    "UR": _string(
        r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=%\-._~]*", "must be a URI: escape other characters"
    ),
    "US": _integer(0, 2**16 - 1),
    "UT": _string(_LINES, _LINES_RULE),
    "UV": _integer_or_string(0, 2**64 - 1, 20),
}
"""The check of one value, for every VR that may have ``Value``, but SQ."""

# Bytes in one word: InlineBinary holds a whole number of them.
BINARY = {"OB": 1, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "UN": 1}

# PS3.18 Table F.2.3-1.
BULK_DATA = frozenset(
    {"DS", "FL", "FD", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US", "UT", "UV", *BINARY}
)

# These have no delimiter, so at most one value, whatever the attribute (PS3.5 6.2).
SINGLE = frozenset({"LT", "ST", "UR", "UT"})

# Fixed length, so that no value of several can be empty (PS3.5 6.4).
NEVER_NULL = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})

KNOWN = frozenset({"SQ", *CHECKS, *BINARY})


def check_inline_binary(vr: str, text: object) -> str:
    """Base64 of whole words, spelled the one canonical way (PS3.18 F.2.7)."""
    if not isinstance(text, str):
        raise ValueError("InlineBinary must be a string")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("InlineBinary must be base64") from None
    if len(data) % BINARY[vr]:
        raise ValueError(f"InlineBinary must be a multiple of {BINARY[vr]} bytes")
    return base64.b64encode(data).decode("ascii")
