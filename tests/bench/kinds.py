"""Who is compared: upsrs under each server and lane, the plain Channels app, and nginx with nchan."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests import datasets
from tests.bench.machine import DAPHNE, SERVER_CORE, UVICORN, pin_server, post, serving, token
from tests.live import parts
from tests.live.server import Server, with_settings

LABEL = "BENCH"

NGINX = Path("/usr/sbin/nginx")
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


@dataclass
class Kind:
    """One server that runs: how to listen to it, and how to publish."""

    url: str
    publish: Callable[[int], float]
    """Publish so many events at once; the moment at which they were due."""
    pid: int
    headers: dict[str, str] = field(default_factory=dict)
    say: str = ""
    ready: str = ""

    def cpu_seconds(self) -> float:
        """What the server has used of its core: steadier than a clock, on a machine with others."""
        processes = [psutil.Process(self.pid), *psutil.Process(self.pid).children()]
        return sum(sum(one.cpu_times()[:2]) for one in processes)

    @property
    def listening(self) -> dict[str, Any]:
        return {"url": self.url, "headers": self.headers, "say": self.say, "ready": self.ready}


FOLLOW = {"filter": {"worklistLabel": LABEL}, "initialState": False, "resume": False}
"""Each socket its own subscription, from here on."""

FOLLOWING = json.dumps(FOLLOW)


def following(server: Server, env: dict[str, str]) -> dict[str, Any]:
    """How a load client follows a server of ours."""
    return {
        "url": server.general,
        "headers": token(env),
        "say": FOLLOWING,
        "ready": "initialStateComplete",
    }


@contextlib.contextmanager
def upsrs(env: dict[str, str], program: tuple[str, ...], *, fast: bool) -> Iterator[Kind]:
    changed = with_settings(UPSRS_FAST_LANE=fast)
    with serving(env | changed, program) as server:
        assert server.process is not None
        yield Kind(**following(server, env), publish=publish, pid=server.process.pid)


def publish(count: int) -> float:
    """By this process, in one transaction: some 1.5 kB each by the time that they are sent."""
    from django.db import transaction

    from upsrs import events
    from upsrs.dicom.changes import Kind as Change
    from upsrs.dicom.matching import snapshot

    with transaction.atomic():
        for _ in range(count):
            uid = datasets.new_uid()
            events.append(
                workitem_uid=uid,
                before=None,
                after=snapshot(_dataset() | datasets.elements(SOPInstanceUID=uid)),
                kind=Change.CREATED,
                workitem_pk=0,
                using="default",
            )
        return time.monotonic()


@functools.lru_cache
def _dataset() -> dict[str, Any]:
    return datasets.dataset(
        WorklistLabel=LABEL,
        ScheduledStationNameCodeSequence=[datasets.code("CT1", meaning="Computed tomography 1")],
        ScheduledHumanPerformersSequence=[
            datasets.elements(
                HumanPerformerCodeSequence=[datasets.code("R1", meaning="Radiologist on duty")],
                HumanPerformerName="Reader^Ruth",
            )
        ],
        ReferencedRequestSequence=[
            datasets.elements(
                StudyInstanceUID=datasets.new_uid(),
                AccessionNumber=f"ACC-{number}",
                RequestedProcedureID=f"RP-{number}",
                RequestedProcedureDescription="Computed tomography of the chest, with contrast",
            )
            for number in range(2)
        ],
        ScheduledProcedureStepPriority="HIGH",
        InputReadinessState="READY",
        ProcedureStepState="SCHEDULED",
    )


@contextlib.contextmanager
def channels(env: dict[str, str], size: int, program: tuple[str, ...] = DAPHNE) -> Iterator[Kind]:
    with serving(env, program, "tests.bench.baseline:application") as server:
        assert server.process is not None

        def publish(count: int) -> float:
            began = time.monotonic()
            post(f"{server.url}/publish?count={count}&bytes={size}")
            return began

        yield Kind(
            url=f"ws://127.0.0.1:{server.port}/plain",
            publish=publish,
            pid=server.process.pid,
            ready="ready",
        )


CONFIGURATION = """
load_module {module};
daemon off; worker_processes 1; worker_cpu_affinity {mask:b}; error_log {directory}/error.log;
pid {directory}/pid;
events {{ worker_connections 20000; }}
http {{
    access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
    fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
    nchan_max_reserved_memory 512M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /listen {{
            nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest;
        }}
        location = /publish {{
            nchan_publisher http; nchan_channel_id bench; nchan_message_buffer_length 10000;
        }}
    }}
}}
"""


def has_nchan() -> bool:
    return NGINX.exists() and NCHAN.exists()


@contextlib.contextmanager
def nchan(size: int) -> Iterator[Kind]:
    with tempfile.TemporaryDirectory(prefix="upsrs-nchan-") as directory:
        Path(directory).chmod(0o755)
        port = parts.free_port()
        configuration = Path(directory) / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(
                module=NCHAN, mask=1 << SERVER_CORE, directory=directory, port=port
            )
        )
        process = subprocess.Popen([NGINX, "-c", configuration], preexec_fn=pin_server)
        try:
            parts.wait_until(
                lambda: parts.accepts(port), "nginx accepts", alive=lambda: process.poll() is None
            )
            connection = http.client.HTTPConnection("127.0.0.1", port)
            body = b"x" * size

            def publish(count: int) -> float:
                began = time.monotonic()
                for _ in range(count):
                    connection.request("POST", "/publish", body)
                    connection.getresponse().read()
                return began

            yield Kind(url=f"ws://127.0.0.1:{port}/listen", publish=publish, pid=process.pid)
        finally:
            process.terminate()
            process.wait()


OURS = {
    "daphne": functools.partial(upsrs, program=DAPHNE, fast=True),
    "daphne, portable lane": functools.partial(upsrs, program=DAPHNE, fast=False),
    "uvicorn": functools.partial(upsrs, program=UVICORN, fast=True),
    "uvicorn, portable lane": functools.partial(upsrs, program=UVICORN, fast=False),
}
