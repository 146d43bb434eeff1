"""The design of a fit: who carries which guide, on which day, with which fate probabilities.

``build_design`` turns the three canonical input tables into index tensors, checks them against
every acceptance criterion, and counts what it drops. Dimensions: N cells, F fates (reference
first), D days, R replicates, C clusters, K columns of covariates, G targeting guides, L genes, E guide
calls of targeting guides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.files import atomic_path, reading
from fatewalk.core.schema import BURDEN, CLUSTER, MIN_MULTI_GUIDE_GENES, RARE
from fatewalk.core.tables import write_table
from fatewalk.core.words import N_NAMED, count, join, on_days
from fatewalk.screen.checks import (
    Guides,
    Report,
    check_burden,
    check_calls,
    check_cell_ids,
    check_days,
    check_groups,
    check_guide_map,
    check_prob,
)
from fatewalk.screen.controls import warn_of_controls
from fatewalk.screen.covariates import build_covariates, warn_of_outcome
from fatewalk.screen.fates import refuse_averages, warn_of_copies
from fatewalk.screen.guide_map import several_of_a_gene
from fatewalk.screen.quality import (
    warn_of_cells_without,
    warn_of_clusters,
    warn_of_few_cells,
    warn_of_groups_without,
    warn_of_hours,
    warn_of_many_guides,
    warn_of_states,
)
from fatewalk.screen.resolution import Resolution, mean_of_days

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fatewalk.config.sections import DesignConfig


@dataclass(frozen=True)
class Design:
    """Everything the model needs, and the names to read its results.

    Guides are kept as CSR lists per cell, never as a dense cells x guides matrix. NTC guides have
    effect zero on average: they are counted in ``burden`` and ``n_ntc``, and have lists of their own.

    Attributes
    ----------
    fates
        Names, the reference first.
    genes, guides
        Names in the order of the tensors; targeting guides only.
    days, times
        Day labels in time order, and their real times (days, or the unit of the labels).
    reps, clusters
        Names; ``clusters`` is empty where none are given.
    prob : Tensor, float64 [N, F]
        Fate probabilities; rows sum to one.
    day, rep, cluster : Tensor, int64 [N]
        Indices; ``cluster`` is empty where none are given.
    burden : Tensor, float64 [N]
        Guides in the cell, NTC included.
    n_ntc : Tensor, int64 [N]
        Distinct NTC guides in the cell.
    cell_offsets, cell_guides : Tensor, int64 [N + 1], [E]
        Guides of cell i: ``cell_guides[cell_offsets[i]:cell_offsets[i + 1]]``, ascending.
    guide_to_gene : Tensor, int64 [G]
        Gene of each guide.
    n_guides_per_gene : Tensor, int64 [L]
        At least 1.
    gene_offsets, guides_by_gene : Tensor, int64 [L + 1], [G]
        Guides of gene l: ``guides_by_gene[gene_offsets[l]:gene_offsets[l + 1]]``.
    gene_cells, guide_cells : Tensor, int64 [L, D], [G, D]
        Cells of a day that carry a guide of the gene, or the guide. A gene-day with 0 is not observed.
    row : Tensor, int64 [N]
        Row of each cell in the cells table, from which cells may have been dropped.
    covariates : Tensor, float64 [N, K]
        Nuisances: numbers with mean 0 and SD 1, indicators of levels with mean 0. K is 0 without.
    covariate_names
        ``<covariate>`` or ``<covariate>=<level>``, [K].
    ntc_names
        NTC guides that are in a cell, in the order of the map, [J].
    ntc_offsets, ntc_guides : Tensor, int64 [N + 1], [E']
        NTC guides of cell i: ``ntc_guides[ntc_offsets[i]:ntc_offsets[i + 1]]``, ascending.
    """

    fates: tuple[str, ...]
    genes: tuple[str, ...]
    guides: tuple[str, ...]
    days: tuple[str, ...]
    times: tuple[float, ...]
    reps: tuple[str, ...]
    clusters: tuple[str, ...]
    prob: Tensor
    day: Tensor
    rep: Tensor
    cluster: Tensor
    burden: Tensor
    n_ntc: Tensor
    cell_offsets: Tensor
    cell_guides: Tensor
    guide_to_gene: Tensor
    n_guides_per_gene: Tensor
    gene_offsets: Tensor
    guides_by_gene: Tensor
    gene_cells: Tensor
    guide_cells: Tensor
    row: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    covariates: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.float64))
    covariate_names: tuple[str, ...] = ()
    ntc_names: tuple[str, ...] = ()
    ntc_offsets: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    ntc_guides: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __post_init__(self) -> None:
        """Give a design without covariates or NTC guides empty ones for each of its cells."""
        if not self.covariates.numel():
            object.__setattr__(self, "covariates", torch.empty(self.n_cells, 0, dtype=torch.float64))
        if not self.ntc_offsets.numel():
            object.__setattr__(self, "ntc_offsets", torch.zeros(self.n_cells + 1, dtype=torch.int64))

    @property
    def contrasts(self) -> tuple[str, ...]:
        """The fates but the reference."""
        return self.fates[1:]

    @property
    def n_cells(self) -> int:
        """Number of cells N."""
        return len(self.day)

    @property
    def n_guides(self) -> Tensor:
        """Distinct guides called in each cell, NTC included, int64 [N]."""
        return self.cell_offsets.diff() + self.n_ntc

    @property
    def samples(self) -> Tensor:
        """Day and replicate of each sample, which are those with cells, ascending: int64 [S, 2]."""
        shape = len(self.days), len(self.reps)
        cells = torch.bincount(self.day * shape[1] + self.rep, minlength=shape[0] * shape[1])
        return cells.reshape(shape).nonzero()

    @property
    def cell_of_call(self) -> Tensor:
        """Cell of each entry of ``cell_guides``, int64 [E]."""
        return entries(self.cell_offsets)

    @property
    def carried_genes(self) -> tuple[Tensor, Tensor]:
        """Cells and the genes whose guides they carry, int64 each; two guides of a gene count once."""
        n_genes = len(self.genes)
        both = torch.unique(self.cell_of_call * n_genes + self.guide_to_gene[self.cell_guides])
        return both // n_genes, both % n_genes

    def to_dict(self) -> dict[str, Any]:
        """Plain tensors and lists, as ``design.pt`` holds them."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in content.items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Design:
        """Undo ``to_dict``."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
        }
        return cls(**values)


def entries(offsets: Tensor) -> Tensor:
    """Row of each entry of CSR lists, int64 [E] from their offsets [N + 1]."""
    return torch.repeat_interleave(torch.arange(len(offsets) - 1), offsets.diff())


# --------------------------------------------------------------------- build


def build_design(
    cells: pd.DataFrame,
    guide_calls: pd.DataFrame,
    guide_map: pd.DataFrame,
    config: DesignConfig,
    fates: Sequence[str],
) -> tuple[Design, Report]:
    """Turn the canonical tables into a design; refuse what is wrong, count what is dropped.

    Parameters
    ----------
    cells
        cell_id, day, time, p_<fate>... [, rep, cluster, burden]; N rows. Without ``rep`` all cells
        are of one replicate. Every other column is a covariate.
    guide_calls
        cell_id, guide [, umi]; one row a call, repeats are merged and their UMIs added.
    guide_map
        guide_name, gene_name, is_ntc. Genes come in the order of their first row, guides in the
        order of the map.
    config
        What enters the fit.
    fates
        All fates, the reference first.

    Returns
    -------
    design : Design
        Every gene has a guide, every guide a cell, every day a cell.
    report : dict
        Counts and full-sentence ``notes`` and ``warnings``: the content of ``design_report.json``.

    Raises
    ------
    FatewalkError
        If a table breaks a rule of ``fatewalk.screen.checks``, or nothing is left to fit.
    """
    report: Report = {"cells": {"given": len(cells)}, "notes": [], "warnings": []}
    guides = check_guide_map(guide_map, report)
    ids = check_cell_ids(cells)
    cell, guide = check_calls(guide_calls, ids, guides, config.min_umi, report)  # [E']
    n_guides = np.bincount(cell, minlength=len(cells))
    row = _keep_cells(cells, n_guides, config, report)  # [N]
    warn_of_cells_without(n_guides, config.cells_without_guides == "keep", report)
    cell = np.searchsorted(row, cell)
    cells, ids = cells.iloc[row], ids[row]
    days, times, day = check_days(cells, report)
    prob = check_prob(cells, ids, fates, config.prob_tolerance, report)
    reps, rep = check_groups(cells, "rep", report) if "rep" in cells else (["rep1"], np.zeros_like(day))
    clusters, cluster = (
        check_groups(cells, CLUSTER, report) if CLUSTER in cells else ([], np.zeros(0, np.int64))
    )
    for what, names, group in (("day", days, day), ("replicate", reps, rep)):
        warn_of_groups_without(names, group, n_guides[row], what, report)
    refuse_averages(prob, day, rep)
    warn_of_copies(prob, ids, fates, report)
    warn_of_hours(days, times, day, rep, report)
    burden = check_burden(cells, ids, n_guides[row], report)
    covariates, covariate_names = build_covariates(cells, ids, config.covariates, day, rep, report)
    n_targeting = np.bincount(cell, weights=guides.gene[guide] >= 0, minlength=len(cells))  # [N]
    warn_of_outcome(covariates, covariate_names, prob, day, burden, n_targeting, report)
    if clusters and not warn_of_states(clusters, cluster, rep, day, prob, report):
        warn_of_clusters(clusters, cluster, reps, rep, report)

    used = np.bincount(guide, minlength=len(guides.names)) > 0  # [M]
    warn_of_many_guides(n_guides, int(used.sum()), report)
    kept, genes, guide_to_gene = _keep_guides(guides, used, config, report)
    is_ntc = guides.gene[guide] < 0  # [E']
    n_ntc = np.bincount(cell[is_ntc], minlength=len(row))
    warn_of_controls(guides.gene < 0, used, float((n_ntc > 0).mean()), BURDEN in cells, report)
    new_guide = np.cumsum(kept) - 1  # [M]
    seen_ntc = (guides.gene < 0) & used  # [M]
    ntc_guides = (np.cumsum(seen_ntc) - 1)[guide[is_ntc]]  # [E']
    cell, guide = cell[~is_ntc], new_guide[guide[~is_ntc]]  # [E]

    arrays = {
        "prob": prob,
        "day": day,
        "rep": rep,
        "cluster": cluster,
        "burden": burden,
        "n_ntc": n_ntc,
        "ntc_offsets": _offsets(n_ntc),
        "ntc_guides": ntc_guides,
        "row": row,
        "covariates": covariates,
        **index_guides(cell, guide, guide_to_gene, day, len(genes), len(days)),
    }
    design = Design(
        fates=tuple(fates),
        genes=tuple(genes),
        guides=tuple(guides.names[kept]),
        days=tuple(days),
        times=tuple(times.tolist()),
        reps=tuple(reps),
        clusters=tuple(clusters),
        covariate_names=covariate_names,
        ntc_names=tuple(guides.names[seen_ntc]),
        **{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()},
    )
    _describe(design, BURDEN in cells, report)
    _note_missing_replicates(design, report)
    _note_missing_slopes(design, report)
    _note_rare_fates(design, report)
    report |= {name: report.pop(name) for name in ("notes", "warnings")}  # last, where they are found
    return design, report


def _keep_cells(
    cells: pd.DataFrame, n_guides: np.ndarray, config: DesignConfig, report: Report
) -> np.ndarray:
    """Rows of the cells that enter the fit, ascending, [N]."""
    carriers = np.flatnonzero(n_guides)
    report["cells"]["without_guides"] = len(cells) - len(carriers)
    row = carriers if config.cells_without_guides == "drop" else np.arange(len(cells))
    report["cells"]["kept"] = len(row)
    lost = set(cells["day"].unique()) - set(cells["day"].iloc[row].unique())
    if lost:
        raise FatewalkError(
            f"cells: no cell of day {quoted(sorted(lost))} carries a guide, so the day would "
            "vanish; set design.cells_without_guides to keep, or take the day out of the cells table"
        )
    return row


def _keep_guides(
    guides: Guides, used: np.ndarray, config: DesignConfig, report: Report
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Drop targeting guides that are in no cell, and genes that are left without guides.

    A guide without cells would enter the mean over its gene's guides with a value drawn from the
    prior.

    Returns
    -------
    kept : numpy.ndarray, bool [M]
        Targeting guides of the map that stay.
    genes : list of str, [L]
        Genes that stay.
    guide_to_gene : numpy.ndarray, int64 [G]
        Gene of each guide that stays.
    """
    targeting = guides.gene >= 0
    kept = targeting & used
    has_guide = np.bincount(guides.gene[kept], minlength=len(guides.genes)) > 0  # [L + dropped]
    dropped = [gene for gene, has in zip(guides.genes, has_guide, strict=True) if not has]
    if not kept.any():
        raise FatewalkError(
            "guide_calls: no call is of a targeting guide, so there is no gene to estimate; check is_ntc in "
            "the guide map"
        )
    if dropped:
        report["warnings"].append(
            f"No cell carries a guide of {count(len(dropped), 'gene')}, left out: {quoted(dropped, 10)}."
        )
    if len(unused := guides.names[targeting & ~used]):
        report["warnings"].append(
            f"{count(len(unused), 'guide is', 'guides are')} in no cell, left out: {quoted(unused, 10)}."
        )
    report["guides"] |= {"in_no_cell_dropped": len(unused), "kept": int(kept.sum())}
    report["genes"] = {"in_map": len(guides.genes), "dropped": dropped, "kept": int(has_guide.sum())}
    genes = [gene for gene, has in zip(guides.genes, has_guide, strict=True) if has]
    return kept, genes, (np.cumsum(has_guide) - 1)[guides.gene[kept]]


def index_guides(
    cell: np.ndarray, guide: np.ndarray, guide_to_gene: np.ndarray, day: np.ndarray, n_genes: int, n_days: int
) -> dict[str, np.ndarray]:
    """Build the CSR lists of guides by cell and by gene, and count cells per guide, gene and day.

    Parameters
    ----------
    cell, guide : numpy.ndarray, int64 [E]
        Calls of targeting guides, sorted by cell, then guide.
    guide_to_gene, day : numpy.ndarray, int64 [G], [N]
        Gene of each guide, day of each cell.
    n_genes, n_days
        L and D.
    """
    n_guides_per_gene = np.bincount(guide_to_gene, minlength=n_genes)
    carried = _distinct(cell * n_genes + guide_to_gene[guide])  # once per cell and gene
    return {
        "cell_offsets": _offsets(np.bincount(cell, minlength=len(day))),
        "cell_guides": guide,
        "guide_to_gene": guide_to_gene,
        "n_guides_per_gene": n_guides_per_gene,
        "gene_offsets": _offsets(n_guides_per_gene),
        "guides_by_gene": np.argsort(guide_to_gene, kind="stable"),
        "gene_cells": _count_by_day(carried % n_genes, day[carried // n_genes], n_genes, n_days),
        "guide_cells": _count_by_day(guide, day[cell], len(guide_to_gene), n_days),
    }


def with_calls(design: Design, cell: np.ndarray, guide: np.ndarray) -> Design:
    """A design whose cells carry other targeting guides; genes and guides are those that it names.

    Parameters
    ----------
    design
        Cells, genes and guides.
    cell, guide : numpy.ndarray, int64 [E]
        Calls, in any order.
    """
    order = np.lexsort([guide, cell])
    arrays = index_guides(
        cell[order], guide[order], design.guide_to_gene.numpy(), design.day.numpy(), len(design.genes),
        len(design.days),
    )  # fmt: skip
    drawn: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return replace(design, **drawn)


def _offsets(counts: np.ndarray) -> np.ndarray:
    """CSR offsets of groups, int64 [groups + 1]."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _distinct(values: np.ndarray) -> np.ndarray:
    """Sort and drop repeats of at least one value; ``np.unique`` takes ten times as long here."""
    values = np.sort(values, kind="stable")
    return values[np.concatenate([[True], np.diff(values) > 0])]


def _count_by_day(item: np.ndarray, day: np.ndarray, n_items: int, n_days: int) -> np.ndarray:
    """Count pairs of item and day, int64 [n_items, D]."""
    return np.bincount(item * n_days + day, minlength=n_items * n_days).reshape(n_items, n_days)


# -------------------------------------------------------------------- report


def _describe(design: Design, burden_given: bool, report: Report) -> None:
    """Add what a reader of the report wants to know of the finished design."""
    cells_of_day = torch.bincount(design.day, minlength=len(design.days)).tolist()
    report["days"] = [
        {"label": label, "index": index, "time": time, "cells": cells}
        for index, (label, time, cells) in enumerate(
            zip(design.days, design.times, cells_of_day, strict=True)
        )
    ]
    report["label_resolution"] = Resolution.of(design).report(design.fates, design.days)
    by_rep = _count_by_day(design.rep.numpy(), design.day.numpy(), len(design.reps), len(design.days))
    report["cells_by_replicate_and_day"] = {
        rep: dict(zip(design.days, row, strict=True))
        for rep, row in zip(design.reps, by_rep.tolist(), strict=True)
    }
    report["clusters"] = len(design.clusters)
    n_guides = design.n_guides.numpy()
    share = np.bincount(np.minimum(n_guides, 10)) / len(n_guides)
    report["guides_per_cell"] = {
        "mean": float(n_guides.mean()),
        **_quantiles(n_guides),
        "share_of_cells_with": {f"{n}" if n < 10 else "10 or more": float(s) for n, s in enumerate(share)},
    }
    report["burden"] = {
        "source": "column burden" if burden_given else "distinct guides called in the cell, NTC included",
        "mean": float(design.burden.mean()),
        **_quantiles(design.burden.numpy()),
    }
    report["cells_per_guide"] = _quantiles(design.guide_cells.sum(1).numpy())
    report["cells_per_gene_and_day"] = _quantiles(design.gene_cells.numpy())
    _describe_genes(design, report)
    warn_of_few_cells(
        design.days, np.array(cells_of_day), design.genes, design.gene_cells.sum(1).numpy(), report
    )


def _note_missing_replicates(design: Design, report: Report) -> None:
    """Say where no replicates can be compared."""
    samples = design.samples.tolist()
    unseen = "how much replicates differ is not seen, and standard errors do not contain it."
    if len(design.reps) == 1:
        report["warnings"].append(
            f"All {design.n_cells} cells are of one replicate ({design.reps[0]!r}): {unseen} If there are "
            "several, name their column (rep_key)."
        )
    elif len(samples) == len(design.days):
        of_day = [f"{design.reps[r]!r} on {on_days([design.days[d]])}" for d, r in samples]
        report["warnings"].append(f"No day has cells of two replicates ({join(of_day[:N_NAMED])}): {unseen}")


def _note_missing_slopes(design: Design, report: Report) -> None:
    """Say which effects of the burden the screen cannot tell, as the cells do not differ."""
    n_days = len(design.days)
    low, high = (
        torch.zeros(n_days, dtype=torch.float64).scatter_reduce(
            0, design.day, design.burden, reduce, include_self=False
        )
        for reduce in ("amin", "amax")
    )  # [D] each
    constant = [day for day, same in zip(design.days, (low == high).tolist(), strict=True) if same]
    if len(constant) == n_days:
        report["notes"].append(
            "All cells of a day have the same burden, so there is no burden slope to estimate."
        )
    elif constant:
        report["notes"].append(
            f"All cells of day {quoted(constant, 10)} have the same burden, so there is no "
            "burden slope to estimate on it."
        )


def _note_rare_fates(design: Design, report: Report) -> None:
    """Say on which days a fate hardly occurs; where the reference does not, warn."""
    rare = (mean_of_days(design.prob.numpy(), design.day.numpy(), len(design.days)) <= RARE).T  # [F, D]
    found = {
        fate: on_days([day for day, is_rare in zip(design.days, of_day, strict=True) if is_rare])
        for fate, of_day in zip(design.fates, rare, strict=True)
        if of_day.any() and not of_day.all()
    }
    if days := found.pop(design.fates[0], None):
        report["warnings"].append(
            f"The reference {design.fates[0]} is rarer than {RARE:.1%} on {days}: no contrast is told there. "
            "Calls by fate need no reference; else take another (model.ref_fate)."
        )
    if found:
        listed = "; ".join(f"{fate} on {days}" for fate, days in found.items())
        report["notes"].append(f"Rarer than {RARE:.1%}, so that no effect on them is told there: {listed}.")


def _describe_genes(design: Design, report: Report) -> None:
    unobserved = int((design.gene_cells == 0).sum())
    single = int((design.n_guides_per_gene == 1).sum())
    several = len(design.genes) - single
    report["unobserved_gene_days"] = unobserved
    report["genes"] |= {"with_one_guide": single, "with_several_guides": several}
    if unobserved:
        lack = "has" if unobserved == 1 else "have"
        report["warnings"].append(
            f"{unobserved} of {count(design.gene_cells.numel(), 'gene-day')} {lack} no cell with a guide of "
            "the gene; their effects are exported as missing and never called."
        )
    if several < MIN_MULTI_GUIDE_GENES:
        total = len(design.genes)
        have = "has" if several == 1 else "have"
        number = f"{several} of {count(total, 'gene')} {have} two or more guides"
        if several == total > 1:
            number = f"All {several} genes have two or more guides"
        elif not several:
            number = "No gene has two or more guides"
        alike = "" if several else several_of_a_gene(design.guides)
        question = f" But {alike} look like guides of one gene: is gene_name the gene?" if alike else ""
        report["warnings"].append(
            f"{number}, and {MIN_MULTI_GUIDE_GENES} such genes are needed to learn how much the guides of a "
            f"gene differ: that rests on its prior (with one guide delta is 0).{question}"
        )


def _quantiles(values: np.ndarray) -> dict[str, float]:
    names = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "max": 1.0}
    return dict(zip(names, np.quantile(values, list(names.values())).tolist(), strict=True))


def in_words(report: Mapping[str, Any]) -> list[str]:
    """What went in, came out and was dropped, in three lines for the log.

    Parameters
    ----------
    report
        Content of design_report.json.
    """
    cells, guides, calls, genes = (report[name] for name in ("cells", "guides", "guide_calls", "genes"))
    dropped = {
        "cells": cells["given"] - cells["kept"],
        "guides in no cell": guides["in_no_cell_dropped"],
        "genes": len(genes["dropped"]),
        "calls of unknown cells": calls["of_unknown_cells_dropped"],
        "calls below min_umi": calls["below_min_umi_dropped"],
        "repeated calls": calls["repeats_merged"],
    }
    words = ", ".join(f"{n} {what}" for what, n in dropped.items() if n)
    return [
        f"in: {cells['given']} cells, {calls['given']} guide calls, {guides['in_map']} guides in the map",
        f"out: {cells['kept']} cells on {len(report['days'])} days, {genes['kept']} genes, {guides['kept']} "
        f"targeting guides, {calls['kept']} calls",
        f"dropped: {words or 'nothing'} (design_report.json)",
    ]


# --------------------------------------------------------------------- files


def save_design(design: Design, cell_ids: Sequence[str] | pd.Series, folder: str | Path) -> None:
    """Write ``design.pt`` for the fit, and the same as Parquet for people and other tools.

    Parameters
    ----------
    design
        As built.
    cell_ids
        Column cell_id of the cells table that the design was built from.
    folder
        Gets design.pt, guide_to_gene.parquet, n_guides_per_gene.parquet, gene_offsets.parquet,
        guides_by_gene.parquet and cells.parquet.
    """
    folder = Path(folder)
    guides, genes = np.array(design.guides, dtype=object), np.array(design.genes, dtype=object)
    reps = np.array(design.reps, dtype=object)
    tables: dict[str, Any] = {
        "guide_to_gene": {
            "guide": guides,
            "gene": genes[design.guide_to_gene],
            "guide_to_gene": design.guide_to_gene,
        },
        "n_guides_per_gene": Daywise(
            {
                "gene": genes,
                "n_guides_per_gene": design.n_guides_per_gene.numpy(),
                "n_cells": design.gene_cells.numpy(),
            }
        ).table(),
        "gene_offsets": {"gene_offsets": design.gene_offsets},
        "guides_by_gene": {"guides_by_gene": design.guides_by_gene, "guide": guides[design.guides_by_gene]},
        "cells": {
            "cell_id": pd.Series(cell_ids).astype(str).to_numpy(dtype=object)[design.row],
            "day": design.day,
            "rep": reps[design.rep],
            "burden": design.burden,
            "n_ntc": design.n_ntc,
            "n_guides": design.n_guides,
        },
    }
    if design.clusters:
        tables["cells"][CLUSTER] = np.array(design.clusters, dtype=object)[design.cluster]
    for name, columns in tables.items():
        write_table(pd.DataFrame(columns), folder / f"{name}.parquet")
    with atomic_path(folder / "design.pt") as temporary, temporary.open("wb") as file:
        torch.save(design.to_dict(), file)  # to an open file: its temporary name must not enter the archive


def load_design(path: str | Path) -> Design:
    """Read ``design.pt``.

    Raises
    ------
    FatewalkError
        If the file is absent or no design of this version.
    """
    with reading(path):
        return Design.from_dict(torch.load(path, weights_only=True))
