"""Orders: the list, a new one, and taking one back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST
from django.views.generic import CreateView, ListView

from portal.orders.forms import OrderForm
from portal.orders.models import Order
from upsrs import workitems
from upsrs.errors import UPSError


class OrderList(PermissionRequiredMixin, ListView):  # type: ignore[type-arg]
    permission_required = "orders.view_order"
    queryset = Order.objects.select_related("ordered_by")
    paginate_by = 50


class OrderCreate(PermissionRequiredMixin, CreateView):  # type: ignore[type-arg]
    permission_required = "orders.add_order"
    form_class = OrderForm
    template_name = "orders/order_form.html"
    success_url = reverse_lazy("orders:list")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user}

    def form_valid(self, form: Any) -> HttpResponse:
        """The worklist has rules of its own: its refusal is shown like any other mistake."""
        try:
            response = super().form_valid(form)
        except UPSError as refusal:
            form.add_error(None, refusal.detail)
            return self.form_invalid(form)
        messages.success(self.request, f"{form.instance} was ordered.")
        return response


@require_POST
@login_required
@permission_required("orders.change_order", raise_exception=True)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the end of its work: what nobody took up ends at once, else its performer decides."""
    order = get_object_or_404(Order, pk=pk)
    try:
        workitems.request_cancel(request.user, order.workitem_uid)
    except UPSError as refusal:
        messages.error(request, f"{order}: {refusal.detail}")
    else:
        order.refresh_from_db()
        is_canceled = order.state == Order.State.CANCELED
        told = "is canceled" if is_canceled else "its performer is asked to stop"
        messages.success(request, f"{order}: {told}.")
    return redirect("orders:list")
