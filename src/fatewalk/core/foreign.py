"""Forms of files that are not read: what they are, and how to turn them into one that is."""

from __future__ import annotations

from pathlib import Path

EXPORT = "save the sheet as 'CSV UTF-8' and name that file"
_R = (
    "a file of R",
    "in R, zellkonverter::writeH5AD(Seurat::as.SingleCellExperiment(x), 'screen.h5ad') for a Seurat object, "
    "or arrow::write_parquet(x, 'table.parquet') for a table",
)
_PICKLE = (
    "a Python pickle",
    "load it where it was written, then adata.write_h5ad('screen.h5ad') or table.to_parquet('table.parquet')",
)
_SHEET = ("a spreadsheet", EXPORT)
_MATRIX = (
    "a matrix without days and fates",
    "in Python, scanpy.read_10x_mtx(folder, gex_only=False).write_h5ad('guides.h5ad'), to be named as "
    "guide_anndata beside the .h5ad of CellRank",
)
_PACKED = ("a packed file", "unpack it and name what was in it")
_ARRAY = (
    "a bare array of numpy or scipy",
    "put it into obsm of the AnnData object, as a DataFrame with names of its columns, and call write_h5ad",
)
LOOM = ("a loom file", "in Python, anndata.io.read_loom(path).write_h5ad('screen.h5ad')")
SEURAT = ("a file of SeuratDisk", "in R, SeuratDisk::Convert(path, dest = 'h5ad')")
TENX = (
    "a 10x matrix without days and fates",
    "in Python, scanpy.read_10x_h5(path, gex_only=False).write_h5ad('guides.h5ad'), to be named as "
    "guide_anndata beside the .h5ad of CellRank",
)
TABLE = ("a table", "name it as cells, with guide_calls beside it, instead of anndata")
DELIMITED = {".csv", ".tsv", ".txt"}
PARQUET = {".parquet", ".pq"}
TABLES = DELIMITED | PARQUET
ANNDATA = (
    "an AnnData or MuData file",
    "name it as anndata instead of cells; beside other cells as guide_anndata, if its variables are guides",
)
STORES = {".h5ad", ".h5mu", ".zarr"}
FORMS = {
    ".rds": _R, ".rda": _R, ".rdata": _R, ".qs": _R, ".qs2": _R,
    ".pkl": _PICKLE, ".pickle": _PICKLE, ".joblib": _PICKLE,
    ".xlsx": _SHEET, ".xlsm": _SHEET, ".xls": _SHEET, ".ods": _SHEET, ".numbers": _SHEET,
    ".mtx": _MATRIX, ".npz": _ARRAY, ".npy": _ARRAY,
    ".zip": _PACKED, ".tar": _PACKED, ".tgz": _PACKED, ".bz2": _PACKED, ".xz": _PACKED, ".zst": _PACKED,
    ".loom": LOOM, ".h5seurat": SEURAT,
    ".feather": ("a feather file", "in Python, pandas.read_feather(path).to_parquet('table.parquet')"),
}  # fmt: skip


#: How such files begin, whatever their names.
FIRST_BYTES = {
    b"PK\x03\x04": ("a spreadsheet or a zip archive", EXPORT),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet (.xls)", EXPORT),
    b"PAR1": ("a Parquet file", "let its name end in .parquet"),
    b"\x89HDF": ("an HDF5 file (.h5ad?)", "name it under the key anndata, if it is one"),
}


def suffix_of(path: str | Path) -> str:
    """How the name of a file ends, in lower case and without .gz."""
    path = Path(path)
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def foreign_form(path: str | Path) -> tuple[str, str] | None:
    """Tell a form that is not read by its name: what it is and how to turn it; None if it is none."""
    path = Path(path)
    if path.is_dir() and any(path.glob("matrix.mtx*")):
        return _MATRIX
    suffix = suffix_of(path)
    packed = path.suffix.lower() == ".gz" and suffix not in TABLES
    return FORMS.get(suffix, _PACKED if packed else None)


def not_a_table(path: Path) -> tuple[str, str] | None:
    """Tell a file or folder that is there and no table: what it is and what to do; None if it may be one."""
    if not path.exists():
        return None
    return ANNDATA if path.suffix.lower() in STORES else foreign_form(path)
