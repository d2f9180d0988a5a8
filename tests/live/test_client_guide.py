"""The guide of the Python client, run as it stands there, against a real server."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import datasets
from tests.live.parts import PATIENCE_SECONDS, on_sqlite
from tests.live.server import CHECKOUT, Backend, Server
from upsrs.client import ClientError
from upsrs.client.sync import Worklist

pytestmark = on_sqlite

GUIDE = (CHECKOUT / "docs/client.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
PLACES = re.compile("(?:https|wss)://(?:portal.example/ups-rs|pacs.example/dicom-web)")


class Enough(Exception):
    """A program of the guide has shown what it does."""


def two_lines(said: list[str]) -> bool:
    return len(said) == 2


@pytest.fixture
def orders(server: Server, backend: Backend) -> Iterator[None]:
    """Somebody who orders, without end: each program finds something to do."""
    ris = Worklist(f"{server.url}/ups-rs", token=backend.tokens["alice"])
    over = threading.Event()

    def order() -> None:
        ris.create(datasets.dataset(WorklistLabel="AI"))

    def go_on() -> None:
        while not over.wait(0.1):
            with suppress(ClientError):
                order()

    for _ in range(10):
        order()
    ordering = threading.Thread(target=go_on)
    ordering.start()
    yield
    over.set()
    ordering.join()


class Reader:
    """Runs programs of the guide as whoever copies them."""

    def __init__(self, server: Server, backend: Backend) -> None:
        self.service = f"{server.url}/ups-rs"
        self.token = backend.tokens["alice"]

    def run(self, program: str, enough: Callable[[list[str]], bool] = two_lines) -> list[str]:
        """What a program said until that was enough; one that ends by itself is run again."""
        said: list[str] = []
        deadline = time.monotonic() + 3 * PATIENCE_SECONDS

        def say(*words: Any) -> None:
            said.append(" ".join(map(str, words)))
            assert time.monotonic() < deadline, said
            if enough(said):
                raise Enough

        program = PLACES.sub(self.service, program).replace("…", self.token)
        with pytest.raises(Enough):
            while time.monotonic() < deadline:
                exec(compile(program, "docs/client.md", "exec"), {"print": say})  # noqa: S102
        return said


def test_each_program_of_the_guide_does_what_it_says(
    server, backend, orders, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    reader = Reader(server, backend)
    following, without_loop, keeping, performing, asking, listening, looking, guarding = PROGRAMS

    for program in (following, without_loop):
        assert re.fullmatch(r"(STATE_REPORT|CREATED) [\d.]+ SCHEDULED", reader.run(program)[0])

    assert reader.run(keeping, lambda _: Path("place.json").exists())[0].startswith("STATE_REPORT")
    assert reader.run(keeping)[0].startswith("CREATED"), "it goes on where the first run ended"

    assert all(line.startswith("done ") for line in reader.run(performing))
    assert all(line.startswith("asked to cancel ") for line in reader.run(asking))
    for line in reader.run(listening):
        assert re.fullmatch(r"[\d.]+ (SCHEDULED|IN PROGRESS|CANCELED)", line)
    assert all(line.startswith("there is ") for line in reader.run(looking))
    assert reader.run(looking, lambda said: said[-1].startswith("STATE_REPORT"))
    assert all(re.fullmatch(r"[\d.]+", line) for line in reader.run(guarding))
