"""The figure of the certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from fatewalk import plot
from fatewalk.stages.certify import PLANTED, QUANTILES
from tests.unit.plot.runs import run_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SD = {"shuffled guides": 1.0, "control guides": 1.4}


def draw(fates: list[str], planted: bool = False) -> Figure:
    """Of fates whose z scores are normal with the SDs above; five classes of planted effects."""
    run = run_of({})
    normal = ndtri(QUANTILES)
    z = [
        pd.DataFrame({"what": what, "fate": fate, "normal": normal, "z": sd * normal, "n": 50})
        for what, sd in SD.items()
        for fate in fates
    ]
    columns = ["what", "fate", "normal", "z", "n"]
    sizes = [0.0, 0.1, 0.2, 0.4, 0.8, np.inf]
    table = pd.DataFrame(
        {
            "size_from": sizes[:-1],
            "size_to": sizes[1:],
            "n": 100,
            "covered": 0.95,
            "called": 0.5,
            "wrong_sign": 0.0,
        }
    )
    run._held["table", run.folder / "certificate_z.csv"] = (
        pd.concat(z) if z else pd.DataFrame(columns=columns)
    )
    run._held["table", run.folder / "certificate_planted.csv"] = (
        table if planted else table.head(0)[list(PLANTED)]
    )
    run._held["json", run.folder / "certificate.json"] = {"words": "certified: 6 checks passed"}
    return plot.certificate(run)


@pytest.mark.parametrize("n", [2, 3, 18])
def test_every_fate_has_its_nulls_against_a_normal(n: int) -> None:
    fig = draw([f"fate{i}" for i in range(n)])
    fig.canvas.draw()
    assert len(fig.axes) == n
    for ax in fig.axes:
        for what, sd in SD.items():
            line = next(one for one in ax.lines if one.get_gid() == what)
            np.testing.assert_allclose(line.get_ydata(), sd * np.asarray(line.get_xdata()))
    assert "6 checks passed" in fig.get_suptitle()


def test_planted_effects_show_coverage_and_power_by_size() -> None:
    fig = draw(["EC", "MES"], planted=True)
    fig.canvas.draw()
    coverage, power = fig.axes[2:]
    np.testing.assert_allclose(coverage.lines[0].get_ydata(), 0.95)
    np.testing.assert_allclose(power.lines[0].get_ydata(), 0.5)
    assert [text.get_text() for text in power.get_xticklabels()][::4] == ["0–0.1", "> 0.8"]


def test_a_run_that_is_not_certified_says_so() -> None:
    fig = draw([])
    fig.canvas.draw()
    assert [text.get_text() for text in fig.axes[0].texts] == ["not tried"]
