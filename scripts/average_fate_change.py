"""Rule average_fate_change: what each gene does to the probability of each fate, in percentage points."""

from pathlib import Path

from fatewalk.design import load_design
from fatewalk.export import marks
from fatewalk.infer.fit import load_posterior
from fatewalk.probability import average_fate_change, fate_change_table
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, write_table


def main(snakemake):
    design = load_design(snakemake.input.design)
    posterior = load_posterior(Path(snakemake.input.posterior))
    change = average_fate_change(posterior, design, snakemake.params.draws, snakemake.params.seed)
    more = marks(read_json(snakemake.input.card))
    write_table(fate_change_table(change, design, more), snakemake.output.change)


run_stage(main, snakemake)  # noqa: F821
