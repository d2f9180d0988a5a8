"""``docs/settings.md``, made from ``upsrs/conf.py``: ``python -m tests.settings_table`` writes it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from upsrs.conf import Conf, Setting, every_setting

PATH = Path(__file__).resolve().parents[1] / "docs/settings.md"

HEAD = """\
# Settings

Made from `upsrs/conf.py` by `python -m tests.settings_table`; a test holds it up to date. Each is read when it is
needed, and each has a default that is safe in production. `manage.py check` names a wrong value (`upsrs.E003`, `E004`,
`E011`) and a name that is none of these (`W010`).

| Setting | Default | Unit | May be | Meaning |
|---|---|---|---|---|
"""


def table() -> str:
    meanings = docstrings()
    return HEAD + "".join(
        row(it, meanings[it.name.removeprefix("UPSRS_")]) for it in every_setting()
    )


def row(setting: Setting[object], meaning: str) -> str:
    default = f"{setting.default:_}" if type(setting.default) is int else repr(setting.default)
    cells = (f"`{setting.name}`", f"`{default}`", unit(setting), setting.wanted, meaning)
    return f"| {' | '.join(cells)} |\n"


def unit(setting: Setting[object]) -> str:
    for ending in ("SECONDS", "BYTES"):
        if setting.name.endswith(ending):
            return ending.lower()
    return ""


def docstrings() -> dict[str, str]:
    """What stands below each assignment."""
    (body,) = ast.parse(inspect.getsource(Conf)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        target = getattr(before, "target", None) or next(iter(getattr(before, "targets", ())), None)
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr):
            assert isinstance(after.value, ast.Constant)
            found[target.id] = " ".join(str(after.value.value).split())
    return found


if __name__ == "__main__":
    PATH.write_text(table())
