"""Rule likelihood_estimates: what the labels alone say of each gene and guide, its errors, its power."""

from pathlib import Path

import torch

from fatewalk.design import load_design
from fatewalk.identifiability import gene_power
from fatewalk.infer.fit import load_posterior
from fatewalk.likelihood import likelihood_estimates
from fatewalk.model.rows import make_rows
from fatewalk.smk import run_stage
from fatewalk.tables import write_table
from fatewalk.unshrunk import name_estimates


def main(snakemake):
    torch.set_num_threads(snakemake.threads)
    design = load_design(snakemake.input.design)
    posterior = load_posterior(Path(snakemake.input.posterior))
    estimates = likelihood_estimates(posterior, design)
    name_estimates(estimates, design).save(Path(snakemake.output.likelihood))
    rows = make_rows(design).weighted(posterior.weight)
    write_table(gene_power(design, posterior.model.config, rows), snakemake.output.power)


run_stage(main, snakemake)  # noqa: F821
