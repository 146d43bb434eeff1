"""Guide calls as Cell Ranger writes them: ``protospacer_calls_per_cell.csv``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.tables import read_table, require_columns

if TYPE_CHECKING:
    from pathlib import Path

TENX_CALLS = ("cell_barcode", "feature_call", "num_umis")


def is_protospacer_table(table: pd.DataFrame) -> bool:
    """Tell the 10x table by its columns."""
    return set(TENX_CALLS) <= set(table.columns)


def read_protospacer_calls(path: str | Path) -> tuple[pd.DataFrame, int]:
    """Read a 10x table; see ``split_protospacer_calls``."""
    return split_protospacer_calls(read_table(path, text=TENX_CALLS), str(path))


def split_protospacer_calls(table: pd.DataFrame, where: str) -> tuple[pd.DataFrame, int]:
    """Bring the 10x table into long form.

    Parameters
    ----------
    table
        One row a cell: cell_barcode, num_features, feature_call (``g1|g2``), num_umis (``12|3``).
    where
        File, for the errors.

    Returns
    -------
    calls : pandas.DataFrame
        cell_id, guide, umi; one row a call.
    n_without : int
        Rows without a call, which give none.

    Raises
    ------
    FatewalkError
        If a column is missing or a row has not one UMI count per guide.
    """
    require_columns(table, TENX_CALLS, where)
    without = table["feature_call"].isna()
    if "num_features" in table:  # some tools write the word None beside 0 features
        without |= pd.to_numeric(table["num_features"], errors="coerce") == 0
    rows = table.loc[~without]
    guides, umis = rows["feature_call"].astype(str), rows["num_umis"].astype(str)
    uneven = guides.str.count(r"\|") != umis.str.count(r"\|")
    if uneven.any():
        barcodes = rows.loc[uneven, "cell_barcode"]
        raise FatewalkError(
            f"{where}: feature_call and num_umis have different numbers of '|'-separated entries for "
            f"{first_few(barcodes)}; write the table again (a guide's name must not hold '|')"
        )
    calls = pd.DataFrame(
        {"cell_id": rows["cell_barcode"], "guide": guides.str.split("|"), "umi": umis.str.split("|")}
    ).explode(["guide", "umi"], ignore_index=True)
    return calls, int(without.sum())
