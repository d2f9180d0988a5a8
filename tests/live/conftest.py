"""Databases, Redis and servers for the live tests. Each test gets a database of its own."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import parts
from tests.live.server import Backend, Server, populate, running

TEMPLATE = "upsrs_template"
numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def postgres() -> Iterator[parts.Postgres]:
    with parts.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_session() -> Iterator[parts.Redis]:
    with parts.redis_server() as server:
        yield server


@pytest.fixture
def redis(redis_session: parts.Redis) -> Iterator[parts.Redis]:
    """An empty Redis. A test may kill, silence or restart it: the next one finds it well again."""
    if redis_session.process is None:
        redis_session.start()
    redis_session.flush()
    yield redis_session
    if redis_session.process is not None:
        redis_session.silent(silent=False)


@pytest.fixture
def redis_url(redis: parts.Redis) -> str:
    return redis.url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A migrated SQLite file with the three people, and their tokens."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    return path, populate({"DATABASE_URL": f"sqlite:///{path}"})


@pytest.fixture(scope="session")
def postgres_template(postgres: parts.Postgres) -> dict[str, str]:
    """The tokens of the people in the migrated PostgreSQL database ``TEMPLATE``."""
    return populate({"DATABASE_URL": postgres.create(TEMPLATE)})


@pytest.fixture
def postgres_url(postgres: parts.Postgres, postgres_template: dict[str, str]) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database."""
    name = f"upsrs_{next(numbers)}"
    yield postgres.create(name, template=TEMPLATE)
    postgres.drop(name)


@pytest.fixture
def sqlite_backend(sqlite_template: tuple[Path, dict[str, str]], tmp_path: Path) -> Backend:
    template, tokens = sqlite_template
    path = shutil.copy(template, tmp_path / "db.sqlite3")
    return Backend("sqlite", {"DATABASE_URL": f"sqlite:///{path}"}, tokens)


@pytest.fixture
def postgres_backend(
    postgres_url: str, postgres_template: dict[str, str], redis_url: str
) -> Backend:
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
    return Backend("postgres+redis", env, postgres_template)


@pytest.fixture(params=parts.BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each test twice: SQLite with memory for a channel layer, PostgreSQL with Redis."""
    name = "sqlite_backend" if request.param == "sqlite" else "postgres_backend"
    chosen: Backend = request.getfixturevalue(name)
    return chosen


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server for a backend; call again for a second process beside it."""
    with contextlib.ExitStack() as stack:

        def start_one(
            backend: Backend, *, env: dict[str, str] | None = None, **options: Any
        ) -> Any:
            log_path = tmp_path / f"daphne-{next(numbers)}.log"
            return stack.enter_context(
                running(backend.env | (env or {}), log_path, fork=True, **options)
            )

        yield start_one


@pytest.fixture
def server(backend: Backend, start: Callable[..., Server]) -> Server:
    return start(backend)
