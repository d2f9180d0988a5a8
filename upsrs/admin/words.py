"""Moments, filters and outcomes as a person says them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone
from django.utils.timesince import timesince

from upsrs import contract, instants
from upsrs.delivery import Delivery, Outcome
from upsrs.models import Subscription

__all__ = [
    "filter_in_words",
    "follows",
    "lag_in_words",
    "local",
    "moment",
    "outcome_in_words",
    "within",
]


def local(at: datetime) -> datetime:
    """In the portal's time zone, as far as its calendar goes: some start "never", in 9999."""
    try:
        return timezone.localtime(at)
    except OverflowError:
        return at


def moment(at: datetime | None, *, seconds: bool = True) -> str:
    """A date and time of the portal, the same in every language."""
    if at is None:
        return ""
    return local(at).isoformat(" ", "seconds" if seconds else "minutes")[: 19 if seconds else 16]


def within(at: datetime) -> str:
    """How long ago, or how long until, in its largest unit."""
    now = instants.now()
    return timesince(at, depth=1) if at <= now else timesince(now, at, depth=1)


def filter_in_words(wanted: Mapping[str, str]) -> str:
    """A subscription's filter; the values of patient keys are withheld."""
    shown = contract.shown(wanted)
    keys = {**contract.everyday(shown), **contract.attributes(shown)}
    return ", ".join(f"{name} {pattern}" for name, pattern in keys.items()) or "every workitem"


def lag_in_words(events_behind: int) -> str:
    return f"{events_behind:,} event{'' if events_behind == 1 else 's'} behind"


SENTENCES = {
    Outcome.TOLD: "Told at once.",
    Outcome.ON_ITS_WAY: "On its way: connected since {at}, not known to have taken it yet.",
    Outcome.WAITS: "Waits: the subscriber is away since {at}.",
    Outcome.EXPIRED: "Never told: the subscriber went away at {at} and stayed away too long.",
    Outcome.RESYNC: "The subscriber is away since {at}; on return the state is reported anew.",
    Outcome.NOT_MATCHED: "The filter did not match, neither before nor after.",
    Outcome.OUT_OF_SIGHT: "The filter matched, but its owner may not see this workitem.",
    Outcome.MADE_LATER: "Subscribed later, at {at}: what matched then was reported as it was.",
    Outcome.ENDED_BEFORE: "The subscription had ended at {at}: {reason}.",
    Outcome.ENDED_UNTOLD: "The subscription ended at {at}, before this was taken: {reason}.",
}

TOLD_LATER = "Told, on coming back or by an earlier socket; when is not recorded."
UID_ONLY = " Its UID only: the workitem left the owner's sight."


def outcome_in_words(delivery: Delivery) -> str:
    """What became of an event for one subscription, and when."""
    sentence = SENTENCES[delivery.outcome]
    if delivery.outcome is Outcome.TOLD and delivery.at is None:
        sentence = TOLD_LATER
    reason = delivery.follower.subscription.end_reason or "no reason given"
    said = sentence.format(at=moment(delivery.at), reason=reason)
    return said + UID_ONLY if delivery.uid_only else said


def follows(subscription: Subscription) -> str:
    """What a subscription is to: a filter, or whatever an AE has subscribed to."""
    if subscription.ae_title:
        return f"the events of AE {subscription.ae_title}"
    return filter_in_words(subscription.filter)
