"""Rule import_screen: AnnData or plain tables to the three input tables."""

import logging
from pathlib import Path

import checkout  # noqa: F401

from fatewalk.config import AnnDataDataset, PlainDataset
from fatewalk.core.files import read_json
from fatewalk.stages.import_screen import import_screen
from fatewalk.workflow.stage import run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    entry = snakemake.params.entry
    kind = AnnDataDataset if "anndata" in entry else PlainDataset
    import_screen(kind(**entry), snakemake.params.fates, Path(snakemake.output.cells).parent)
    report = read_json(snakemake.output.report)
    log.info("in: %s", ", ".join(snakemake.input))
    log.info(
        "out: %d cells on %d days, %d guide calls of %d guides; dropped: %d calls without UMIs",
        report["cells"],
        len(report["days"]),
        report["guide_calls"],
        report["guides_called"],
        report["guide_calls_without_umi_dropped"],
    )
    for note in report["notes"]:
        log.info(note)


run_stage("import_screen", main, snakemake)  # noqa: F821
