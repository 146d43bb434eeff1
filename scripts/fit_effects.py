"""Rule fit_effects: the hierarchical model fitted by Newton-Laplace and SVI, on a GPU if there is one."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.config import load_config
from fatewalk.stages import fit_effects
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    design, fit = Path(snakemake.input.design).parent, Path(snakemake.output.posterior).parent
    # from the config: device and time between checkpoints steer the job, and are no parameters of the rule
    wildcards = snakemake.wildcards
    settings = load_config(snakemake.config).settings_of_fit(wildcards.dataset, wildcards.fit)
    fit_effects.main(design, fit, settings, snakemake.threads)


run_stage("fit_effects", main, snakemake)  # noqa: F821
