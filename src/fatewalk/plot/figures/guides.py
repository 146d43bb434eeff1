"""Agreement of the guides of a gene, each guide by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import Z95
from fatewalk.plot.columns import notes_of
from fatewalk.plot.figures.heatmap import LEAST_LIMIT, NAME_LINE, ROW, name_blocks
from fatewalk.plot.panels import count_fates, legend_columns, require_contrasts, text_width
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    DOUBLE,
    GREY,
    PAGE,
    SINGLE,
    add_foot,
    add_title,
    new_figure,
    say,
    styled,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

GENES = "gene_daywise_for_mash.csv"  # genes of equal spread keep its order
WHAT = "deviation of the guide from its gene, shrunk by the model (logit)"
MOST_ROWS = 44  # guides on a page
CELL = 0.45  # widest cell of the overview, inches
BETWEEN = 0.4  # room between two genes, as a share of a row


@styled
def guides(run: Run, contrast: str | None = None, *, max_genes: int = 10) -> Figure:
    """Deviations of guides from their gene with 95 % intervals, a row a guide, largest spread first.

    Parameters
    ----------
    run
        The run.
    contrast
        Fate of the effects; None: the primary contrast.
    max_genes
        Genes shown; fewer where their guides do not fit a page.

    Raises
    ------
    FatewalkError
        If the shapes differ or a guide's gene is not among the genes.
    """
    contrast = run.choose(contrast)
    table, genes = deviations(run)[contrast], run.table(GENES, contrast)
    by_gene = spread_of_genes(table, genes["gene"].tolist())
    shown = choose(by_gene[by_gene["size"] > 1], max_genes)
    rows = rows_of(table, shown)
    width = SINGLE if longest(rows) < 0.42 * SINGLE else DOUBLE

    title = f"{contrast} against {run.reference}: {heading(by_gene, shown)}"
    if rows.empty:
        fig = without_deviations()
    else:
        handles = [
            Line2D([], [], color=BLUE, marker="o", ms=3, label="guide, 95 % interval"),
            Line2D([], [], color=BLACK, lw=1.2, label="mean of the gene's guides"),
        ]
        fig = new_figure(width, 1.7 + ROW * (rows["y"].iloc[-1] + 1))
        ax = fig.subplots()
        draw_rows(ax, rows)
        draw_guides(ax, rows)
        add_foot(fig, wrap(WHAT, width), handles, legend_columns(handles, 2, width))
    add_title(fig, title, notes_of(genes))
    return fig


def deviations(run: Run) -> dict[str, pd.DataFrame]:
    """Guide deviations by contrast: columns guide, gene, mean and sd, a row a guide, in logit.

    Raises
    ------
    FatewalkError
        If the shapes differ.
    """
    arrays = run.arrays("delta_posterior_summary.npz")
    guide, owner = (np.asarray(arrays[name], dtype=str) for name in ("guides", "genes"))
    contrasts = list(arrays["contrasts"])
    mean, sd, needed = arrays["delta_mean"], arrays["delta_sd"], (len(owner), len(contrasts))
    if mean.shape != needed or sd.shape != needed:
        raise FatewalkError(
            f"deltas: found means {mean.shape} and SDs {sd.shape}; needed: {needed}, guides by contrasts"
        )
    return {
        str(contrast): pd.DataFrame({"guide": guide, "gene": owner, "mean": mean[:, c], "sd": sd[:, c]})
        for c, contrast in enumerate(contrasts)
    }


def spread_of_genes(guides: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    """Number of guides, their mean and their SD by gene, largest SD first.

    Parameters
    ----------
    guides
        Columns gene, mean.
    genes : [L]
        All genes; genes of equal spread keep this order.

    Returns
    -------
    pandas.DataFrame
        Index: genes with a guide; columns size, mean, std.

    Raises
    ------
    FatewalkError
        If a guide's gene is not in ``genes``.
    """
    by_gene = guides.groupby("gene")["mean"].agg(["size", "mean", "std"])
    if unknown := sorted(set(by_gene.index) - set(genes)):
        raise FatewalkError(f"deltas: gene {unknown[0]} of a guide is not among the {len(genes)} genes")
    by_gene = by_gene.reindex([gene for gene in genes if gene in by_gene.index])
    return by_gene.sort_values("std", ascending=False, kind="stable")


def choose(several: pd.DataFrame, max_genes: int) -> pd.DataFrame:
    """The first genes, as many as fit a page, at least one."""
    fits = several["size"].cumsum() <= MOST_ROWS
    return several.head(max(1, min(max_genes, int(fits.sum()))))


def rows_of(guides: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    """The guides of the genes shown, gene after gene from the top: their rows, and y, where they stand."""
    place = pd.Series(range(len(shown)), index=shown.index)
    rows = guides[guides["gene"].isin(shown.index)].assign(at=lambda of: of["gene"].map(place))
    rows = rows.sort_values("at", kind="stable").reset_index(drop=True)
    return rows.assign(y=rows.index + BETWEEN * rows["at"] + 0.5)


def longest(rows: pd.DataFrame) -> float:
    """Width of the longest name of a guide, inches."""
    return max((text_width(str(name)) for name in rows["guide"]), default=0.0) / 72


def without_deviations() -> Figure:
    """What is drawn where every gene has a single guide."""
    fig = new_figure(SINGLE, 1.2)
    ax = fig.subplots()
    ax.set_axis_off()
    say(ax, "every gene has a single guide:\nthere are no deviations within genes")
    return fig


def draw_rows(ax: Axes, rows: pd.DataFrame) -> None:
    """Names of guides on the left, names of their genes on the right, every second gene shaded."""
    ax.set_yticks(rows["y"], list(rows["guide"]))
    ax.set_ylim(rows["y"].iloc[-1] + 0.7, 0)
    ax.tick_params(axis="y", length=0)
    for at, (_, of_gene) in enumerate(rows.groupby("at")):
        if at % 2:
            ax.axhspan(of_gene["y"].min() - 0.7, of_gene["y"].max() + 0.7, color="0.94", lw=0, zorder=-1)
        ax.annotate(of_gene["gene"].iloc[0], (1, of_gene["y"].mean()), (4, 0), va="center", gid="gene",
                    xycoords=ax.get_yaxis_transform(), textcoords="offset points", weight="bold",
                    annotation_clip=False)  # fmt: skip


def draw_guides(ax: Axes, rows: pd.DataFrame) -> None:
    """Guides with 95 % intervals; the mean of each gene as a black bar."""
    ax.axvline(0, color=GREY, lw=0.6, zorder=0)
    ax.errorbar(rows["mean"], rows["y"], xerr=Z95 * rows["sd"], fmt="o", ms=3, color=BLUE, elinewidth=0.8,
                zorder=2)  # fmt: skip
    genes = rows.groupby("at").agg(mean=("mean", "mean"), top=("y", "min"), foot=("y", "max"))
    ax.vlines(genes["mean"], genes["top"] - 0.5, genes["foot"] + 0.5, color=BLACK, lw=1.2, zorder=1,
              gid="gene means")  # fmt: skip


def heading(by_gene: pd.DataFrame, shown: pd.DataFrame) -> str:
    """What is shown, and what is not."""
    several = int((by_gene["size"] > 1).sum())
    if not several:
        return f"{len(by_gene):,} genes, each with a single guide"
    single = len(by_gene) - several
    return (
        f"{len(shown)} of {several:,} genes with two or more guides, largest spread first"
        f"{f'; {single:,} with a single guide not shown' if single else ''}"
    )


# ------------------------------------------------------------- all contrasts


@styled
def overview_guides(run: Run, *, max_genes: int = 10) -> Figure:
    """Deviations of guides from their gene as colours: a row a guide, a column a contrast.

    Parameters
    ----------
    run
        The run.
    max_genes
        Genes shown, those whose guides differ most on any contrast; fewer where they do not fit a page.

    Raises
    ------
    FatewalkError
        If there is no contrast, the shapes differ or a guide's gene is not among the genes.
    """
    require_contrasts(run.contrasts)
    by_contrast, first = deviations(run), run.table(GENES, run.primary)
    spread = widest_spread(list(by_contrast.values()), first["gene"].tolist())
    shown = choose(spread[spread["size"] > 1], max_genes)
    tables = {name: rows_of(table, shown) for name, table in by_contrast.items()}
    rows = next(iter(tables.values()))
    fig = without_deviations() if rows.empty else draw_spreads(rows, tables)
    title = f"{count_fates(by_contrast)} against {run.reference}: {heading(spread, shown)}"
    add_title(fig, title, notes_of(first))
    return fig


def widest_spread(tables: Sequence[pd.DataFrame], genes: Sequence[str]) -> pd.DataFrame:
    """Number of guides, and the largest SD on any contrast, by gene, the largest first."""
    every = pd.concat([spread_of_genes(table, genes) for table in tables]).rename_axis("gene")
    widest = every.groupby("gene", sort=False)[["size", "std"]].max().reindex(
        [gene for gene in genes if gene in every.index]
    )  # fmt: skip
    return widest.sort_values("std", ascending=False, kind="stable")


def draw_spreads(rows: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> Figure:
    """Colours of the deviations; a dot where the 95 % interval leaves zero out.

    Parameters
    ----------
    rows
        Guides in their order, with y.
    tables
        Rows by contrast.
    """
    mean, sd = (np.stack([of[name] for of in tables.values()], axis=1) for name in ("mean", "sd"))  # [G, F*]
    names, n = list(tables), len(tables)
    side = 0.25 + longest(rows) + max(text_width(gene) for gene in rows["gene"]) * 1.15 / 72
    width = SINGLE if side + 0.3 * n <= SINGLE else DOUBLE
    cell = (width - side) / n
    texts, upright = name_blocks(names, cell)
    lines = [line for text in texts for line in text.split("\n")]
    top = max(text_width(line) / 72 for line in lines) if upright else 2 * NAME_LINE
    height = min(1.9 + top + ROW * (rows["y"].iloc[-1] + 1), PAGE)
    fig = new_figure(width, height)
    ax = fig.subplots()
    limit = max(LEAST_LIMIT, float(np.nanquantile(np.abs(mean), 0.98)) if np.isfinite(mean).any() else 0)
    for at, y in enumerate(rows["y"]):
        mesh = ax.pcolormesh(np.arange(n + 1), [y - 0.5, y + 0.5], np.ma.masked_invalid(mean[at : at + 1]),
                             cmap="RdBu_r", vmin=-limit, vmax=limit)  # fmt: skip
    row, column = np.nonzero(np.abs(mean) > Z95 * sd)
    ax.plot(column + 0.5, rows["y"].to_numpy()[row], "o", ms=3, mfc=BLACK, mec="white", mew=0.5, gid="clear")
    draw_rows(ax, rows)
    ax.set_xlim(0, n)
    ax.set_xticks(np.arange(n) + 0.5, texts, rotation=90 if upright else 0)
    ax.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    ax.spines[:].set_visible(False)
    beyond = bool(np.nanmax(np.abs(mean), initial=0) > limit)
    bar = fig.colorbar(mesh, ax=ax, location="bottom", extend="both" if beyond else "neither", aspect=30,
                       shrink=0.9, pad=0.02)  # fmt: skip
    bar.set_label(wrap(WHAT, max(width - side, 0.4 * width)))
    bar.outline.set_visible(False)
    dot = Line2D([], [], marker="o", ls="", ms=3, color=BLACK, label="95 % interval without 0")
    fig.legend(handles=[dot], loc="outside lower center")
    return fig
