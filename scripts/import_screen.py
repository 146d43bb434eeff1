"""Rule import_screen: AnnData or plain tables to the three input tables."""

from pathlib import Path

from fatewalk.config import AnnDataDataset, PlainDataset
from fatewalk.io import import_screen
from fatewalk.smk import run_stage


def main(snakemake):
    entry = snakemake.params.entry
    kind = AnnDataDataset if "anndata" in entry else PlainDataset
    import_screen(kind(**entry), snakemake.params.fates, Path(snakemake.output.cells).parent)


run_stage(main, snakemake)  # noqa: F821
