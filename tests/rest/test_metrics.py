"""What Prometheus may scrape, and who may."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.contrib.auth.models import Permission
from prometheus_client.parser import text_string_to_metric_families

from tests.live.server import CHECKOUT, environment
from tests.rest.worklist import BASE, Worklist, problem
from upsrs.metrics import REGISTRY

pytestmark = pytest.mark.django_db

WITHOUT_PROMETHEUS = """
import sys
sys.modules["prometheus_client"] = None
import django
django.setup()
from upsrs import handouts, metrics
from upsrs.rest.urls import urlpatterns
metrics.closed(4777, by_us=False)
metrics.LAG.observe(1.0)
print(metrics.INSTALLED, metrics.REGISTRY)
"""


def scrape(worklist: Worklist, accept: str = "*/*"):
    return worklist.http.get(f"{BASE}/metrics", headers={"Accept": accept})


def test_who_has_the_permission_reads_them(bob):
    bob.user_permissions.add(Permission.objects.get(codename="view_metrics"))
    response = scrape(Worklist(bob))
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert response["Cache-Control"] == "no-store"
    found = {family.name for family in text_string_to_metric_families(response.content.decode())}
    assert found >= {
        "upsrs_sockets",
        "upsrs_subscriptions",
        "upsrs_events",
        "upsrs_deliveries",
        "upsrs_delivery_lag_seconds",
        "upsrs_wakeups_lost",
        "upsrs_resumes",
        "upsrs_resyncs",
        "upsrs_closes",
        "upsrs_log_events",
        "upsrs_handshakes_refused",
    }


def test_openmetrics_is_spoken_to_who_asks_for_it(superuser):
    response = scrape(Worklist(superuser), "application/openmetrics-text; version=1.0.0")
    assert response["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.content.endswith(b"# EOF\n")


def test_nobody_else_does(bobs_worklist, bob):
    bob.user_permissions.add(Permission.objects.get(codename="view_workitem"))
    problem(scrape(bobs_worklist), 403)
    problem(scrape(Worklist()), 401)


def test_the_log_tells_how_deep_it_is(superuser, make_workitem):
    for _ in range(3):
        make_workitem()
    scrape(Worklist(superuser))
    retained = REGISTRY.get_sample_value("upsrs_log_events", {"state": "retained"})
    unnumbered = REGISTRY.get_sample_value("upsrs_log_events", {"state": "unnumbered"})
    assert retained + unnumbered == 3


def test_without_prometheus_client_the_app_works_and_counts_nothing():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PROMETHEUS],
        cwd=CHECKOUT,
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["False", "None"], done.stderr
