"""Rule fit_mash_likelihood: adaptive shrinkage of a likelihood-only table, each row with its own errors."""

import logging

import numpy as np

from fatewalk.config import MashConfig
from fatewalk.fit_mash import fit_mash_likelihood
from fatewalk.smk import run_stage
from fatewalk.tables import read_table, write_json, write_table

log = logging.getLogger("fatewalk")


def main(snakemake):
    table = read_table(snakemake.input.table, ["gene"], text=["gene", "guide"])
    config = MashConfig(**snakemake.params.mash)
    with np.load(snakemake.input.errors) as errors:
        shrunk, mixture = fit_mash_likelihood(
            table, errors, config, snakemake.input.table, snakemake.params.estimand
        )
    for note in mixture["notes"]:
        log.info(note)
    write_table(shrunk, snakemake.output.table)
    write_json(mixture, snakemake.output.mixture)


run_stage(main, snakemake)  # noqa: F821
