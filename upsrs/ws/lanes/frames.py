"""WebSocket frames as a server writes them (RFC 6455 5.2): unmasked, so a header is all there is."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["ping_frame", "text_header"]

TEXT = b"\x81"
PING = b"\x89"


@lru_cache(maxsize=4096)
def text_header(length: int) -> bytes:
    """What stands before a text of so many bytes."""
    if length < 126:
        return TEXT + length.to_bytes(1, "big")
    if length < 65_536:
        return TEXT + b"\x7e" + length.to_bytes(2, "big")
    return TEXT + b"\x7f" + length.to_bytes(8, "big")


def ping_frame(payload: bytes) -> bytes:
    return PING + len(payload).to_bytes(1, "big") + payload
