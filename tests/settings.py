"""The portal's settings for tests in this process: files and memory, or a PostgreSQL of their own.

UPSRS_TEST_DATABASE=postgres runs them on PostgreSQL. What a developer has set for a portal of
their own has no say here.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

from tests.live.server import OURS

for name in OURS:
    os.environ.pop(name, None)

from portal import environment  # noqa: E402
from portal.settings import *  # noqa: E402, F403

SECRET_KEY = "of-the-tests"

if os.environ.get("UPSRS_TEST_DATABASE") == "postgres":
    from tests.live.parts import Postgres

    postgres = Postgres()
    atexit.register(postgres.stop)
    DATABASES = {"default": environment.database(postgres.url(), pool_size=20)}
else:
    # A file, not memory: tests with threads and sockets need connections that see one database.
    directory = tempfile.TemporaryDirectory(prefix="upsrs-tests-")
    atexit.register(directory.cleanup)
    path = Path(directory.name) / "test.sqlite3"
    DATABASES = {"default": environment.database(f"sqlite:///{path}", pool_size=0)}
    DATABASES["default"]["TEST"] = {"NAME": str(path)}
    # Nobody needs these rows after a power cut.
    DATABASES["default"]["OPTIONS"]["init_command"] = (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    )

# A portal may be without time zones: UPSRS_TEST_USE_TZ=0 runs the tests in such a one.
USE_TZ = os.environ.get("UPSRS_TEST_USE_TZ") != "0"

CHANNEL_LAYERS = {"default": environment.channel_layer("")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
