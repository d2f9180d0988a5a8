"""The portal's settings, with what a test wants otherwise: JSON in UPSRS_TEST_SETTINGS."""

from __future__ import annotations

import json
import os

from portal.settings import *  # noqa: F403

globals().update(json.loads(os.environ.get("UPSRS_TEST_SETTINGS", "{}")))
