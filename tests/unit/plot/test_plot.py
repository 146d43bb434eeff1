"""Structure of the figures: what is drawn, counted and said. How they look was judged by eye."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from fatewalk import plot
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import day_columns
from fatewalk.plot import save_figure, save_figures
from fatewalk.plot.columns import notes_of
from fatewalk.plot.figures.volcano import CAP, keep_apart
from fatewalk.plot.style import day_ticks, day_title, grid_columns, thin_labels
from fatewalk.run.registry import FIGURES
from tests.unit.plot.runs import run_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CAPTIONS = Path(__file__).parents[3] / "workflow" / "report"
LONG = ("definitive_endoderm_late", "presomitic_mesoderm_post")


def by_day(**matrices: np.ndarray) -> pd.DataFrame:
    return pd.concat(
        [pd.DataFrame(m, columns=day_columns(stem, m.shape[1])) for stem, m in matrices.items()], axis=1
    )


def make_screen(
    n_genes: int = 40,
    n_days: int = 4,
    n_active: int = 10,
    guides: int = 3,
    marked: bool = False,
) -> SimpleNamespace:
    """Tables of a run as the workflow writes them; gene-days without cells are empty."""
    rng = np.random.default_rng(0)
    genes = np.array([f"gene{i:02d}" for i in range(n_genes)])
    truth = np.zeros((n_genes, n_days))
    truth[:n_active] = rng.choice([-1, 1], (n_active, n_days)) * rng.uniform(0.6, 1.5, (n_active, n_days))
    cells = rng.integers(50, 2000, (n_genes, n_days))
    cells[rng.random((n_genes, n_days)) < 0.05] = 0
    empty = cells == 0
    se = np.where(empty, np.nan, 2 / np.sqrt(np.maximum(cells, 1)))
    estimate = truth + se * rng.normal(size=se.shape)
    lfsr = np.exp(-0.5 * (estimate / se) ** 2) / 2
    active = (np.abs(estimate) > 0.4) & (lfsr < 0.01)

    gene_table = pd.concat(
        [pd.DataFrame({"gene": genes}), by_day(betahat=estimate, se=se, n_cells=cells)], axis=1
    )
    owner = np.repeat(np.arange(n_genes), guides)
    delta = rng.normal(0, 0.3, (n_genes, guides))
    delta = (delta - delta.mean(axis=1, keepdims=True)).ravel()
    guide_table = pd.concat(
        [pd.DataFrame({"guide": [f"g{i}" for i in range(len(owner))], "gene": genes[owner]}),
         by_day(betahat=estimate[owner] + delta[:, None], se=se[owner], n_cells=cells[owner])],
        axis=1,
    )  # fmt: skip
    hits = pd.DataFrame({"gene": genes, "hit_anyday": active.any(axis=1)})
    hits["active_days"] = [";".join(f"d{d}" for d in np.flatnonzero(row)) or np.nan for row in active]
    hits = pd.concat([hits, by_day(postmean=estimate, lfsr=lfsr)], axis=1)
    size = np.nan_to_num(np.abs(estimate)).max(axis=1)
    hits.insert(0, "rank", 1 + np.lexsort((-size, ~active.any(axis=1))).argsort())
    hits = hits.sample(frac=1, random_state=0)  # no function may rely on the order of rows
    if marked:
        for table in (gene_table, guide_table, hits):
            table["provisional"], table["uncentred"] = "budget", True
    return SimpleNamespace(
        genes=list(genes), gene_table=gene_table, guide_table=guide_table, hits=hits, delta=delta,
        guide_gene=genes[owner], truth=pd.DataFrame(truth, index=genes), active=active, empty=empty,
        days=[f"day{d}" for d in range(n_days)], times=[24.0 * d for d in range(n_days)],
    )  # fmt: skip


def draw(name: str, s: SimpleNamespace, fates: tuple[str, str] = ("MES", "EC")) -> Figure:
    tables = {
        "gene_daywise_for_mash.csv": s.gene_table,
        "guide_daywise_for_mash.csv": s.guide_table,
        "hits_ranked.csv": s.hits,
    }
    delta = {"delta_mean": s.delta, "delta_sd": np.full(len(s.delta), 0.1), "genes": s.guide_gene}
    contrast, reference = fates
    run = run_of({contrast: tables}, s.days, s.times, delta, {contrast: s.truth}, [contrast], reference)
    return plot.figure(name)(run)


def draw_delta(mean: np.ndarray, sd: np.ndarray, guide_gene: list[str], genes: list[str]) -> Figure:
    table = {"gene_daywise_for_mash.csv": pd.DataFrame({"gene": genes})}
    delta = {"delta_mean": mean, "delta_sd": sd, "genes": guide_gene}
    return plot.guides(run_of({"MES": table}, delta=delta))


def draw_convergence(trace: pd.DataFrame, card: dict[str, object]) -> Figure:
    run = run_of({})
    run._held["table", run.folder / "fit_trace.csv"] = trace
    run._held["json", run.folder / "fit_card.json"] = card
    return plot.convergence(run)


RUN_FIGURES = ("heatmap", "trajectories", "volcano", "guides", "recovery")


def make_trace(n: int = 40, rounds: int = 9) -> pd.DataFrame:
    """Rounds of Newton-Laplace, of which the first two are far from the mode, then windows of SVI."""
    k = np.arange(1, rounds + 1)
    newton = pd.DataFrame(
        {"phase": "laplace", "round": k, "newton_step": 30 * np.exp(-k),
         "scale_step": np.where(k < 3, np.inf, np.exp(-k)),
         "weight_step": np.where(k < 3, np.inf, np.exp(-k)), "solve_residual": 0.0}
    )  # fmt: skip
    step = 100.0 * np.arange(1, n + 1)
    drift = np.where(step > 100, np.exp(-step / 1000), np.nan)
    rate = np.where(step < 2000, 0.03, 0.01)
    windows = pd.DataFrame(
        {"phase": "svi", "step": step, "loss": 5000 + 900 * np.exp(-step / 500), "learning_rate": rate,
         "drift_mean": drift, "drift_sd": drift / 2}
    )  # fmt: skip
    return pd.concat([newton, windows], ignore_index=True)


def make_card(
    status: str = "converged", value: float | None = 0.0123, family: str = "structured"
) -> dict[str, object]:
    limits = {"newton_step": 0.05, "scale_step": 0.002, "weight_step": 0.004}
    limits |= {} if family == "laplace" else {"drift_mean": 0.02, "drift_sd": 0.03}
    criterion = {name: {"value": value, "limit": limit} for name, limit in limits.items()}
    return {"status": status, "family": family, "criterion": criterion}


def limits_of(ax: Axes) -> dict[str, float]:
    """Height of the dashed lines of a panel."""
    found = {line.get_gid(): line.get_ydata()[0] for line in ax.lines if line.get_gid()}
    return {gid: height for gid, height in found.items() if gid.endswith("_limit")}


def make_ablation(screens: int = 3, n_days: int = 2) -> pd.DataFrame:
    rows = [
        {
            "kind": "screen",
            "dataset": f"ablation-{screen}",
            "day": day,
            "run": run,
            "fp": screen,
            "fn": 1,
            "rmse": rmse,
            "offset": 0.1 if day == "overall" else np.nan,
        }
        for screen in range(screens)
        for day in [*(f"d{day}" for day in range(n_days)), "overall", "any"]
        for run, rmse in (("main", 0.1), ("uncentred", 0.2))
    ]
    means = [{**row, "kind": "mean", "dataset": ""} for row in rows[:8]]
    return pd.DataFrame(rows + means)


def marked_points(fig: Figure, gid: str) -> int:
    """Number of points drawn under a name."""
    return sum(len(line.get_xdata()) for ax in fig.axes for line in ax.lines if line.get_gid() == gid)


def said(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text))


# ------------------------------------------------------------------ every figure


@pytest.mark.parametrize("name", RUN_FIGURES)
@pytest.mark.parametrize(
    "screen",
    [
        {},
        {"n_genes": 28, "n_days": 1, "guides": 1},
        {"n_active": 0},
        {"n_genes": 1, "n_active": 1, "n_days": 2},
        {"n_days": 6, "marked": True},
    ],
    ids=["plain", "one day, single guides", "no hits", "one gene", "six days, marked"],
)
@pytest.mark.filterwarnings("error")  # a layout that collapses only warns
def test_figures_are_drawn(name: str, screen: dict[str, int]) -> None:
    fig = draw(name, make_screen(**screen), LONG)
    fig.draw_without_rendering()
    assert len(fig.axes) >= 1
    assert ("fit not converged (budget)" in said(fig)) == screen.get("marked", False)
    assert ("uncentred" in said(fig)) == screen.get("marked", False)


@pytest.mark.parametrize("name", ["heatmap", "trajectories", "volcano", "recovery"])
@pytest.mark.filterwarnings("error")
def test_a_day_without_cells_and_a_screen_without_cells(name: str) -> None:
    for days in ([2], [0, 1, 2, 3]):
        s = make_screen()
        for table in (s.gene_table, s.guide_table, s.hits):
            columns = [c for c in table if c.endswith(tuple(f"_d{d}" for d in days)) and "n_cells" not in c]
            table[columns] = np.nan
        s.hits["active_days"] = np.nan
        s.hits["hit_anyday"] = False
        fig = draw(name, s)
        fig.draw_without_rendering()
        if name in ("volcano", "recovery"):
            assert said(fig).count("no cells observed") == len(days)


@pytest.mark.parametrize("name", RUN_FIGURES)
def test_effects_carry_fates_and_unit(name: str) -> None:
    text = said(draw(name, make_screen())).replace("\n", " ")
    assert "MES against EC" in text
    assert "(logit)" in text


def test_names_with_dollar_signs_are_no_formulas() -> None:
    s = make_screen()
    s.hits["gene"] = "$\\x_" + s.hits["gene"] + "$"
    fig = draw("heatmap", s)
    fig.draw_without_rendering()  # fails on what is no formula
    assert "$\\x_gene00$" in said(fig)


def test_five_thousand_genes() -> None:
    s = make_screen(n_genes=5000, n_active=300)
    heatmap = draw("heatmap", s)
    assert "50 of 5,000 genes" in said(heatmap)
    assert heatmap.get_figheight() < 9.7  # a journal page
    assert marked_points(draw("volcano", s), "rest") == (~s.active & ~s.empty).sum()
    assert "10 of 5,000 genes" in said(draw("guides", s))


def test_the_users_settings_are_neither_used_nor_changed() -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "pink"}):
        fig = draw("recovery", make_screen())
        assert matplotlib.rcParams["font.size"] == 30
    assert fig.axes[0].title.get_fontsize() == 8
    assert fig.axes[0].get_facecolor() == (1, 1, 1, 1)


def test_figures_load_neither_pyplot_nor_what_they_do_not_need() -> None:
    code = "import sys; from fatewalk import plot; [plot.figure(f.name) for f in plot.FIGURES]; "
    code += "sys.exit(not {'matplotlib.pyplot', 'scipy', 'torch', 'pydantic'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------- one by one


def test_heatmap_marks_the_calls_in_their_cells() -> None:
    s = make_screen()
    fig = draw("heatmap", s)
    ax = fig.axes[0]
    calls = next(line for line in ax.lines if line.get_gid() == "calls")
    genes = [label.get_text() for label in ax.get_yticklabels()]
    drawn = {(genes[int(y)], int(x)) for x, y in zip(calls.get_xdata(), calls.get_ydata(), strict=True)}
    assert drawn == {(s.genes[row], day) for row, day in zip(*np.nonzero(s.active), strict=True)}
    assert len(calls.get_xdata()) == s.active.sum()
    assert genes == list(s.hits.sort_values("rank")["gene"])
    bold = {label.get_text() for label in ax.get_yticklabels() if label.get_fontweight() == "bold"}
    assert bold == set(s.hits.loc[s.hits["hit_anyday"], "gene"])


def test_heatmap_hatches_what_was_not_observed() -> None:
    s = make_screen()
    ax = draw("heatmap", s).axes[0]
    values = ax.collections[0].get_array()
    order = s.hits.sort_values("rank")["gene"].map(s.genes.index)
    np.testing.assert_array_equal(np.ma.getmaskarray(values).reshape(-1, 4), s.empty[order])
    assert ax.patch.get_hatch()


def test_heatmap_colours_are_symmetric_and_robust() -> None:
    s = make_screen()
    s.hits.loc[s.hits["gene"] == "gene00", "postmean_d0"] = 50.0
    low, high = draw("heatmap", s).axes[0].collections[0].get_clim()
    assert low == -high
    assert 1 < high < 3


def test_heatmap_tells_labels_and_times() -> None:
    s = make_screen()
    ticks = [tick.get_text() for tick in draw("heatmap", s).axes[0].get_xticklabels()]
    assert ticks == ["day0\n(0)", "day1\n(24)", "day2\n(48)", "day3\n(72)"]


def test_trajectories_mark_active_days_at_their_times() -> None:
    s = make_screen()
    fig = draw("trajectories", s)
    assert len(fig.axes) == 9
    for ax, gene in zip(fig.axes, s.hits.sort_values("rank")["gene"], strict=False):
        assert ax.get_title(loc="left") == f"{gene} (3 guides)"
        row = s.genes.index(gene)
        active, inactive = (
            next(line for line in ax.lines if line.get_gid() == gid) for gid in ("active", "inactive")
        )
        np.testing.assert_array_equal(active.get_xdata(), np.array(s.times)[s.active[row]])
        shown = len(active.get_xdata()) + len(inactive.get_xdata())
        assert shown == 4 - s.empty[row].sum()
        assert sum(line.get_gid() == "guides" for line in ax.lines) == 3
        counts = [text.get_text() for text in ax.texts if text.get_gid() == "cells"]
        assert len(counts) == 4
        assert counts.count("0") == s.empty[row].sum()


def test_trajectories_leave_a_gap() -> None:
    s = make_screen(n_active=40)
    gene = s.hits.sort_values("rank")["gene"].iloc[0]
    s.gene_table.loc[s.gene_table["gene"] == gene, ["betahat_d1", "se_d1"]] = np.nan
    line = draw("trajectories", s).axes[0].containers[0].lines[0]
    assert np.isnan(line.get_ydata()[1])
    assert np.isfinite(line.get_ydata()[[0, 2]]).all()


def test_trajectories_intervals_are_95_percent() -> None:
    s = make_screen()
    gene = s.hits.sort_values("rank")["gene"].iloc[0]
    row = s.gene_table.set_index("gene").loc[gene]
    low, high = draw("trajectories", s).axes[0].containers[0].lines[2][0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * 1.96 * row["se_d0"], rel=1e-4)


def test_trajectories_close_days_give_the_range_of_cells() -> None:
    s = make_screen()
    s.times = [0.0, 0.1, 5.0, 14.0]
    fig = draw("trajectories", s)
    assert said(fig).count("cells a day") == 9
    assert [tick.get_text() for tick in fig.axes[-1].get_xticklabels()][1] == ""


def test_trajectories_refuse_tables_of_different_runs() -> None:
    s = make_screen()
    s.gene_table = s.gene_table.iloc[20:]
    with pytest.raises(FatewalkError, match="no row for gene"):
        draw("trajectories", s)


def test_volcano_colours_the_calls_and_shows_the_clipped() -> None:
    s = make_screen()
    fig = draw("volcano", s)
    lfsr = s.hits.set_index("gene").loc[s.genes, day_columns("lfsr", 4)].to_numpy()
    clipped = -np.log10(lfsr, where=~s.empty, out=np.zeros_like(lfsr)) > CAP
    assert clipped.any()
    assert marked_points(fig, "called") + marked_points(fig, "called-beyond") == s.active.sum()
    assert marked_points(fig, "called-beyond") == (clipped & s.active).sum()
    assert marked_points(fig, "rest") == (~s.active & ~s.empty).sum()
    for day, ax in enumerate(fig.axes):
        assert ax.get_title(loc="left") == f"day{day}: {s.active[:, day].sum()} called"


def test_volcano_draws_the_thresholds() -> None:
    lines = draw("volcano", make_screen()).axes[0].lines
    lines = [line for line in lines if line.get_gid() is None]
    constant = {(line.get_linestyle(), line.get_xdata()[0], line.get_ydata()[0]) for line in lines}
    dotted = sorted(x for style, x, _ in constant if style == ":")
    dashed = [y for style, _, y in constant if style == "--"]
    assert dotted == [-0.2, 0.2]
    assert dashed == [pytest.approx(-np.log10(0.05))]


def test_volcano_names_do_not_touch_and_stay_inside() -> None:
    s = make_screen(n_genes=60, n_active=40)
    fig = draw("volcano", s)
    FigureCanvasAgg(fig).draw()
    for ax in fig.axes:
        boxes = [Text.get_window_extent(text) for text in ax.texts if text.get_gid() == "name"]
        assert len(boxes) == 6
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
            assert ax.bbox.x0 - 1 <= box.x0
            assert box.x1 <= ax.bbox.x1 + 1


def test_volcano_survives_lfsr_of_zero() -> None:
    s = make_screen()
    s.hits["lfsr_d0"] = 0.0
    fig = draw("volcano", s)
    assert all(np.isfinite(line.get_ydata()).all() for line in fig.axes[0].lines)


def test_names_are_kept_apart() -> None:
    np.testing.assert_allclose(keep_apart(np.array([50.0, 49, 20]), 7), [50, 43, 20])
    np.testing.assert_allclose(keep_apart(np.array([50.0, 3, 2, 1]), 7), [50, 14, 7, 0])


def test_guides_stand_by_name_under_their_gene_and_singletons_are_counted() -> None:
    delta = np.array([0.0, 0.1, -0.1, 0.5, -0.5, 0.0])
    gene = ["single", "narrow", "narrow", "wide", "wide", "alone"]
    order = ["alone", "narrow", "wide", "single"]
    fig = draw_delta(delta, np.full(6, 0.1), gene, order)
    ax = fig.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["g3", "g4", "g1", "g2"]
    assert [text.get_text() for text in ax.texts if text.get_gid() == "gene"] == ["wide", "narrow"]
    x, y = ax.containers[0].lines[0].get_data(orig=False)
    np.testing.assert_allclose(x, [0.5, -0.5, 0.1, -0.1])
    np.testing.assert_allclose(y, ax.get_yticks())
    low, high = ax.containers[0].lines[2][0].get_segments()[0][:, 0]
    assert high - low == pytest.approx(2 * 1.96 * 0.1, rel=1e-4)
    assert "2 of 2 genes with two or more guides" in said(fig).replace("\n", " ")
    assert "2 with a single guide" in said(fig).replace("\n", " ")


def test_guides_of_a_page_are_those_of_whole_genes() -> None:
    gene = np.repeat(["a", "b", "c"], 20)
    size = np.repeat([3.0, 2.0, 1.0], 20)
    fig = draw_delta(size * np.tile([-1, 1], 30), np.full(60, 0.1), list(gene), ["a", "b", "c"])
    assert len(fig.axes[0].get_yticks()) == 40
    assert fig.get_figheight() < 9.7
    assert "2 of 3 genes" in said(fig)


def test_guides_show_within_gene_means() -> None:
    delta = np.array([-0.5, 0.1, 0.1, 0.2])
    fig = draw_delta(delta, np.full(4, 0.1), ["a", "a", "b", "b"], ["a", "b"])
    bars = next(c for c in fig.axes[0].collections if c.get_gid() == "gene means")
    np.testing.assert_allclose([segment[0, 0] for segment in bars.get_segments()], [-0.2, 0.15])


def test_guides_refuse_unequal_lengths_and_unknown_genes() -> None:
    with pytest.raises(FatewalkError, match=r"found means \(2, 1\) and SDs \(1, 1\); needed: \(2, 1\)"):
        draw_delta(np.zeros(2), np.zeros(1), ["a", "a"], ["a"])
    with pytest.raises(FatewalkError, match="gene b of a guide"):
        draw_delta(np.zeros(2), np.zeros(2), ["a", "b"], ["a"])


def test_recovery_titles_hold_rmse_and_coverage() -> None:
    table = pd.DataFrame({"gene": ["a", "b", "c"], "betahat_d0": [1.0, 0.3, np.nan], "se_d0": 0.1})
    truth = pd.DataFrame([[0.0], [1.0], [9.0]], index=["b", "a", "c"])
    run = run_of({"MES": {"gene_daywise_for_mash.csv": table}}, ["0"], [0.0], truth={"MES": truth})
    fig = plot.recovery(run)
    assert fig.axes[0].get_title(loc="left") == "day 0\nRMSE 0.212\ncoverage 50 %"
    points = {c.lines[0].get_gid(): list(c.lines[0].get_xdata()) for c in fig.axes[0].containers}
    assert points == {"null": [0.0], "active": [1.0]}


def test_recovery_matches_genes_by_name_and_refuses_gaps() -> None:
    s = make_screen()
    with pytest.raises(FatewalkError, match="truth: no row for gene 'gene00"):
        draw("recovery", SimpleNamespace(**(vars(s) | {"truth": s.truth.iloc[1:]})))
    with pytest.raises(FatewalkError, match="found 3 days"):
        draw("recovery", SimpleNamespace(**(vars(s) | {"truth": s.truth.iloc[:, :3]})))


def test_convergence_says_status_and_draws_limits() -> None:
    fig = draw_convergence(make_trace(), make_card())
    words = said(fig).replace("\n", " ")  # the title is wrapped
    assert "The fit converged" in words
    assert "Newton step in SDs 0.0123 (limit 0.05)" in words
    assert "drift of means in SDs 0.0123 (limit 0.02)" in words
    assert "provisional" not in words
    rounds, drift, whole, _ = fig.axes
    assert limits_of(rounds) == {
        "newton_step_limit": 0.05, "scale_step_limit": 0.002, "weight_step_limit": 0.004,
    }  # fmt: skip
    assert limits_of(drift) == {"drift_mean_limit": 0.02, "drift_sd_limit": 0.03}
    assert drift.get_yscale() == rounds.get_yscale() == "log"
    assert [line.get_xdata()[0] for line in whole.lines if line.get_gid() == "rate"] == [2000]
    assert "rate 0.01" in words


def test_convergence_draws_each_phase_in_its_own_panels() -> None:
    trace = make_trace()
    rounds, drift, whole, settled = draw_convergence(trace, make_card()).axes
    newton, scales, _ = (line for line in rounds.lines if line.get_gid() is None)
    np.testing.assert_array_equal(newton.get_xdata(), range(1, 10))
    np.testing.assert_allclose(newton.get_ydata(), 30 * np.exp(-np.arange(1.0, 10)))
    assert np.isnan(scales.get_ydata()[:2]).all()  # far from the mode the scales stand
    np.testing.assert_array_equal(drift.lines[0].get_xdata(), trace["step"][9:])
    np.testing.assert_array_equal(settled.lines[0].get_xdata(), trace["step"][29:])
    assert np.ptp(settled.get_ylim()) < 0.1 * np.ptp(whole.get_ylim())


def test_convergence_shows_linear_solves_that_are_not_exact() -> None:
    card = make_card(family="laplace")
    card["criterion"] |= {"solve_residual": {"value": 4.0, "limit": 1}}
    axes = draw_convergence(make_trace(0).assign(solve_residual=4.0), card).axes[0]
    assert limits_of(axes)["solve_residual_limit"] == 1
    assert "linear solves" in said(axes.figure)


@pytest.mark.parametrize("residual", [0.0, 4.0])
def test_convergence_has_room_for_its_legends(residual) -> None:
    card = make_card()
    card["criterion"] |= {"solve_residual": {"value": residual, "limit": 1}}
    fig = draw_convergence(make_trace().assign(solve_residual=residual), card)
    fig.draw_without_rendering()
    rounds, drift = fig.axes[:2]
    for ax in (rounds, drift):
        legend, panel = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert panel.x0 <= legend.x0
        assert legend.x1 <= panel.x1
        curves = [line for line in ax.lines if line.get_gid() is None]
        seen = np.concatenate([line.get_transform().transform(line.get_xydata())[:, 1] for line in curves])
        assert np.nanmax(seen) < legend.y0


def test_convergence_without_svi_has_one_panel_and_no_line_for_a_given_weight() -> None:
    trace = make_trace(0).assign(weight_step=0.0)
    fig = draw_convergence(trace, make_card(family="laplace"))
    assert len(fig.axes) == 1
    assert set(limits_of(fig.axes[0])) == {"newton_step_limit", "scale_step_limit"}
    assert "drift" not in said(fig)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 2])
def test_convergence_of_a_short_or_diverged_fit(n: int) -> None:
    short = draw_convergence(make_trace(n, rounds=n), make_card("budget"))
    assert "provisional: fit not converged (budget)" in said(short)
    assert ("fewer than two windows" in said(short)) == (n < 2)
    assert ("no rounds" in said(short)) == (n == 0)
    diverged = make_trace().assign(loss=np.nan, drift_mean=np.inf, drift_sd=np.nan)
    fig = draw_convergence(diverged, make_card("diverged", None))
    assert said(fig).count("no finite loss") == 2
    assert "drift of means in SDs not known (limit 0.02)" in said(fig).replace("\n", " ")
    short.draw_without_rendering()
    fig.draw_without_rendering()


def test_ablation_pairs_the_runs_and_draws_screens_only() -> None:
    fig = plot.ablation(make_ablation())
    assert len(fig.axes) == 4
    for run in ("main", "uncentred"):
        assert marked_points(fig, run) == 3 * 3 * 2 + 3  # three measures by day, the offset overall
    rmse = fig.axes[2]
    pairs = [line.get_ydata() for line in rmse.lines if line.get_gid() is None]
    assert len(pairs) == 6
    np.testing.assert_allclose(pairs, np.tile([0.1, 0.2], (6, 1)))
    assert [tick.get_text() for tick in rmse.get_xticklabels()] == ["d0", "d1"]


def test_ablation_needs_both_runs() -> None:
    with pytest.raises(FatewalkError, match="no rows of run 'uncentred'"):
        plot.ablation(make_ablation().query("run == 'main'"))


# ------------------------------------------------------------------------ parts


def test_marks_are_read_from_any_table() -> None:
    assert notes_of(pd.DataFrame({"gene": ["a"]})) == []
    assert notes_of(pd.DataFrame({"provisional": [np.nan], "uncentred": [False]})) == []
    table = pd.DataFrame({"provisional": ["budget"], "uncentred": ["True"]})
    assert notes_of(table) == ["provisional: fit not converged (budget)", "uncentred guide deviations"]


def test_calls_on_an_unknown_day_are_refused() -> None:
    s = make_screen()
    s.hits["active_days"] = "d9"
    with pytest.raises(FatewalkError, match="found 'd9'"):
        draw("heatmap", s)


def test_missing_columns_are_named() -> None:
    s = make_screen()
    s.hits = s.hits.drop(columns="postmean_d2")
    with pytest.raises(FatewalkError, match="postmean_d2"):
        draw("heatmap", s)


def test_a_contrast_that_the_run_does_not_have_is_told() -> None:
    with pytest.raises(FatewalkError, match="contrast: found 'NUE'; allowed: MES, NEU"):
        plot.heatmap(run_of({}, contrasts=["MES", "NEU"]), "NUE")


def test_a_figure_that_is_not_registered_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no figure 'heatmpa'"):
        plot.heatmpa  # noqa: B018


def test_every_registered_figure_has_a_function_and_an_overview_where_there_is_one_by_contrast() -> None:
    for one in FIGURES:
        assert plot.figure(one.name).__name__ == one.name
        if one.by_contrast:
            assert plot.figure(f"overview_{one.name}").__name__ == f"overview_{one.name}"


def test_day_labels() -> None:
    assert day_ticks(["18hpf", "24hpf"], [18.0, 24.0]) == (["18hpf", "24hpf"], "day")
    assert day_ticks(["E8.5", "late"], [8.5, 9.0]) == (["E8.5\n(8.5)", "late\n(9)"], "day (time)")
    assert [day_title(label) for label in ("0", "2.5", "24hpf")] == ["day 0", "day 2.5", "24hpf"]
    assert thin_labels(["a", "b", "c"], np.array([0.0, 1.0, 5.0]), 2.0) == ["a", "", "c"]


def test_grids_leave_few_places_empty() -> None:
    assert [grid_columns(n, 4) for n in (1, 4, 5, 6, 10)] == [1, 4, 3, 3, 4]


# ----------------------------------------------------------------------- saving


def test_files_are_reproducible_and_fonts_embedded(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        s = make_screen(n_genes=6, n_active=3, n_days=1)
        save_figures({"f": draw("volcano", s)}, tmp_path / folder)
    for name in ("f.png", "f.pdf", "f.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    pdf = (tmp_path / "a" / "f.pdf").read_bytes()
    assert b"CreationDate" not in pdf
    assert b"/FontFile2" in pdf  # TrueType
    assert b"/Type3" not in pdf
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["f.pdf", "f.png", "f.svg"]
    assert "day0: 3 called</text>" in (tmp_path / "a" / "f.svg").read_text()  # text stays text


def test_png_has_200_dots_per_inch(tmp_path: Path) -> None:
    fig = draw("guides", make_screen())
    save_figure(fig, [tmp_path / "f.png"])
    header = (tmp_path / "f.png").read_bytes()[16:24]
    width, height = (int.from_bytes(part, "big") for part in (header[:4], header[4:]))
    assert (width, height) == tuple(int(200 * inches) for inches in fig.get_size_inches())


def test_other_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(FatewalkError, match=r"unknown kind of figure '.jpg'; allowed: .png, .pdf, .svg"):
        save_figure(Figure(), [tmp_path / "f.png", tmp_path / "f.jpg"])
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------- captions


@pytest.mark.parametrize(
    "name",
    [*(one.name for one in FIGURES), "workflow"],
)
def test_captions_render(name: str) -> None:
    jinja2 = pytest.importorskip("jinja2")
    core = pytest.importorskip("docutils.core")
    text = (CAPTIONS / f"{name}.rst").read_text()
    job = SimpleNamespace(wildcards=SimpleNamespace(dataset="demo", run="main"))
    filled = jinja2.Template(text, undefined=jinja2.StrictUndefined).render(snakemake=job)
    strict = {"report_level": 2, "halt_level": 2}
    html = core.publish_parts(filled, writer="html5", settings_overrides=strict)["body"]
    assert len(html) > 300
    if name not in ("ablation", "workflow"):
        assert "demo" in html
