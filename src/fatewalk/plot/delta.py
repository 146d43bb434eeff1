"""Agreement of the guides of a gene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import Z95
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    DOUBLE,
    GREY,
    add_title,
    new_figure,
    say,
    styled,
)


@styled
def plot_delta(
    delta_mean: np.ndarray,
    delta_sd: np.ndarray,
    guide_gene: Sequence[str],
    genes: Sequence[str],
    contrast: str,
    reference: str,
    notes: Sequence[str] = (),
    max_genes: int = 40,
) -> Figure:
    """Deviations of guides from their gene, a column a gene, largest spread first.

    Parameters
    ----------
    delta_mean, delta_sd : [G]
        Posterior mean and SD of the guide deviations of one contrast, in logit.
    guide_gene : [G]
        Gene of each guide.
    genes : [L]
        All genes; genes of equal spread keep this order.
    contrast, reference
        Fate of the effects and the fate they are against.
    notes
        Warnings of the run, from ``notes_of``.
    max_genes
        Genes shown.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If the lengths differ or a guide's gene is not in ``genes``.
    """
    if not len(delta_mean) == len(delta_sd) == len(guide_gene):
        raise FatewalkError(
            f"deltas: found {len(delta_mean)} means, {len(delta_sd)} SDs and {len(guide_gene)} genes of "
            "guides; needed: as many of each"
        )
    table = pd.DataFrame({"gene": np.asarray(guide_gene, dtype=str), "mean": delta_mean, "sd": delta_sd})
    by_gene = spread_of_genes(table, genes)
    several = by_gene[by_gene["size"] > 1]
    shown = several.head(max_genes)

    longest = max((len(gene) for gene in shown.index), default=0)
    height = 1.2 if shown.empty else 2.6 + 0.06 * longest  # names stand upright
    fig = new_figure(DOUBLE, height)
    ax = fig.subplots()
    draw_guides(ax, table[table["gene"].isin(shown.index)], shown)
    add_title(fig, f"{contrast} against {reference}: {heading(by_gene, len(several), len(shown))}", notes)
    return fig


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
