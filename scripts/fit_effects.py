"""Rule fit_effects: the hierarchical model fitted by Newton-Laplace and SVI, on a GPU if there is one."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.config import FitConfig, ModelConfig, load_config
from fatewalk.infer.checkpoint import Checkpoint, checkpoint_path
from fatewalk.screen.design import load_design
from fatewalk.stages.fit_effects import fit_effects, write_fit
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    out, path = snakemake.output, Path(snakemake.input.design)
    posterior = Path(out.posterior)
    # from the config: device and time between checkpoints steer the job, and are no parameters of the rule
    wildcards = snakemake.wildcards
    settings = load_config(snakemake.config).settings_of_fit(wildcards.dataset, wildcards.fit)
    read = settings.read_by("fit_effects")
    model = ModelConfig(**read["model"])
    fit = FitConfig(**read["fit"], device=settings.fit.device, threads=snakemake.threads)
    file = checkpoint_path(posterior.parent, path, model, fit)
    checkpoint = Checkpoint(file, 60 * settings.fit.checkpoint_minutes)
    results = fit_effects(load_design(path), model, fit, checkpoint=checkpoint)
    write_fit(*results, path, posterior, Path(out.card), Path(out.trace))


run_stage("fit_effects", main, snakemake)  # noqa: F821
