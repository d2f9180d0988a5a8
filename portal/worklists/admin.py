"""Where an administrator says who sees what, and whose AE title is whose."""

from __future__ import annotations

from django.contrib import admin

from portal.worklists.models import AETitle, GroupWorklist


@admin.register(GroupWorklist)
class GroupWorklistAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("label", "group")
    list_filter = ("group",)
    list_select_related = ("group",)
    search_fields = ("label",)


@admin.register(AETitle)
class AETitleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("title", "user")
    list_select_related = ("user",)
    search_fields = ("title",)
    autocomplete_fields = ("user",)
