"""The portal's addresses."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.site_header = admin.site.site_title = "Worklist administration"

urlpatterns = [
    path("", include("upsrs.board.urls")),
    path("favicon.ico", RedirectView.as_view(url=static("portal/icon.svg"))),
    path("accounts/login/", auth_views.LoginView.as_view(), name="login"),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("statistics/", include("upsrs.statistics.urls")),
    path("orders/", include("portal.orders.urls")),
    path("ups-rs/", include("upsrs.rest.urls")),
    path("health/", include("upsrs.health.urls")),
]
