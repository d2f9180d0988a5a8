"""UIDs and AE titles: the well-known ones, their syntax, and how new ones are made.

The syntax is that of PS3.5 (UI: section 9.1, AE: section 6.2). A refusal names the parameter,
never the value: a UID may be a Transaction UID.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeGuard

from upsrs.errors import InvalidArgument

if TYPE_CHECKING:
    from uuid import UUID

__all__ = [
    "FILTERED_GLOBAL_SUBSCRIPTION",
    "GLOBAL_SUBSCRIPTION",
    "UPS_EVENT",
    "UPS_PULL",
    "UPS_PUSH",
    "UPS_QUERY",
    "UPS_WATCH",
    "check_ae_title",
    "check_uid",
    "is_uid",
    "uid_of",
]

# The SOP Class of every workitem, whoever asks for it and why (PS3.4 CC.3.1).
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
# These four are negotiated in DIMSE only; no workitem carries them.
UPS_WATCH = "1.2.840.10008.5.1.4.34.6.2"
UPS_PULL = "1.2.840.10008.5.1.4.34.6.3"
UPS_EVENT = "1.2.840.10008.5.1.4.34.6.4"
UPS_QUERY = "1.2.840.10008.5.1.4.34.6.5"

# Subscriptions to the whole worklist name these instead of a workitem (PS3.4 CC.2.3.2).
GLOBAL_SUBSCRIPTION = "1.2.840.10008.5.1.4.34.5"
FILTERED_GLOBAL_SUBSCRIPTION = "1.2.840.10008.5.1.4.34.5.1"

_MAX_UID_LENGTH = 64
_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")  # ASCII without control and backslash


def is_uid(text: object) -> TypeGuard[str]:
    """1 to 64 digits and dots, no empty component, no leading zero (PS3.5 9.1)."""
    return isinstance(text, str) and len(text) <= _MAX_UID_LENGTH and bool(_UID.fullmatch(text))


def check_uid(text: object, name: str) -> str:
    """``text``, which the parameter ``name`` gave, if it is a UID; refused otherwise."""
    if not is_uid(text):
        raise InvalidArgument(f"{name} is not a valid UID.", name=name)
    return text


def uid_of(uuid: UUID) -> str:
    """The UID derived from a UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.int}"


def check_ae_title(text: object, name: str) -> str:
    """``text`` without its insignificant outer spaces, if it is an AE title (PS3.5 6.2)."""
    title = text.strip(" ") if isinstance(text, str) else ""
    if not _AE_TITLE.fullmatch(title):
        raise InvalidArgument(
            f"{name} is not a valid AE title: 1 to 16 ASCII characters without backslash.",
            name=name,
        )
    return title
