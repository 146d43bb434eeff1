"""Rule simulate_screen: draw a screen from the model, with its truth."""

from pathlib import Path

from fatewalk.config import SimulateConfig
from fatewalk.simulate import simulate_screen, write_screen
from fatewalk.smk import run_stage


def main(snakemake):
    screen = simulate_screen(SimulateConfig(**snakemake.params.simulate))
    write_screen(screen, Path(snakemake.output.cells).parent)


run_stage(main, snakemake)  # noqa: F821
