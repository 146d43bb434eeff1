"""Write figures to files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import atomic_path
from fatewalk.plot.style import RC

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matplotlib.figure import Figure

#: Per format: dots per inch and metadata. None drops an entry: no time stamp, so that the same
#: results give the same file.
_FORMATS: dict[str, tuple[int, dict[str, str | None]]] = {
    ".png": (200, {"Software": None}),
    ".pdf": (300, {"CreationDate": None, "Creator": "fatewalk", "Producer": None}),
    ".svg": (300, {"Date": None, "Creator": "fatewalk"}),
}
SUFFIXES = tuple(_FORMATS)


def save_figures(figures: Mapping[str, Figure], folder: str | Path) -> list[Path]:
    """Write figures by their names into a folder, each as PNG, PDF and SVG (`save_figure`); the files."""
    files = {name: [Path(folder, f"{name}{suffix}") for suffix in SUFFIXES] for name in figures}
    for name, figure in figures.items():
        save_figure(figure, files[name])
    return [path for of_figure in files.values() for path in of_figure]


def save_figure(fig: Figure, paths: Iterable[str | Path]) -> None:
    """Write a figure as PNG (200 dpi), PDF (embedded TrueType fonts) or SVG (text), by the files' names.

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
        If a file is of another kind.
    """
    files = [Path(path) for path in paths]
    for path in files:
        if path.suffix not in _FORMATS:
            raise FatewalkError(
                f"{path}: unknown kind of figure {path.suffix!r}; allowed: {', '.join(SUFFIXES)}"
            )
    with matplotlib.style.context(["default", RC]), _laid_out(fig):
        for path in files:
            dpi, metadata = _FORMATS[path.suffix]
            with atomic_path(path) as temporary:
                fig.savefig(temporary, format=path.suffix[1:], dpi=dpi, metadata=metadata)


@contextlib.contextmanager
def _laid_out(fig: Figure) -> Iterator[None]:
    """Lay a figure out once for all formats: this takes longer than to write one."""
    engine = fig.get_layout_engine()
    FigureCanvasAgg(fig)
    if engine is not None:
        engine.execute(fig)
        fig.set_layout_engine("none")
    try:
        yield
    finally:
        fig.set_layout_engine(engine)
