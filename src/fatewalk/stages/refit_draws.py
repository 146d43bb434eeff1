"""Stage ``refit_draws``: some of the refits of a bootstrap, each of a design that is drawn again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from fatewalk.config import FitConfig
from fatewalk.core.files import read_json
from fatewalk.core.outcome import NumericalError
from fatewalk.estimates.arrays import Refits
from fatewalk.estimates.likelihood_only import gene_estimates, gene_evidence
from fatewalk.infer.fitted import load_posterior
from fatewalk.infer.refit import refit
from fatewalk.model.coordinates import Coordinates
from fatewalk.run.manifest import CARD, seal
from fatewalk.screen.design import load_design
from fatewalk.screen.resample import refuse_unit, resample
from fatewalk.stages.fit_effects import scatter_of
from fatewalk.stages.summarise_posterior import need_fit_of_design

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fatewalk.core.schema import Unit
    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

log = logging.getLogger(__name__)

REPLICATE = "leave_one_replicate_out"


def main(
    design: Path, fit: Path, folder: Path, unit: Unit, numbers: Sequence[int], seed: int, threads: int
) -> None:
    """Write the estimates of some refits, on the CPU.

    Parameters
    ----------
    design, fit
        Folders.
    folder
        Folder for the results.
    unit, seed
        What is drawn, and what all draws follow from.
    numbers
        Numbers of the draws; not looked at where each replicate is left out once.
    threads
        CPU threads.

    Raises
    ------
    FatewalkError
        If the screen has no such units, or the fit is not the one that was made of the design.
    """
    torch.set_num_threads(threads)
    found = load_design(design / "design.pt")
    posterior = load_posterior(fit / "posterior.pt", found)
    entry = need_fit_of_design(fit, design)
    refuse_unit(found, unit)
    config = FitConfig(**read_json(fit / CARD, ["config"])["config"]["fit"])
    if unit == "cells" and found.clusters:
        log.warning(
            "the cells of a cluster are no independent draws: the bootstrap of cells is too narrow here; set "
            "resample.unit: clusters"
        )
    numbers = range(len(found.reps)) if unit == REPLICATE else numbers
    each = [_one(posterior, found, unit, number, seed, config) for number in numbers]
    refits = Refits.of(np.array(list(numbers)), each, found)
    refits.save(folder / "refits.npz")
    seal(folder, "refit_draws", "refits", entry)
    log.info(
        "in: %d draws of %s; out: %d refits, %d rounds each in the median",
        len(each), unit, int(refits.converged.sum()), int(np.median(refits.rounds)),
    )  # fmt: skip


def _one(
    posterior: Posterior, design: Design, unit: Unit, number: int, seed: int, config: FitConfig
) -> dict[str, np.ndarray]:
    """One refit: its arrays by name, missing where it did not converge."""
    genes, n, days = len(design.genes), len(design.contrasts), len(design.days)
    none = np.full((genes, n, days), np.nan)
    drawn = resample(design, unit, number, seed)
    weight = None if config.likelihood_weight == "auto" else float(config.likelihood_weight)
    observed = drawn.design.gene_cells > 0  # [L', D]
    try:
        laplace, symmetric = refit(posterior, drawn, weight, config.dense_limit)
        c = laplace.coordinates
        likelihood = gene_estimates(c, laplace.state(), laplace.rows, observed)
        same_for_all = Coordinates(c.terms, symmetric=n > 1)
        dense = n * c.size <= config.dense_limit
        score, information = gene_evidence(
            same_for_all,
            symmetric.state(),
            laplace.rows,
            observed,
            dense,
            scatter_of(laplace, drawn.design, config),
        )
    except NumericalError as error:
        log.warning("refit %d: %s", number, error)
        zeros = np.zeros((genes, n, days))
        return {
            "theta": none, "likelihood": none, "score": zeros, "rounds": np.array(0),
            "information": np.zeros((genes, n, days, n, days)), "converged": np.array(False),
        }  # fmt: skip
    sd = c.sd(c.scales.log_scales(laplace.vector))
    theta = c.theta(sd * laplace.y).permute(2, 0, 1)  # [L', F*, D]
    theta = torch.where(observed[:, None], theta, torch.nan)
    arrays = {"theta": theta, "likelihood": likelihood, "score": score, "information": information}
    both = [laplace.outcome, symmetric.outcome]
    return {
        **{name: value[:genes].numpy() for name, value in arrays.items()},
        "rounds": np.array(len(laplace.trace)),
        "converged": np.array(all(one.status == "converged" for one in both)),
    }
