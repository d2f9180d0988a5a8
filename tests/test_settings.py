"""Every setting: in the table, and checked for every wrong value."""

from __future__ import annotations

import math

import pytest

from tests import settings_table
from upsrs import checks
from upsrs.conf import Setting, every_setting

SETTINGS = every_setting()


def wrong(setting: Setting) -> list[object]:
    """Values of every other type, and just outside of what it may be."""
    default = setting.default
    values: list[object] = [None, b"", {}, object()]
    if isinstance(default, bool):
        return [*values, 0, 1, "True"]
    if isinstance(default, int | float):
        values += [True, "1", -1, math.nan, math.inf, *([] if setting.may_be_zero else [0])]
        if setting.at_most < math.inf:
            values.append(setting.at_most + 1)
        if isinstance(default, int) and not setting.name.endswith("_SECONDS"):
            values.append(default + 0.5)
        return values
    longest = "X" * (int(setting.at_most) + 1) if setting.at_most < math.inf else None
    if isinstance(default, str):
        return [*values, 1, ["text"], *(["", " "] if default else []), *filter(None, [longest])]
    return [*values, "AE1", [1], [""], *([[longest]] if longest else [])]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_wrong_value_is_named(settings, setting):
    for value in wrong(setting):
        setattr(settings, setting.name, value)
        assert [(it.id, it.msg) for it in checks.check_settings()] == [
            ("upsrs.E003", f"{setting.name} must be {setting.wanted}.")
        ], value


def test_what_is_wanted_is_allowed(settings):
    for setting in SETTINGS:
        assert setting.allows(setting.default), setting.name
    settings.UPSRS_FALLBACK_AE_TITLES = ["AE1", "A" * 16]
    settings.UPSRS_WORKITEM_RETENTION_SECONDS = 86_400.5
    settings.UPSRS_POLL_SECONDS = 2
    assert checks.check_settings() == []


def test_a_misspelled_setting_is_told(settings):
    settings.UPSRS_POLL_SECOND = 1
    (warning,) = checks.check_settings()
    assert warning.id == "upsrs.W010"
    assert "UPSRS_POLL_SECOND " in warning.msg


def test_the_table_is_up_to_date():
    assert settings_table.PATH.read_text() == settings_table.table(), (
        "run: python -m tests.settings_table"
    )
