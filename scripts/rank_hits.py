"""Rule rank_hits: which gene is active on which day, ranked."""

import numpy as np

from fatewalk.calls import rank_hits, read_sources
from fatewalk.config import CallsConfig
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, read_table, write_table


def main(snakemake):
    files, calls = snakemake.input, CallsConfig(**snakemake.params.calls)
    genes, posterior, likelihood = (
        read_table(path, ["gene"], text=["gene"]) for path in (files.gene, files.posterior, files.likelihood)
    )
    with np.load(files.errors) as errors, np.load(files.theta) as theta:
        sources = read_sources(
            genes,
            (posterior, read_json(files.posterior_mixture)),
            (likelihood, read_json(files.likelihood_mixture), errors),
            theta,
            snakemake.wildcards.contrast,
            calls,
        )
    write_table(rank_hits(genes, sources, calls), snakemake.output.hits)


run_stage(main, snakemake)  # noqa: F821
