"""Control groups of the real examples, one at a time taken for a gene: are their z scores standard normal.

    python -m benchmarks.controls_as_genes ../shared/realdata --example zscape_crispants mcf10a_cropseq_dox

Each control is fitted as a gene beside all others (family laplace), the other controls being its NTC guides.
Printed are SD and largest of its unshrunk z on every fate's own log odds, by control and by fate.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.common import fit_config
from benchmarks.peers.real import KNOWN, Example
from fatewalk import mash
from fatewalk.calls.fates import unshrunk
from fatewalk.core.schema import RARE
from fatewalk.estimates.arrays import mean_composition
from fatewalk.estimates.likelihood_only import label_evidence
from fatewalk.stages.fit_effects import fit_effects


def z_of_controls(name: str, folder: Path) -> pd.DataFrame:
    """One row for each control, fate and day with cells of the control: control, fate, day, z."""
    example, rows = Example.read(name, folder), []
    used = set(example.calls["guide"].astype(str))
    for control in example.guide_map["guide_name"][example.guide_map["is_ntc"]]:
        if control not in used:
            continue
        design = example.with_pseudo_gene(control).build()[0]
        fit = fit_config("laplace", None, device="cpu")
        posterior, _, _ = fit_effects(design, example.settings.model, fit, progress=False)
        evidence, composition = label_evidence(posterior, design), mean_composition(design)
        given = mash.Evidence(evidence.gene_score, evidence.gene_information)
        mean, sd = unshrunk(given, composition)  # [L, F, D]
        gene = design.genes.index(control)
        seen = (design.gene_cells[gene].numpy() > 0) & (composition >= RARE)  # [F, D]
        for f, d in zip(*np.nonzero(seen & np.isfinite(sd[gene]) & (sd[gene] > 0)), strict=True):
            z = float(mean[gene, f, d] / sd[gene, f, d])
            rows.append({"control": control, "fate": design.fates[f], "day": design.days[d], "z": z})
    return pd.DataFrame(rows)


def main() -> None:
    """Print the SDs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds the folder of each example")
    parser.add_argument("--example", choices=list(KNOWN), nargs="+", default=list(KNOWN))
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.example:
        z = z_of_controls(name, args.folder)
        print(f"{name}: {len(z)} z scores, SD {np.sqrt((z['z'] ** 2).mean()):.2f}")
        for by in ("control", "fate"):
            spread = z.groupby(by, sort=False)["z"].agg(
                n="size", sd=lambda x: np.sqrt((x**2).mean()), largest=lambda x: x.abs().max()
            )
            print(spread.round(2).to_string())


if __name__ == "__main__":
    main()
