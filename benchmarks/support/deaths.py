"""A gene kills cells of one fate by a third a day: its hits should carry the mark, and few others.

    python -m benchmarks.support.deaths --screens 20 --cells 40000
    python -m benchmarks.support.deaths --screens 60 --no-fit      marks of the gene alone, which need no fit

One gene without an effect on fates makes cells of fate A die, 1/3 of them each day; the others do not.
"""

from __future__ import annotations

import argparse

import pandas as pd

from benchmarks.support.chain import design_of, hits_and_support
from fatewalk.calls.support import marks_of_survival
from fatewalk.config.simulate import SimulateConfig
from fatewalk.screen.simulate import simulate_screen
from fatewalk.screen.survival import survival_table

FATES = ["A", "B", "C"]
KILLER = "Gene001"
SCREEN = {
    "genes": 40, "guides_per_gene": 4, "ntc_guides": 10, "days": [0, 1, 2, 3], "moi": 3, "active_genes": 0,
    "fates": FATES, "growth": {KILLER: {"A": 2 / 3}},
}  # fmt: skip


def main() -> None:
    """Count hits and marks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--screens", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="seed of the first screen")
    parser.add_argument("--cells", type=int, default=40_000)
    parser.add_argument(
        "--no-fit", action="store_true", help="the mark of the gene, whether it is a hit or not"
    )
    given = parser.parse_args()
    hits, others = [], []
    for seed in range(given.first, given.first + given.screens):
        config = SimulateConfig.model_validate(SCREEN | {"cells": given.cells, "seed": seed})
        design = design_of(simulate_screen(config), FATES)
        survival = survival_table(design)
        support = pd.DataFrame({"gene": [KILLER]}) if given.no_fit else hits_and_support(design)[1]
        found = support[support["gene"] == KILLER]
        hits.append(found.assign(mark=[bool(one) for one in marks_of_survival(found, survival)], seed=seed))
        genes = pd.DataFrame({"gene": [gene for gene in design.genes if gene != KILLER]})
        others += [bool(one) for one in marks_of_survival(genes, survival)]
    table = pd.concat(hits)
    what = "genes that kill" if given.no_fit else "hits of the gene that kills"
    print(
        f"{given.screens} screens of {given.cells} cells: {len(table)} {what}, in "
        f"{table['seed'].nunique()} screens; without the mark {int((~table['mark']).sum())}"
    )
    print(f"other genes: {sum(others)} of {len(others)} would carry it ({sum(others) / len(others):.1%})")


if __name__ == "__main__":
    main()
