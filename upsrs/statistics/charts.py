"""The figures as pictures: SVG, drawn by matplotlib, which the extra ``statistics`` installs.

Each is a file of its own that a page shows as an image: a Content-Security-Policy without
``unsafe-inline`` forbids the styles within it anywhere else. Colours are told apart by the
colour-blind, and hatched besides.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from upsrs.statistics.figures import WITHIN, Day

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CHARTS", "LOOKS", "Chart", "are_available", "draw"]

Series = tuple[str, Sequence[float]]
"""A name for the legend, and a number for each place on the axis."""


@dataclass(frozen=True, slots=True)
class Look:
    ink: str
    faint: str
    colours: tuple[str, ...]
    size: tuple[float, float] = (9.6, 3.2)
    """In inches of 72 points; the page scales it."""
    ticks: int = 2
    """So many hours from one label to the next."""


# Okabe and Ito's colours, lighter on dark paper.
_LIGHT = Look("#16202a", "#5b6875", ("#0072b2", "#e69f00", "#009e73", "#b0b8c0"))
_DARK = Look("#e6ebf0", "#9aa7b4", ("#56b4e9", "#f0c35a", "#3ccfa0", "#5f6b77"))

LOOKS = {
    "light": _LIGHT,
    "dark": _DARK,
    "light-narrow": Look(_LIGHT.ink, _LIGHT.faint, _LIGHT.colours, (4.4, 3.4), 6),
    "dark-narrow": Look(_DARK.ink, _DARK.faint, _DARK.colours, (4.4, 3.4), 6),
}

HATCHES = ("", "///", "...", "xxx")

_drawing = threading.Lock()
"""matplotlib keeps caches for all threads together, and is asked by one at a time."""


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    description: str
    paint: Callable[[Axes, Day, Look], None]


def are_available() -> bool:
    """Is matplotlib there? It is loaded for the first picture only: it takes a second and 60 MiB."""
    return find_spec("matplotlib") is not None


def draw(chart: Chart, day: Day, look: Look) -> bytes:
    """One picture as SVG."""
    with _drawing:
        import matplotlib
        from matplotlib.figure import Figure

        # Text stays text, in the reader's own font.
        matplotlib.rcParams["svg.fonttype"] = "none"
        figure = Figure(figsize=look.size, layout="constrained", facecolor="none")
        axes = figure.subplots()
        chart.paint(axes, day, look)
        _dress(axes, look)
        file = io.BytesIO()
        about = {"Title": f"{chart.title}, {day.date.isoformat()}", "Date": None, "Creator": None}
        figure.savefig(file, format="svg", metadata=about)
        return file.getvalue()


def _dress(axes: Axes, look: Look) -> None:
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(look.faint)
    axes.tick_params(colors=look.faint, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(look.faint)
    axes.set_axisbelow(True)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(handles) if look.size[0] > 5 else 2,
            frameon=False,
            labelcolor=look.ink,
            fontsize=9,
        )


def _style(look: Look, number: int) -> dict[str, Any]:
    return {
        "color": look.colours[number],
        "hatch": HATCHES[number],
        "edgecolor": look.ink,
        "linewidth": 0.4,
    }


def _hours(axes: Axes, day: Day, look: Look) -> None:
    """The hours of the day, as the clock on the wall shows them."""
    places = range(0, len(day.hours), look.ticks)
    axes.set_xticks(list(places), [f"{day.hours[place].begins:%H:%M}" for place in places])
    axes.set_xlim(-0.6, len(day.hours) - 0.4)


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))


def _throughput(axes: Axes, day: Day, look: Look) -> None:
    series: list[Series] = [
        ("scheduled", [hour.scheduled for hour in day.hours]),
        ("claimed", [hour.claimed for hour in day.hours]),
        ("finished", [hour.finished for hour in day.hours]),
    ]
    for number, (name, values) in enumerate(series):
        places = [place + (number - 1) * 0.28 for place in range(len(values))]
        axes.bar(places, values, 0.26, label=name, **_style(look, number))
    _hours(axes, day, look)
    _whole_numbers(axes.yaxis)
    axes.set_ylim(0, max(1, *(value for _, values in series for value in values)) * 1.05)
    axes.set_ylabel("workitems")
    axes.grid(axis="y", color=look.faint, alpha=0.25)


def _turnaround(axes: Axes, day: Day, look: Look) -> None:
    waiting = [_minutes(hour.waiting) for hour in day.hours]
    working = [_minutes(hour.working) for hour in day.hours]
    _stack(axes.bar, "bottom", [("waiting", waiting), ("working", working)], look)
    _hours(axes, day, look)
    axes.set_ylim(0, max(1.0, *map(sum, zip(waiting, working, strict=True))) * 1.05)
    axes.set_ylabel("minutes, mean")
    axes.grid(axis="y", color=look.faint, alpha=0.25)


def _waiting(axes: Axes, day: Day, look: Look) -> None:
    rows = day.waiting[::-1]  # the busiest on top
    minutes = [_minutes(limit) for limit in WITHIN]
    names = [f"up to {limit:.0f} min" for limit in minutes] + [f"over {minutes[-1]:.0f} min"]
    series = [(name, [row.within[number] for row in rows]) for number, name in enumerate(names)]
    _stack(axes.barh, "left", series, look)
    # A long label would leave no room for the bars; the table has it whole.
    room = 22 if look.size[0] > 5 else 12
    labels = [row.label if len(row.label) <= room else f"{row.label[: room - 1]}…" for row in rows]
    axes.set_yticks(range(len(rows)), labels, parse_math=False)
    axes.set_ylim(-0.6, max(len(rows), 3) - 0.4)
    axes.set_xlim(0, max(1, *(row.claimed for row in rows)) * 1.05 if rows else 1)
    _whole_numbers(axes.xaxis)
    axes.set_xlabel("workitems claimed")
    axes.grid(axis="x", color=look.faint, alpha=0.25)


def _stack(bars: Callable[..., Any], base: str, series: Iterable[Series], look: Look) -> None:
    below: list[float] = []
    for number, (name, values) in enumerate(series):
        below = below or [0.0] * len(values)
        bars(range(len(values)), values, 0.7, label=name, **{base: below}, **_style(look, number))
        below = [low + value for low, value in zip(below, values, strict=True)]


def _minutes(length: timedelta | None) -> float:
    return length.total_seconds() / 60 if length else 0.0


CHARTS = {
    "throughput": Chart(
        "Throughput",
        "Three bars for each hour of the day: how many workitems were scheduled, claimed and "
        "finished.",
        _throughput,
    ),
    "turnaround": Chart(
        "Turnaround",
        "A bar for each hour of the day: how long what was completed in it had waited, and how "
        "long was worked on it.",
        _turnaround,
    ),
    "waiting": Chart(
        "Waiting time by worklist",
        "A bar for each worklist: how many of its workitems were claimed within 5 minutes, 15 "
        "minutes, an hour, and later.",
        _waiting,
    ),
}
