"""What happened to a workitem, and for each event who was told, when, or why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q

from upsrs import delivery
from upsrs.admin import datasets, words
from upsrs.conf import conf
from upsrs.delivery import Audience, Delivery, Outcome
from upsrs.dicom.dataset import keyword_of
from upsrs.models import Event, Subscription, Workitem, write_alias

__all__ = ["Change", "Entry", "Told", "changes_of", "newest", "told"]

EVENTS = 50
SOCKETS = 200
"""So much of a long story is shown at once: the newest events, and the newest subscriptions."""

UNCONCERNED = frozenset({Outcome.NOT_MATCHED, Outcome.MADE_LATER, Outcome.ENDED_BEFORE})
"""These are many, and named last."""


@dataclass(frozen=True, slots=True)
class Change:
    """One attribute that differs."""

    keyword: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an event for one subscription, as it is read."""

    subscription: Subscription
    filter: str
    outcome: Outcome
    sentence: str

    @property
    def is_concerned(self) -> bool:
        return self.outcome not in UNCONCERNED


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, and what became of it for each subscription."""

    event: Event
    changes: tuple[Change, ...]
    told: tuple[Told, ...]

    @property
    def concerned(self) -> list[Told]:
        return [one for one in self.told if one.is_concerned]

    @property
    def others(self) -> list[Told]:
        return [one for one in self.told if not one.is_concerned]

    @property
    def summary(self) -> list[tuple[Outcome, int]]:
        """How many had which outcome, in the order of `Outcome`."""
        counts = Counter(one.outcome for one in self.told)
        return [(outcome, counts[outcome]) for outcome in Outcome if counts[outcome]]


def newest(workitem: Workitem) -> tuple[list[Entry], bool]:
    """The last events of a workitem, newest first, and whether something was left out."""
    rows = Event.objects.using(write_alias()).filter(workitem_uid=workitem.uid)
    shown = list(rows.order_by("-id")[: EVENTS + 1])
    events, has_more = shown[:EVENTS], len(shown) > EVENTS
    if not events:
        return [], False
    lately = events[-1].time - timedelta(seconds=conf.LOG_RETENTION_SECONDS)
    subscriptions = Subscription.objects.using(write_alias()).filter(
        Q(ended_at=None) | Q(ended_at__gte=lately)
    )
    audience = Audience(delivery.followers(subscriptions.order_by("-pk")[:SOCKETS]))
    entries = [Entry(one, changes_of(one), told(audience.deliveries(one))) for one in events]
    return entries, has_more or len(audience.followers) >= SOCKETS


def told(deliveries: Iterable[Delivery]) -> tuple[Told, ...]:
    return tuple(
        Told(
            subscription=one.follower.subscription,
            filter=words.filter_in_words(one.follower.subscription.filter),
            outcome=one.outcome,
            sentence=words.outcome_in_words(one),
        )
        for one in deliveries
    )


def changes_of(event: Event) -> tuple[Change, ...]:
    """What differs, in a line each; before a workitem's creation there was nothing to differ."""
    return tuple(
        Change(
            keyword=keyword_of(tag),
            before=datasets.told(before),
            after=datasets.told(event.dataset.get(tag)),
        )
        for tag, before in (event.differed or {}).items()
    )
