"""Rules aggregate_guides and aggregate_guides_likelihood: the guides of each gene, combined."""

from fatewalk.calls import aggregate_guides
from fatewalk.smk import run_stage
from fatewalk.tables import read_table, write_table


def main(snakemake):
    table = read_table(snakemake.input.guide, ["guide", "gene"], text=["guide", "gene"])
    gene = read_table(snakemake.input.gene, ["gene"], text=["gene"])
    write_table(aggregate_guides(table, gene, snakemake.params.estimates), snakemake.output.gene)


run_stage(main, snakemake)  # noqa: F821
