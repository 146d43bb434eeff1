"""Forms of files that are not read: what they are, and how to turn them into one that is."""

from __future__ import annotations

import gzip
import zlib
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
_PARTS = (
    "a folder of Parquet files",
    "in Python, pandas.read_parquet(folder).to_parquet('table.parquet')",
)
_ARRAY = (
    "a bare array of numpy or scipy",
    "put it into obsm of the AnnData object, as a DataFrame with names of its columns, and call write_h5ad",
)
_FEATHER = ("a feather file", "in Python, pandas.read_feather(path).to_parquet('table.parquet')")
_PAGE = ("a page of the web", "download the file itself; the page may say why it did not come")
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
    ".feather": _FEATHER, ".arrow": _FEATHER,
}  # fmt: skip

GZIP = b"\x1f\x8b"
#: How such files begin, whatever their names.
FIRST_BYTES = {
    b"PK\x03\x04": ("a spreadsheet or a zip archive", f"unpack it, or {EXPORT}"),
    GZIP: _PACKED,
    b"X\n\x00\x00": _R,
    b"RDX": _R,
    b"\x80\x04": _PICKLE,
    b"\x80\x05": _PICKLE,
    b"version https://git-lfs": ("what Git LFS left in the place of a file", "run git lfs pull"),
    b"\x00\x05\x16\x07": ("what macOS keeps beside a file", "name the file without '._' before it"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet (.xls)", EXPORT),
    b"PAR1": ("a Parquet file", "let its name end in .parquet"),
    b"\x89HDF": (
        "an HDF5 file",
        "if it is an .h5ad, name it under the key anndata; a 10x matrix: " + TENX[1],
    ),
}


def suffix_of(path: str | Path) -> str:
    """How the name of a file ends, in lower case and without .gz."""
    path = Path(path)
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def foreign_form(path: str | Path) -> tuple[str, str] | None:
    """Tell a form that is not read by its name: what it is and how to turn it; None if it is none."""
    path = Path(path)
    if path.is_dir():
        return _MATRIX if any(path.glob("matrix.mtx*")) else _PARTS if _has_parts(path) else None
    suffix = suffix_of(path)
    packed = path.suffix.lower() == ".gz" and suffix not in TABLES
    return FORMS.get(suffix, _PACKED if packed else None)


def _has_parts(folder: Path) -> bool:
    """Whether a folder is a table in parts, as Spark and dask write them."""
    return any(True for pattern in ("*.parquet", "*=*/*.parquet") for _ in folder.glob(pattern))


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a zarr store, or a group of one."""
    return any((folder / name).is_file() for name in (".zgroup", "zarr.json"))


def form_of_content(path: Path) -> tuple[str, str] | None:
    """Tell a form that is not read by how the file begins; within gzip, if it is packed."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(GZIP):
        try:
            with gzip.open(path) as unpacked:
                start = unpacked.read(64)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return _PACKED
        return form_of_bytes(start) if start.startswith((b"X\n", b"RDX")) else _PACKED
    return form_of_bytes(start)


def form_of_bytes(start: bytes) -> tuple[str, str] | None:
    """Tell a form that is not read by the first bytes of a file."""
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<head")):
        return _PAGE
    return next((form for mark, form in FIRST_BYTES.items() if start.startswith(mark)), None)


def not_a_table(path: Path) -> tuple[str, str] | None:
    """Tell a file or folder that is there and no table: what it is and what to do; None if it may be one."""
    if not path.exists():
        return None
    return ANNDATA if path.suffix.lower() in STORES else foreign_form(path)
