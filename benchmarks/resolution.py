"""Patterns over days where the labels of the first day resolve little: claims of a change that is none.

    python -m benchmarks.resolution constant --screens 3
    python -m benchmarks.resolution change --screens 3

constant: constant effects, soft labels whose first day is drawn towards its mean by a factor. Of the hits by
fate, the share whose pattern claims a change with probability above .9: in logit alone, and as hits.csv says.
change: effects that change, labels as they are; of the hits by fate whose pattern over the days is a change
in truth, the share whose pattern is named right with probability above .9, and above .5.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from benchmarks.common import draw_screen, fit_config, true_effects
from fatewalk import mash
from fatewalk.calls import FateCalls, shrink_fates
from fatewalk.calls.fate_hits import hit_patterns
from fatewalk.calls.patterns import PATTERNS, classify, likeliest
from fatewalk.config import CallsConfig, MashConfig, ModelConfig
from fatewalk.estimates.arrays import mean_composition, name_evidence
from fatewalk.estimates.likelihood_only import label_evidence
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FACTORS = (1.0, 0.7, 0.5, 0.3, 0.1)
LABELS: dict[str, dict[str, Any]] = {
    "soft": {"labels": "dirichlet", "concentration": 20},
    "soft, uneven": {"labels": "dirichlet", "concentration": [10, 20, 15, 25]},
    "one-hot": {"labels": "one_hot"},
}
SCREEN: dict[str, Any] = {
    "cells": 6000,
    "genes": 40,
    "guides_per_gene": 3,
    "moi": 3,
    "active_genes": 20,
    "effect_fates": "one_fate",
    "effect_size": [0.3, 1.0],
    "guide_sd": 0.1,
}
CHANGES = ("early", "late", "transient", "intermittent")
SURE = 0.9


def screen_hits(simulate: Mapping[str, Any]) -> pd.DataFrame:
    """Fit a screen and name the patterns of its hits.

    Returns
    -------
    pandas.DataFrame
        A row for each hit by fate: truth (pattern of the true effects on the fate), logit and logit_prob (in
        logit alone), words and prob (as in hits.csv), not_resolved.
    """
    torch.set_num_threads(1)
    screen, design = draw_screen({**SCREEN, **simulate})
    fit, calls = fit_config("laplace", None, threads=1, device="cpu"), CallsConfig()
    model = ModelConfig(fates=list(design.fates))
    posterior, _, _ = fit_effects(design, model, fit, progress=False)
    evidence = vars(name_evidence(label_evidence(posterior, design), design))
    eps = calls.effect_size_eps
    genes = shrink_fates(evidence, "gene", "library", MashConfig().null_weight, eps).by_fate
    called = FateCalls.of(genes, calls)
    row, fate = np.nonzero(called.named)
    logit, logit_prob = likeliest(genes.patterns[row, fate])
    words, prob, not_resolved = hit_patterns(genes, called, row, fate)
    true = mash.fate_scale(true_effects(screen, design, "theta"), mean_composition(design))  # [L, F, D]
    truth = np.array(PATTERNS)[classify(true, np.ones(true[:, 0].shape, dtype=bool)[:, None], eps)]
    return pd.DataFrame(
        {
            "truth": truth[row, fate],
            "logit": logit,
            "logit_prob": logit_prob,
            "words": words,
            "prob": prob,
            "not_resolved": not_resolved,
        }
    )


def claims(hits: pd.DataFrame, name: str, prob: str) -> pd.Series:
    """Hits whose pattern claims a change between two days with probability above .9."""
    return hits[name].isin(CHANGES) & (hits[prob] > SURE)


def constant(n_screens: int) -> Iterator[dict[str, object]]:
    """Share of hits that claim a change where there is none, by factor of the first day."""
    for name, labels in LABELS.items():
        for factor in FACTORS:
            settings = labels | {"effect_patterns": {"sustained": 1}, "label_shrink": [factor, 1, 1, 1]}
            hits = pd.concat(screen_hits(settings | {"seed": seed}) for seed in range(1, n_screens + 1))
            yield {
                "labels": name,
                "factor": factor,
                "hits": len(hits),
                "in_logit": claims(hits, "logit", "logit_prob").mean(),
                "in_words": claims(hits, "words", "prob").mean(),
                "not_resolved": (hits["not_resolved"] != "").mean(),
            }


def change(n_screens: int) -> Iterator[dict[str, object]]:
    """Share of true changes that are named right, in logit alone and as hits.csv says."""
    for name, labels in LABELS.items():
        hits = pd.concat(screen_hits(labels | {"seed": seed}) for seed in range(101, 101 + n_screens))
        hits = hits[hits["truth"].isin(CHANGES)]
        right, words = (hits[name] == hits["truth"] for name in ("logit", "words"))
        yield {
            "labels": name,
            "changes": len(hits),
            "in_logit": (right & (hits["logit_prob"] > SURE)).mean(),
            "in_words": (words & (hits["prob"] > SURE)).mean(),
            "in_logit_any": right.mean(),
            "in_words_any": words.mean(),
        }


def main() -> None:
    """Print the table asked for, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("constant", "change"))
    parser.add_argument("--screens", type=int, default=3, help="screens of each setting")
    args = parser.parse_args()
    for i, row in enumerate({"constant": constant, "change": change}[args.what](args.screens)):
        print(pd.DataFrame([row]).round(3).to_string(index=False, header=i == 0), flush=True)


if __name__ == "__main__":
    main()
