"""Rule fit_effects: the hierarchical model fitted by SVI, on a GPU if there is one."""

from pathlib import Path

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.design import load_design
from fatewalk.infer.fit import fit_effects, write_fit
from fatewalk.smk import run_stage


def main(snakemake):
    out = snakemake.output
    design = load_design(snakemake.input.design)
    model = ModelConfig(**snakemake.params.model)
    fit = FitConfig(**{**snakemake.params.fit, "threads": snakemake.threads})
    results = fit_effects(design, model, fit)
    write_fit(*results, Path(snakemake.input.design), Path(out.posterior), Path(out.card), Path(out.trace))


run_stage(main, snakemake)  # noqa: F821
