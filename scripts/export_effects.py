"""Rule export_effects: the gate. Refuses a bad fit, else writes the posterior summaries."""

from pathlib import Path

from fatewalk.export import marks, refuse, summaries
from fatewalk.moments import Moments, save_arrays
from fatewalk.smk import run_stage
from fatewalk.tables import read_json


def main(snakemake):
    card, verdict = read_json(snakemake.input.card), read_json(snakemake.input.verdict)
    refuse(card, verdict, snakemake.params.require)
    arrays = summaries(Moments.load(Path(snakemake.input.moments)), marks(card))
    save_arrays(arrays["theta"], Path(snakemake.output.theta))
    save_arrays(arrays["delta"], Path(snakemake.output.delta))


run_stage(main, snakemake)  # noqa: F821
