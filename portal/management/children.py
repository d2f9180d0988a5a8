"""The processes of the demo: started, listened to, and gone when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence

LAST_LINES = 40
PATIENCE_SECONDS = 10.0


class ChildDied(Exception):
    """A process ended that should have gone on."""


class Child:
    """A process in a group of its own: Ctrl-C reaches the demo alone, which then ends its children."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], *, cwd: str, env: Mapping[str, str]
    ) -> Child:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(name, process)

    async def _listen(self) -> None:
        assert self.process.stdout is not None, "it was started with a pipe"
        async for line in self.process.stdout:
            self.last_lines.append(line.decode(errors="replace").rstrip())

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        await self.listening
        return await self.process.wait()

    async def died(self) -> None:
        """Wait for an end that nobody wanted, and raise it."""
        code = await self.ended()
        said = "\n".join(self.last_lines) or "(it said nothing)"
        raise ChildDied(f"The {self.name} ended with exit code {code}. Its last words:\n{said}")

    async def end(self) -> None:
        """SIGTERM, and if it takes too long SIGKILL to its whole group."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)
            except TimeoutError:
                os.killpg(self.process.pid, signal.SIGKILL)
                await self.process.wait()
        self.listening.cancel()
