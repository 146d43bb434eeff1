"""One clone in a gene without effect: its hits should be marked, and few true hits of clean screens.

    python -m benchmarks.support.clones --screens 60 --guides 4

Each screen is taken twice: clean, and with 200 cells of one replicate that share a guide of a gene without
effect and lean to one fate by 1.5 logit; they are of one day in every second screen, else of all days.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.support.chain import design_of, hits_and_support
from fatewalk.calls.support import joined, marks_of_controls, marks_of_parts, marks_of_survival
from fatewalk.config.simulate import SimulateConfig
from fatewalk.core.schema import prob_columns
from fatewalk.screen.simulate import simulate_screen
from fatewalk.screen.survival import survival_table

if TYPE_CHECKING:
    from fatewalk.screen.design import Design
    from fatewalk.screen.simulate import SimulatedScreen

FATES = ["A", "B", "C"]
MARKS = ("one part", "one control", "depleted", "any mark")
SCREEN = {
    "cells": 8000, "genes": 40, "ntc_guides": 10, "days": [0, 1, 2, 3], "moi": 3, "active_genes": 10,
    "effect_size": [0.4, 1.2], "fates": FATES,
}  # fmt: skip


def null_genes(screen: SimulatedScreen) -> list[str]:
    """Genes without any effect."""
    largest = screen.truth_theta.groupby("gene")["theta_gene"].apply(lambda values: values.abs().max())
    return [str(gene) for gene in largest.index[largest == 0]]


def with_clone(
    screen: SimulatedScreen, seed: int, size: int = 200, deviation: float = 1.5, one_day: bool = True
) -> tuple[SimulatedScreen, str]:
    """A screen in which cells of one replicate share a guide of a null gene and lean to the last fate."""
    rng = np.random.default_rng(seed)
    gene = str(rng.choice(null_genes(screen)))
    guides = screen.guide_map.loc[screen.guide_map["gene_name"] == gene, "guide_name"]
    guide = str(rng.choice(guides.to_numpy()))
    cells = screen.cells.copy()
    free = cells["rep"] == cells["rep"].iloc[0]
    if one_day:
        free &= cells["day"] == rng.choice(cells["day"].unique())
    carriers = screen.guide_calls.loc[screen.guide_calls["guide"].isin(set(guides)), "cell_id"]
    free &= ~cells["cell_id"].isin(carriers)
    clone = rng.choice(np.flatnonzero(free), size, replace=False)
    names = prob_columns(FATES)
    labels = cells[names].to_numpy(copy=True)
    share = labels[:, -1].mean()
    leaning = share * np.exp(deviation) / (1 - share + share * np.exp(deviation))
    turned = clone[(labels[clone, -1] == 0) & (rng.random(size) < (leaning - share) / (1 - share))]
    labels[turned] = np.eye(len(names))[-1]
    cells[names] = labels
    more = pd.DataFrame({"cell_id": cells["cell_id"].to_numpy()[clone], "guide": guide})
    calls = pd.concat([screen.guide_calls, more], ignore_index=True)
    return replace(screen, cells=cells, guide_calls=calls), gene


def marked(support: pd.DataFrame, design: Design) -> pd.DataFrame:
    """The hits with a column for each kind of mark, and one for any."""
    marks = (
        marks_of_parts(support),
        marks_of_controls(support),
        marks_of_survival(support, survival_table(design)),
    )
    columns = {name: [bool(mark) for mark in of_kind] for name, of_kind in zip(MARKS, marks, strict=False)}
    columns[MARKS[-1]] = [bool(mark) for mark in joined(*marks)]
    return support.assign(**columns)


def main() -> None:
    """Count hits and marks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--screens", type=int, default=60)
    parser.add_argument("--first", type=int, default=1, help="seed of the first screen")
    parser.add_argument("--guides", type=int, default=4, help="guides of a gene")
    parser.add_argument("--clean", type=int, default=20, help="of how many the clean screen is taken too")
    given = parser.parse_args()
    found, true = [], []
    for seed in range(given.first, given.first + given.screens):
        config = SimulateConfig.model_validate(SCREEN | {"guides_per_gene": given.guides, "seed": seed})
        screen = simulate_screen(config)
        spoilt, gene = with_clone(screen, seed, one_day=seed % 2 == 0)
        _, support = hits_and_support(design_of(spoilt, FATES))
        found.append(support[support["gene"] == gene].assign(seed=seed))
        if seed < given.first + given.clean:
            design = design_of(screen, FATES)
            _, support = hits_and_support(design)
            true.append(marked(support, design)[~support["gene"].isin(null_genes(screen))])
    clones, clean = pd.concat(found), pd.concat(true) if true else pd.DataFrame({"survives": []})
    unmarked = clones[clones["survives"] == "yes"]
    print(
        f"clone: a hit in {clones['seed'].nunique()} of {given.screens} screens, {len(clones)} hits, "
        f"without a mark {len(unmarked)} in {unmarked['seed'].nunique()} screens"
    )
    of_part = int((clean["survives"] != "yes").sum())
    print(f"clean: {len(clean)} true hits of {len(true)} screens, {of_part} with the mark")
    for mark in MARKS if true else ():
        print(f"    {mark}: {int(clean[mark].sum())}")
    shown = ["seed", "gene", "fate", "day", "estimate", "weakest_without_estimate", "weakest_without_z"]
    if len(unmarked):
        print(unmarked[shown].to_string(index=False))


if __name__ == "__main__":
    main()
