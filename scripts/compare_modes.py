"""Rule compare_modes: the modes of mash side by side."""

from fatewalk.hits import compare_modes
from fatewalk.smk import run_stage
from fatewalk.tables import read_table, write_table


def main(snakemake):
    tables = {
        mode: read_table(path, ["gene"], text=["gene"])
        for mode, path in zip(snakemake.params.modes, snakemake.input.tables, strict=True)
    }
    write_table(compare_modes(tables, snakemake.params.lfsr_day), snakemake.output.comparison)


run_stage(main, snakemake)  # noqa: F821
