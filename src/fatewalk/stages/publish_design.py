"""Stage ``publish_design``: the design of a run, and which fit it uses, in the run's folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fatewalk.core.files import copy_file, write_json
from fatewalk.run.manifest import enter

log = logging.getLogger(__name__)

MAPPINGS = ("guide_to_gene", "n_guides_per_gene", "gene_offsets", "guides_by_gene")


def main(
    run: Path,
    design: Path,
    fit: Path,
    draws: int,
    reference: str,
    contrasts: Sequence[str],
    mash: Mapping[str, Any],
) -> None:
    """Copy the design to the run, and write down what the run is made of.

    Parameters
    ----------
    run, design, fit
        Folders; the fit need not be there yet.
    draws
        ``export.draws``.
    reference, contrasts
        The fate that effects are against, and the others.
    mash
        The keys of section ``mash`` that tell which tables the run has.
    """
    copies = {f"{name}.parquet": f"design/{name}.parquet" for name in MAPPINGS}
    copies |= {"design.pt": "design/design.pt", "design_report.json": "design_report.json"}
    for source, target in copies.items():
        copy_file(design / source, run / target)
    results = run.parent.parent
    used = {
        "dataset": run.parent.name,
        "run": run.name,
        "design": design.name,
        "fit": fit.name,
        "draws": draws,
        "reference": reference,
        "contrasts": contrasts,
        "mash": mash,
        "folders": {"design": str(design.relative_to(results)), "fit": str(fit.relative_to(results))},
    }
    write_json(used, run / "run.json")
    made = [run / target for target in (*copies.values(), "run.json")]
    enter(run, "publish_design", made, {"fit": fit.name})
    log.info("design %s and fit %s belong to run %s", design.name, fit.name, run.name)
