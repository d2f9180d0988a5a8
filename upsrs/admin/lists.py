"""Lists that open as fast with a million rows as with a thousand.

Nothing counts a table, asks it for distinct values or sorts it without an index.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, wraps
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.text import capfirst
from rest_framework.exceptions import NotAuthenticated

from upsrs import audit, contract, errors
from upsrs.admin import words
from upsrs.audit import Act
from upsrs.origin import coming_from

__all__ = ["CappedPaginator", "QuickChangeList", "ReadOnlyAdmin", "uid_shown", "when"]

COUNTED = 5_000
"""Rows are counted, and pages offered, up to here: who looks further narrows the list."""

YEARS = 12
"""So many years are offered at most, the last ones: a mistyped date must not offer centuries."""


def when(at: datetime | None) -> str:
    """A moment, in a column."""
    return format_html('<span class="upsrs-start">{}</span>', words.moment(at)) if at else ""


def uid_shown(uid: str) -> str:
    """A UID, in a column: as much of it as there is room for."""
    return format_html('<span class="upsrs-uid" title="{}">{}</span>', uid, uid)


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic for the stubs only
    """Counts no more than it has to."""

    object_list: Any

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list.order_by().values("pk")
        return int(rows[: COUNTED + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self._counted, COUNTED)

    @property
    def is_capped(self) -> bool:
        """There are more rows than were counted."""
        return self._counted > COUNTED


@dataclass(frozen=True, slots=True)
class Period:
    """A year, month or day to narrow the list to."""

    title: str
    link: str
    chosen: bool = False


class QuickChangeList(ChangeList):
    """A list by pages, and by days without a look at each row."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        rows: Any = super().get_queryset(request, exclude_parameters)
        if not self.date_hierarchy:
            return rows
        # In the one query for the page: each end is one look into the index.
        days = self.model._default_manager.exclude(**{self.date_hierarchy: None})
        first = days.order_by(self.date_hierarchy).values(self.date_hierarchy)
        last = days.order_by(f"-{self.date_hierarchy}").values(self.date_hierarchy)
        return rows.annotate(first_day=Subquery(first[:1]), last_day=Subquery(last[:1]))

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            return super().get_filters(request)
        except (OverflowError, ValueError) as error:  # a day beyond the calendar, in some time zone
            raise IncorrectLookupParameters(error) from error

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = list(self.result_list)

    @property
    def back(self) -> Period | None:
        """The next longer period than the one chosen."""
        year, month, day = self._chosen
        if day:
            return self._period(date(year, month, 1), "month")
        if month:
            return self._period(date(year, 1, 1), "year")
        return Period("All dates", self._link({})) if year else None

    @property
    def periods(self) -> Iterator[Period]:
        """The years, months or days that there are, as far as the first and the last row tell."""
        ends = self._ends()
        if ends is None:
            return
        first, last = ends
        year, month, day = self._chosen
        if not year and first.year == last.year:
            year = first.year
        if day:
            return
        if month:
            for number in range(1, monthrange(year, month)[1] + 1):
                if first <= date(year, month, number) <= last:
                    yield self._period(date(year, month, number), "day")
        elif year:
            for number in range(1, 13):
                if (first.year, first.month) <= (year, number) <= (last.year, last.month):
                    yield self._period(date(year, number, 1), "month")
        else:
            for number in range(max(first.year, last.year - YEARS + 1), last.year + 1):
                yield self._period(date(number, 1, 1), "year")

    @property
    def chosen(self) -> str:
        """The period that the list is narrowed to, in words."""
        year, month, day = self._chosen
        if not year:
            return ""
        level = "day" if day else "month" if month else "year"
        return self._period(date(year, month or 1, day or 1), level).title

    @property
    def _chosen(self) -> tuple[int, int, int]:
        # The list itself has refused what is no date; as it does, a day alone is one of January.
        named = (self.params.get(f"{self.date_hierarchy}__{part}") for part in _PARTS)
        year, month, day = (int(value) if value else 0 for value in named)
        return (year, month or min(day, 1), day) if year else (0, 0, 0)

    def _ends(self) -> tuple[date, date] | None:
        row = next(iter(self.result_list), None)
        ends = (getattr(row, "first_day", None), getattr(row, "last_day", None))
        if None in ends:
            return None
        first, last = (words.local(end).date() for end in ends if isinstance(end, datetime))
        return first, last

    def _period(self, start: date, level: str) -> Period:
        parts = _PARTS[: _PARTS.index(level) + 1]
        formats = {"year": "Y", "month": "F Y", "day": "j F"}
        return Period(
            date_format(start, formats[level]),
            self._link({part: getattr(start, part) for part in parts}),
        )

    def _link(self, parts: dict[str, int]) -> str:
        named = {f"{self.date_hierarchy}__{part}": number for part, number in parts.items()}
        return self.get_query_string(named, [f"{self.date_hierarchy}__"])


_PARTS = ("year", "month", "day")


def _through_the_admin(view: Callable[..., Any], site: admin.AdminSite) -> Callable[..., Any]:
    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with coming_from("admin", request.META):
            if not request.user.is_authenticated:
                audit.refused(Act.LOG_IN, None, NotAuthenticated())
            elif not site.has_permission(request):
                audit.refused(Act.OTHER, request.user, errors.NotAuthorized())
            try:
                return view(request, *args, **kwargs)
            except PermissionDenied:
                audit.refused(Act.OTHER, request.user, errors.NotAuthorized())
                raise

    return asked


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To look at: what the server itself keeps."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    uid_field = ""
    """Where a row has the UID of its workitem, if it is about one."""

    def get_urls(self) -> list[URLPattern]:
        """Its pages, each of which says where it is asked from."""
        urls: list[URLPattern] = [*self.more_urls(), *super().get_urls()]
        for url in urls:
            url.callback = _through_the_admin(url.callback, self.admin_site)
        return urls

    def more_urls(self) -> list[URLPattern]:
        """Pages beside those that Django makes."""
        return []

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if self.uid_field and request.method == "GET" and self.has_view_permission(request):
            wanted = contract.shown(request.GET.dict())
            audit.done(Act.SEARCH, request.user, detail={"filter": wanted})
        return super().changelist_view(request, extra_context)

    def not_there(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """No such row, or out of sight, which looks the same; whoever tried it leaves a trace."""
        uid = ""
        with suppress(ValidationError):
            pk = self.opts.pk.to_python(object_id)
            uids = self.model._base_manager.filter(pk=pk).values_list(self.uid_field, flat=True)
            uid = uids.first() or ""
        audit.refused(Act.READ, request.user, errors.NoSuchWorkitem(), workitem_uid=uid)
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QuickChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
