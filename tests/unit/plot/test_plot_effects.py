"""What the figures show by fate and by contrast, and how they tell those that moved from followers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from fatewalk import plot
from fatewalk.core.errors import FatewalkError
from fatewalk.plot.effects import effects_of, effects_on, guides_of, panel_names
from fatewalk.plot.figures.trajectories import FOLLOWING, PALER
from fatewalk.plot.style import CALLED
from tests.unit.plot.runs import run_of, tell_of_fates
from tests.unit.plot.test_plot_overview import by_day, overlaps, points, rank, said, title

if TYPE_CHECKING:
    from fatewalk.run.files import Run

FATES = ("EC", "MES", "NEU")
DAYS, TIMES = ("day0", "day1"), (0.0, 24.0)


def make_calls(fates: tuple[str, ...] = FATES, n_genes: int = 8) -> SimpleNamespace:
    """Effects on fates of genes: gene 0 moved the second fate, which others follow; gene 1 moved the last."""
    rng = np.random.default_rng(1)
    shape = (n_genes, len(fates), 2)
    mean = 0.03 * rng.normal(size=shape)
    mean[0], mean[0, 1], mean[1, -1] = -0.3, [1.5, 1.2], [-0.8, -0.9]
    lfsr = np.where(np.abs(mean) > 0.2, np.exp(-10 * np.abs(mean)), rng.uniform(0.2, 0.5, shape))
    called = np.abs(mean) > 0.2
    mean[2, 0] = lfsr[2, 0] = np.nan  # a gene without cells of a fate
    hit = np.zeros(shape[:2], dtype=bool)
    hit[0, 1] = hit[1, -1] = True
    return SimpleNamespace(
        fates=fates, genes=[f"gene{i}" for i in range(n_genes)], mean=mean, sd=0.1 + 0.01 * np.abs(mean),
        lfsr=lfsr, called=called, hit=hit, plarge=np.clip(np.abs(mean), 0, 1),
    )  # fmt: skip


def effects_frame(s: SimpleNamespace, **columns: np.ndarray) -> pd.DataFrame:
    """Rows of effects.parquet of genes on fates, in no order."""
    index = pd.MultiIndex.from_product([s.genes, s.fates, DAYS], names=["gene", "fate", "day"])
    values = {name: of.ravel() for name, of in columns.items()}
    return pd.DataFrame(values, index=index).reset_index().sample(frac=1, random_state=0)


def run_by_fate(s: SimpleNamespace) -> Run:
    """A run with calls by fate, whose tables by contrast hold other numbers."""
    called = pd.array(s.called.ravel(), dtype="boolean")
    called[np.isnan(s.mean.ravel())] = pd.NA
    frame = effects_frame(s, mash_mean=s.mean, mash_sd=s.sd, lfsr=s.lfsr, called=called, plarge=s.plarge)
    row, fate = np.nonzero(s.hit)
    hits = pd.DataFrame({"gene": np.array(s.genes)[row], "fate": np.array(s.fates)[fate]})
    guides = frame.assign(guide=frame["gene"] + "_g1", estimate=frame["mash_mean"] + 0.5)
    tables = {}
    for contrast in s.fates[1:]:
        table = pd.DataFrame({"gene": s.genes})
        numbers = np.linspace(-2, 2, 2 * len(s.genes)).reshape(-1, 2)
        joint = by_day(betahat=numbers + 1, se=np.full(numbers.shape, 0.2),
                       n_cells=np.full(numbers.shape, 50))  # fmt: skip
        tables[contrast] = {
            "hits_ranked.csv": rank(
                pd.concat([table, by_day(postmean=numbers, lfsr=np.full(numbers.shape, 0.01))], axis=1),
                numbers > 1,
            ),
            "gene_daywise_for_mash.csv": pd.concat([table, joint], axis=1),
            "guide_daywise_for_mash.csv": pd.concat(
                [table.assign(guide=table["gene"] + "_g1"), joint], axis=1
            ),
        }
    delta = {"delta_mean": np.zeros((4, len(tables))), "delta_sd": np.ones((4, len(tables)))}
    delta["genes"] = np.repeat(s.genes[:2], 2)
    run = run_of(tables, DAYS, TIMES, delta, contrasts=s.fates[1:], reference=s.fates[0])
    return tell_of_fates(run, frame, hits, guides)


def test_panels_are_all_fates_with_their_own_numbers() -> None:
    s = make_calls()
    run = run_by_fate(s)
    assert panel_names(run) == list(FATES)
    effects = effects_of(run, panel_names(run), None)
    assert effects.n_genes == 8
    for f, (name, panel) in enumerate(effects.panels.items()):
        assert name == FATES[f]
        order = [s.genes.index(gene) for gene in panel.genes]
        assert sorted(order) == list(range(8))
        for found, given in (
            (panel.mean, s.mean), (panel.sd, s.sd), (panel.lfsr, s.lfsr), (panel.called, s.called),
            (panel.hit, s.hit),
        ):  # fmt: skip
            np.testing.assert_array_equal(found, given[order][:, f])
        followers = {s.genes[row] for row in range(8) if s.called[row, f].any() and not s.hit[row, f]}
        assert set(panel.genes[panel.follower]) == followers


def test_hits_with_a_mark_are_named_on_the_figure() -> None:
    """Only on figures of the fate that the marked hit is on; without marks there is nothing to say."""
    run = run_by_fate(make_calls())
    hits = run.table("hits.csv")
    assert effects_of(run, panel_names(run), None).notes == []
    words = np.where(hits["gene"] == "gene0", "rests on one guide in one replicate", "")
    run._held["table", run.folder / "hits.csv"] = hits.assign(marks=words)
    assert effects_of(run, ["MES"], None).notes == ["look at the marks in hits.csv: gene0"]
    assert effects_of(run, ["NEU"], None).notes == []
    assert "look at the marks in hits.csv: gene0" in said(plot.heatmap(run, "MES"))


def test_hits_stand_first_then_followers_then_what_may_be_large() -> None:
    s = make_calls()
    s.lfsr[3:, 1] = 1e-12  # sure of their signs, which says nothing of the size
    s.plarge[:, 1] = np.linspace(0, 0.4, 8)[:, None]
    s.called[1, 1], s.lfsr[1, 1] = True, 1e-20  # surer than the hit, and follows
    panel = effects_on(run_by_fate(s), "MES", None).panels["MES"]
    assert list(panel.genes[:3]) == ["gene0", "gene1", "gene7"]
    assert list(panel.genes[3:]) == [f"gene{i}" for i in (6, 5, 4, 3, 2)]


def test_contrasts_are_shown_as_ever_whatever_the_calls_by_fate_say() -> None:
    run = run_by_fate(make_calls())
    assert panel_names(run, "contrast") == ["MES", "NEU"]
    hits = run.table("hits_ranked.csv", "MES").sort_values("rank")
    joint = run.table("gene_daywise_for_mash.csv", "MES").set_index("gene").loc[hits["gene"]]
    after = effects_on(run, None, "contrast").panels["MES"]
    before = effects_on(run, None, "contrast", before_mash=True).panels["MES"]
    assert list(after.genes) == list(before.genes) == list(hits["gene"])
    np.testing.assert_array_equal(after.mean, hits[["postmean_d0", "postmean_d1"]])
    np.testing.assert_array_equal(before.mean, joint[["betahat_d0", "betahat_d1"]])
    np.testing.assert_array_equal(before.sd, joint[["se_d0", "se_d1"]])
    for panel in (after, before):
        np.testing.assert_array_equal(panel.hit, hits["hit_anyday"])
        assert not panel.follower.any()
    run.settings.calls.scale = "contrast"
    assert panel_names(run) == ["MES", "NEU"]
    assert effects_on(run, None, None).label(9) == "effect after shrinkage on MES against EC (logit)"


def test_of_two_fates_one_is_enough() -> None:
    s = make_calls(("EC", "MES"))
    run = run_by_fate(s)
    assert panel_names(run) == ["MES"]
    fig = plot.overview_volcano(run)
    assert [title(ax) for ax in fig.axes] == ["MES: 2 hits"]
    assert "MES's own probability" in said(fig)
    with pytest.raises(FatewalkError, match="fate: found 'EC'; allowed: MES"):
        plot.heatmap(run, "EC")


@pytest.mark.parametrize("name", ["heatmap", "trajectories", "volcano"])
def test_figures_say_in_words_whose_probability_they_show(name: str) -> None:
    run = run_by_fate(make_calls())
    assert "log odds of each fate's own probability" in said(plot.figure(f"overview_{name}")(run)).replace(
        "\n", " "
    )
    of_reference = said(plot.figure(name)(run, "EC")).replace("\n", " ")
    assert "log odds of EC's own probability, after shrinkage (logit)" in of_reference
    assert "against" not in of_reference
    assert "against EC (logit)" in said(plot.figure(name)(run, scale="contrast")).replace("\n", " ")


def test_figures_of_a_contrast_stay_by_contrast() -> None:
    figures = plot.draw_figures("plot_figures", run_by_fate(make_calls()), "NEU")
    assert all("NEU against EC" in said(figure).replace("\n", " ") for figure in figures.values())


def test_the_dots_of_followers_are_hollow() -> None:
    s = make_calls()
    ax = plot.overview_heatmap(run_by_fate(s)).axes[0]
    genes = [label.get_text() for label in ax.get_yticklabels()]
    starts = [mesh.get_coordinates()[0, 0, 0] for mesh in ax.collections]
    for gid, wanted in (("calls", s.hit), ("following", s.called.any(axis=2) & ~s.hit)):
        drawn = set()
        for x, y in points(ax, gid):
            block = int(np.searchsorted(starts, x)) - 1
            drawn.add((s.genes.index(genes[int(y)]), block, int(x - starts[block])))
        assert drawn == set(zip(*np.nonzero(s.called & wanted[:, :, None]), strict=True))
    faces = {line.get_gid(): line.get_markerfacecolor() for line in ax.lines}
    assert (faces["calls"], faces["following"]) == ("#000000", "white")
    assert {t.get_text() for t in ax.get_yticklabels() if t.get_weight() == "bold"} == {"gene0", "gene1"}
    assert sum(np.ma.getmaskarray(mesh.get_array()).sum() for mesh in ax.collections) == 2


def test_volcanoes_draw_followers_hollow() -> None:
    s = make_calls()
    run = run_by_fate(s)
    every = plot.overview_volcano(run)
    assert [len(points(ax, "called")) for ax in every.axes] == [0, 1, 1]
    assert [len(points(ax, "following")) for ax in every.axes] == [1, 0, 1]
    assert [title(ax) for ax in every.axes] == [
        "EC: 0 hits, 1 follows",
        "MES: 1 hit",
        "NEU: 1 hit, 1 follows",
    ]
    ax = plot.volcano(run, "EC").axes[0]
    assert points(ax, "following") == [(-0.3, pytest.approx(3 / np.log(10)))]
    assert not points(ax, "called")
    line = next(line for line in ax.lines if line.get_gid() == "following")
    assert (line.get_markerfacecolor(), line.get_markeredgecolor()) == ("none", CALLED)


def test_trajectories_draw_followers_lighter() -> None:
    s = make_calls()
    run = run_by_fate(s)
    for fate, colour in (("MES", CALLED), ("EC", FOLLOWING)):
        ax = plot.trajectories(run, fate).axes[0]
        assert title(ax) == "gene0 (1 guide)"
        active = next(line for line in ax.lines if line.get_gid() == "active")
        assert to_hex(active.get_markerfacecolor()) == to_hex(colour)
        guide = next(line for line in ax.lines if line.get_gid() == "guides")
        np.testing.assert_array_equal(guide.get_ydata(), s.mean[0, FATES.index(fate)] + 0.5)
        low, high = ax.containers[0].lines[2][0].get_segments()[0][:, 1]
        assert high - low == pytest.approx(2 * 1.96 * s.sd[0, FATES.index(fate), 0], rel=1e-4)
    panels = plot.overview_trajectories(run).axes
    shade = [next(line.get_alpha() for line in ax.lines if line.get_gid() == "active") for ax in panels]
    assert shade == [PALER, 1, 1]


def test_guides_are_those_of_their_gene() -> None:
    run = run_by_fate(make_calls())
    found = guides_of(run, "NEU", ["gene1", "gene0"], None)
    assert {gene: values.shape for gene, values in found.items()} == {"gene1": (1, 2), "gene0": (1, 2)}
    np.testing.assert_allclose(found["gene1"], [[-0.3, -0.4]])


def test_many_followers_do_not_saturate_the_colours_of_hits() -> None:
    run = run_by_fate(make_calls(tuple(f"fate{i}" for i in range(18))))
    high = plot.overview_heatmap(run).axes[0].collections[0].get_clim()[1]
    assert 1.2 < high < 1.5  # quantiles of all effects are far below


def test_guides_that_are_not_shrunk_do_not_flatten_their_genes() -> None:
    run = run_by_fate(make_calls())
    assert "leave the axis" not in said(plot.trajectories(run))
    guides = run.effects("guide", "fate")
    guides.loc[guides["gene"] == "gene3", "estimate"] = 40.0
    fig = plot.trajectories(run)
    assert fig.axes[0].get_ylim()[1] < 4
    assert "Some guides leave the axis" in said(fig).replace("\n", " ")


def test_calls_by_contrast_know_no_fates() -> None:
    run = run_by_fate(make_calls())
    run._held["table", run.folder / "hits.csv"] = pd.DataFrame({"gene": ["gene0"], "contrast": ["MES"]})
    with pytest.raises(FatewalkError, match=r"hits\.csv of this run is by contrast"):
        plot.heatmap(run)


@pytest.mark.parametrize("name", ["heatmap", "trajectories", "volcano"])
@pytest.mark.parametrize("n", [2, 3, 18])
@pytest.mark.filterwarnings("error")
def test_figures_of_fates_are_drawn_inside_and_without_overlap(name: str, n: int) -> None:
    s = make_calls(tuple(f"cranial_migratory_muscle_{i}" for i in range(n)), n_genes=30)
    run = run_by_fate(s)
    assert overlaps(plot.figure(f"overview_{name}")(run)) == []
    assert overlaps(plot.figure(name)(run)) == []
