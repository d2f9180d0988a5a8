"""What can be asked of this process's surroundings, as checks of django-health-check."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta

from django.db import Error
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable

from upsrs import doctor, events
from upsrs.database import in_database

__all__ = ["Layer", "Log"]

ANSWER_SECONDS = 3.0


@dataclasses.dataclass
class Log(HealthCheck):  # type: ignore[misc]  # it is untyped
    """The database answers and the log can be read: what every notification is made of."""

    timeout = timedelta(seconds=ANSWER_SECONDS)

    async def run(self) -> None:
        try:
            await in_database(events.extent)()
        except Error as error:
            # Not in its own words: a database quotes rows and addresses in them.
            kind = type(error).__name__
            raise ServiceUnavailable(f"The database does not answer ({kind}).") from None


@dataclasses.dataclass
class Layer(HealthCheck):  # type: ignore[misc]  # it is untyped
    """The channel layer brings a wake-up back. Without it events are late, and none is lost."""

    timeout = timedelta(seconds=ANSWER_SECONDS)

    async def run(self) -> None:
        if math.isinf(await doctor.round_trip(ANSWER_SECONDS)):
            raise ServiceUnavailable("The channel layer does not bring a wake-up back.")
