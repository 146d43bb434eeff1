"""Rule rank_hits: which gene is active on which day, ranked."""

from fatewalk.config import CallsConfig
from fatewalk.fit_mash import prob_large_table
from fatewalk.hits import rank_hits
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, read_table, write_table


def main(snakemake):
    table = read_table(snakemake.input.table, ["gene"], text=["gene"])
    calls = CallsConfig(**snakemake.params.calls)
    large = prob_large_table(table, read_json(snakemake.input.mixture), calls.effect_size_eps)
    write_table(rank_hits(table, large, calls), snakemake.output.hits)


run_stage(main, snakemake)  # noqa: F821
