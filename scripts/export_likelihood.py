"""Rule export_likelihood: likelihood-only tables and error covariances of one contrast."""

from pathlib import Path

import numpy as np

from fatewalk.export import marks
from fatewalk.moments import save_arrays
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, write_table
from fatewalk.unshrunk import Unshrunk, error_covariances, gene_table, guide_table


def main(snakemake):
    out = snakemake.output
    unshrunk = Unshrunk.load(Path(snakemake.input.likelihood))
    contrast = unshrunk.contrasts.tolist().index(snakemake.wildcards.contrast)
    more = marks(read_json(snakemake.input.card))
    write_table(gene_table(unshrunk, contrast, more), out.gene)
    write_table(guide_table(unshrunk, contrast, more), out.guide)
    with np.load(snakemake.input.gate) as theta:
        sampling = theta["guide_sampling"]
    save_arrays(error_covariances(unshrunk, contrast, sampling, more), Path(out.covariance))


run_stage(main, snakemake)  # noqa: F821
