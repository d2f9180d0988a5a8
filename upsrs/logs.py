"""For the logs of any portal: a correlation id on every line, and lines that machines read.

What belongs together has one id: a request (its X-Request-ID, or one that we gave it), the events
that it made, and their delivery, whichever process delivers. Both classes go into the portal's own
``LOGGING``.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from upsrs.origin import origin

__all__ = ["CorrelationFilter", "JSONFormatter"]

FACTS = ("position", "kind", "workitem_uid", "sockets", "lag_seconds")
"""What our own log lines say beside their text."""


class CorrelationFilter(logging.Filter):
    """Gives each record its ``correlation_id``; empty where nothing was asked from outside."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = getattr(record, "correlation_id", "") or origin().correlation_id
        return True


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": self.cleaned(record.getMessage()),
        }
        facts = ("correlation_id", *FACTS)
        line |= {
            name: vars(record)[name] for name in facts if vars(record).get(name) not in ("", None)
        }
        if record.exc_info:
            line["exception"] = self.cleaned(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)

    def cleaned(self, text: str) -> str:
        """For a portal that lets some things into no log."""
        return text
