"""What figures show of the genes: effects on the probabilities of fates, or on contrasts with the reference.

Letters: n genes, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from fatewalk.core.daywise import Daywise, active_matrix
from fatewalk.core.errors import FatewalkError, one_of
from fatewalk.core.tables import as_bool, require_columns
from fatewalk.plot.columns import best_ranked, marked_hits, notes_of
from fatewalk.plot.style import effect_label, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fatewalk.run.files import Run

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Scale = Literal["fate", "contrast"]
SCALES = ("fate", "contrast")

OF_FATE = ("mash_mean", "mash_sd", "lfsr", "called", "plarge")  # columns of effects.parquet


@dataclass(frozen=True)
class Panel:
    """Genes on one fate or contrast, the best first.

    Attributes
    ----------
    genes : array [n] of str
        Names.
    mean, sd : array [n, D]
        Effects in logit; missing where not observed.
    lfsr : array [n, D]
        Local false sign rates.
    called : array [n, D]
        Gene-days called active.
    hit : array [n]
        Hits over all days. Of a fate these are rows of hits.csv, or withheld ones: the gene moved this fate
        itself, or who moved cannot be told.
    follower : array [n]
        Called on a day and no hit: this fate follows others. Never of a contrast.
    """

    genes: NDArray[np.object_]
    mean: Numbers
    sd: Numbers
    lfsr: Numbers
    called: Flags
    hit: Flags
    follower: Flags

    @property
    def smallest_lfsr(self) -> Numbers:
        """Of hits and followers that of their active days, else of all observed ones [n]; inf without any."""
        counted = self.called | ~(self.hit | self.follower)[:, None]
        return np.where(counted & ~np.isnan(self.lfsr), self.lfsr, np.inf).min(axis=1)

    @property
    def count_hits(self) -> str:
        """Number of hits in words."""
        hits = int(self.hit.sum())
        return "1 hit" if hits == 1 else f"{hits:,} hits"

    @property
    def count(self) -> str:
        """Numbers of hits and followers in words."""
        followers = int(self.follower.sum())
        return self.count_hits + (f", {followers:,} follow{'s' * (followers == 1)}" if followers else "")

    def take(self, rows: NDArray[np.intp] | slice) -> Panel:
        """The genes at these places."""
        return Panel(*(values[rows] for values in vars(self).values()))


@dataclass(frozen=True)
class Effects:
    """What figures show, by panel.

    Attributes
    ----------
    panels
        By name of the fate or contrast.
    scale
        Which of the two.
    axis
        Label of the axis of effects, with a place for the name.
    missing
        Why an effect is missing, in words.
    hit_words, follower_words, guide_words
        What a called day of a hit, one of a follower, and lines of guides are, in words.
    when
        Whether effects are those before or after shrinkage, in words.
    notes
        Warnings that belong on the figure.
    """

    panels: dict[str, Panel]
    scale: Scale
    axis: str
    missing: str
    hit_words: str
    follower_words: str
    guide_words: str
    when: str
    notes: list[str]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return max(len(panel.genes) for panel in self.panels.values())

    @property
    def has_followers(self) -> bool:
        """Whether any gene is a follower."""
        return any(panel.follower.any() for panel in self.panels.values())

    @property
    def count_fates(self) -> str:
        """Number of panels in words."""
        return "1 fate" if len(self.panels) == 1 else f"{len(self.panels)} fates"

    def label(self, inches: float) -> str:
        """Label of the axis of effects in lines that fit a length; several panels have it in common."""
        name = next(iter(self.panels)) if len(self.panels) == 1 else "each fate"
        return wrap(self.axis.replace("{name}", name), inches)


def panel_names(run: Run, scale: Scale | None = None) -> list[str]:
    """Names of the panels: fates, of two only the second as in hits.csv, or contrasts.

    Parameters
    ----------
    run
        The run.
    scale
        None: ``calls.scale``.
    """
    if scale is not None:
        one_of("scale", scale, SCALES)
    by_fate = (scale or run.settings.calls.scale) == "fate" and len(run.contrasts) > 1
    return [run.reference, *run.contrasts] if by_fate else list(run.contrasts)


def effects_on(run: Run, name: str | None, scale: Scale | None, *, before_mash: bool = False) -> Effects:
    """Effects on one fate or contrast, see `effects_of`.

    Parameters
    ----------
    run
        The run.
    name
        Fate or contrast; None: that of the primary contrast.
    scale, before_mash
        See `effects_of`.

    Raises
    ------
    FatewalkError
        If there is no such panel.
    """
    names = panel_names(run, scale)
    if name is not None:
        one_of(scale or run.settings.calls.scale, name, names)
    return effects_of(run, [name or run.primary], scale, before_mash=before_mash)


def effects_of(run: Run, names: Sequence[str], scale: Scale | None, *, before_mash: bool = False) -> Effects:
    """Effects on fates or contrasts.

    Parameters
    ----------
    run
        The run.
    names
        Fates or contrasts.
    scale
        fate (change of the logit of each fate's own probability, by mash over fates) | contrast (log odds
        against the reference, by the source of the calls); None: ``calls.scale``.
    before_mash
        Means and SDs of contrasts are those of the posterior, before mash.

    Raises
    ------
    FatewalkError
        If there is nothing to draw, or tables do not belong together.
    """
    if not names:
        raise FatewalkError("overview: found no contrasts; needed: one or more")
    if (scale or run.settings.calls.scale) == "fate":
        return _on_fates(run, names)
    return _on_contrasts(run, names, before_mash)


def cells_of(run: Run, name: str, genes: Iterable[str]) -> NDArray[np.int64]:
    """Cells with the guides of genes by day [n, D]."""
    contrast = name if name in run.contrasts else run.primary  # cells are the same for all
    table = run.table("gene_daywise_for_mash.csv", contrast)
    found = Daywise.of(table, "gene table", ["n_cells"], ["gene"], len(run.days))
    return found.rows_of("gene", list(genes), "gene table")["n_cells"]


def guides_of(run: Run, name: str, genes: Iterable[str], scale: Scale | None) -> dict[str, Numbers]:
    """Effects of the guides of genes [guides, D]: likelihood-only on fates, of the posterior on contrasts."""
    if (scale or run.settings.calls.scale) == "fate":
        table = run.effects("guide", "fate")
        table = table[(table["fate"] == name) & table["gene"].isin(genes)]
        of_guides = table.drop_duplicates("guide")
        rows = pd.MultiIndex.from_product([of_guides["guide"], run.days])
        estimate = table.set_index(["guide", "day"])["estimate"].reindex(rows)
        owner, values = of_guides["gene"].to_numpy(), estimate.to_numpy(float).reshape(-1, len(run.days))
    else:
        table = run.table("guide_daywise_for_mash.csv", name)
        table = table[table["gene"].isin(genes)]
        found = Daywise.of(table, "guide table", ["betahat"], ["gene"], len(run.days))
        owner, values = found["gene"], found["betahat"]
    return {gene: values[owner == gene] for gene in genes}


def _withheld(run: Run) -> list[str]:
    """A warning where the certificate failed."""
    return ["the certificate failed: hits are withheld"] if run.withheld else []


def _on_contrasts(run: Run, contrasts: Sequence[str], before_mash: bool) -> Effects:
    panels, notes = {}, _withheld(run)
    for contrast in contrasts:
        hits = run.table("hits_ranked.csv", contrast)
        ranked = best_ranked(hits, len(hits))
        found = Daywise.of(ranked, "table of hits", ["postmean", "lfsr"], ["gene"], len(run.days))
        mean, sd = found["postmean"], np.full(found["postmean"].shape, np.nan)
        notes += notes_of(hits)
        if before_mash:
            table = run.table("gene_daywise_for_mash.csv", contrast)
            joint = Daywise.of(table, "gene table", ["betahat", "se"], ["gene"], len(run.days))
            joint = joint.rows_of("gene", found["gene"], "gene table")
            mean, sd = joint["betahat"], joint["se"]
            notes += notes_of(table)
        panels[contrast] = Panel(
            genes=found["gene"].astype(str).astype(object),
            mean=mean,
            sd=sd,
            lfsr=found["lfsr"],
            called=active_matrix(ranked, len(run.days)),
            hit=as_bool(ranked["hit_anyday"], "table of hits"),
            follower=np.zeros(len(ranked), dtype=bool),
        )
    when = "before shrinkage by mash" if before_mash else "after shrinkage"
    return Effects(
        panels,
        "contrast",
        axis=effect_label("{name}", run.reference, f"effect {when} on"),
        missing="no cells observed",
        hit_words="called active, after shrinkage",
        follower_words="",
        guide_words="its guides, before shrinkage by mash",
        when=when,
        notes=list(dict.fromkeys(notes)),
    )


def _on_fates(run: Run, fates: Sequence[str]) -> Effects:
    hits, table = run.all_hits, run.effects("gene", "fate")
    if "fate" not in hits:
        raise FatewalkError("scale: found 'fate', but hits.csv of this run is by contrast; allowed: contrast")
    require_columns(table, ["gene", "fate", "day", *OF_FATE], "table of effects")
    if table.empty:
        raise FatewalkError("table of effects: found no rows of genes on fates; needed: one or more")
    genes, own = table["gene"].unique(), hits.groupby("fate")["gene"].agg(set)
    rows = pd.MultiIndex.from_product([genes, run.days])
    panels = {}
    for fate in fates:
        of_fate = table[table["fate"] == fate].set_index(["gene", "day"])[list(OF_FATE)].reindex(rows)
        mean, sd, lfsr, called, plarge = (
            of_fate[name].to_numpy(dtype=float, na_value=np.nan).reshape(len(genes), -1) for name in OF_FATE
        )
        hit = np.isin(genes, list(own.get(fate, ())))
        called = called == 1
        panel = Panel(genes.astype(object), mean, sd, lfsr, called, hit, called.any(axis=1) & ~hit)
        panels[fate] = panel.take(_best_first(panel, plarge))
    return Effects(
        panels,
        "fate",
        axis="change of the log odds of {name}'s own probability, after shrinkage (logit)",
        missing="no cells, or too few of the fate",
        hit_words="called: a hit (moved itself, or cannot be told)",
        follower_words="called: follows other fates",
        guide_words="its guides, before shrinkage",
        when="after shrinkage",
        notes=_withheld(run) + notes_of(table) + marked_hits(hits, fates),
    )


def _best_first(panel: Panel, plarge: Numbers) -> NDArray[np.intp]:
    """Hits, then followers, as in hits.csv by lfsr, then size; then the others by P(|effect| > eps).

    The lfsr would put first those that hardly move because all fates follow: their signs are sure.
    """
    called = panel.hit | panel.follower
    key = np.where(called, panel.smallest_lfsr, 1 - np.nan_to_num(plarge).max(axis=1))
    largest = np.abs(np.nan_to_num(panel.mean)).max(axis=1)
    return np.lexsort((panel.genes.astype(str), -largest, key, ~called, ~panel.hit))
