"""Stage ``summarise_posterior``: all that needs rows or draws of a fit, so that later ones need no torch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from fatewalk.certificate.from_fit import draw_nulls, given_phi
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json
from fatewalk.core.outcome import NumericalError
from fatewalk.core.tables import write_table
from fatewalk.diagnostics.power import gene_power
from fatewalk.estimates.arrays import name_estimates, name_evidence
from fatewalk.estimates.fate_change import average_fate_change
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.estimates.parts import guide_parts
from fatewalk.infer.checkpoint import delete_checkpoints
from fatewalk.infer.fitted import load_posterior
from fatewalk.run.manifest import CARD, fit_entry, need_sealed, seal
from fatewalk.screen.design import load_design
from fatewalk.stages.fit_effects import hash_of_config_and_design

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def main(design: Path, fit: Path, summary: Path, draws: int, seed: int, threads: int) -> None:
    """Write moments, likelihood-only estimates, evidence, changes of fate and power of a fit.

    Parameters
    ----------
    design, fit
        Folders; checkpoints of the fit are deleted, since it has been accepted.
    summary
        Folder for the results.
    draws, seed
        Posterior draws and their seed.
    threads
        CPU threads.

    Raises
    ------
    FatewalkError
        If the fit has no estimates in numbers, or is not the one that was made of the design.
    """
    torch.set_num_threads(threads)
    delete_checkpoints(fit)
    found = load_design(design / "design.pt")
    posterior = load_posterior(fit / "posterior.pt", found)
    entry = need_fit_of_design(fit, design)
    log.info("in: fit of %d genes, %d guides, %d days", *map(len, (found.genes, found.guides, found.days)))
    posterior_moments(posterior, found, draws, seed).save(summary / "moments.npz")
    log.info("moments from %d draws", draws)
    rows = posterior.rows(found)
    try:
        estimates = likelihood_estimates(posterior, found, rows)
        name_estimates(estimates, found, posterior.further).save(summary / "likelihood.npz")
        log.info("likelihood-only estimates")
        evidence = label_evidence(posterior, found)
        name_evidence(evidence, found, posterior.further).save(summary / "evidence.npz")
        log.info("evidence on all fates")
        guide_parts(posterior, found).save(summary / "guide_parts.npz")
        log.info("evidence of each guide in each replicate")
        card = read_json(fit / CARD, ["likelihood_weight", "phi_by_day"])
        draw_nulls(posterior, found, given_phi(card, found)).save(summary / "nulls.npz")
        log.info("guides shuffled between cells")
        average_fate_change(posterior, found, rows, draws, seed).save(summary / "fate_change.npz")
        log.info("changes of fate probabilities")
    except NumericalError as error:
        raise FatewalkError(
            f"the fit gives no estimates: {error}. Look at status and warnings in fit_card.json."
        ) from error
    write_table(gene_power(found, posterior.model.terms, rows), summary / "gene_power.csv")
    log.info("power")
    seal(summary, "summarise_posterior", "summary", entry)


def need_fit_of_design(fit: Path, design: Path) -> dict[str, str]:
    """Refuse a fit of another design, or files that are not what their stage wrote; what tells the fit."""
    card = read_json(fit / CARD, ["config", "hash_of_config_and_design"])
    entry = fit_entry(fit.name, card)
    need_sealed(design)
    need_sealed(fit, entry)
    if hash_of_config_and_design(card["config"], design / "design.pt") != entry["fit_sha256"]:
        raise FatewalkError(
            f"{fit}: is no fit of the design in {design}: one of the two was replaced; delete the folder "
            f"{fit} and run the same command again"
        )
    return entry
