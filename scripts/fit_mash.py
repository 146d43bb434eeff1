"""Rule fit_mash: multivariate adaptive shrinkage of a day-wise table, built-in engine."""

import logging

from fatewalk.config import MashConfig
from fatewalk.fit_mash import fit_mash_table
from fatewalk.smk import run_stage
from fatewalk.tables import read_table, write_json, write_table

log = logging.getLogger("fatewalk")


def main(snakemake):
    table = read_table(snakemake.input.table, ["gene"], text=["gene", "guide"])
    config = MashConfig(**snakemake.params.mash)
    shrunk, mixture = fit_mash_table(table, config, snakemake.wildcards.mode, snakemake.input.table)
    for note in mixture["notes"]:
        log.info(note)
    write_table(shrunk, snakemake.output.table)
    write_json(mixture, snakemake.output.mixture)


run_stage(main, snakemake)  # noqa: F821
