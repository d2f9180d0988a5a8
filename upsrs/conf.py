"""The UPSRS_* settings: typed, each with a default that is safe in production.

A setting is read from the portal's settings at the moment of use: nothing is cached, so
``override_settings`` just works. ``upsrs.checks`` finds wrong values before the server starts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from django.conf import settings as portal_settings

from upsrs.dicom.dataset import Limits

__all__ = ["Conf", "Setting", "conf", "dataset_limits", "every_setting"]

T = TypeVar("T")


class Setting(Generic[T]):
    """One setting, ``UPSRS_<NAME>``. Its default tells its type; a whole number stays whole."""

    def __init__(self, default: T, *, may_be_zero: bool = False, at_most: float = math.inf) -> None:
        """``at_most`` bounds a number, or the characters of a text and of each in a list."""
        self.default = default
        self.may_be_zero = may_be_zero
        self.at_most = at_most

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"UPSRS_{name}"

    def __get__(self, instance: object, owner: Any = None) -> T:
        value: T = getattr(portal_settings, self.name, self.default)
        return value

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        bounded = self.at_most < math.inf
        if isinstance(self.default, bool):
            return "True or False"
        if isinstance(self.default, int | float):
            kind = "a whole number" if self.is_whole else "a number"
            lowest = "0 or more" if self.may_be_zero else "above 0"
            return f"{kind}, {lowest}" + (f", at most {self.at_most:,}" if bounded else "")
        length = f" of at most {self.at_most} characters" if bounded else ""
        if isinstance(self.default, str):
            return f"a text{length}" + (", not empty" if self.default else "")
        return f"a list of texts{length}, none empty"

    def allows(self, value: Any) -> bool:
        """May it have this value?"""
        if isinstance(self.default, bool):
            return isinstance(value, bool)
        if isinstance(self.default, int | float):
            kinds: Any = int if self.is_whole else (int, float)
            is_number = isinstance(value, kinds) and not isinstance(value, bool)
            lowest_is_kept = is_number and (value > 0 or (value == 0 and self.may_be_zero))
            return lowest_is_kept and math.isfinite(value) and value <= self.at_most
        if isinstance(self.default, str):
            return self._allows_text(value, empty=not self.default)
        return isinstance(value, list | tuple) and all(map(self._allows_text, value))

    def _allows_text(self, value: Any, *, empty: bool = False) -> bool:
        fits = isinstance(value, str) and len(value) <= self.at_most
        return fits and (empty or bool(value.strip()))

    @property
    def is_whole(self) -> bool:
        """Times may be fractions; of anything else there is no half."""
        return isinstance(self.default, int) and not self.name.endswith("_SECONDS")


class Conf:
    """Every setting of the app, with its reason."""

    POLICY = Setting("upsrs.access.ModelPermissionPolicy")
    """The class that decides who may do and see what. Default: Django's model permissions."""

    DEFAULT_WORKLIST_LABEL = Setting("WORKLIST", at_most=64)
    """What a workitem created with an empty Worklist Label is filed under (PS3.4 Table CC.2.5-3)."""

    POLL_SECONDS = Setting(1.0, at_most=2)
    """The net under lost wake-ups: the log is read at least this often while a socket is open.
    A server that is not heard of for a few polls counts as gone, so they are not rare."""

    SUBSCRIPTION_TTL_SECONDS = Setting(86_400)
    """How long a subscription waits for its socket to come back."""

    FALLBACK_AE_TITLES: Setting[Sequence[str]] = Setting((), at_most=16)
    """AEs that are told of a restart even without a subscription (PS3.4 CC.2.4.3)."""

    LOG_RETENTION_SECONDS = Setting(7 * 86_400)
    """How long the log is kept; at least as long as a subscription waits."""

    WORKITEM_RETENTION_SECONDS = Setting(30 * 86_400, may_be_zero=True)
    """How long a workitem stays after its end; IHE wants a day at least."""

    TOMBSTONE_RETENTION_SECONDS = Setting(365 * 86_400)
    """How long the UID of a removed workitem is answered with 410, and not given again."""

    AUDIT_RETENTION_SECONDS = Setting(365 * 86_400)
    """How long the records of the audit stay in the database; the law may want longer."""

    AUDIT_SOURCE_ID = Setting("")
    """How audit messages name this system; by default by the name of its host."""

    TRUSTED_PROXIES = Setting(0, may_be_zero=True)
    """So many proxies in front add to X-Forwarded-For, which tells who is behind them."""

    LOGIN_SECONDS = Setting(3.0)
    """How often it is asked whether who has a socket open is still logged in, and still may."""

    PLACE_SECONDS = Setting(5.0)
    """How often the places of the connected subscriptions are stored, if they moved."""

    SOCKET_BUFFER_BYTES = Setting(2 * 1_048_576)
    """A reader that leaves more than this untaken is closed with 4013; it may come back."""

    PROCESS_BUFFER_BYTES = Setting(256 * 1_048_576)
    """What all readers of a process together may leave untaken: who leaves most is closed first."""

    FAST_LANE = Setting(True)
    """Write frames past the server's work for each message, where the server is known: cheaper."""

    SEARCH_LIMIT = Setting(1_000)
    """The most workitems that one search returns; the client asks for the rest by offset."""

    MAX_BODY_BYTES = Setting(4 * 1_048_576)
    """The largest dataset that a request may carry: each instance of a study takes some 200."""

    MAX_ITEM_DEPTH = Setting(16, at_most=100)
    """How deep sequences may nest in a dataset."""

    MAX_FRAME_BYTES = Setting(65_536)
    """The largest message that a client may send on a socket; a larger one closes it, 4009."""

    MAX_BAD_MESSAGES = Setting(20)
    """So many bad messages in a row close a socket, 4008."""

    MAX_SOCKETS_PER_USER = Setting(20_000, may_be_zero=True)
    """More open sockets of one user are turned away by a server process, 4013; 0 is no limit."""

    MAX_SOCKETS_PER_ADDRESS = Setting(20_000, may_be_zero=True)
    """The same for one address. Behind a proxy set TRUSTED_PROXIES, or all have the proxy's."""

    MAX_SUBSCRIPTIONS_PER_USER = Setting(200_000, may_be_zero=True)
    """So many that have not ended: a client that starts anew in a loop must not fill the table."""

    MAX_SUBSCRIPTIONS_PER_SOCKET = Setting(10_000, may_be_zero=True)
    """So many may be followed on one socket."""

    MAX_MESSAGES_PER_MINUTE = Setting(300_000, may_be_zero=True)
    """What one user may say on all sockets of a process together; the same for one address."""

    MAX_TICKETS_PER_MINUTE = Setting(6_000, may_be_zero=True)
    """One-time tickets of one user, and for one address: each opens one socket."""

    MAX_FAILED_LOGINS_PER_MINUTE = Setting(60, may_be_zero=True)
    """From one address. Whoever came in with the same credentials before does not wait."""


conf = Conf()


def every_setting() -> list[Setting[Any]]:
    """All that there are, in the order in which they are told."""
    return [it for it in vars(Conf).values() if isinstance(it, Setting)]


def dataset_limits() -> Limits:
    """What a dataset may be, through whichever door it comes."""
    return Limits(max_bytes=conf.MAX_BODY_BYTES, max_depth=conf.MAX_ITEM_DEPTH)
