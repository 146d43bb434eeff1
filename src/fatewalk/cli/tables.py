"""Small tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def aligned(rows: Sequence[Sequence[str]], left: int = 1, indent: str = "  ") -> Iterator[str]:
    """Lay out rows of text, the first of which is the head.

    Parameters
    ----------
    rows
        All of one length.
    left
        That many columns are flush left, the others flush right.
    indent
        Before each line.

    Yields
    ------
    str
        One line a row.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{text:<{width}}" if place < left else f"{text:>{width}}"
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"{indent}{'   '.join(cells)}".rstrip()
