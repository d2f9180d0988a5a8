"""The portal's own promises, kept by a real server with DEBUG off."""

from __future__ import annotations

import re

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.live.server import portal, shell
from tests.subscriber import Subscriber

STYLES = "/static/portal/portal.css"
NOBODY = "/ups-rs/workitems/2.25.1"


def authorization(backend, user):
    return {"Authorization": f"Token {backend.tokens[user]}"}


def test_nobody_is_told_how_to_log_in_and_alice_is_not(backend, server):
    refused = httpx.get(server.url + NOBODY)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Token"
    assert httpx.get(server.url + NOBODY, headers=authorization(backend, "bob")).status_code == 403
    found = httpx.get(server.url + NOBODY, headers=authorization(backend, "alice"))
    assert found.status_code == 404


def test_a_person_logs_in_and_out(backend, server):
    with httpx.Client(base_url=server.url) as browser:
        asked = browser.get("/")
        assert asked.status_code == 302
        assert asked.headers["Location"] == "/accounts/login/?next=/"
        assert "Log in" in browser.get(asked.headers["Location"]).text
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "next": "/"}
        wrong = browser.post("/accounts/login/", data=form | {"username": "root", "password": "x"})
        assert 'role="alert"' in wrong.text
        entered = browser.post(
            "/accounts/login/", data=form | {"username": "root", "password": "root"}
        )
        assert entered.headers["Location"] == "/"
        assert "Admin<" in browser.get("/").text
        assert browser.get("/admin/").status_code == 200
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert (
            browser.post("/accounts/logout/", data=form).headers["Location"] == "/accounts/login/"
        )
        assert browser.get("/").status_code == 302


def test_static_files_are_served_without_a_step_to_collect_them(sqlite_backend, start):
    server = start(sqlite_backend)
    found = httpx.get(server.url + STYLES)
    assert found.status_code == 200
    assert found.headers["Content-Type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in found.text
    head = httpx.head(server.url + STYLES)
    assert (head.status_code, head.content) == (200, b"")
    again = {"If-Modified-Since": found.headers["Last-Modified"]}
    assert httpx.get(server.url + STYLES, headers=again).status_code == 304
    part = httpx.get(server.url + STYLES, headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.content) == (206, found.content[:5])
    assert httpx.get(server.url + "/static/admin/css/base.css").status_code == 200
    assert httpx.get(server.url + "/static/../portal/settings.py").status_code == 404
    assert "Warning" not in server.log


def test_collected_files_are_compressed_and_kept_for_good(sqlite_backend, start, tmp_path):
    env = sqlite_backend.env | {"STATIC_ROOT": str(tmp_path / "static"), "PATH_PREFIX": "/ris"}
    portal(env, "collectstatic", "--no-input", "--verbosity=0")
    server = start(sqlite_backend, env=env)
    page = httpx.get(f"{server.url}/accounts/login/")
    address = re.search(r'href="(/ris/static/portal/portal\.[0-9a-f]{12}\.css)"', page.text)[1]
    found = httpx.get(server.url + address, headers={"Accept-Encoding": "gzip"})
    assert found.headers["Content-Encoding"] == "gzip"
    assert "immutable" in found.headers["Cache-Control"]
    assert httpx.get(server.url + STYLES).text == found.text
    assert "Warning" not in server.log


def test_an_address_that_is_none_gets_a_page_without_secrets(sqlite_backend, start):
    server = start(sqlite_backend)
    missing = httpx.get(server.url + "/nowhere")
    assert missing.status_code == 404
    assert "There is nothing at this address." in missing.text
    assert "urlpatterns" not in missing.text


async def test_a_socket_that_is_none_is_refused_and_leaves_no_traceback(sqlite_backend, start):
    server = start(sqlite_backend)
    base = server.url.replace("http:", "ws:")
    for path in ("/", "/elsewhere", "/ups-rs/", "/ups-rs/elsewhere", "/ups-rs/workitems"):
        with pytest.raises(InvalidStatus) as refusal:
            async with Subscriber(base + path, sqlite_backend.tokens["alice"]):
                pass
        assert refusal.value.response.status_code == 403, path
    assert "Traceback" not in server.log


async def test_no_query_reaches_the_log(backend, server):
    secrets = ("2.25.777", "Doe%5EJane", "Doe^Jane")
    query = f"?transaction-uid={secrets[0]}&PatientName={secrets[1]}&bare={secrets[2]}"
    headers = authorization(backend, "alice")
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as browser:
        for path in (NOBODY, NOBODY + "/state", "/", "/nowhere", "/admin/", STYLES):
            await browser.get(path + query)
            await browser.put(path + query, content=b"nonsense")
    with pytest.raises(InvalidStatus):
        async with Subscriber(server.general + query):
            pass
    async with Subscriber(server.general + query, backend.tokens["alice"]):
        pass
    server.terminate()
    assert f"127.0.0.1 GET {NOBODY} 404" in server.log
    assert "SOCKET /ups-rs/workitems/subscription" in server.log
    for secret in secrets:
        assert secret not in server.log


@pytest.mark.parametrize("sent", ["/ris", ""], ids=["prefix passed on", "prefix stripped"])
async def test_a_path_prefix_is_in_every_address_and_in_the_sockets(sqlite_backend, start, sent):
    server = start(sqlite_backend, env={"PATH_PREFIX": "/ris"})
    async with httpx.AsyncClient(base_url=f"{server.url}{sent}") as browser:
        asked = await browser.get("/")
        assert asked.headers["Location"] == "/ris/accounts/login/?next=/ris/"
        assert f'href="/ris{STYLES}"' in (await browser.get("/accounts/login/")).text
        assert (await browser.get(STYLES)).status_code == 200
    general = server.general.replace("/ups-rs", f"{sent}/ups-rs")
    async with Subscriber(general, sqlite_backend.tokens["alice"]):
        pass


def test_proxy_headers_count_only_where_they_are_trusted(sqlite_backend, start):
    claimed = {"X-Forwarded-Host": "portal.example", "X-Forwarded-Proto": "https"}
    hosts = {"ALLOWED_HOSTS": "portal.example,127.0.0.1", "SECURE_SSL_REDIRECT": "1"}
    wary = start(sqlite_backend, env=hosts)
    moved = httpx.get(wary.url + "/", headers=claimed)
    assert moved.status_code == 301
    assert moved.headers["Location"] == wary.url.replace("http:", "https:") + "/"
    trusting = start(sqlite_backend, env=hosts | {"TRUST_PROXY_HEADERS": "1"})
    assert httpx.get(trusting.url + "/", headers=claimed).status_code == 302
    plain = {"X-Forwarded-Host": "portal.example"}
    moved = httpx.get(trusting.url + "/", headers=plain)
    assert moved.headers["Location"] == "https://portal.example/"


@pytest.mark.postgres
@pytest.mark.redis
def test_a_restart_of_postgresql_costs_no_request(postgres, postgres_backend, start):
    server = start(postgres_backend)
    headers = authorization(postgres_backend, "alice")
    assert httpx.get(server.url + NOBODY, headers=headers).status_code == 404
    postgres.restart()
    assert httpx.get(server.url + NOBODY, headers=headers).status_code == 404


def test_what_another_process_saves_is_there(backend, server):
    shell(backend.env, "from django.contrib.auth.models import User; User.objects.all().delete()")
    gone = httpx.get(server.url + NOBODY, headers=authorization(backend, "alice"))
    assert gone.status_code == 401


def test_a_server_comes_back_on_its_port(sqlite_backend, start):
    server = start(sqlite_backend)
    for kill in (False, True):
        server.restart(kill=kill)
        assert httpx.get(server.url + "/accounts/login/").status_code == 200
