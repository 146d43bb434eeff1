"""Rule check_delta: guide deviations are centred, and mean(beta) equals theta."""

import logging
from pathlib import Path

from fatewalk.check_delta import delta_mean_table, delta_verdict, offset_table
from fatewalk.design import load_design
from fatewalk.infer.fit import load_posterior
from fatewalk.posterior import posterior_moments
from fatewalk.smk import run_stage
from fatewalk.tables import write_json, write_table

log = logging.getLogger("fatewalk")


def main(snakemake):
    out, params = snakemake.output, snakemake.params
    design = load_design(snakemake.input.design)
    posterior = load_posterior(Path(snakemake.input.posterior))
    moments = posterior_moments(posterior, design, params.draws, params.seed)
    primary = design.contrasts.index(params.contrast)
    verdict = delta_verdict(moments, posterior.model.config.center_delta)
    log.info("verdict %s: largest |mean of delta| %.1e", verdict["verdict"], verdict["max_abs_delta_mean"])
    write_table(delta_mean_table(moments, primary), out.delta_mean)
    write_table(offset_table(moments, primary), out.offset)
    write_json(verdict, out.verdict)
    moments.save(Path(out.moments))


run_stage(main, snakemake)  # noqa: F821
