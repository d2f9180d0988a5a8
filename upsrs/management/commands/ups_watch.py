"""Follow a worklist in a terminal, from any machine, without losing a change."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import Style

if TYPE_CHECKING:
    from upsrs.client import Following

FILTER_OPTIONS = {
    "label": "worklistLabel",
    "state": "procedureStepState",
    "station": "scheduledStationAETitle",
    "performer": "performerAETitle",
}

LAST_WORDS_SECONDS = 2.0


class Command(BaseCommand):
    help = (
        "Follow a worklist: first what is there, then each change as it happens. A broken line is "
        "taken up again where it ended. Ctrl-C ends it."
    )
    # It talks to a server, wherever that is; this machine needs no database.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--url",
            default="ws://127.0.0.1:8000/ups-rs",
            help="the service (%(default)s); wss, https and http are understood too",
        )
        parser.add_argument("--token", default="", help="better in the variable UPSRS_TOKEN")
        parser.add_argument("--label", help="only this worklist; * and ? are wildcards")
        parser.add_argument(
            "--state", choices=("SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
        )
        parser.add_argument("--station", help="only what this AE title is to do")
        parser.add_argument("--performer", help="only what this AE title does")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A label in a script that this terminal does not know must not end the watch.
                stream.reconfigure(errors="replace")
        try:
            from upsrs.client import ClientError, LoginRequired
        except ImportError as missing:
            raise CommandError(str(missing)) from None
        try:
            asyncio.run(self._watch(options))
        except LoginRequired as refusal:
            raise CommandError(
                f"{refusal.detail} Give a valid token in UPSRS_TOKEN or with --token."
            ) from None
        except (ClientError, ValueError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:
            # Whoever read us has enough. Python would complain once more when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    async def _watch(self, options: dict[str, Any]) -> None:
        """Follow until a signal; then end the subscription, so that none is left waiting."""
        from upsrs.client import ClientError, follow

        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt it is
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with follow(
            options["url"],
            token=options["token"] or os.environ.get("UPSRS_TOKEN", ""),
            filter={key: options[name] for name, key in FILTER_OPTIONS.items() if options[name]},
            on_state=self._tell,
        ) as worklist:
            printing = asyncio.create_task(self._print(worklist, as_json=options["json"]))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({printing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                stopping.cancel()
                return await printing
            with contextlib.suppress(ClientError, TimeoutError):
                await worklist.unsubscribe()
                await asyncio.wait_for(printing, LAST_WORDS_SECONDS)

    async def _print(self, worklist: Following, *, as_json: bool) -> None:
        from upsrs.client.terminal import line

        async for notification in worklist:
            if as_json:
                self.stdout.write(json.dumps(notification.raw))
            else:
                self.stdout.write(line(notification), colour_of(self.style, notification.state))
            self.stdout.flush()

    def _tell(self, state: str, detail: str) -> None:
        from upsrs.client.terminal import printable

        text = printable(f"-- {state}: {detail}" if detail else f"-- {state}")
        self.stderr.write(text, self.style.HTTP_NOT_MODIFIED)
        self.stderr.flush()


def colour_of(style: Style, state: str) -> Callable[[str], str]:
    """The colour in which a workitem of this state is told."""
    colours: dict[str, Callable[[str], str]] = {
        "IN PROGRESS": style.WARNING,
        "COMPLETED": style.SUCCESS,
        "CANCELED": style.ERROR,
    }
    return colours.get(state, str)
