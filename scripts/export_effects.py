"""Rule export_effects: refuses a bad fit, else writes every table of effects, all contrasts and fates."""

import logging
import shutil
from pathlib import Path

import checkout  # noqa: F401

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import copy_file, read_json
from fatewalk.core.marks import marks_of_card
from fatewalk.core.tables import write_arrays, write_table
from fatewalk.estimates.arrays import FateChange, Moments, Unshrunk
from fatewalk.estimates.export import (
    concordance_table,
    error_covariances,
    fate_change_table,
    gene_likelihood_table,
    gene_posterior_table,
    guide_likelihood_table,
    guide_posterior_table,
    pairwise_table,
    summaries,
)
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
    moments, marks = Moments.load(Path(files.moments)), marks_of_card(card)
    unshrunk = Unshrunk.load(Path(files.likelihood))
    arrays = summaries(moments, marks)
    write_arrays(arrays["theta"], Path(out.theta))
    write_arrays(arrays["delta"], Path(out.delta))
    write_table(pairwise_table(moments, marks), out.pairwise)
    write_table(fate_change_table(FateChange.load(Path(files.change)), moments, marks), out.change)
    copy_file(files.power, out.power)
    tables = RunFiles(run, moments.contrasts.tolist(), settings.model.contrast_fate)
    genes, guides = card["defects"]["genes"], card["defects"]["guides"]
    for c, contrast in enumerate(tables.contrasts):
        tables.write(gene_posterior_table(moments, c, marks, genes), contrast, "gene_daywise_for_mash.csv")
        tables.write(guide_posterior_table(moments, c, marks, guides), contrast, "guide_daywise_for_mash.csv")
        tables.write(concordance_table(moments, c, marks), contrast, "guide_concordance.csv")
        tables.write(gene_likelihood_table(unshrunk, c, marks), contrast, "gene_daywise_likelihood.csv")
        tables.write(guide_likelihood_table(unshrunk, c, marks), contrast, "guide_daywise_likelihood.csv")
        covariances = error_covariances(unshrunk, c, arrays["theta"]["guide_sampling"], marks)
        write_arrays(covariances, tables.path(contrast, "mash_error_covariance.npz"))
    shutil.rmtree(run / STALE, ignore_errors=True)  # this fit takes their place
    missing = int((moments.gene_cells == 0).sum())
    log.info(
        "out: %d genes, %d guides, %d days, %d contrasts; %d gene-days without cells are left empty",
        *(len(x) for x in (moments.genes, moments.guides, moments.days, moments.contrasts)),
        missing,
    )


run_stage("export_effects", main, snakemake)  # noqa: F821
