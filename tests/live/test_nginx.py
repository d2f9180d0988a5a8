"""nginx in front, by the very configuration that ``docs/deploy`` has: TLS, a prefix, sockets, silence.

What the test changes in it are ports, places of files and the time limits, which are shorter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect

from tests import datasets
from tests.certificates import make_certificate
from tests.live import parts
from tests.live.parts import PATIENCE_SECONDS, accepts, free_port, wait_until
from tests.live.server import CHECKOUT, portal, shell
from tests.subscriber import Subscriber

pytestmark = pytest.mark.asyncio

CONFIGURATION = CHECKOUT / "docs/deploy/nginx.conf"
SILENCE_SECONDS = 8
"""In the place of the configuration's 60 s. daphne looks every 2 s whether a ping is due."""

AROUND = """
daemon off;
{user}
pid {directory}/nginx.pid;
error_log stderr crit;
events {{}}
http {{
    {temporary}
    include {directory}/portal.conf;
}}
"""


@dataclass(frozen=True)
class Front:
    """What a client sees of it."""

    https: str
    http: str
    tls: ssl.SSLContext
    certificate: Path
    directory: Path

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self.directory.glob("portal*.log"))


def configure(directory: Path, *, upstream: int, http: int, https: int) -> None:
    text = CONFIGURATION.read_text()
    for documented, here in {
        "    server 127.0.0.1:8001;\n": "",
        "127.0.0.1:8000;": f"127.0.0.1:{upstream};",
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ssl;": f"listen 127.0.0.1:{https} ssl;",
        "https://$host$request_uri": f"https://$host:{https}$request_uri",
        "/etc/nginx/tls/": f"{directory}/",
        "/var/log/nginx/": f"{directory}/",
        "timeout 60s;": f"timeout {SILENCE_SECONDS}s;",
    }.items():
        assert documented in text, f"the configuration has no {documented!r}"
        text = text.replace(documented, here)
    (directory / "portal.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    around = AROUND.format(directory=directory, user=user, temporary=temporary)
    (directory / "nginx.conf").write_text(around)


@contextlib.contextmanager
def nginx_running(directory: Path, upstream: int) -> Iterator[Front]:
    program = parts.nginx()
    directory.mkdir()
    http, https = free_port(), free_port()
    certificate = make_certificate(directory)
    configure(directory, upstream=upstream, http=http, https=https)
    arguments = ["-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", "stderr"]
    process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(https), "nginx accepts", alive=lambda: process.poll() is None)
        tls = ssl.create_default_context(cafile=certificate)
        yield Front(
            f"https://localhost:{https}", f"http://localhost:{http}", tls, certificate, directory
        )
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


@pytest.fixture
def behind(sqlite_backend, start):
    env = {"PATH_PREFIX": "/clinic", "TRUST_PROXY_HEADERS": "1", "SECURE_COOKIES": "1"}
    env |= {"LOG_JSON": "1"}
    # Well within the silence that nginx allows, as 20 s are within its 60.
    arguments = ("--ping-interval", "1", "--ping-timeout", "30")
    return start(sqlite_backend, env=env, arguments=arguments)


@pytest.fixture
def front(behind, tmp_path):
    with nginx_running(tmp_path / "nginx", behind.port) as running:
        yield running


async def test_sockets_addresses_silence_and_a_log_without_queries(front, behind, sqlite_backend):
    token = {"Authorization": f"Token {sqlite_backend.tokens['alice']}"}
    base = f"{front.https}/clinic/ups-rs"
    general = base.replace("https", "wss") + "/workitems/subscription"
    reports = f"{base}/workitems/1.2.840.10008.5.1.4.34.5/subscribers/AI1?deletionlock=false"
    async with (
        httpx.AsyncClient(verify=front.tls, headers=token, timeout=PATIENCE_SECONDS) as http,
        Subscriber(general, sqlite_backend.tokens["alice"], ssl=front.tls) as follower,
    ):
        await follower.subscribe()
        assert await follower.initial_state() == []

        # The addresses that we hand out lead back through it.
        subscribed = await http.post(reports)
        assert subscribed.status_code == 201, subscribed.text
        channel = subscribed.headers["Content-Location"]
        assert channel == base.replace("https", "wss") + "/subscribers/AI1"
        async with connect(channel, ssl=front.tls, additional_headers=token) as ai1:
            # Nobody says anything for longer than nginx waits: what follows shows that both live.
            await asyncio.sleep(SILENCE_SECONDS + 2)
            media = {"Content-Type": "application/dicom+json", "X-Forwarded-For": "192.0.2.6"}
            body = [datasets.dataset()]
            created = await http.post(f"{base}/workitems", json=body, headers=media)
            assert created.status_code == 201, created.text
            location = created.headers["Location"]
            request_id = created.headers["X-Request-ID"]
            assert location.startswith(f"{base}/workitems/2.25.")
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert location.rpartition("/")[2] in await ai1.recv()
        assert (await follower.next())["workitemUID"] == location.rpartition("/")[2]
        assert (await http.get(location)).status_code == 200

        # A page of the portal may open sockets, another may not; plain HTTP is sent on to TLS.
        login = await http.get(f"{front.https}/clinic/accounts/login/")
        assert login.status_code == 200
        assert "/clinic/static/" in login.text
        plain = await http.get(f"{front.http}/clinic/ups-rs/workitems?PatientName=Secret")
        assert (plain.status_code, urlsplit(plain.headers["Location"]).scheme) == (301, "https")

        seen = await asyncio.to_thread(who_created, sqlite_backend)
        assert seen == "127.0.0.1"
        said = await asyncio.to_thread(doctor, front, sqlite_backend, base)
        assert "Sockets get through to us" in said

        # Queries are in no log, also where what is behind it is gone.
        asked = await http.get(f"{base}/workitems?PatientName=Secret")
        assert asked.status_code == 204, asked.text
        behind.kill()
        gone = await http.get(f"{base}/workitems?PatientName=Secret")
        assert gone.status_code == 502
    assert "GET /clinic/ups-rs/workitems 204" in front.log
    assert "GET /clinic/ups-rs/workitems 502" in front.log
    opened = "GET /clinic/ups-rs/workitems/subscription 101"
    wait_until(lambda: opened in front.log, "nginx has logged the socket that ended")
    # One id from nginx by the request and its event to the delivery.
    assert any(line.endswith(request_id) for line in front.log.splitlines())
    lines = [json.loads(line) for line in behind.log.splitlines() if line.startswith("{")]
    loggers = {line["logger"] for line in lines if line.get("correlation_id") == request_id}
    assert {"portal.access", "upsrs.handouts"} <= loggers
    assert "Secret" not in front.log + behind.log
    assert "?" not in front.log


WHO_CREATED = """
import time
from upsrs.models import AuditRecord
while not (record := AuditRecord.objects.filter(act="create").first()):
    time.sleep(0.05)
print(record.address)
"""


def who_created(backend) -> str:
    return shell(backend.env, WHO_CREATED).strip()


def doctor(front, backend, base) -> str:
    env = {**backend.env, "SSL_CERT_FILE": str(front.certificate)}
    return portal(env, "upsrs_doctor", "--url", base)
