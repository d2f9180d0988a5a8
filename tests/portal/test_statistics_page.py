"""The page of statistics: for whom, of which day, with pictures that are files of their own."""

from __future__ import annotations

import re

import pytest
from defusedxml import ElementTree
from django.core.cache import cache
from django.utils import timezone

from upsrs import instants, workitems
from upsrs.statistics import views
from upsrs.statistics.charts import CHARTS, LOOKS
from upsrs.statistics.tables import TABLES

pytestmark = pytest.mark.django_db

PAGE = "/statistics/"


@pytest.fixture(autouse=True)
def nothing_kept():
    cache.clear()


@pytest.fixture
def reader(client, alice):
    client.force_login(alice)
    return client


def test_it_is_for_those_who_may_see_workitems(client, bob):
    pictures = [f"{PAGE}{name}.svg" for name in CHARTS]
    for address in (PAGE, *pictures):
        client.logout()
        assert client.get(address)["Location"].startswith("/accounts/login/")
        client.force_login(bob)
        assert client.get(address).status_code == 403


def test_today_is_shown_unless_another_day_is_asked_for(reader, make_workitem):
    make_workitem(WorklistLabel="AI")
    today = reader.get(PAGE)
    assert today.context["day"].scheduled == 1
    assert today.context["day"].date == timezone.localdate(instants.now())
    page = reader.get(PAGE, {"day": "2026-01-05"}).content.decode()
    assert "Monday, 5 January 2026" in page
    assert 'href="?day=2026-01-04"' in page
    assert 'href="?day=2026-01-06"' in page


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "0001-01-01", "9999-12-31", "\0"])
def test_what_is_no_day_is_not_found(reader, day):
    assert reader.get(PAGE, {"day": day}).status_code == 404
    assert reader.get(f"{PAGE}throughput.svg", {"day": day}).status_code == 404


def test_each_picture_is_there_in_each_look_with_a_title(reader, alice, make_workitem):
    pytest.importorskip("matplotlib")
    # A formula to who draws it, no formula after all, and longer than there is room for.
    for label in ("$x^2$", "$x_$", "x" * 64):
        uid = make_workitem(WorklistLabel=label).uid
        workitems.change_state(alice, uid, "IN PROGRESS", transaction_uid="2.25.1")
    addresses = re.findall(r'(?:src|srcset)="([^"]+)"', reader.get(PAGE).content.decode())
    assert len(addresses) == len(CHARTS) * len(LOOKS)
    for address in addresses:
        answer = reader.get(address.replace("&amp;", "&"))
        assert answer["Content-Type"] == "image/svg+xml"
        assert answer["Cache-Control"] == "private, no-cache"
        root = ElementTree.fromstring(answer.content)
        title = root.find("{http://www.w3.org/2000/svg}title").text
        assert title.endswith(timezone.localdate(instants.now()).isoformat())


@pytest.mark.parametrize("address", ["none.svg", "throughput.svg?look=none"])
def test_a_picture_that_is_none_is_not_found(reader, address):
    assert reader.get(PAGE + address).status_code == 404


def test_each_picture_has_its_numbers_in_a_table(reader, alice, make_workitem):
    workitem = make_workitem(WorklistLabel="AI")
    workitems.change_state(alice, workitem.uid, "IN PROGRESS", transaction_uid="2.25.1")
    page = reader.get(PAGE).content.decode()
    assert CHARTS.keys() == TABLES.keys()
    for chart in CHARTS.values():
        assert f'alt="{chart.description}' in page
    assert '<th scope="row">AI</th>' in page


def test_without_the_library_the_numbers_are_still_there(reader, make_workitem, monkeypatch):
    monkeypatch.setattr(views, "are_available", lambda: False)
    make_workitem()
    page = reader.get(PAGE).content.decode()
    assert "<img" not in page
    assert "<details open>" in page
    assert reader.get(f"{PAGE}throughput.svg").status_code == 404


def test_the_page_and_its_pictures_show_the_same_figures(
    reader, make_workitem, django_assert_num_queries
):
    pytest.importorskip("matplotlib")
    make_workitem()
    reader.get(PAGE)
    with django_assert_num_queries(4):  # who asks, and what they may
        reader.get(f"{PAGE}throughput.svg")
