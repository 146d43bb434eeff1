"""Rule export_effects: refuses a bad fit, else writes every table of effects, all contrasts and fates."""

import logging
import shutil
from pathlib import Path

import checkout  # noqa: F401

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import copy_file, read_json
from fatewalk.core.tables import write_table
from fatewalk.estimates.arrays import FateChange, Moments, save_arrays
from fatewalk.estimates.export import (
    concordance_table,
    fate_change_table,
    gene_table,
    guide_table,
    marks,
    pairwise_table,
    summaries,
)
from fatewalk.estimates.unshrunk import Unshrunk, error_covariances
from fatewalk.estimates.unshrunk import gene_table as gene_likelihood
from fatewalk.estimates.unshrunk import guide_table as guide_likelihood
from fatewalk.stages.export_effects import refuse
from fatewalk.workflow.manifest import STALE, set_aside_export
from fatewalk.workflow.run_files import RunFiles
from fatewalk.workflow.stage import run_folder, run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    files, out, settings = snakemake.input, snakemake.output, sections(snakemake)
    run = run_folder(snakemake)
    card, verdict = read_json(files.card), read_json(files.verdict)
    try:
        refuse(card, verdict["delta"], settings.fit.require)
    except FatewalkError as error:
        set_aside_export(run)
        stale = run / STALE
        earlier = f" Tables that an earlier export led to are in {stale}." if stale.is_dir() else ""
        raise FatewalkError(f"{error}{earlier}") from None
    moments, more = Moments.load(Path(files.moments)), marks(card)
    unshrunk = Unshrunk.load(Path(files.likelihood))
    arrays = summaries(moments, more)
    save_arrays(arrays["theta"], Path(out.theta))
    save_arrays(arrays["delta"], Path(out.delta))
    write_table(pairwise_table(moments, more), out.pairwise)
    write_table(fate_change_table(FateChange.load(Path(files.change)), moments, more), out.change)
    copy_file(files.power, out.power)
    tables = RunFiles(run, moments.contrasts.tolist(), settings.model.contrast_fate)
    genes, guides = card["defects"]["genes"], card["defects"]["guides"]
    for c, contrast in enumerate(tables.contrasts):
        tables.write(gene_table(moments, c, more, genes), contrast, "gene_daywise_for_mash.csv")
        tables.write(guide_table(moments, c, more, guides), contrast, "guide_daywise_for_mash.csv")
        tables.write(concordance_table(moments, c, more), contrast, "guide_concordance.csv")
        tables.write(gene_likelihood(unshrunk, c, more), contrast, "gene_daywise_likelihood.csv")
        tables.write(guide_likelihood(unshrunk, c, more), contrast, "guide_daywise_likelihood.csv")
        covariances = error_covariances(unshrunk, c, arrays["theta"]["guide_sampling"], more)
        save_arrays(covariances, tables.path(contrast, "mash_error_covariance.npz"))
    shutil.rmtree(run / STALE, ignore_errors=True)  # this fit takes their place
    missing = int((moments.gene_cells == 0).sum())
    log.info(
        "out: %d genes, %d guides, %d days, %d contrasts; %d gene-days without cells are left empty",
        *(len(x) for x in (moments.genes, moments.guides, moments.days, moments.contrasts)),
        missing,
    )


run_stage("export_effects", main, snakemake)  # noqa: F821
