"""Rule summarise_posterior: means and SDs of theta, delta and beta from joint draws."""

from pathlib import Path

from fatewalk.design import load_design
from fatewalk.infer.fit import load_posterior
from fatewalk.posterior import posterior_moments
from fatewalk.smk import run_stage


def main(snakemake):
    design = load_design(snakemake.input.design)
    posterior = load_posterior(Path(snakemake.input.posterior))
    moments = posterior_moments(posterior, design, snakemake.params.draws, snakemake.params.seed)
    moments.save(Path(snakemake.output.moments))


run_stage(main, snakemake)  # noqa: F821
