"""Rule import_screen: AnnData or plain tables to the three input tables."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.config import AnnDataDataset, PlainDataset
from fatewalk.stages import import_screen
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    entry = snakemake.params.entry
    kind = AnnDataDataset if "anndata" in entry else PlainDataset
    source = Path(snakemake.output.cells).parent
    import_screen.main(source, kind(**entry), snakemake.params.fates)


run_stage("import_screen", main, snakemake)  # noqa: F821
