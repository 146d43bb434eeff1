"""How much of an effect the graph eats: fate labels computed on all cells, or on control cells only.

    python -m benchmarks.label_graph

Cells go from a common start (pseudotime 0) to one of two fates (pseudotime 1); a gene changes the log odds
of its cells by a known effect. Labels are computed as CellRank's pseudotime kernel does it: from each cell a
walk goes to its nearest neighbours with a later pseudotime, and the label is the chance to end in fate A. On
*all* cells the walk of a perturbed cell goes over cells of every kind. On *controls* it goes over control
cells alone, and any other cell takes the mean label of its nearest controls. A *signature* is a shift of all
perturbed cells in a direction of expression of its own. Shown is the effect in the labels (log odds of their
means, perturbed against control cells) as a share of the true one, for cells early and late in pseudotime.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

NEIGHBOURS = 30
TERMINAL = 0.9  # pseudotime from which a cell is of its fate
WINDOWS = {"early": (0.2, 0.5), "late": (0.6, 0.9)}
NOISE = 8  # directions of expression that tell nothing


def draw(
    n: int, effect: float, share: float, signature: float, rng: np.random.Generator
) -> tuple[Numbers, Numbers, Flags, Flags]:
    """Expression [N, 3 + NOISE], pseudotime, who is perturbed, who ends in fate A, [N] each."""
    time = rng.random(n)
    perturbed = rng.random(n) < share
    fate_a = rng.random(n) < 1 / (1 + np.exp(-effect * perturbed))
    branch = np.where(fate_a, 1.0, -1.0) * 3 * time**2 + rng.normal(size=n)
    own = signature * perturbed + rng.normal(size=n)
    noise = rng.normal(size=(n, NOISE))
    return np.column_stack([6 * time, branch, own, noise]), time, perturbed, fate_a


def labels_on(expression: Numbers, time: Numbers, fate_a: Flags, graph: Flags) -> Numbers:
    """Chance of fate A, [N], by walks forward in pseudotime over the cells of the graph, bool [N]."""
    cells = np.flatnonzero(graph)
    tree = cKDTree(expression[cells])
    _, near = tree.query(expression, k=NEIGHBOURS + 1)
    near = cells[near]  # [N, k + 1], the cell itself among them
    label = fate_a.astype(float)
    for cell in cells[np.argsort(-time[cells])]:  # the future of a cell has its labels before it
        if time[cell] < TERMINAL:
            later = near[cell][time[near[cell]] > time[cell]]
            label[cell] = label[later].mean() if len(later) else 0.5
    others = np.flatnonzero(~graph)
    label[others] = label[near[others, :NEIGHBOURS]].mean(axis=1)
    return label


def effect_in(label: Numbers, perturbed: Flags, window: Flags) -> float:
    """Log odds of the mean label of perturbed cells against that of the others."""
    means = [label[window & group].mean() for group in (perturbed, ~perturbed)]
    logits = [np.log(mean / (1 - mean)) for mean in means]
    return float(logits[0] - logits[1])


def measure(
    n: int, repeats: int, effect: float, shares: list[float], signatures: list[float]
) -> pd.DataFrame:
    """Mean share of the effect that is left, and its standard error, by setting, graph and window."""
    rows = []
    for share in shares:
        for signature in signatures:
            for repeat in range(repeats):
                rng = np.random.default_rng([repeat, int(100 * share), int(10 * signature)])
                expression, time, perturbed, fate_a = draw(n, effect, share, signature, rng)
                for name, graph in {"all": np.ones(n, bool), "controls": ~perturbed}.items():
                    label = labels_on(expression, time, fate_a, graph)
                    for window, (low, high) in WINDOWS.items():
                        found = effect_in(label, perturbed, (time >= low) & (time < high))
                        row = {"perturbed": share, "signature": signature, "graph": name, "cells": window}
                        rows.append(row | {"left": found / effect})
    by = ["perturbed", "signature", "cells", "graph"]
    return pd.DataFrame(rows).groupby(by)["left"].agg(["mean", "sem"]).reset_index()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--effect", type=float, default=1.0, help="log odds")
    arguments = parser.parse_args()
    table = measure(arguments.cells, arguments.repeats, arguments.effect, [0.1, 0.5], [0.0, 2.0, 5.0])
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
