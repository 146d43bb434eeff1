"""Coverage that the full certificate finds with planted effects, beside coverage of the true effects.

    python -m benchmarks.planted --screens 8 --first-seed 1

Screens of 3,000 cells with one-hot, Dirichlet or clustered labels. `truth`: share of the effects of the
simulator that the 95 % interval of the unshrunk estimate holds; `planted`: the same for effects planted into
the screen's own labels, without the truth being known (two planted screens each).
"""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.certificate import BASE, KINDS
from benchmarks.common import draw_screen, true_effects
from fatewalk.calls import shrink_fates
from fatewalk.certificate.plasmode import compare, plant
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.arrays import name_evidence
from fatewalk.estimates.likelihood_only import label_evidence
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from fatewalk.calls import FateEffects
    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

RIGHT = ("one-hot", "Dirichlet", "named clusters")
PLANTED = 2


def analyse(design: Design, model: ModelConfig) -> tuple[Posterior, FateEffects, float]:
    """The fit, effects on fates, and the variance of guides that their errors do not hold."""
    posterior = fit_effects(design, model, FitConfig(family="laplace", device="cpu"), progress=False)[0]
    evidence = vars(name_evidence(label_evidence(posterior, design), design))
    found = shrink_fates(evidence, "gene", "library", 10, 0.2).by_fate
    return posterior, found, float(evidence["guide_variance"])


def screen(kind: str, seed: int) -> dict[str, np.ndarray]:
    """Whether the interval of each effect holds it: of the simulator's, and of planted ones."""
    drawn, design = draw_screen({**BASE, **KINDS[kind], "seed": seed})
    model = ModelConfig(fates=list(design.fates))
    posterior, found, guide_variance = analyse(design, model)
    truth = true_effects(drawn, design, "theta")
    called = np.zeros(found.estimate.shape, dtype=bool)
    covered: dict[str, Any] = {"truth": compare(found, truth, called)["covered"].to_numpy(), "planted": []}
    for i in range(PLANTED):
        planted, theta = plant(posterior, design, found.prior, guide_variance**0.5, seed=i)
        again = analyse(planted, model)[1]
        covered["planted"].append(compare(again, theta, called)["covered"].to_numpy())
    return {what: np.concatenate(np.atleast_2d(values), axis=None) for what, values in covered.items()}


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--screens", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", default=list(RIGHT), choices=RIGHT)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for kind in args.kinds:
        found = []
        for seed in range(args.first_seed, args.first_seed + args.screens):
            found.append(screen(kind, seed))
            each = {what: np.array([one[what].mean() for one in found]) for what in found[0]}
            error = {what: x.std() / max(len(x) - 1, 1) ** 0.5 for what, x in each.items()}
            words = [f"{what} {x.mean():.3f} (SE {error[what]:.3f})" for what, x in each.items()]
            print(f"{kind}, {len(found)} screens: {', '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
