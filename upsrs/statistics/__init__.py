"""A page of figures for a portal to mount: ``path("…/", include("upsrs.statistics.urls"))``.

To dress it, a portal puts a template ``upsrs/statistics/base.html`` of its own before the app's.
"""
