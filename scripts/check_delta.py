"""Rule check_delta: guide deviations are centred, and mean(beta) equals theta."""

import logging
from pathlib import Path

from fatewalk.check_delta import delta_mean_table, delta_verdict, offset_table
from fatewalk.export import marks
from fatewalk.moments import Moments
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, write_json, write_table

log = logging.getLogger("fatewalk")


def main(snakemake):
    out = snakemake.output
    moments = Moments.load(Path(snakemake.input.moments))
    card = read_json(snakemake.input.card)
    primary = moments.contrasts.tolist().index(snakemake.params.contrast)
    verdict = delta_verdict(moments, card["center_delta"])
    log.info("verdict %s: largest |mean of delta| %.1e", verdict["verdict"], verdict["max_abs_delta_mean"])
    write_table(delta_mean_table(moments, primary).assign(**marks(card)), out.delta_mean)
    write_table(offset_table(moments, primary).assign(**marks(card)), out.offset)
    write_json(verdict, out.verdict)


run_stage(main, snakemake)  # noqa: F821
