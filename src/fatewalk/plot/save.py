"""Write figures to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.style

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import atomic_path
from fatewalk.plot.style import RC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.figure import Figure

#: Per format: dots per inch and metadata. None drops an entry: no time stamp, so that the same
#: results give the same file.
_FORMATS: dict[str, tuple[int, dict[str, str | None]]] = {
    ".png": (150, {"Software": None}),
    ".pdf": (300, {"CreationDate": None, "Creator": "fatewalk", "Producer": None}),
}


def save_figures(figures: Mapping[str, Figure], folder: str | Path) -> None:
    """Write figures by their names into a folder, each as PNG and PDF (`save_figure`)."""
    for name, figure in figures.items():
        save_figure(figure, [Path(folder, f"{name}.png"), Path(folder, f"{name}.pdf")])


def save_figure(fig: Figure, paths: Iterable[str | Path]) -> None:
    """Write a figure as PNG (150 dpi) or PDF (embedded TrueType fonts), by the files' names.

    The same figure gives the same bytes. A killed job leaves no half-written file.

    Parameters
    ----------
    fig
        The figure.
    paths
        Files to write.

    Raises
    ------
    FatewalkError
        If a file is neither .png nor .pdf.
    """
    files = [Path(path) for path in paths]
    for path in files:
        if path.suffix not in _FORMATS:
            raise FatewalkError(f"{path}: unknown kind of figure {path.suffix!r}; allowed: .png, .pdf")
    for path in files:
        dpi, metadata = _FORMATS[path.suffix]
        with matplotlib.style.context(["default", RC]), atomic_path(path) as temporary:
            fig.savefig(temporary, format=path.suffix[1:], dpi=dpi, metadata=metadata)
