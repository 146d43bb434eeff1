"""Tables of Cell Ranger: calls (``protospacer_calls_per_cell.csv``), guides (``feature_reference.csv``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.tables import read_table, require_columns
from fatewalk.screen.barcodes import LANES

if TYPE_CHECKING:
    from pathlib import Path

TENX_CALLS = ("cell_barcode", "feature_call", "num_umis")
FEATURE_REFERENCE = ("id", "name", "feature_type", "target_gene_id", "target_gene_name")
GUIDE_FEATURES = "CRISPR Guide Capture"
NO_GENE = ("", "none", "ignore")  # targets, in Cell Ranger's words, that are neither genes nor controls


SUMMARIES = (  # other tables of Cell Ranger in the same folder, by columns: of guides, not of cells
    {"Category", "# Cells"},
    {"num_cells", "pct_cells"},
    {"Protospacer", "UMI threshold"},
)


def refuse_summary(table: pd.DataFrame, where: str) -> None:
    """Refuse the tables of Cell Ranger that lie beside the calls and sum them up."""
    if any(columns <= set(table) for columns in SUMMARIES) and "cell_barcode" not in table:
        raise FatewalkError(
            f"{where}: is Cell Ranger's summary over all cells (columns {quoted(table.columns)}); name "
            "protospacer_calls_per_cell.csv, which lies beside it"
        )


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
        If a column is missing, a barcode has two rows, or a row has not one UMI count per guide.
    """
    refuse_summary(table, where)
    require_columns(table, TENX_CALLS, where)
    barcode = table["cell_barcode"]
    if (repeated := barcode.duplicated() & barcode.notna()).any():
        raise FatewalkError(
            f"{where}: {barcode[repeated].nunique()} barcodes stand in several rows: "
            f"{quoted(barcode[repeated].unique())}. A row holds all guides of a cell, so these "
            f"are different cells, of several lanes: {LANES}"
        )
    without = table["feature_call"].isna()
    if "num_features" in table:  # some tools write the word None beside 0 features
        without |= pd.to_numeric(table["num_features"], errors="coerce") == 0
    rows = table.loc[~without]
    guides, umis = rows["feature_call"].astype(str), rows["num_umis"].astype(str)
    uneven = guides.str.count(r"\|") != umis.str.count(r"\|")
    _refuse_other_number(rows, guides, where)
    if uneven.any():
        barcodes = rows.loc[uneven, "cell_barcode"]
        raise FatewalkError(
            f"{where}: feature_call and num_umis have different numbers of '|'-separated entries for "
            f"{quoted(barcodes)}; write the table again (a guide's name must not hold '|')"
        )
    calls = pd.DataFrame(
        {"cell_id": rows["cell_barcode"], "guide": guides.str.split("|"), "umi": umis.str.split("|")}
    ).explode(["guide", "umi"], ignore_index=True)
    return calls, int(without.sum())


def _refuse_other_number(rows: pd.DataFrame, guides: pd.Series, where: str) -> None:
    """Refuse rows whose guides are not as many as they say: cut lists, or another sign between names."""
    if "num_features" not in rows:
        return
    said, found = pd.to_numeric(rows["num_features"], errors="coerce"), guides.str.count(r"\|") + 1
    other = said.notna() & (said != found)
    if other.any():
        first = rows[other].iloc[0]
        raise FatewalkError(
            f"{where}: {other.sum()} rows have another number of guides in feature_call than num_features "
            f"says, first {first['cell_barcode']!r}: {first['feature_call']!r} for {first['num_features']}. "
            "'|' stands between guides; name the file as Cell Ranger wrote it, or leave num_features out"
        )


def is_feature_reference(table: pd.DataFrame) -> bool:
    """Tell the 10x feature reference by its columns."""
    return {"id", "feature_type"} <= set(table.columns)


def map_of_reference(table: pd.DataFrame, guides: pd.Index, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Bring a 10x feature reference into the form of a guide map.

    Parameters
    ----------
    table
        One row a feature: id, name, feature_type, target_gene_id, target_gene_name...
    guides
        Names of the calls, which are either ids or names of the reference.
    where
        File, for the errors.

    Returns
    -------
    guide_map : pandas.DataFrame
        guide_name, gene_name and, if any target is ``Non-Targeting``, is_ntc.
    notes : list of str
        Sentences for the report.

    Raises
    ------
    FatewalkError
        If no feature is a guide, or no column names genes.
    """
    is_guide = table["feature_type"].fillna("").str.strip().str.casefold() == GUIDE_FEATURES.casefold()
    if not is_guide.any():
        raise FatewalkError(
            f"{where}: no feature_type is {GUIDE_FEATURES!r}; found: {quoted(table['feature_type'].unique())}"
        )
    targets = [name for name in ("target_gene_name", "target_gene_id") if name in table]
    if not targets:
        raise FatewalkError(
            f"{where}: a 10x feature reference without columns target_gene_id and target_gene_name, so it "
            "does not say which gene a guide is of; add them, Non-Targeting for controls"
        )
    rows = table[is_guide]
    target = rows[targets].fillna("").astype(str)
    plain = target.apply(lambda column: column.str.strip().str.casefold())
    is_ntc = (plain.replace(r"[-_ ]", "", regex=True) == "nontargeting").any(axis=1)
    named = target.where(~plain.isin(NO_GENE), "").replace("", None)
    gene = named.bfill(axis=1)[targets[0]]
    n_by_other = int((named[targets[0]].isna() & gene.notna() & ~is_ntc).sum())
    by_other = f", and of {n_by_other} guides without one by {targets[-1]}" if n_by_other else ""
    column = max(
        [name for name in ("id", "name") if name in rows], key=lambda name: guides.isin(rows[name]).sum()
    )
    found = pd.DataFrame({"guide_name": rows[column], "gene_name": gene})
    notes = [f"{where} is a 10x feature reference: guides by {column}, genes by {targets[0]}{by_other}."]
    if others := int((~is_guide).sum()):
        notes.append(f"{others} features of {where} are no guides: left out.")
    return (found.assign(is_ntc=is_ntc) if is_ntc.any() else found), notes
