"""Agreement of the guides of a gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import Z95
from fatewalk.plot.columns import notes_of
from fatewalk.plot.panels import count_fates, panel_width, require_contrasts, text_width, title_panels
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    DOUBLE,
    GREY,
    add_title,
    grid_columns,
    new_figure,
    panel_grid,
    say,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

GENES = "gene_daywise_for_mash.csv"  # genes of equal spread keep its order


@styled
def delta(run: Run, contrast: str | None = None, *, max_genes: int = 40) -> Figure:
    """Deviations of guides from their gene, a column a gene, largest spread first.

    Parameters
    ----------
    run
        The run.
    contrast
        Fate of the effects; None: the primary contrast.
    max_genes
        Genes shown.

    Raises
    ------
    FatewalkError
        If the shapes differ or a guide's gene is not among the genes.
    """
    contrast = run.choose(contrast)
    table, genes = deviations(run)[contrast], run.table(GENES, contrast)
    by_gene = spread_of_genes(table, genes["gene"].tolist())
    several = by_gene[by_gene["size"] > 1]
    shown = several.head(max_genes)

    longest = max((len(gene) for gene in shown.index), default=0)
    height = 1.2 if shown.empty else 2.6 + 0.06 * longest  # names stand upright
    fig = new_figure(DOUBLE, height)
    ax = fig.subplots()
    draw_guides(ax, table[table["gene"].isin(shown.index)], shown)
    what = heading(by_gene, len(several), len(shown))
    add_title(fig, f"{contrast} against {run.reference}: {what}", notes_of(genes))
    return fig


def deviations(run: Run) -> dict[str, pd.DataFrame]:
    """Guide deviations by contrast: columns gene, mean and sd, a row a guide, in logit.

    Raises
    ------
    FatewalkError
        If the shapes differ.
    """
    arrays = run.arrays("delta_posterior_summary.npz")
    owner, contrasts = np.asarray(arrays["genes"], dtype=str), list(arrays["contrasts"])
    mean, sd, needed = arrays["delta_mean"], arrays["delta_sd"], (len(owner), len(contrasts))
    if mean.shape != needed or sd.shape != needed:
        raise FatewalkError(
            f"deltas: found means {mean.shape} and SDs {sd.shape}; needed: {needed}, guides by contrasts"
        )
    return {
        str(contrast): pd.DataFrame({"gene": owner, "mean": mean[:, c], "sd": sd[:, c]})
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


def draw_guides(ax: Axes, guides: pd.DataFrame, shown: pd.DataFrame) -> None:
    """A column a gene: its guides side by side with 95 % intervals, its mean as a black bar.

    Parameters
    ----------
    ax
        The panel.
    guides
        Columns gene, mean, sd.
    shown
        Index: genes in the order of the columns; columns mean and size (number of guides).
    """
    if shown.empty:
        ax.set_axis_off()
        say(ax, "every gene has a single guide: there are no deviations within genes")
        return
    columns = np.arange(len(shown))
    place = guides.groupby("gene").cumcount().to_numpy() + 0.5  # 0.5, 1.5, ... within the gene
    size = guides["gene"].map(shown["size"]).to_numpy()
    x = shown.index.get_indexer(pd.Index(guides["gene"])) + 0.7 * (place / size - 0.5)
    ax.axhline(0, color=GREY, lw=0.6, zorder=0)
    ax.errorbar(x, guides["mean"], Z95 * guides["sd"], fmt="o", ms=2, color=BLUE, elinewidth=0.5, zorder=2)
    ax.hlines(shown["mean"], columns - 0.4, columns + 0.4, color=BLACK, lw=1.2, zorder=1, gid="gene means")
    for column in columns[1::2]:
        ax.axvspan(column - 0.5, column + 0.5, color="0.96", lw=0, zorder=-1)
    ax.set_xticks(columns, shown.index, rotation=90)
    ax.set_xlim(-0.6, len(shown) - 0.4)
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel("guide's deviation from its gene (logit)")


def heading(by_gene: pd.DataFrame, n_several: int, n_shown: int) -> str:
    """What is shown, what is not, and how far the within-gene means are from zero."""
    if not n_several:
        return f"{len(by_gene):,} genes, each with a single guide"
    return (
        f"{n_shown} of {n_several:,} genes with two or more guides, largest spread first; "
        f"{len(by_gene) - n_several:,} with a single guide not shown\n"
        f"Within-gene means (black bars): at most {np.abs(by_gene['mean']).max():.1e} in size over all genes"
    )


# ------------------------------------------------------------- all contrasts


@styled
def overview_delta(run: Run, *, n_top: int = 8) -> Figure:
    """Deviations of guides from their gene, a panel a contrast, in it the genes of largest spread.

    Parameters
    ----------
    run
        The run.
    n_top
        Genes shown in a panel.

    Raises
    ------
    FatewalkError
        If there is no contrast, the shapes differ or a guide's gene is not among the genes.
    """
    require_contrasts(run.contrasts)
    by_contrast, first = deviations(run), run.table(GENES, run.primary)
    contrasts, tables = list(by_contrast), list(by_contrast.values())
    spreads = [spread_of_genes(table, first["gene"].tolist()) for table in tables]
    several = [spread[spread["size"] > 1] for spread in spreads]
    shown = [spread.head(n_top) for spread in several]
    if several[0].empty:  # so for every contrast: they share their guides
        fig = new_figure(DOUBLE, 1.2)
        draw_guides(fig.subplots(), tables[0], shown[0])
    else:
        fig = draw_spreads(tables, shown, contrasts, n_top)
    add_title(fig, spread_title(spreads, len(several[0]), len(shown[0]), run.reference), notes_of(first))
    return fig


def draw_spreads(
    tables: Sequence[pd.DataFrame], shown: Sequence[pd.DataFrame], contrasts: Sequence[str], n_top: int
) -> Figure:
    """A panel a contrast; names of genes stand upright under every panel, for each has its own."""
    longest = max(text_width(gene, 6) for spread in shown for gene in spread.index) / 72
    per_row = max(1, min(4, int((DOUBLE - 0.6) / (0.13 * n_top))))  # names do not touch
    columns = grid_columns(len(tables), per_row)
    fig, axes = panel_grid(len(tables), 1.35 + longest, columns, room=0.5, common_x=False)
    for ax, table, spread in zip(axes, tables, shown, strict=True):
        draw_guides(ax, table[table["gene"].isin(spread.index)], spread)
        ax.set_ylabel("")  # stands once a row
    title_panels(axes, contrasts, [""] * len(axes), panel_width(fig, columns))
    for ax in axes[::columns]:
        ax.set_ylabel("deviation\nof guide (logit)")
    return fig


def spread_title(spreads: Sequence[pd.DataFrame], n_several: int, n_shown: int, reference: str) -> str:
    """What is shown, what is not, and how far the within-gene means are from zero."""
    n_genes = len(spreads[0])
    against = f"{count_fates(spreads)} against {reference}"
    if not n_several:
        return f"{against}: {n_genes:,} genes, each with a single guide"
    furthest = max(float(np.abs(spread["mean"]).max()) for spread in spreads)
    return (
        f"{against}: {n_shown} of {n_several:,} genes with two or more guides, largest spread first; "
        f"{n_genes - n_several:,} with a single guide not shown\n"
        f"Within-gene means (black bars): at most {furthest:.1e} in size over all genes"
    )
