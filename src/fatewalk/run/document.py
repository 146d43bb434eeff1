"""Documents made from the registry: tables of docs/outputs.md, captions of the report.

A table stands between marks that name it. A test keeps the committed files equal to what this module
writes; ``python -m fatewalk.run.document`` writes them anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fatewalk.run.registry import FIGURES, FILES, File

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMAND = "python -m fatewalk.run.document"
MARKED = re.compile(rf"<!-- (.+?): written by {COMMAND} -->\n.*?<!-- end -->", re.DOTALL)
FOLDERS = {
    "input": "input/",
    "design": "designs/<hash>/",
    "fit": "fits/<hash>/",
    "summary": "fits/<hash>/draws=<n>/",
    "refits": "fits/<hash>/unit=<unit>/batch=<n>/",
    "ablation": "../ablation/",
    "over_runs": "over_runs/",
    "results": "../",
    "run": "<run>/",
    "contract": "<run>/",
    "contrast": "<run>/contrast=<fate>/",
}
WORDS = {".json": "entry", ".npz": "array", ".h5ad": "part"}  # what a column is called elsewhere


def documents(root: Path) -> dict[Path, str]:
    """Path and text of each document below the repository's root."""
    pages = [root / "docs" / "outputs.md", root / "docs" / "resampling.md"]
    captions = {root / "workflow" / "report" / f"{figure.name}.rst": figure.caption for figure in FIGURES}
    return {page: MARKED.sub(_fill, page.read_text()) for page in pages} | {
        path: _in_report(caption) for path, caption in captions.items()
    }


def _fill(mark: re.Match[str]) -> str:
    """A mark with the table that it names."""
    what, _, of = mark[1].partition(" of ")
    makers = {
        "columns": lambda: columns(find(of)),
        "contents": lambda: contents(file for file in FILES if file.where == of),
        "contract": lambda: "\n".join(f"- {_code(_shown(f.name))}" for f in FILES if f.where == "contract"),
        "figures": figures,
        "files": files,
    }
    return f"<!-- {mark[1]}: written by {COMMAND} -->\n\n{makers[what]()}\n\n<!-- end -->"


def find(name: str) -> File:
    """A file by the name that documents show."""
    return next(file for file in FILES if _shown(file.name) == name)


def columns(file: File) -> str:
    """Table of the columns of a file."""
    has_shape, has_unit = (any(getattr(c, name) for c in file.columns) for name in ("shape", "unit"))
    word = WORDS.get(Path(file.name).suffix, "column")
    head = [word, *(["shape"] if has_shape else []), "meaning", *(["unit"] if has_unit else [])]
    rows = [
        [_code(c.names), *([c.shape] if has_shape else []), c.meaning, *([c.unit] if has_unit else [])]
        for c in file.columns
    ]
    before = f"All columns of {_code(_shown(file.extends))}, then:\n\n" if file.extends else ""
    return before + _table(head, rows)


def contents(some: Iterable[File]) -> str:
    """Table of files with what their columns mean, in short."""
    rows = []
    for file in some:
        parts = [f"{_code(c.names)}: {c.meaning}" + (f" ({c.unit})" if c.unit else "") for c in file.columns]
        rows.append([_code(file.name), " ".join([file.text, "; ".join(parts)]).strip()])
    return _table(["file", "content"], rows)


def files() -> str:
    """Table of all files: where they lie, which stage writes them, what they hold."""
    rows = [
        [_code(FOLDERS[f.where] + _shown(f.name)), ", ".join(filter(None, (f.stage, f.also))), _shown(f.text)]
        for f in FILES
    ]
    return _table(["file", "stage", "content"], rows)


def figures() -> str:
    """Table of the figures."""
    return _table(["figure", "what it shows"], [[_code(f.name), f.text] for f in FIGURES])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |")


def _shown(name: str) -> str:
    return name.replace("{level}", "<level>").replace("{mode}", "<mode>")


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _in_report(caption: str) -> str:
    """A caption with the data set and the run in the places that Snakemake fills in."""
    for name in ("dataset", "run"):
        caption = caption.replace(f"{{{name}}}", f"{{{{ snakemake.wildcards.{name} }}}}")
    return caption


if __name__ == "__main__":
    for path, text in documents(Path.cwd()).items():
        path.write_text(text)
