"""Stage ``tabulate_bootstrap``: the spread of effects over refits, and the stability of hits."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from fatewalk.calls import FateEffects, bootstrap_table, call_again, spread_of
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json, write_json
from fatewalk.core.tables import write_table
from fatewalk.estimates.arrays import Refits
from fatewalk.run.manifest import CARD, fit_entry, need_sealed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fatewalk.core.schema import Unit
    from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run, fit: Path, folders: Sequence[Path], unit: Unit) -> None:
    """Write the tables of a bootstrap of a run.

    Parameters
    ----------
    run
        The run, with its hits; reads section ``calls``.
    fit
        Folder of its fit.
    folders
        Folders of the refits.
    unit
        What was drawn.

    Raises
    ------
    FatewalkError
        If refits are of another fit, or no two converged.
    """
    entry = fit_entry(fit.name, read_json(fit / CARD))
    for folder in folders:
        need_sealed(folder, entry)
    every = Refits.joined([Refits.load(folder / "refits.npz") for folder in folders])
    refits = replace(every, **{
        field.name: getattr(every, field.name)[every.converged]
        for field in fields(every)
        if field.name not in ("genes", "contrasts", "days")
    })  # fmt: skip
    n, failed = len(refits.number), int((~every.converged).sum())
    if n < 2:
        raise FatewalkError(
            f"of {len(every.number)} refits only {n} converged; look at the logs of refit_draws, or take "
            "another resample.unit"
        )
    evidence = run.arrays("evidence.npz")
    shift = np.einsum("fdfd->fd", evidence["ntc_shift"])
    table = bootstrap_table(run.effects("gene", "contrast"), refits, unit, shift)
    rows, warnings = spread_of(table, unit)
    if failed:
        warnings.append(f"{failed} of {len(every.number)} refits did not converge and are left out.")
    genes = FateEffects.load(run.checked(run.folder / "shrunk_fates_gene.npz"))
    again = call_again(genes, evidence, refits, run.settings.calls, run.estimand.name)
    write_table(table, run.folder / "bootstrap.csv")
    write_table(again, run.folder / "bootstrap_hits.csv")
    summary = {"unit": unit, "refits": n, "failed": failed, "spread": rows, "warnings": warnings}
    write_json(summary, run.folder / "bootstrap_summary.json")
    stable = again.loc[again["called"], "called_again"] >= 0.9
    log.info("in: %d refits by %s", n, unit)
    log.info("out: %d hits, %d of them called again in 9 of 10 refits", len(stable), stable.sum())
    for warning in warnings:
        log.warning(warning)
