"""The figure of label certainty."""

from __future__ import annotations

import numpy as np
import pytest

from fatewalk import plot
from tests.unit.plot.runs import run_of


def draw(n_fates: int, days: list[str]) -> object:
    """The figure of labels that resolve .1 more of each fate and .2 more on each day."""
    fates = ["all", *(f"fate{k}" for k in range(n_fates))]
    run = run_of({}, days=days, times=[float(k) for k in range(len(days))])
    run._held["json", run.folder / "design_report.json"]["label_resolution"] = {
        day: {fate: min(0.1 * k + 0.2 * d, 1.0) if k != 2 else None for k, fate in enumerate(fates)}
        for d, day in enumerate(days)
    }
    return plot.label_certainty(run)


@pytest.mark.parametrize("days", [["day0"], ["day0", "day1", "day2"]])
@pytest.mark.parametrize("n_fates", [2, 4, 18])
def test_lines_show_the_resolution_of_all_and_of_each_fate(n_fates: int, days: list[str]) -> None:
    fig = draw(n_fates, days)
    fig.canvas.draw()
    lines = fig.axes[0].lines
    assert len(lines) == n_fates + 1
    np.testing.assert_allclose(lines[-1].get_ydata(), 0.2 * np.arange(len(days)))
    np.testing.assert_allclose(lines[0].get_ydata(), 0.1 + 0.2 * np.arange(len(days)))
    assert np.isnan(lines[1].get_ydata()).all()
    named = [text.get_text() for text in fig.legends[0].get_texts()]
    assert "all fates" in named
    assert len(named) == (n_fates + 1 if n_fates <= 4 else 2)
