"""The watch: whoever has a socket open is asked about again and again.

A logout, a withdrawn right, a deactivated account and an expired token reach what was opened before
them. What is asked grows with the logins that are different, not with their sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from upsrs import access, logins, subscribers
from upsrs.conf import conf
from upsrs.database import in_database
from upsrs.listeners import Outlet, Standing
from upsrs.logins import Login
from upsrs.traces import trace

__all__ = ["Watch", "Watched", "standings"]

AT_ONCE = 100
"""So many are asked about in one go: neither thread nor connection belongs to the watch alone."""

RESTS = 4
"""It rests so many times as long as it took: where thousands are logged in it asks less often."""

Watched = tuple[Login, str]
"""What sockets were let in with, and the AE whose events they hear, if it is one."""

logger = logging.getLogger(__name__)


class Watch:
    """Over the sockets of one event loop."""

    def __init__(self) -> None:
        self._watched: dict[Watched, set[Outlet]] = {}

    def add(self, outlet: Outlet) -> None:
        self._watched.setdefault((outlet.login, outlet.ae_title), set()).add(outlet)

    def discard(self, outlet: Outlet) -> None:
        watched = (outlet.login, outlet.ae_title)
        outlets = self._watched.get(watched, set())
        outlets.discard(outlet)
        if not outlets:
            self._watched.pop(watched, None)

    async def keep(self) -> None:
        """Every few seconds, without end."""
        loop = asyncio.get_running_loop()
        took = 0.0
        while True:
            await asyncio.sleep(max(conf.LOGIN_SECONDS, RESTS * took))
            began = loop.time()
            try:
                await self._look()
            except Exception as error:  # nobody is sent away because the database is
                logger.error("The logins were not looked at: %s", trace(error))
            took = loop.time() - began

    async def _look(self) -> None:
        watched = list(self._watched)
        for first in range(0, len(watched), AT_ONCE):
            found = await in_database(standings)(watched[first : first + AT_ONCE])
            for one, standing in found.items():
                for outlet in tuple(self._watched.get(one, ())):
                    outlet.stands(standing)


def standings(watched: Collection[Watched]) -> dict[Watched, Standing]:
    """How these stand now; without those whom the portal's policy fails to answer for."""
    users = logins.holding({login for login, _ in watched})
    owners = subscribers.owners({ae_title for _, ae_title in watched if ae_title})
    rights: dict[str, Standing | None] = {}
    found: dict[Watched, Standing] = {}
    for login, ae_title in watched:
        user = users.get(login)
        if user is None:
            found[login, ae_title] = Standing(None)
            continue
        if login.user_pk not in rights:
            rights[login.user_pk] = _asked(user)
        standing = rights[login.user_pk]
        if standing is None:
            continue
        if ae_title and not access.acts_for(user, ae_title, owners.get(ae_title)):
            standing = Standing(user)
        found[login, ae_title] = standing
    return found


def _asked(user: Any) -> Standing | None:
    """What the policy says of a user; None if it fails: then all stays as it was."""
    try:
        may_listen = access.may_listen(user)
        return Standing(user, may_listen, access.sight(user) if may_listen else access.NOTHING)
    except Exception as error:
        logger.error("The policy did not answer: %s", trace(error))
        return None
