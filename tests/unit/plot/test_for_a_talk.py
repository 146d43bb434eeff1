"""What every figure keeps to, so that it can be put on a slide or into a paper as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from fatewalk import plot
from fatewalk.plot.save import SUFFIXES, save_figures
from fatewalk.plot.style import DOUBLE, SINGLE
from fatewalk.run.registry import FIGURES
from tests.unit.plot.test_plot import draw_convergence, make_ablation, make_card, make_trace
from tests.unit.plot.test_plot_effects import DAYS, make_calls, run_by_fate
from tests.unit.plot.test_plot_overview import as_run, make_screen

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = 8  # points
NAMES = [one.name for one in FIGURES] + [f"overview_{one.name}" for one in FIGURES if one.by_contrast]


def draw(name: str) -> Figure:
    """A figure of the registry, of a run by fate where it can be."""
    if name == "convergence":
        return draw_convergence(make_trace(), make_card())
    if name == "ablation":
        return plot.ablation(make_ablation())
    if name.endswith("recovery"):
        return plot.figure(name)(as_run(make_screen()))
    run = run_by_fate(make_calls())
    composition = np.array([[0.25, 0.5], [0.25, 0.0], [0.5, 0.5]])
    run._held["arrays", run.folder / "shrunk_fates_gene.npz"] = {
        "composition": composition, "fates": np.array(["EC", "MES", "NEU"]), "days": np.array(DAYS),
    }  # fmt: skip
    sure = {"all": 0.7, "EC": 0.9, "MES": 0.6, "NEU": None}
    report = run.json("design_report.json") | {"label_resolution": dict.fromkeys(DAYS, sure)}
    run._held["json", run.folder / "design_report.json"] = report
    normal = np.linspace(-2, 2, 9)
    null = {"what": "shuffled guides", "fate": "MES", "normal": normal, "z": normal, "n": 90}
    planted = {"size_from": [0.0, 0.8], "size_to": [0.8, np.inf], "n": 50, "covered": 0.9, "called": 0.5}
    run._held["table", run.folder / "certificate_z.csv"] = pd.DataFrame(null)
    run._held["table", run.folder / "certificate_planted.csv"] = pd.DataFrame(planted)
    run._held["json", run.folder / "certificate.json"] = {"words": "certified: 6 checks passed"}
    resolution = {"all": 0.3, "EC": 0.2, "MES": 0.4, "NEU": None}
    report = run._held["json", run.folder / "design_report.json"]
    report["label_resolution"] = dict.fromkeys(run.days, resolution)
    return plot.figure(name)(run)


def holds_something(ax: Axes) -> bool:
    """Whether there is anything in a panel but lines across it."""
    drawn = [len(line.get_xdata()) > 0 for line in ax.lines if not line.get_gid() or line.get_gid() != "rate"]
    return any(drawn) or bool(ax.collections or ax.texts or ax.images)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_fit_for_a_talk(name: str) -> None:
    fig = draw(name)
    fig.draw_without_rendering()
    sizes = {text.get_fontsize() for text in fig.findobj(Text) if text.get_text().strip()}
    assert min(sizes) >= SIZE
    assert any(fig.get_figwidth() == pytest.approx(width) for width in (SINGLE, DOUBLE))
    assert all(holds_something(ax) for ax in fig.axes)
    offsets = [axis.get_offset_text().get_text() for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)]
    assert not any(offsets)


def test_widths_are_those_of_journal_columns() -> None:
    assert (round(25.4 * SINGLE), round(25.4 * DOUBLE)) == (89, 183)


def test_large_numbers_stand_on_the_axis_whole() -> None:
    fig = draw_convergence(make_trace().assign(loss=lambda of: 4_123_456 + of["loss"] / 1e6), make_card())
    fig.draw_without_rendering()
    assert not any(ax.yaxis.get_offset_text().get_text() for ax in fig.axes)
    assert "4123456" in fig.axes[2].get_yticklabels()[0].get_text()


def test_a_figure_is_saved_in_every_format_and_can_still_be_changed(tmp_path: Path) -> None:
    fig = draw("composition")
    engine = fig.get_layout_engine()
    save_figures({"composition": fig}, tmp_path)
    assert SUFFIXES == (".png", ".pdf", ".svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "composition.pdf",
        "composition.png",
        "composition.svg",
    ]
    assert fig.get_layout_engine() is engine


@pytest.mark.parametrize("name", ["trajectories", "overview_trajectories", "heatmap", "volcano"])
@pytest.mark.parametrize("scale", ["fate", "contrast"])
def test_figures_say_whether_they_show_effects_before_or_after_shrinkage(name: str, scale: str) -> None:
    fig = plot.figure(name)(run_by_fate(make_calls()), scale=scale)
    words = "\n".join(text.get_text() for text in fig.findobj(Text)).replace("\n", " ")
    before = scale == "contrast" and name.endswith("trajectories")
    assert ("before shrinkage by mash on" in words) == before
    assert ("after shrinkage on" in words or "probability, after shrinkage" in words) != before
    if before:
        assert "called active, after shrinkage" in words  # what the marks rest on


def test_composition_is_in_percent_by_fate() -> None:
    fig = draw("composition")
    titles = [ax.get_title(loc="left").replace("\n", ": ") for ax in fig.axes]
    assert titles == ["EC: 25 to 50 %", "MES: 0.0 to 25 %", "NEU: 50 %"]
    np.testing.assert_allclose(fig.axes[0].lines[0].get_ydata(), [25, 50])
    np.testing.assert_allclose(fig.axes[0].lines[0].get_xdata(), [0, 24])
