"""Rule export_effects: the gate. Refuses a bad fit, else writes what covers all contrasts."""

from pathlib import Path

from fatewalk.export import marks, pairwise_table, refuse, summaries
from fatewalk.moments import Moments, save_arrays
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, write_table


def main(snakemake):
    card, verdict = read_json(snakemake.input.card), read_json(snakemake.input.verdict)
    refuse(card, verdict, snakemake.params.require)
    moments, more = Moments.load(Path(snakemake.input.moments)), marks(card)
    arrays = summaries(moments, more)
    save_arrays(arrays["theta"], Path(snakemake.output.theta))
    save_arrays(arrays["delta"], Path(snakemake.output.delta))
    write_table(pairwise_table(moments, more), snakemake.output.pairwise)


run_stage(main, snakemake)  # noqa: F821
