"""Draws what was measured, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the backend is chosen)

from report import ROWS_A_COPY, medians  # noqa: E402

if TYPE_CHECKING:
    from benchmark import Run, Runs

COLORS = {
    "1": "#4878a8", "2": "#e1973f", "3": "#6aa56a", "1+2": "#957d74", "2+3": "#a5a055", "1+2+3": "#8f8f6a",
}  # fmt: skip
# Text stays text, and the same figures give the same file.
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "windlass", "font.size": 9}


def comparison(about: dict[str, Any], runs: Runs, file: Path) -> None:
    """Draws one bar for each engine and form, its phases one after the other."""
    bars = [(f"{name} {form}", medians(measured)) for (name, form), measured in runs.whole.items()]
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.36 * len(bars)))
    for row, (_, own) in enumerate(bars):
        left = 0.0
        for phase, share in own["phases"].items():
            axes.barh(row, share["wall_s"], left=left, color=COLORS[phase], height=0.7)
            left += share["wall_s"]
        axes.text(left, row, f" {own['wall_s']:.1f} s, {own['peak_gib']:.1f} GiB", va="center")
    seen = dict.fromkeys(phase for _, own in bars for phase in own["phases"])
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLORS[phase]) for phase in seen]
    axes.legend(handles, [f"phase {phase}" for phase in seen], loc="lower right", frameon=False)
    axes.set_yticks(range(len(bars)), [title for title, _ in bars])
    axes.invert_yaxis()
    settings = about["settings"]
    axes.set_xlabel(f"seconds for {settings['copies'] * ROWS_A_COPY:,} rows, {settings['threads']} threads")
    axes.set_xlim(0, 1.2 * max(own["wall_s"] for _, own in bars))
    finish(figure, axes, file)


def scaling(runs: dict[str, dict[int, list[Run]]], file: Path) -> None:
    """Draws time and peak memory against rows, one line for each engine."""
    figure, panels = pyplot.subplots(1, 2, figsize=(8, 3.2))
    for name, measured in runs.items():
        rows = [copies * ROWS_A_COPY for copies in measured]
        own = [medians(taken) for taken in measured.values()]
        panels[0].plot(rows, [one["wall_s"] for one in own], marker="o", label=name)
        panels[1].plot(rows, [one["peak_gib"] for one in own], marker="o", label=name)
    for axes, title in zip(panels, ("seconds", "peak memory, GiB"), strict=True):
        axes.set_xscale("log")
        axes.set_xlabel("rows")
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
    panels[0].set_yscale("log")
    panels[0].legend(frameon=False)
    finish(figure, panels[0], file)
    pyplot.close(figure)


def finish(figure: pyplot.Figure, axes: pyplot.Axes, file: Path) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
