"""What a run knows of cells, written back to the AnnData that they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.tables import read_own_table

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.run.files import Run

DRAWS = 200  # a probability is then known to a fourteenth of its posterior SD


def fitted_of_cells(run: Run, seed: int = 0) -> pd.DataFrame:
    """Fitted probabilities of the cells of a run: a row a cell by name, a column a fate.

    Raises
    ------
    FatewalkError
        If design or fit are not at hand.
    """
    from fatewalk.api import as_before
    from fatewalk.estimates.fitted_cells import fitted_probabilities
    from fatewalk.infer.fitted import load_posterior
    from fatewalk.screen.design import load_design

    design, fit = (_folder(run, name) for name in ("design", "fit"))
    found = load_design(design / "design.pt")
    cells = read_own_table(design / "cells.parquet", text=["cell_id"])["cell_id"]
    with as_before():
        probabilities = fitted_probabilities(load_posterior(fit / "posterior.pt", found), found, DRAWS, seed)
    return pd.DataFrame(probabilities, index=cells.astype(str).to_numpy(), columns=list(found.fates))


def _folder(run: Run, name: str) -> Path:
    """Folder of the design or of the fit, which lie beside the run and not in it."""
    folder: Path = run.folder.parent.parent / run.json("run.json")["folders"][name]
    if not folder.is_dir():
        raise FatewalkError(
            f"{folder}: no such folder, and fitted probabilities of cells need the {name} that it held; a "
            "result that was saved elsewhere has no cells: open the run where it was made, such as "
            "results/screen/main"
        )
    return folder


def add_fitted(adata: Any, fitted: pd.DataFrame, key: str) -> None:
    """Put fitted probabilities into ``adata.obsm[key]``; cells that were not fitted have none.

    Raises
    ------
    FatewalkError
        If no cell has a name of the run.
    """
    if not hasattr(adata, "obsm") or not hasattr(adata, "obs_names"):
        found = type(adata).__name__
        raise FatewalkError(f"adata: found a {found}; allowed: an AnnData with the cells of the run")
    names = pd.Index(adata.obs_names).astype(str)
    if not names.isin(fitted.index).any():
        ours, theirs = first_few(list(fitted.index[:3])), first_few(list(names[:3]))
        raise FatewalkError(
            f"adata: none of its cells is in the run. Its names are such as {theirs}, those of the run such "
            f"as {ours}; give the AnnData that the run was made from"
        )
    table = fitted.reindex(names)
    table.index = adata.obs_names
    adata.obsm[key] = table.astype(np.float64)
