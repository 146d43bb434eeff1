"""Rule export_tables: the day-wise tables of one contrast."""

from pathlib import Path

from fatewalk.check_delta import delta_mean_table, offset_table
from fatewalk.export import concordance_table, gene_table, guide_table, marks
from fatewalk.moments import Moments
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, write_table


def main(snakemake):
    out = snakemake.output
    moments = Moments.load(Path(snakemake.input.moments))
    contrast = moments.contrasts.tolist().index(snakemake.wildcards.contrast)
    card = read_json(snakemake.input.card)
    more, defects = marks(card), card["defects"]
    write_table(gene_table(moments, contrast, more, defects["genes"]), out.gene)
    write_table(guide_table(moments, contrast, more, defects["guides"]), out.guide)
    write_table(concordance_table(moments, contrast, more), out.concordance)
    write_table(delta_mean_table(moments, contrast).assign(**more), out.delta_mean)
    write_table(offset_table(moments, contrast).assign(**more), out.offset)


run_stage(main, snakemake)  # noqa: F821
