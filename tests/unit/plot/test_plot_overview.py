"""Structure of the overviews: what is drawn, counted and said. How they look was judged by eye."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fatewalk import plot
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import day_columns
from fatewalk.plot import save_figure
from fatewalk.plot.effects import effects_of
from fatewalk.plot.figures.heatmap import halve, order_genes
from fatewalk.plot.figures.trajectories import spread_out
from fatewalk.plot.panels import fit_name
from tests.unit.plot.runs import run_of

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

OVERVIEWS = ("heatmap", "trajectories", "volcano", "guides", "recovery")
LONG = ("cranial_migratory_muscle", "definitive_endoderm_late", "presomitic_mesoderm_post")
FATES = ["MES", "NEU", "ECT"]


def by_day(**matrices: np.ndarray) -> pd.DataFrame:
    return pd.concat(
        [pd.DataFrame(m, columns=day_columns(stem, m.shape[1])) for stem, m in matrices.items()], axis=1
    )


def make_screen(
    contrasts: list[str] = FATES,
    n_genes: int = 30,
    n_days: int = 4,
    n_active: int = 8,
    guides: int = 3,
    name: str = "gene{:02d}",
) -> SimpleNamespace:
    """Tables of a run by contrast, as the workflow writes them; gene-days without cells are empty."""
    rng = np.random.default_rng(0)
    genes = np.array([name.format(i) for i in range(n_genes)])
    empty = rng.random((n_genes, n_days)) < 0.1
    empty[:, 0] = False  # every gene is seen on a day
    s = SimpleNamespace(
        contrasts=contrasts, genes=list(genes), empty=empty, guide_gene=np.repeat(genes, guides),
        days=[f"day{d}" for d in range(n_days)], times=[24.0 * d for d in range(n_days)],
        hits={}, gene_tables={}, truth={}, active={}, hit={}, effect={}, lfsr={},
    )  # fmt: skip
    for contrast in contrasts:
        truth = np.zeros((n_genes, n_days))
        rows = rng.permutation(n_genes)[:n_active]
        truth[rows] = rng.choice([-1, 1], (n_active, n_days)) * rng.uniform(0.6, 1.5, (n_active, n_days))
        se = np.where(empty, np.nan, rng.uniform(0.05, 0.2, empty.shape))
        estimate = truth + se * rng.normal(size=se.shape)
        lfsr = np.exp(-0.5 * (estimate / se) ** 2) / 2
        active = (np.abs(estimate) > 0.4) & (lfsr < 0.01)
        table = pd.DataFrame({"gene": genes})
        s.gene_tables[contrast] = pd.concat([table, by_day(betahat=estimate, se=se)], axis=1)
        s.hits[contrast] = rank(
            pd.concat([table, by_day(postmean=0.9 * estimate, lfsr=lfsr)], axis=1), active
        )
        s.truth[contrast] = pd.DataFrame(truth, index=genes)
        s.active[contrast], s.hit[contrast] = active, active.any(axis=1)
        s.effect[contrast], s.lfsr[contrast] = 0.9 * estimate, lfsr
    delta = rng.normal(0, 0.3, (n_genes, guides, len(contrasts)))
    s.delta = (delta - delta.mean(axis=1, keepdims=True)).reshape(-1, len(contrasts))
    return s


def rank(hits: pd.DataFrame, active: np.ndarray) -> pd.DataFrame:
    """Calls and ranks, with the rows in no order: no function may rely on it."""
    lfsr = hits.filter(like="lfsr_d").to_numpy()
    hit = active.any(axis=1)
    best = pd.DataFrame(np.where(active, lfsr, np.nan)).min(axis=1).to_numpy()
    key = np.where(hit, best, pd.DataFrame(lfsr).min(axis=1))
    hits["hit_anyday"], hits["min_lfsr_among_active"] = hit, best
    hits["active_days"] = [";".join(f"d{d}" for d in np.flatnonzero(row)) or np.nan for row in active]
    hits["rank"] = 1 + np.lexsort((key, ~hit)).argsort()
    return hits.sample(frac=1, random_state=0)


def as_run(s: SimpleNamespace) -> Run:
    tables = {
        contrast: {"gene_daywise_for_mash.csv": s.gene_tables[contrast], "hits_ranked.csv": s.hits[contrast]}
        for contrast in s.contrasts
    }
    delta = {"delta_mean": s.delta, "delta_sd": np.full(s.delta.shape, 0.1), "genes": s.guide_gene}
    return run_of(tables, s.days, s.times, delta, s.truth, s.contrasts)


def draw(name: str, s: SimpleNamespace) -> Figure:
    return plot.figure(f"overview_{name}")(as_run(s))


def draw_delta(
    mean: np.ndarray,
    sd: np.ndarray,
    guide_gene: list[str],
    genes: list[str],
    contrasts: list[str],
    **options: int,
) -> Figure:
    table = {"gene_daywise_for_mash.csv": pd.DataFrame({"gene": genes})}
    delta = {"delta_mean": mean, "delta_sd": sd, "genes": guide_gene}
    run = run_of(dict.fromkeys(contrasts, table), delta=delta, contrasts=contrasts)
    return plot.overview_guides(run, **options)


def said(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text))


def title(ax: Axes) -> str:
    return ax.get_title(loc="left")


def points(ax: Axes, gid: str) -> list[tuple[float, float]]:
    """Points drawn under a name, as they are on the page."""
    lines = [line for line in ax.lines if line.get_gid() == gid]
    return [(float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True)]


def by_name(fig: Figure, gid: str) -> list[Text]:
    return [text for ax in fig.axes for text in ax.texts if text.get_gid() == gid]


def drawn_texts(fig: Figure) -> list[Text]:
    """Texts that are seen: tick labels only within the limits of their axis."""
    seen = [text for text in fig.texts if text is not fig._supxlabel and text is not fig._suptitle]
    for ax in fig.axes:
        seen += [ax.title, ax._left_title, *ax.texts]
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            seen += [axis.label]
            seen += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in seen if text.get_visible() and text.get_text().strip()]


def overlaps(fig: Figure) -> list[tuple[str, str]]:
    """Texts that lie over each other, and texts that leave the figure."""
    FigureCanvasAgg(fig).draw()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in drawn_texts(fig)]
    title = Text.get_window_extent(fig._suptitle)  # its first lines are kept free for the warnings
    boxes += [("title", title)] if not fig._suptitle.get_text().startswith("\n") else []
    page = fig.bbox.padded(1)
    outside = [
        (text, "page")
        for text, box in [*boxes, *(("legend", legend.get_window_extent()) for legend in fig.legends)]
        if not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1)
    ]
    pairs = itertools.combinations(boxes, 2)
    return outside + [(a, b) for (a, box), (b, other) in pairs if box.padded(-0.5).overlaps(other)]


SCREENS = {
    "plain": {},
    "one contrast": {"contrasts": ["MES"]},
    "17 contrasts": {"contrasts": [f"{LONG[i % 2]}_{i}" for i in range(17)], "n_days": 5},
    "17 contrasts, one day": {"contrasts": [f"fate_{i}" for i in range(17)], "n_days": 1},
    "one day, single guides": {"n_days": 1, "guides": 1},
    "no hits": {"n_active": 0},
    "one gene": {"n_genes": 1, "n_active": 1},
    "long names": {"contrasts": list(LONG[:2]), "name": "cranial_migratory_{:02d}"},
    "dollar signs": {"contrasts": ["$\\x_fate$", "$NEU"], "name": "$\\x_{:02d}$"},
}


# ------------------------------------------------------------------ every overview


@pytest.mark.parametrize("name", OVERVIEWS)
@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
@pytest.mark.filterwarnings("error")  # a layout that collapses only warns
def test_overviews_are_drawn_inside_and_without_overlap(name: str, screen: dict) -> None:
    s = make_screen(**screen)
    fig = draw(name, s)
    assert overlaps(fig) == []
    words = said(fig).replace("\n", "")
    if name != "guides" or screen.get("guides") != 1:
        assert all(contrast in words for contrast in s.contrasts)


@pytest.mark.parametrize("name", ["trajectories", "volcano", "recovery"])
def test_panels_are_the_contrasts_in_their_order(name: str) -> None:
    s = make_screen(FATES[::-1])
    assert [title(ax)[:3] for ax in draw(name, s).axes] == FATES[::-1]


@pytest.mark.parametrize("name", OVERVIEWS)
def test_warnings_of_any_table_stand_on_the_figure(name: str) -> None:
    s = make_screen()
    assert "provisional" not in said(draw(name, s))
    tables = s.gene_tables if name in ("guides", "recovery", "trajectories") else s.hits
    for contrast in FATES if name == "guides" else FATES[1:]:
        tables[contrast]["provisional"], tables[contrast]["uncentred"] = "budget", True
    words = said(draw(name, s)).replace("\n", " ")
    assert words.count("provisional: fit not converged (budget) · uncentred guide deviations") == 1
    assert words.count("uncentred") == 1


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("heatmap", "effect after shrinkage on"),
        ("trajectories", "effect before shrinkage by mash on"),
        ("volcano", "effect after shrinkage on"),
        ("recovery", "true effect on"),
    ],
)
def test_effects_carry_their_estimate_reference_and_unit(name: str, what: str) -> None:
    assert f"{what} each fate against EC (logit)" in said(draw(name, make_screen())).replace("\n", " ")
    one = said(draw(name, make_screen(["MES"]))).replace("\n", " ")
    assert f"{what} MES against EC (logit)" in one


@pytest.mark.parametrize("name", OVERVIEWS)
def test_files_are_reproducible(name: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_figure(draw(name, make_screen(n_genes=6, n_active=3)), [tmp_path / folder / "f.png"])
    assert (tmp_path / "a" / "f.png").read_bytes() == (tmp_path / "b" / "f.png").read_bytes()


@pytest.mark.parametrize("name", ["heatmap", "trajectories", "volcano", "recovery"])
@pytest.mark.filterwarnings("error")
def test_a_contrast_without_cells_is_told_and_harms_no_other(name: str) -> None:
    s = make_screen()
    for table in (s.gene_tables["NEU"], s.hits["NEU"]):
        table[[column for column in table if "_d" in column]] = np.nan
        table["active_days"], table["hit_anyday"], table["min_lfsr_among_active"] = np.nan, False, np.nan
    fig = draw(name, s)
    assert overlaps(fig) == []
    if name != "heatmap":
        empty = [ax for ax in fig.axes if any(text.get_text() == "no cells observed" for text in ax.texts)]
        assert [title(ax)[:3] for ax in empty] == ["NEU"]
    else:
        cells = np.ma.getmaskarray(fig.axes[0].collections[1].get_array())
        assert cells.all()


@pytest.mark.parametrize("name", OVERVIEWS)
def test_no_contrasts_are_refused(name: str) -> None:
    s = make_screen()
    s.hits, s.gene_tables, s.contrasts, s.delta = {}, {}, [], s.delta[:, :0]
    with pytest.raises(FatewalkError, match="found no contrasts"):
        draw(name, s)


@pytest.mark.parametrize("name", ["heatmap", "trajectories", "volcano", "recovery"])
@pytest.mark.parametrize("n_days", [1, 5])
def test_every_point_lies_within_its_panel(name: str, n_days: int) -> None:
    gids = ("calls", "active", "inactive", "others", "called", "called-beyond", "rest", "rest-beyond", "null")
    n_seen = 0
    for ax in draw(name, make_screen(n_days=n_days)).axes:
        drawn = np.array([point for gid in gids for point in points(ax, gid)]).reshape(-1, 2)
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        inside = ax.viewLim.fully_containsx, ax.viewLim.fully_containsy
        assert all(inside[0](x) and inside[1](y) for x, y in drawn)
        n_seen += len(drawn)
    assert n_seen >= 20


# ------------------------------------------------------------------------- heatmap


def test_heatmap_marks_the_calls_in_the_block_of_their_contrast() -> None:
    s = make_screen()
    ax = draw("heatmap", s).axes[0]
    genes = [label.get_text() for label in ax.get_yticklabels()]
    starts = [mesh.get_coordinates()[0, 0, 0] for mesh in ax.collections]
    assert len(starts) == 3
    assert all(later - earlier > 4 for earlier, later in itertools.pairwise(starts))  # blocks stand apart
    drawn = set()
    for x, y in points(ax, "calls"):
        block = int(np.searchsorted(starts, x)) - 1
        drawn.add((FATES[block], genes[int(y)], int(x - starts[block])))
    assert drawn == {
        (contrast, s.genes[row], day)
        for contrast in FATES
        for row, day in zip(*np.nonzero(s.active[contrast]), strict=True)
    }
    names = {text.get_text(): text.xy[0] for text in ax.texts}
    assert names == {contrast: start + 2 for contrast, start in zip(FATES, starts, strict=True)}


def test_heatmap_shows_the_effects_and_masks_what_was_not_observed() -> None:
    s = make_screen()
    ax = draw("heatmap", s).axes[0]
    order = [s.genes.index(label.get_text()) for label in ax.get_yticklabels()]
    limits = {mesh.get_clim() for mesh in ax.collections}
    assert len(limits) == 1  # one scale for all blocks
    assert sum(next(iter(limits))) == 0
    for contrast, mesh in zip(FATES, ax.collections, strict=True):
        values = np.ma.filled(mesh.get_array(), np.nan).reshape(30, 4)
        np.testing.assert_array_equal(values, s.effect[contrast][order])
    assert sum(patch.get_hatch() is not None for patch in ax.patches) == 3


def test_heatmap_orders_genes_by_hits_of_any_contrast() -> None:
    lfsr = {"MES": [0.001, 0.2, 0.3, 0.0001], "NEU": [0.9, 1e-6, 0.25, 0.8]}
    hit = {"MES": [True, False, False, False], "NEU": [False, True, False, False]}
    hits = {}
    for contrast in lfsr:
        table = pd.DataFrame({"gene": list("abcd"), "postmean_d0": 0.1, "lfsr_d0": lfsr[contrast]})
        hits[contrast] = rank(table, np.array(hit[contrast])[:, None])
    tables = {contrast: {"hits_ranked.csv": table} for contrast, table in hits.items()}
    run = run_of(tables, ["0"], [0.0], contrasts=list(hits))
    order = order_genes(effects_of(run, list(hits), "contrast").panels)
    assert list(order.index) == ["b", "a", "d", "c"]  # d is no hit, however small its lfsr
    assert list(order["hit"]) == [True, True, False, False]
    ax = plot.overview_heatmap(run, max_genes=3).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a", "d"]
    assert [label.get_fontweight() for label in ax.get_yticklabels()] == ["bold", "bold", "normal"]


def test_heatmap_of_one_contrast_has_the_order_of_its_own_heatmap() -> None:
    s = make_screen(["MES"])
    own = plot.heatmap(as_run(s)).axes[0]
    ours = draw("heatmap", s).axes[0]
    assert [t.get_text() for t in ours.get_yticklabels()] == [t.get_text() for t in own.get_yticklabels()]


def test_heatmap_counts_genes_and_hits() -> None:
    s = make_screen(n_genes=200, n_active=9)
    n_hits = np.any([s.hit[contrast] for contrast in FATES], axis=0).sum()
    words = said(draw("heatmap", s)).replace("\n", " ")
    assert "50 of 200 genes" in words
    assert f"hits for one or more of 3 fates (bold): {n_hits}" in words


def test_heatmap_thins_the_days_and_tells_them_all() -> None:
    s = make_screen([f"fate{i}" for i in range(17)], n_days=5)
    s.days = ["18", "24", "36", "48", "72"]
    s.times = [18.0, 24.0, 36.0, 48.0, 72.0]
    ax = draw("heatmap", s).axes[0]
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert ticks == ["18", "", "36", "", "72"] * 17
    assert ax.get_xlabel() == "day; in each block from left to right: 18, 24, 36, 48, 72"
    few = draw("heatmap", make_screen(FATES[:2])).axes[0]
    assert [tick.get_text() for tick in few.get_xticklabels()][:2] == ["day0\n(0)", "day1\n(24)"]
    assert few.get_xlabel() == "day (time)"


def test_heatmap_refuses_tables_of_different_runs() -> None:
    s = make_screen()
    s.hits["NEU"] = s.hits["NEU"].iloc[1:]
    with pytest.raises(FatewalkError, match="hits of NEU: no row for gene"):
        draw("heatmap", s)


# -------------------------------------------------------------------- trajectories


def test_trajectories_draw_the_best_with_calls_near_their_times() -> None:
    s = make_screen()
    fig = draw("trajectories", s)
    for ax, contrast in zip(fig.axes, FATES, strict=True):
        ranked = [s.genes.index(gene) for gene in s.hits[contrast].sort_values("rank")["gene"]]
        rows = ranked[:5]
        estimate = s.gene_tables[contrast].filter(like="betahat").to_numpy()
        for gid, wanted in (("active", s.active[contrast]), ("inactive", ~s.active[contrast] & ~s.empty)):
            expected = [(s.times[d], estimate[row, d]) for row in rows for d in np.flatnonzero(wanted[row])]
            found = points(ax, gid)
            assert [y for _, y in found] == [y for _, y in expected]
            shift = np.array([x for x, _ in found]) - [x for x, _ in expected]
            assert np.abs(shift).max(initial=0) <= 0.03 * 72  # side by side, not at another day
        line = next(line for line in ax.lines if line.get_gid() == "others")
        drawn = np.reshape(line.get_ydata(), (25, 5))[:, :4]
        np.testing.assert_array_equal(drawn, estimate[ranked[5:]])
        names = {text.get_text(): text.get_fontweight() for text in ax.texts if text.get_gid() == "name"}
        bold = {s.genes[row]: "bold" if s.hit[contrast][row] else "normal" for row in rows}
        assert names == bold
        n_hits = s.hit[contrast].sum()
        assert title(ax) == f"{contrast}: {n_hits} hits"


def test_trajectories_intervals_are_95_percent() -> None:
    s = make_screen()
    gene = s.hits["NEU"].sort_values("rank")["gene"].iloc[0]
    se = s.gene_tables["NEU"].set_index("gene").loc[gene, "se_d0"]
    low, high = draw("trajectories", s).axes[1].containers[0].lines[2][0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * 1.96 * se, rel=1e-4)


def test_trajectories_names_stand_behind_the_lines_and_inside() -> None:
    fig = draw("trajectories", make_screen(name="migratory_{:02d}"))
    FigureCanvasAgg(fig).draw()
    for ax in fig.axes:
        last = ax.transData.transform((72, 0))[0]
        boxes = [Text.get_window_extent(text) for text in ax.texts if text.get_gid() == "name"]
        assert len(boxes) == 5
        for box in boxes:
            assert last < box.x0
            assert box.x1 <= ax.bbox.x1 + 1
            assert ax.bbox.y0 - 1 <= box.y0
            assert box.y1 <= ax.bbox.y1 + 1


def test_trajectories_tell_of_intervals_beyond_the_axis() -> None:
    s = make_screen()
    assert "beyond the axis" not in said(draw("trajectories", s)).replace("\n", " ")
    gene = s.hits["MES"].sort_values("rank")["gene"].iloc[0]
    s.hits["MES"].loc[s.hits["MES"]["gene"] == gene, "active_days"] = np.nan
    s.gene_tables["MES"].loc[s.gene_tables["MES"]["gene"] == gene, "se_d0"] = 100.0
    fig = draw("trajectories", s)
    assert "intervals end beyond the axis" in said(fig).replace("\n", " ")
    assert np.abs(fig.axes[0].get_ylim()).max() < 5


def test_trajectories_refuse_a_contrast_without_hits_table() -> None:
    run = as_run(make_screen())
    del run._held["table", run.path("NEU", "hits_ranked.csv")]
    with pytest.raises(FatewalkError, match=r"contrast=NEU/hits_ranked\.csv: no such file"):
        plot.overview_trajectories(run)


def test_names_are_spread_about_their_middle() -> None:
    np.testing.assert_allclose(spread_out(np.array([50.0, 49, 20]), 7, 100), [53, 46, 20])
    np.testing.assert_allclose(spread_out(np.array([99.0, 99, 98]), 7, 100), [96.5, 89.5, 82.5])
    np.testing.assert_allclose(spread_out(np.array([2.0, 1, 0]), 7, 100), [17.5, 10.5, 3.5])
    np.testing.assert_allclose(spread_out(np.array([50.0, 49, 42]), 7, 100), [54, 47, 40])


# ------------------------------------------------------------------------- volcano


def test_volcano_draws_each_gene_on_its_best_day() -> None:
    s = make_screen()
    fig = draw("volcano", s)
    for ax, contrast in zip(fig.axes, FATES, strict=True):
        day = np.nanargmin(s.lfsr[contrast], axis=1)
        effect = s.effect[contrast][np.arange(30), day]
        hit = s.hit[contrast]
        called = [x for gid in ("called", "called-beyond") for x, _ in points(ax, gid)]
        rest = [x for gid in ("rest", "rest-beyond") for x, _ in points(ax, gid)]
        assert sorted(called) == sorted(effect[hit])
        assert sorted(rest) == sorted(effect[~hit])
        n_hits = hit.sum()
        assert title(ax) == f"{contrast}: {n_hits} hits"
        lfsr = s.lfsr[contrast][np.arange(30), day]
        surest = np.array(s.genes)[hit][np.argsort(lfsr[hit])[:5]]
        assert {text.get_text() for text in ax.texts} == set(surest)


def test_volcano_takes_the_larger_effect_on_a_tie_and_no_unobserved_day() -> None:
    table = pd.DataFrame(
        {"gene": ["tie", "gap", "none"], "postmean_d0": [0.5, np.nan, np.nan], "lfsr_d0": [0.1, 0.01, np.nan],
         "postmean_d1": [-0.7, 0.3, np.nan], "lfsr_d1": [0.1, 0.2, np.nan], "hit_anyday": False,
         "active_days": np.nan, "rank": [1, 2, 3]}
    )  # fmt: skip
    run = run_of({"MES": {"hits_ranked.csv": table}}, ["0", "1"], [0.0, 1.0])
    ax = plot.overview_volcano(run).axes[0]
    assert points(ax, "rest") == [(-0.7, pytest.approx(1.0)), (0.3, pytest.approx(-np.log10(0.2)))]
    assert title(ax) == "MES: 0 hits"


def test_volcano_draws_the_thresholds_in_every_panel() -> None:
    for ax in draw("volcano", make_screen()).axes:
        lines = [line for line in ax.lines if line.get_gid() is None]
        assert sorted(line.get_xdata()[0] for line in lines if line.get_linestyle() == ":") == [-0.2, 0.2]
        dashed = [line.get_ydata()[0] for line in lines if line.get_linestyle() == "--"]
        assert dashed == [pytest.approx(-np.log10(0.05))]


# ----------------------------------------------------------------- guides and truth


def test_guides_are_rows_and_contrasts_columns() -> None:
    delta = np.array([[0.1, 0.5], [-0.1, -0.5], [0.4, 0.2], [-0.4, -0.2], [0.0, 0.0]])
    owner = ["a", "a", "b", "b", "single"]
    fig = draw_delta(delta, np.full((5, 2), 0.1), owner, ["a", "b", "single"], ["MES", "NEU"])
    ax = fig.axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["g0", "g1", "g2", "g3"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["MES", "NEU"]
    drawn = [mesh.get_array().tolist()[0] for mesh in ax.collections if mesh.get_array() is not None]
    np.testing.assert_allclose(drawn, delta[:4])
    clear = {(int(x), [0.5, 1.5, 2.9, 3.9].index(round(y, 9))) for x, y in points(ax, "clear")}
    assert clear == {(1, 0), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)}  # .1 is within 1.96 x .1
    words = said(fig).replace("\n", " ")
    assert "2 of 2 genes with two or more guides" in words
    assert "1 with a single guide not shown" in words
    one = draw_delta(delta, np.full((5, 2), 0.1), owner, ["a", "b", "single"], ["MES", "NEU"], max_genes=1)
    assert [tick.get_text() for tick in one.axes[0].get_yticklabels()] == ["g0", "g1"]


def test_guides_that_were_not_observed_are_drawn_last() -> None:
    delta = np.array([[np.nan], [np.nan], [0.2], [-0.2]])
    fig = draw_delta(delta, np.abs(delta), ["a", "a", "b", "b"], ["a", "b"], ["MES"])
    assert [text.get_text() for text in fig.axes[0].texts if text.get_gid() == "gene"] == ["b", "a"]
    assert overlaps(fig) == []


def test_guides_refuse_other_shapes_and_unknown_genes() -> None:
    with pytest.raises(FatewalkError, match=r"found means \(2, 1\) and SDs \(2, 2\); needed: \(2, 1\)"):
        draw_delta(np.zeros((2, 1)), np.zeros((2, 2)), ["a", "a"], ["a"], ["MES"])
    with pytest.raises(FatewalkError, match="gene b of a guide"):
        draw_delta(np.zeros((2, 1)), np.zeros((2, 1)), ["a", "b"], ["a"], ["MES"])


def test_recovery_pools_the_days() -> None:
    table = pd.DataFrame(
        {
            "gene": ["a", "b"],
            "betahat_d0": [1.0, 0.3],
            "se_d0": 0.1,
            "betahat_d1": [np.nan, 0.1],
            "se_d1": 0.1,
        }
    )
    truth = pd.DataFrame([[0.0, 0.1], [1.0, 9.0]], index=["b", "a"])
    empty = table.assign(betahat_d0=np.nan, betahat_d1=np.nan)
    tables = {
        contrast: {"gene_daywise_for_mash.csv": of} for contrast, of in (("MES", table), ("NEU", empty))
    }
    run = run_of(tables, truth={"NEU": truth, "MES": truth}, contrasts=["MES", "NEU"])
    fig = plot.overview_recovery(run)
    titles = [title(ax).replace("\n", ": ") for ax in fig.axes]
    assert titles == ["MES: RMSE 0.173: coverage 67 %", "NEU: no estimates"]
    drawn = {c.lines[0].get_gid(): list(c.lines[0].get_xdata()) for c in fig.axes[0].containers}
    assert drawn == {"null": [0.0, 0.1], "active": [1.0]}


def test_recovery_refuses_what_does_not_match() -> None:
    for truth, words in (
        ({"NEU": lambda of: of.iloc[:, :3]}, "truth_theta table: theta is missing for gene 'gene00'"),
        (dict.fromkeys(FATES, lambda of: of.iloc[1:]), "truth: no row for gene 'gene00'"),
        (dict.fromkeys(FATES, lambda of: of.iloc[:, :3]), "found 3 days; the estimates have 4"),
    ):
        s = make_screen()
        s.truth |= {contrast: change(s.truth[contrast]) for contrast, change in truth.items()}
        with pytest.raises(FatewalkError, match=words):
            draw("recovery", s)
    s = make_screen()
    s.truth = {"MES": s.truth["MES"]}
    run = as_run(s)
    run.settings.model.ref_fate = "ECT"  # then neither is known
    with pytest.raises(FatewalkError, match="cannot give 'NEU' against 'ECT'"):
        plot.overview_recovery(run)


# --------------------------------------------------------------------------- parts


def test_names_break_where_they_have_a_place_to_break() -> None:
    assert fit_name("cranial_migratory_muscle", 0.7) == "cranial_\nmigratory_\nmuscle"
    assert fit_name("cranial_migratory_muscle", 2.0) == "cranial_migratory_muscle"
    assert fit_name("Cranialmigratorymuscle", 0.2) == "Cranialmigratorymuscle"
    assert halve("cranial_migratory_muscle") == "cranial_\nmigratory_muscle"
    assert halve("notochord") == "notochord"
    assert halve("Cranialmigratorymuscle") == "Cranialmigratorymuscle"
