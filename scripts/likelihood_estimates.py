"""Rule likelihood_estimates: what the labels alone say of each gene and guide, and the errors of that."""

from pathlib import Path

import torch

from fatewalk.design import load_design
from fatewalk.infer.fit import load_posterior
from fatewalk.likelihood import likelihood_estimates
from fatewalk.smk import run_stage
from fatewalk.unshrunk import name_estimates


def main(snakemake):
    torch.set_num_threads(snakemake.threads)
    design = load_design(snakemake.input.design)
    estimates = likelihood_estimates(load_posterior(Path(snakemake.input.posterior)), design)
    name_estimates(estimates, design).save(Path(snakemake.output.likelihood))


run_stage(main, snakemake)  # noqa: F821
