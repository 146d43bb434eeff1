"""Rule fit_effects: the hierarchical model fitted by Newton-Laplace and SVI, on a GPU if there is one."""

from pathlib import Path

from fatewalk.config import FitConfig, ModelConfig, load_config
from fatewalk.design import load_design
from fatewalk.infer.checkpoint import Checkpoint, checkpoint_path
from fatewalk.infer.fit import fit_effects, write_fit
from fatewalk.smk import run_stage


def main(snakemake):
    out, path = snakemake.output, Path(snakemake.input.design)
    posterior = Path(out.posterior)
    model = ModelConfig(**snakemake.params.model)
    fit = FitConfig(**{**snakemake.params.fit, "threads": snakemake.threads})
    # from the config: as a parameter of the rule it would make another fit
    settings = load_config(snakemake.config).settings(snakemake.wildcards.dataset, snakemake.wildcards.run)
    file = checkpoint_path(posterior.parent, path, model, fit)
    checkpoint = Checkpoint(file, 60 * settings.fit.checkpoint_minutes)
    results = fit_effects(load_design(path), model, fit, checkpoint=checkpoint)
    write_fit(*results, path, posterior, Path(out.card), Path(out.trace))
    checkpoint.delete()


run_stage(main, snakemake)  # noqa: F821
