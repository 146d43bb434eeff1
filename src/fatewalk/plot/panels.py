"""Parts of figures that show all contrasts: names that fit, titles of panels, words for counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from fatewalk.core.errors import FatewalkError
from fatewalk.plot.columns import notes_of
from fatewalk.plot.style import TEXT, grid_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER = 0.073  # width of a letter of a tick text, inches
LINE = 1.25 * TEXT  # distance of two names, points
LEGEND_MARK = 0.55  # width of what stands beside a text of a legend, inches


def require_contrasts(contrasts: Sequence[str]) -> None:
    """Refuse to draw nothing."""
    if not len(contrasts):
        raise FatewalkError("overview: found no contrasts; needed: one or more")


def all_notes(tables: Iterable[pd.DataFrame]) -> list[str]:
    """Warnings of any of the tables, each once."""
    return list(dict.fromkeys(note for table in tables for note in notes_of(table)))


def most_rows(tables: Mapping[str, pd.DataFrame]) -> int:
    """Number of genes."""
    return max(len(table) for table in tables.values())


def each(contrasts: Mapping[str, pd.DataFrame]) -> str:
    """What stands for the contrast in the label of a common axis."""
    return next(iter(contrasts)) if len(contrasts) == 1 else "each fate"


def count_fates(contrasts: Sequence[object] | Mapping[str, pd.DataFrame]) -> str:
    """Number of contrasts in words."""
    return "1 fate" if len(contrasts) == 1 else f"{len(contrasts)} fates"


def panel_columns(n: int, names: Iterable[str], letters: int) -> int:
    """Columns of a grid whose panels have room for the names of genes: four for names of so many letters."""
    longest = max((len(name) for name in names), default=0)
    return grid_columns(n, 4 if longest <= letters else 3 if longest <= 1.5 * letters else 2)


def title_panels(
    axes: Sequence[Axes], contrasts: Sequence[str], remarks: Sequence[str], inches: float
) -> None:
    """Name of the fate over each panel and, on the same line where that fits everywhere, a remark."""
    lines = [f"{contrast}: {remark}" for contrast, remark in zip(contrasts, remarks, strict=True)]
    fits = all("\n" not in line and text_width(line) <= 72 * inches for line in lines)
    for ax, contrast, remark, line in zip(axes, contrasts, remarks, lines, strict=True):
        name = fit_name(contrast, inches)
        ax.set_title(name if not remark else line if fits else f"{name}\n{remark}")


def panel_width(fig: Figure, columns: int) -> float:
    """Width of a panel in inches, about."""
    return (fig.get_figwidth() - 0.6) / columns - 0.2


def legend_columns(handles: Sequence[Artist], most: int, inches: float) -> int:
    """Columns of a legend that fit a length, at most so many; a column is filled before the next."""
    widths = [text_width(str(handle.get_label())) / 72 + LEGEND_MARK for handle in handles]
    for columns in range(most, 1, -1):
        rows = -(-len(widths) // columns)
        if sum(max(widths[i : i + rows]) for i in range(0, len(widths), rows)) <= inches:
            return columns
    return 1


def split_name(name: str) -> list[str]:
    """Parts of a name, each with the underscore, hyphen or blank that ends it."""
    return re.split(r"(?<=[_\- ])", name)


def fit_name(name: str, inches: float) -> str:
    """Break the name of a fate into lines that fit a length, where it has places to break."""
    lines = [""]
    for part in split_name(name):
        if lines[-1] and text_width(lines[-1] + part) > 72 * inches:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def cut_name(name: str, inches: float) -> str:
    """Leave out the middle of a name that does not fit a length: names of a series differ at their ends."""
    kept = len(name)
    cut = name
    while text_width(cut) > 72 * inches and kept > 4:
        kept -= 1
        cut = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return cut


def text_width(text: str, size: float = TEXT) -> float:
    """Width of a text of a size, both in points."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)[0])
