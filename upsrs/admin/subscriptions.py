"""Who follows what, how far they are, and whether a filter would match."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html

from upsrs import access, audit, delivery, errors, subscribers, subscriptions
from upsrs.admin import timeline, words
from upsrs.admin.audit import told_link
from upsrs.admin.lists import QuickChangeList, ReadOnlyAdmin, uid_shown, when
from upsrs.delivery import Audience
from upsrs.events import Place
from upsrs.models import Event, Subscription, Workitem, WorkitemSubscription, write_alias
from upsrs.sight import in_sight
from upsrs.told import By

__all__ = ["SubscriptionAdmin"]

ENDED_HERE = "ADMINISTRATOR"
"""Why it ended, as its sockets and its row are told."""

EVENTS = 200
"""So many of the last events are looked through for those that concern a subscription."""

EVENT_DIGITS = 18
"""A longer number is that of no event."""

OFFERED = 50
"""So many of the newest are offered to choose from."""


class SubscriptionList(QuickChangeList):
    """Knows where the log stands, and what is known of each subscription's sockets."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = Subscription.objects.using(write_alias()).filter(
            pk__in=[row.pk for row in self.result_list]
        )
        known = {one.subscription.pk: one for one in delivery.followers(rows.order_by("pk"))}
        log = delivery.end_of_log()
        places = [one.place for one in known.values() if one.place is not None]
        times = dict(
            Event.objects.using(write_alias())
            .filter(position__in=places)
            .values_list("position", "time")
        )
        for row in self.result_list:
            row.follower = known[row.pk]
            row.log = log
            row.last_event_at = times.get(row.follower.place)


class AliveFilter(admin.SimpleListFilter):
    title = "life"
    parameter_name = "alive"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "alive"), ("no", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(ended_at__isnull=self.value() == "yes")


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """To look at, and to end."""

    list_display = ("owner", "wanted", "connection", "lag", "last_event", "made")
    list_filter = (AliveFilter,)
    list_select_related = ("user",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("uid", "user")
    search_help_text = "Exactly: a subscription UID, or a user's name."
    actions = ("end", "release_locks")

    # What the list shows

    @admin.display(description="owner")
    def owner(self, row: Any) -> str:
        return format_html("{}{}", row.user, uid_shown(row.uid))

    @admin.display(description="follows")
    def wanted(self, row: Any) -> str:
        said = words.follows(row)
        if not row.follower.refused:
            return said
        return f"{said} (without effect: {', '.join(row.follower.refused)})"

    @admin.display(description="connection")
    def connection(self, row: Any) -> str:
        if row.ended_at:
            return format_html(
                '<span class="upsrs-state upsrs-ended">ended</span> {} {}',
                when(row.ended_at),
                row.end_reason,
            )
        kind = _connection(row.follower)
        return format_html(
            '<span class="upsrs-state upsrs-{}">{}</span> since {}',
            kind,
            CONNECTIONS[kind],
            when(row.follower.since),
        )

    @admin.display(description="place")
    def lag(self, row: Any) -> str:
        return _place(row.follower, row.log)

    @admin.display(description="last event")
    def last_event(self, row: Any) -> str:
        return when(row.last_event_at)

    @admin.display(description="made")
    def made(self, row: Any) -> str:
        return when(row.created_at)

    # What may be seen and done

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SubscriptionList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        name = get_user_model().USERNAME_FIELD
        return queryset.filter(Q(uid=wanted) | Q(**{f"user__{name}": wanted})), False

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsrs.change_subscription")

    @admin.action(description="End the subscription", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """End them for their owners: every socket is told, and none can take them up again."""
        if request.POST.get("select_across") == "1":
            self.message_user(request, "Choose the subscriptions one by one.", messages.ERROR)
            return None
        chosen = list(queryset)
        if "apply" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": "End the subscription",
                "chosen": [(one, words.follows(one)) for one in chosen],
                "checkbox": admin.helpers.ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/upsrs/subscription/end.html", context)
        for one in chosen:
            try:
                with transaction.atomic(using=write_alias()):
                    subscriptions.end(one.user, one.uid, ENDED_HERE, by=request.user)
                    self.log_change(request, one, "Ended.")
            except errors.NoSuchSubscription as refusal:
                audit.refused(
                    audit.Act.UNSUBSCRIBE, request.user, refusal, subscription_uid=one.uid
                )
                self.message_user(request, f"{one.uid}: it had ended already.", messages.WARNING)
            else:
                self.message_user(request, f"{one.uid}: ended.", messages.SUCCESS)
        return None

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsrs.repair_workitem")

    @admin.action(description="Release the deletion locks of the AE", permissions=["repair"])
    def release_locks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """For an AE that is gone: what it holds may be removed in its time. It stays subscribed."""
        for one in queryset:
            try:
                with transaction.atomic(using=write_alias()):
                    subscribers.release_locks(request.user, one.ae_title)
                    self.log_change(request, one, "Deletion locks released.")
            except errors.NoSuchSubscription as refusal:
                audit.refused(
                    audit.Act.RELEASE_LOCKS,
                    request.user,
                    refusal,
                    subscription_uid=one.uid,
                    ae_title=one.ae_title,
                )
                self.message_user(request, f"{one.uid}: it holds no locks.", messages.WARNING)
            else:
                self.message_user(request, f"{one.uid}: its locks are released.", messages.SUCCESS)

    # The pages

    def more_urls(self) -> list[URLPattern]:
        match = self.admin_site.admin_view(self.match_view)
        return [path("match/", match, name="upsrs_subscription_match")]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One subscription: how far it is, and what became of the last events that it concerns."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        subscription = self.get_object(request, object_id)
        if subscription is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        rows = Subscription.objects.using(write_alias()).filter(pk=subscription.pk)
        [follower] = delivery.followers(rows)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Subscription of {subscription.user}",
            "subscription": subscription,
            "facts": _facts(follower),
            "heard": self._heard(request, follower),
            "looked_at": EVENTS,
            "told_link": told_link(By.SUBSCRIPTION, subscription.uid),
            "may_end": self.has_end_permission(request) and subscription.ended_at is None,
        }
        return TemplateResponse(request, "admin/upsrs/subscription/page.html", context)

    def _heard(
        self, request: HttpRequest, follower: delivery.Follower
    ) -> list[tuple[Event, timeline.Told]]:
        """The last events that concern it, newest first: those of workitems in sight."""
        audience = Audience([follower])
        last = Event.objects.using(write_alias()).order_by("-id")[:EVENTS]
        found = []
        for event in last.iterator(chunk_size=50):
            [one] = timeline.told(audience.deliveries(event))
            if one.is_concerned:
                found.append((event, one))
        uids = {event.workitem_uid for event, _ in found}
        seen = in_sight(request.user, Workitem.objects.filter(uid__in=uids))
        visible = set(seen.values_list("uid", flat=True))
        return [(event, one) for event, one in found if event.workitem_uid in visible]

    def match_view(self, request: HttpRequest) -> HttpResponse:
        """Would it match? A subscription's filter against a workitem, field by field.

        With the number of an event: against the workitem just before it and just after it; else
        before its last event, and now.
        """
        if not (self.has_view_permission(request) and request.user.has_perm("upsrs.view_workitem")):
            raise PermissionDenied
        uid, workitem_uid = _asked(request, "subscription"), _asked(request, "workitem")
        everything = Subscription.objects.using(write_alias()).select_related("user")
        workitems = in_sight(request.user, Workitem.objects.using(write_alias()))
        subscription = everything.filter(uid=uid).first()
        workitem = workitems.filter(uid=workitem_uid).first()
        if workitem is not None:
            audit.done(audit.Act.READ, request.user, workitem_uid=workitem.uid)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Would it match?",
            "asked": (uid, workitem_uid),
            "subscription": subscription,
            "workitem": workitem,
            "offered": [
                (one.uid, one.user, words.follows(one))
                for one in everything.order_by("-pk")[:OFFERED]
            ],
            "offered_workitems": workitems.order_by("-pk").values_list("uid", "step_label")[
                :OFFERED
            ],
            "answer": _answer(subscription, workitem, _asked(request, "event"))
            if subscription and workitem
            else None,
        }
        return TemplateResponse(request, "admin/upsrs/subscription/match.html", context)


def _asked(request: HttpRequest, name: str) -> str:
    """A UID, or the number of an event; PostgreSQL takes no NUL."""
    return request.GET.get(name, "").replace("\0", "").strip()


def _answer(subscription: Subscription, workitem: Workitem, event_id: str) -> dict[str, Any]:
    """What a filter says of a workitem, and of each of its fields."""
    log = Event.objects.using(write_alias()).filter(workitem_uid=workitem.uid).order_by("-id")
    is_number = event_id.isascii() and event_id.isdigit() and len(event_id) <= EVENT_DIGITS
    event = log.filter(pk=int(event_id)).first() if is_number else None
    last = event or log.first()
    before, after = delivery.snapshots(last) if last else (None, workitem.snapshot())
    if event is None:
        after = workitem.snapshot()
    allowed = access.sight(subscription.user)
    fields = delivery.fields(subscription.filter, before, after)
    if subscription.ae_title:
        decided = subscribers.roster(subscription.uid).decided(workitem)
        matches = matched_before = decided.state != WorkitemSubscription.State.NOT_SUBSCRIBED
    else:
        keys, _ = subscriptions.compile_filter(subscription.filter)
        matches, matched_before = keys.match(after), before is not None and keys.match(before)
    return {
        "event": event,
        "filter": words.follows(subscription),
        "fields": fields,
        "has_before": before is not None,
        "matches": matches,
        "matched_before": matched_before,
        "in_sight": access.sees(allowed, after),
        "was_in_sight": access.sees(allowed, before),
        "not_in_one_item": not matches and all(field.matches for field in fields),
    }


CONNECTIONS = {
    "connected": "connected",
    "away": "away",
    "expired": "away for too long",
}


def _connection(follower: delivery.Follower) -> str:
    if follower.connected:
        return "connected"
    return "expired" if follower.expired else "away"


def _place(follower: delivery.Follower, log: Place) -> str:
    if follower.place is None:
        return "the state was not reported yet"
    if follower.subscription.log_id not in (None, log.log_id):
        return f"{follower.place:,} of another log"
    if follower.subscription.ended_at is not None:
        return f"{follower.place:,}"
    return f"{follower.place:,}, {words.lag_in_words(log.position - follower.place)}"


def _facts(follower: delivery.Follower) -> list[tuple[str, str]]:
    subscription = follower.subscription
    ended = subscription.ended_at
    why = subscription.end_reason or "no reason given"
    connection = f"{CONNECTIONS[_connection(follower)]} since {words.moment(follower.since)}"
    return [
        ("UID", subscription.uid),
        ("Owner", str(subscription.user)),
        ("Follows", words.follows(subscription)),
        ("Without effect", ", ".join(follower.refused)),
        ("Connection", "" if ended else connection),
        ("Place", _place(follower, delivery.end_of_log())),
        ("Made", words.moment(subscription.created_at)),
        ("Ended", f"{words.moment(ended)}: {why}" if ended else ""),
    ]
