"""What a person fills in to order something."""

from __future__ import annotations

from typing import Any

from django import forms

from portal.orders.models import Order


class OrderForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Order
        fields = (
            "procedure",
            "priority",
            "start",
            "accession_number",
            "patient_id",
            "family_name",
            "given_name",
        )
        widgets = {
            "start": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        }

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.instance.ordered_by = user
