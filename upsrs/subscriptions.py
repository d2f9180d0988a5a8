"""The use cases on subscriptions: follow, come back, end, and remember the place.

A subscription is a row that outlives its sockets. Each open socket has a `Connection` row with
what it is known to have taken; a row whose socket is gone stays until somebody takes it up. So the
place of a subscription is the lowest of its rows, and survives a killed process.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, transaction
from django.db.models import Case, Exists, OuterRef, Q, When
from django.db.models.functions import Now
from django.utils import timezone

from upsrs import access, audit, contract, errors, events, instants, limits, metrics
from upsrs.access import Sight
from upsrs.conf import conf
from upsrs.dicom import uids
from upsrs.dicom.matching import Keys, key_path
from upsrs.events import Place
from upsrs.models import Connection, Server, Subscription, write_alias

__all__ = [
    "Followed",
    "Here",
    "TakenUp",
    "beat",
    "compile_filter",
    "end",
    "end_equal",
    "follow",
    "heard_of",
    "is_alone",
    "leave",
    "live_servers",
    "may_run",
    "new_uid",
    "register_server",
    "require_room",
    "return_to",
    "same_filter",
    "store_places",
    "take_up",
]

SERVER_LOST_SECONDS = 5
"""A server process that was not heard of for so long is gone, and its sockets with it."""

ENDED_LATELY_SECONDS = 60
"""How far back a hub looks for subscriptions that another process ended: far beyond any skew."""


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A subscription that one socket follows from now on."""

    subscription_uid: str
    connection_id: uuid.UUID
    sight: Sight
    position: int | None
    """Go on behind this position of the log; None: the state must be reported first."""
    resync: bool
    """There was a place, but the log cannot be read from it any more."""


@dataclass(frozen=True, slots=True)
class Followed(TakenUp):
    """One of the customer's, with what it wants."""

    filter: dict[str, str]
    keys: Keys


@dataclass(frozen=True, slots=True)
class Here:
    """What the asking server process knows of its own sockets before the database does."""

    server_id: uuid.UUID
    departing: Mapping[uuid.UUID, int | None] = field(default_factory=dict)
    """Connections that have just closed, and what they have taken."""


def compile_filter(wanted: Mapping[str, str]) -> tuple[Keys, list[str]]:
    """A canonical filter in the customer's words → its keys, and the names that have no effect.

    Besides the contract's four names, any matching key of DICOM counts, by keyword or tag.
    """
    zone = timezone.get_default_timezone()
    paths: dict[str, str] = {}
    refused: list[str] = []
    for name, pattern in contract.attributes(wanted).items():
        try:
            path = key_path(name)
            Keys({}, {path: pattern}, zone)
        except (KeyError, ValueError):
            refused.append(name)
        else:
            # The same key under two names: one of them wins, and the other is reported.
            if path in paths:
                refused.append(name)
            paths.setdefault(path, pattern)
    return Keys(contract.everyday(wanted), paths, zone), refused


def follow(
    user: Any,
    wanted: Mapping[str, str],
    *,
    here: Here,
    resume: bool = True,
    initial_state: bool = True,
) -> Followed:
    """Follow what a filter means, from one socket.

    An equal subscription of this user that waits without a socket is taken up: same UID, and what
    was missed is still to come. Else, or with ``resume=False``, a new one is made. Without the
    ``initial_state`` that one has a place at once: where the log stands now. Raises
    ``NotAuthorized``, ``LimitReached``.
    """
    access.require(user, "view_workitem", "add_subscription")
    if resume:
        with transaction.atomic(using=write_alias()):
            waiting = _waiting(user, _digest(wanted), here)
            if waiting is not None:
                taken_up = take_up(user, waiting, here, reports=initial_state)
                return _followed(waiting, taken_up)
    require_room(user)
    if initial_state:
        log = events.extent()
        now, place, end_of_log = log.end, None, log.last
    else:
        now = events.numbered_place()
        place = end_of_log = now.position
    with transaction.atomic(using=write_alias()):
        subscription = Subscription.objects.using(write_alias()).create(
            uid=new_uid(),
            user=user,
            filter=dict(wanted),
            filter_digest=_digest(wanted),
            log_id=now.log_id,
            place=place,
            waits_since=None,
        )
        audit.done(
            audit.Act.SUBSCRIBE,
            user,
            subscription_uid=subscription.uid,
            detail={"filter": contract.shown(wanted)},
        )
        taken_up = _connect(user, subscription, here, place, end_of_log, resync=False)
    return _followed(subscription, taken_up)


def require_room(user: Any) -> None:
    """Refuse if the user has as many subscriptions as one may. Raises ``LimitReached``."""
    most = conf.MAX_SUBSCRIPTIONS_PER_USER
    if not most:
        return

    def alive() -> int:
        since = instants.now() - timedelta(seconds=conf.SUBSCRIPTION_TTL_SECONDS)
        rows = Subscription.objects.using(write_alias()).filter(user=user, ended_at=None)
        return int(rows.filter(Q(waits_since=None) | Q(waits_since__gte=since)).count())

    if not limits.ROOM.take(str(user.pk), most, alive):
        raise errors.LimitReached(
            f"Too many subscriptions: at most {most} for each user "
            "(UPSRS_MAX_SUBSCRIPTIONS_PER_USER). End those that nobody needs.",
            name="UPSRS_MAX_SUBSCRIPTIONS_PER_USER",
            wait=limits.MINUTE,
        )


def new_uid() -> str:
    return uids.uid_of(uuid.uuid4())


def return_to(
    user: Any,
    subscription_uid: str,
    *,
    here: Here,
    after: int | None = None,
    log_id: uuid.UUID | None = None,
) -> Followed:
    """Go on with a subscription, behind its place or behind ``after``, which the client knows.

    Raises ``NoSuchSubscription`` if it ended, waited too long, or is somebody else's: all look
    the same from outside.
    """
    access.require(user, "view_workitem", "add_subscription")
    with transaction.atomic(using=write_alias()):
        rows = Subscription.objects.using(write_alias()).select_for_update()
        rows = rows.filter(user=user, ended_at=None, ae_title="")
        subscription = rows.filter(uid=subscription_uid).first()
        if subscription is None or _expired(subscription, here):
            raise errors.NoSuchSubscription
        taken_up = take_up(user, subscription, here, after=after, log_id=log_id)
        return _followed(subscription, taken_up)


def _followed(subscription: Subscription, taken_up: TakenUp) -> Followed:
    keys, _ = compile_filter(subscription.filter)
    known = {name: getattr(taken_up, name) for name in TakenUp.__slots__}
    return Followed(**known, filter=subscription.filter, keys=keys)


def take_up(
    user: Any,
    subscription: Subscription,
    here: Here,
    *,
    after: int | None = None,
    log_id: uuid.UUID | None = None,
    reports: bool = False,
) -> TakenUp:
    """Follow a subscription, whose row is locked, from one more socket.

    The audit is told if this ``reports`` the present state although there is a place to go on from.
    """
    log = events.extent()
    sockets = _sockets(subscription, here)
    places = [socket.place for socket in sockets] or [subscription.place]
    position = None if None in places else min(place for place in places if place is not None)
    known = log_id or subscription.log_id or log.end.log_id
    if after == 0:  # all that there is, in whichever log
        position, known = log.start, log_id or log.end.log_id
    elif after is not None:
        position = after
    resync = position is not None and not log.holds(Place(known, position))
    if resync:
        position = None
        metrics.RESYNCS.inc()
    elif sockets or after is not None:
        metrics.RESUMES.inc()
    gone = [socket.pk for socket in sockets if not socket.is_open]
    if gone:
        Connection.objects.using(write_alias()).filter(pk__in=gone).delete()
        for one in sockets:
            if one.vanished:
                audit.lost(
                    one.pk,
                    subscription.user,
                    subscription.uid,
                    place=one.place,
                    heard_at=one.heard_at,
                )
    Subscription.objects.using(write_alias()).filter(pk=subscription.pk).update(
        waits_since=None, log_id=log.end.log_id, place=position
    )
    return _connect(user, subscription, here, position, log.last, resync=resync, reports=reports)


def _connect(
    user: Any,
    subscription: Subscription,
    here: Here,
    position: int | None,
    end_of_log: int,
    *,
    resync: bool,
    reports: bool = False,
) -> TakenUp:
    allowed = access.sight(user)
    if subscription.ae_title:
        detail: dict[str, Any] = {"aeTitle": subscription.ae_title}
    else:
        detail = {"filter": contract.shown(subscription.filter)}
    if (noted := access.noted(allowed)) is not None:
        detail["sight"] = noted
    if position is None or reports:
        detail["reports"] = True
    connection = Connection.objects.using(write_alias()).create(
        subscription=subscription, server_id=here.server_id, place=position
    )
    audit.opened(
        user,
        subscription.uid,
        connection.pk,
        place=position,
        log_position=end_of_log,
        detail=detail,
    )
    return TakenUp(
        subscription_uid=subscription.uid,
        connection_id=connection.pk,
        sight=allowed,
        position=position,
        resync=resync,
    )


def leave(left: Mapping[uuid.UUID, int | None]) -> None:
    """Sockets are gone: connection → what it is known to have taken."""
    now = instants.now()
    gone = [Connection(pk=pk, place=position, closed_at=now) for pk, position in left.items()]
    with transaction.atomic(using=write_alias()):
        connections_left = Connection.objects.using(write_alias())
        of = connections_left.filter(pk__in=left).values("subscription")
        subscriptions = Subscription.objects.using(write_alias()).filter(pk__in=of).order_by("pk")
        # First the subscriptions, then their sockets, as whoever takes one up: each would else
        # hold what the other waits for.
        waiting = list(subscriptions.select_for_update(no_key=True).values_list("pk", flat=True))
        connections_left.bulk_update(gone, ["place", "closed_at"], batch_size=400)
        Subscription.objects.using(write_alias()).filter(pk__in=waiting).update(waits_since=now)
    audit.closed(left)


def end(user: Any, subscription_uid: str, reason: str, *, by: Any = None) -> None:
    """End a user's subscription; ``by`` somebody else, if it was. Raises ``NoSuchSubscription``."""
    ended = Subscription.objects.using(write_alias()).filter(
        uid=subscription_uid, user=user, ended_at=None
    )
    if not ended.update(ended_at=instants.now(), end_reason=reason):
        raise errors.NoSuchSubscription
    audit.done(audit.Act.UNSUBSCRIBE, by or user, subscription_uid=subscription_uid)


def end_equal(user: Any, wanted: Mapping[str, str], reason: str) -> list[str]:
    """End every subscription of this user whose filter is equal to this one; their UIDs."""
    access.require(user, "view_workitem", "add_subscription")
    with transaction.atomic(using=write_alias()):
        equal = _equal(user, _digest(wanted), include_busy=True)
        ended = list(equal.order_by("pk").values_list("uid", flat=True))
        Subscription.objects.using(write_alias()).filter(uid__in=ended).update(
            ended_at=instants.now(), end_reason=reason
        )
    for uid in ended:
        audit.done(audit.Act.UNSUBSCRIBE, user, subscription_uid=uid)
    return ended


def beat(server_id: uuid.UUID) -> dict[str, str]:
    """This process lives. Returns UID → reason of what ended in the last minute, anywhere.

    SQLite is spared the write: there is one machine, and `_runs` asks it.
    """
    if connections[write_alias()].vendor != "sqlite":
        heard_of = Server.objects.using(write_alias()).filter(pk=server_id).update(seen_at=Now())
        if not heard_of and server_id in _own_servers:
            _register(server_id)  # a database that is behind the one that knew it
    since = instants.now() - timedelta(seconds=ENDED_LATELY_SECONDS)
    rows = Subscription.objects.using(write_alias()).filter(ended_at__gte=since)
    return dict(rows.values_list("uid", "end_reason"))


def is_alone() -> bool:
    """Does no other process serve sockets, as far as the database has heard of late?"""
    others = Server.objects.using(write_alias()).exclude(pk__in=_own_servers)
    return not others.filter(seen_at__gte=_lost()).exists()


def register_server() -> uuid.UUID:
    """This process serves sockets from now on."""
    server_id = uuid.uuid4()
    _register(server_id)
    _own_servers.add(server_id)
    return server_id


def _register(server_id: uuid.UUID) -> None:
    Server.objects.using(write_alias()).create(
        pk=server_id, host=_HOST, pid=os.getpid(), seen_at=instants.now()
    )


def unregister_server(server_id: uuid.UUID) -> None:
    """The last socket of this process is gone."""
    _own_servers.discard(server_id)
    Server.objects.using(write_alias()).filter(pk=server_id).delete()


# A socket that has been closed meanwhile has left its last place itself.
STORE_PLACE = "UPDATE upsrs_connection SET place = %s WHERE id = %s AND closed_at IS NULL"

STORE_PLACES = """
UPDATE upsrs_connection AS socket SET place = moved.place
FROM unnest(%s::bigint[], %s::uuid[]) AS moved(place, id)
WHERE socket.id = moved.id AND socket.closed_at IS NULL"""


def store_places(server_id: uuid.UUID, places: Mapping[uuid.UUID, int]) -> None:
    """Store what the sockets of this process are known to have taken, and that it lives.

    Thousands of rows every few seconds, beside the loop that serves them: Django's bulk_update
    would keep that loop waiting for the tenth of a second that it takes to write its statement.
    """
    alias = write_alias()
    Server.objects.using(alias).filter(pk=server_id).update(seen_at=Now())
    if not places:
        return
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        if connections[alias].vendor == "sqlite":
            rows = [(position, pk.hex) for pk, position in places.items()]
            cursor.executemany(STORE_PLACE, rows)
        else:
            cursor.execute(STORE_PLACES, [list(places.values()), list(places)])


_HOST = socket.gethostname()
_own_servers: set[uuid.UUID] = set()


@dataclass(frozen=True, slots=True)
class _Socket:
    """What is known of one socket of a subscription."""

    pk: uuid.UUID
    place: int | None
    is_open: bool
    """As far as anybody knows."""
    vanished: bool
    """It has no server any more, and nobody saw it close."""
    heard_at: datetime | None
    """When it was closed, or its server was last heard of."""


def _sockets(subscription: Subscription, here: Here) -> list[_Socket]:
    rows = Connection.objects.using(write_alias()).filter(subscription=subscription)
    found = []
    for row in rows.select_related("server").annotate(heard_of=heard_of("server")):
        seen_open = row.closed_at is None and row.pk not in here.departing
        served = row.server is not None and row.heard_of and may_run(row.server)
        found.append(
            _Socket(
                pk=row.pk,
                place=here.departing.get(row.pk, row.place),
                is_open=seen_open and served,
                vanished=seen_open and not served,
                heard_at=row.closed_at or (row.server.seen_at if row.server else None),
            )
        )
    return found


def _expired(subscription: Subscription, here: Here) -> bool:
    """Has it waited for its socket longer than subscriptions do?"""
    sockets = _sockets(subscription, here)
    if any(socket.is_open for socket in sockets):
        return False
    heard = [*(socket.heard_at for socket in sockets), subscription.waits_since]
    last = max([at for at in heard if at], default=instants.now())
    return bool(instants.now() - last > timedelta(seconds=conf.SUBSCRIPTION_TTL_SECONDS))


def live_servers() -> list[uuid.UUID]:
    """The server processes that live: heard of lately and, on this host, still running."""
    servers = Server.objects.using(write_alias()).filter(seen_at__gte=_lost())
    return [server.pk for server in servers if may_run(server)]


def _lost() -> Any:
    """A server that was last heard of before is gone."""
    seconds = float(SERVER_LOST_SECONDS)
    if connections[write_alias()].vendor == "sqlite":
        seconds += 2 * conf.PLACE_SECONDS  # see `beat`: it is heard of when places are stored
    return Now() - timedelta(seconds=seconds)


def heard_of(server: str) -> Case:
    """An annotation: was the server at the end of this path heard of lately?"""
    return Case(When(**{f"{server}__seen_at__gte": _lost()}, then=True), default=False)


def may_run(server: Server) -> bool:
    """As far as this host can tell of its own processes."""
    return server.host != _HOST or _runs(server)


def _runs(server: Server) -> bool:
    if server.pid == os.getpid():
        # A restarted container often gives the new process the number of the old one.
        return server.pk in _own_servers
    try:
        os.kill(server.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _waiting(user: Any, digest: str, here: Here) -> Subscription | None:
    """A subscription of this user with an equal filter that waits without a socket, locked.

    Whoever opens a thousand sockets with one filter must not look through a thousand each time;
    and of two that come back at once, each must find one: no more than that is locked.
    """
    live = live_servers()
    since = instants.now() - timedelta(seconds=conf.SUBSCRIPTION_TTL_SECONDS)
    sockets = Connection.objects.using(write_alias())
    followed = sockets.filter(subscription=OuterRef("pk"), closed_at=None, server__in=live)
    free = _equal(user, digest).exclude(Exists(followed.exclude(pk__in=here.departing)))
    left: Subscription | None = free.filter(waits_since__gte=since).order_by("created_at").first()
    if left is not None:
        return left
    # Of these sockets the database does not know yet that they are gone.
    gone = Q(server=None) | (~Q(server__in=live) & Q(server__seen_at__gte=since))
    cut_off = sockets.filter(Q(pk__in=here.departing) | (Q(closed_at=None) & gone))
    return next(iter(free.filter(pk__in=cut_off.values("subscription"))[:1]), None)


def _equal(user: Any, digest: str, *, include_busy: bool = False) -> Any:
    rows = Subscription.objects.using(write_alias()).filter(
        user=user, filter_digest=digest, ended_at=None
    )
    can_skip = connections[write_alias()].features.has_select_for_update_skip_locked
    # Who is being taken up by another socket at this moment is not waiting any more.
    return rows.select_for_update(skip_locked=can_skip and not include_busy)


def same_filter(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return _digest(one) == _digest(other)


def _digest(wanted: Mapping[str, str]) -> str:
    """Equal filters have equal digests, whether a key is named by keyword or by tag.

    Names without effect count: who deletes by a misspelt filter does not mean the empty one.
    """
    canonical = sorted((_canonical(name), pattern) for name, pattern in wanted.items())
    return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()


def _canonical(name: str) -> str:
    try:
        return key_path(name)
    except KeyError:
        return name
