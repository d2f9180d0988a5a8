"""The conformance statement says nothing that is not so: each requirement has a row and a test.

A test that proves requirements carries their numbers at the head of its name, as in
``test_r005_r006_a_uid_is_used_once``. ``python -m tests.test_conformance`` writes the names of
those tests into the statement.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from upsrs.conf import every_setting
from upsrs.rest import queries, refusals

CHECKOUT = Path(__file__).resolve().parents[1]
STATEMENT = CHECKOUT / "docs" / "conformance.md"
REQUIREMENTS = range(1, 179)

NOT_APPLICABLE = "Not applicable: "


class Row(NamedTuple):
    number: int
    level: str
    asked: str
    answer: str
    proof: str

    @property
    def applies(self) -> bool:
        return not self.answer.startswith(NOT_APPLICABLE)

    def __str__(self) -> str:
        cells = " | ".join((self.level, self.asked, self.answer, self.proof))
        return f"| R-{self.number:03} | {cells} |"


def parsed(line: str) -> Row | None:
    """The row of a requirement; None for any other line of the statement."""
    cells = [cell.strip() for cell in line.strip("| \n").split(" | ")]
    if not re.fullmatch(r"R-\d{3}", cells[0]):
        return None
    number, level, asked, answer, proof = cells
    return Row(int(number.removeprefix("R-")), level, asked, answer, proof)


def proofs() -> dict[int, list[str]]:
    """The tests that carry the number of each requirement, as pytest calls them."""
    found = defaultdict(list)
    for path in sorted(CHECKOUT.glob("tests/**/test_*.py")):
        test = re.compile(r"^(?:async )?def (test((?:_r\d{3})+)_\w+)", re.MULTILINE)
        for name, numbers in test.findall(path.read_text()):
            for number in re.findall(r"\d{3}", numbers):
                found[int(number)].append(f"{path.relative_to(CHECKOUT).as_posix()}::{name}")
    return found


def any_of(number: int) -> str:
    """Stands for all tests of a requirement, whatever they are called."""
    return f"test_r{number:03}_*"


TEXT = STATEMENT.read_text()
ROWS = [row for row in map(parsed, TEXT.splitlines()) if row]
PROOFS = proofs()


def test_every_requirement_has_its_row_in_order():
    assert [row.number for row in ROWS] == list(REQUIREMENTS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"R-{row.number:03}")
def test_a_row_names_tests_that_prove_it(row):
    assert row.level in ("M", "S", "A")
    assert row.asked
    named = re.findall(r"`([^`]+)`", row.proof)
    if not row.applies:
        assert row.proof == "—"
        return
    assert named, "no test is named"
    for name in named:
        assert PROOFS[row.number], "there is no test of this number"
        assert name == any_of(row.number) or name in PROOFS[row.number]


def test_no_test_carries_a_number_that_is_none():
    assert set(PROOFS) <= set(REQUIREMENTS)


def test_the_settings_that_are_named_are_there():
    settings = {it.name for it in every_setting()}
    assert set(re.findall(r"UPSRS_\w+", TEXT)) <= settings


def test_the_spellings_that_are_understood_are_told():
    for name in (*queries.WORKITEM_UID, *queries.TRANSACTION_UID):
        assert f"?{name}=" in TEXT


def test_the_warnings_are_quoted_as_they_are_sent():
    sent = {name: text for name, text in vars(refusals).items() if re.fullmatch(r"W\d+", name)}
    assert sent
    for name, text in sent.items():
        quoted = re.escape(re.sub(r"\{\w*\}", "{remaining}", text))
        assert re.search(rf"^\| [^|]*\b{name}\b[^|]* \| {quoted} \|$", TEXT, re.MULTILINE), name


def write() -> None:
    """Write the names of the tests into the last column of each row."""
    lines = []
    for line in TEXT.splitlines():
        row = parsed(line)
        if row is not None and row.applies:
            names = PROOFS[row.number] or [any_of(row.number)]
            line = str(row._replace(proof=", ".join(f"`{name}`" for name in names)))
        lines.append(line)
    STATEMENT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
