"""The addresses of the orders."""

from __future__ import annotations

from django.urls import path

from portal.orders import views

app_name = "orders"
urlpatterns = [
    path("", views.OrderList.as_view(), name="list"),
    path("new/", views.OrderCreate.as_view(), name="new"),
    path("<int:pk>/cancel/", views.cancel, name="cancel"),
]
