"""Rule summarise_posterior: all that needs rows or draws of a fit, so that later stages need no torch."""

import logging
from pathlib import Path

import checkout  # noqa: F401
import torch

from fatewalk.core.tables import write_table
from fatewalk.diagnostics.power import gene_power
from fatewalk.estimates.arrays import name_estimates
from fatewalk.estimates.fate_change import average_fate_change
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import likelihood_estimates
from fatewalk.infer.checkpoint import delete_checkpoints
from fatewalk.infer.fitted import load_posterior
from fatewalk.model.rows import make_rows
from fatewalk.screen.design import load_design
from fatewalk.workflow.stage import run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    out = snakemake.output
    torch.set_num_threads(snakemake.threads)
    path = Path(snakemake.input.posterior)
    delete_checkpoints(path.parent)  # Snakemake has accepted the fit
    design = load_design(snakemake.input.design)
    posterior = load_posterior(path, design)
    draws, seed = snakemake.params.draws, snakemake.params.seed
    log.info("in: fit of %d genes, %d guides, %d days", *map(len, (design.genes, design.guides, design.days)))
    posterior_moments(posterior, design, draws, seed).save(Path(out.moments))
    log.info("moments from %d draws", draws)
    name_estimates(likelihood_estimates(posterior, design), design).save(Path(out.likelihood))
    log.info("likelihood-only estimates")
    average_fate_change(posterior, design, draws, seed).save(Path(out.change))
    log.info("changes of fate probabilities")
    terms = posterior.model.terms
    rows = make_rows(design, terms).weighted(posterior.weight)
    write_table(gene_power(design, terms, rows), out.power)
    log.info("power")


run_stage("summarise_posterior", main, snakemake)  # noqa: F821
