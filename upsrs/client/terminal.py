"""A notification as one line of a terminal."""

from __future__ import annotations

from datetime import datetime

from upsrs.client.notifications import Notification

__all__ = ["line", "printable"]


def line(notification: Notification) -> str:
    """Time, event, state, worklist, step, station, performer, progress, UID."""
    reason = notification.cancellation_reason
    columns = (
        f"{_time(notification.event_time):8}",
        f"{'report' if notification.report else notification.event_type:12}",
        f"{_state(notification):16}",
        f"{notification.label[:16]:16}",
        f"{notification.step_label[:28]:28}",
        f"{', '.join(notification.stations)[:16]:16}",
        f"{', '.join(notification.performers)[:16]:16}",
        notification.workitem_uid,
        *([f"({reason})"] if reason else []),
    )
    return printable(" ".join(columns))


def _state(notification: Notification) -> str:
    if notification.state == "IN PROGRESS" and notification.progress is not None:
        return f"IN PROGRESS {notification.progress:.0f} %"
    return notification.state


def _time(text: str) -> str:
    """The reader's own clock time."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""


def printable(text: str) -> str:
    """Free text passes as somebody wrote it: what would steer the terminal becomes U+FFFD."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
