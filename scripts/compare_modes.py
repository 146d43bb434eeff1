"""Rule compare_modes: the modes of mash side by side, and the two engines if both were run."""

from fatewalk.calls import compare_modes
from fatewalk.smk import run_stage
from fatewalk.tables import read_table, write_table


def main(snakemake):
    params = snakemake.params

    tables = {
        mode: read_table(path, ["gene"], text=["gene"])
        for mode, path in zip(params.modes, snakemake.input.tables, strict=True)
    }
    paths = snakemake.input.get("second")
    second = {"conservative": read_table(str(paths), ["gene"], text=["gene"])} if paths else {}
    comparison = compare_modes(tables, params.lfsr_day, second, params.second_engine)
    write_table(comparison, snakemake.output.comparison)


run_stage(main, snakemake)  # noqa: F821
