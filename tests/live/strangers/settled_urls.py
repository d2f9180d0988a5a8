"""Its own addresses, and the worklist among them, in a namespace of its own."""

from __future__ import annotations

import ward
from django.contrib import admin
from django.urls import include, path

imaging = [path("dicom-web/", include("upsrs.rest.urls"))]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("his/order", ward.order),
    path("his/", include((imaging, "imaging"))),
]
