"""Stage ``publish_design``: the design of a run, and which fit it uses, in the run's folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fatewalk.core.files import copy_file, write_json
from fatewalk.run.layout import at_top, copies
from fatewalk.run.manifest import enter, need_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)


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
    need_sealed(design)
    for name in copies("publish_design"):
        copy_file(design / Path(name).name, run / name)
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
    enter(run, "publish_design", [run / name for name in at_top("publish_design")], {"fit": fit.name})
    log.info("design %s and fit %s belong to run %s", design.name, fit.name, run.name)
