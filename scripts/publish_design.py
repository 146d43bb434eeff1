"""Rule publish_design: the design of a run, and which fit it uses, in the run's folder."""

import logging
from pathlib import Path

import checkout  # noqa: F401

from fatewalk.core.files import copy_file, write_json
from fatewalk.workflow.manifest import enter
from fatewalk.workflow.stage import run_folder, run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    out, params, run = snakemake.output, snakemake.params, run_folder(snakemake)
    for name, source in snakemake.input.items():
        copy_file(source, out[name])
    folder = Path(snakemake.wildcards.dataset)
    used = {
        "dataset": snakemake.wildcards.dataset,
        "run": snakemake.wildcards.run,
        "design": params.design,
        "fit": params.fit,
        "draws": params.draws,
        "reference": params.reference,
        "contrasts": params.contrasts,
        "mash": params.mash,
        "folders": {
            "design": str(folder / "designs" / params.design),
            "fit": str(folder / "fits" / params.fit),
        },
    }
    write_json(used, out.run)
    enter(run, "publish_design", [Path(path) for path in out], {"fit": params.fit})
    log.info("design %s and fit %s belong to run %s", params.design, params.fit, snakemake.wildcards.run)


run_stage("publish_design", main, snakemake, manifest=False)  # noqa: F821
