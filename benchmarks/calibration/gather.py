"""Gather the blocks of screens into coverage.csv and coverage.png; also of a run that is not finished.

python -m benchmarks.calibration.gather results/calibration --out benchmarks/calibration
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.schema import Z95
from fatewalk.core.tables import write_table
from fatewalk.plot.save import save_figure
from fatewalk.plot.style import BLUE, GREY, PALE, VERMILLION, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID_RANGE, CELL_RANGE = (0.93, 0.97), (0.91, 0.98)
NULL_RANGE = {"likelihood": (0.95, 1.05)}  # by kind of estimate; others have the upper limit alone
KIND_COLOURS = {"posterior": BLUE}  # all others are red


def read_blocks(folder: Path) -> pd.DataFrame:
    """Read all blocks below a folder.

    Raises
    ------
    FatewalkError
        If there are none, or a screen is in two blocks (left from a run with other block sizes).
    """
    paths = sorted(folder.glob("*/*.csv"), key=lambda path: _natural(str(path)))
    if not paths:
        raise FatewalkError(f"{folder}: no blocks of screens (<cell>/<first>-<last>.csv); run the workflow")
    blocks = pd.concat([pd.read_csv(path).assign(path=str(path)) for path in paths], ignore_index=True)
    keys = ["cell", "seed", "kind", "estimand", "contrast", "day"]
    repeated = blocks.duplicated(keys, keep=False)
    if repeated.any():
        raise FatewalkError(
            f"{folder}: the same screens are in {first_few(blocks.loc[repeated, 'path'].unique())}; "
            "remove the blocks of the older run"
        )
    return blocks.drop(columns="path")


def _natural(text: str) -> list[tuple[int, str]]:
    """Sorting key that puts 5 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def summarise(blocks: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell of the grid and kind of estimate.

    Parameters
    ----------
    blocks
        From `read_blocks`.

    Returns
    -------
    pandas.DataFrame
        The axes of the grid, kind; screens; not_converged (fits); seconds (median of a fit);
        coverage of 95 % intervals with its standard error over screens, and of the worst day (the
        farthest from 95 %); coverage_gene and its standard error; null_z_sd and null_gene_z_sd
        (SD of (estimate - truth) / SE over gene-days without an effect); rmse, bias and mean_se of
        the library's effects (logit); weight_ratio (weight of the fit over the true one, mean over
        screens, of the day farthest from 1); within (the coverage lies in its range).
    """
    rows = []
    for (cell, kind), part in blocks.groupby(["cell", "kind"], sort=False):
        library, gene = (part[part["estimand"] == estimand] for estimand in ("library", "gene"))
        fits = part.drop_duplicates("seed")
        counts = library.groupby("day")[["covered", "n"]].sum()
        by_day = counts["covered"] / counts["n"]
        worst = int((by_day - 0.95).abs().to_numpy().argmax())  # days are 0, 1, ...
        coverage, coverage_se = _coverage(library)
        coverage_gene, coverage_gene_se = _coverage(gene)
        seen = library[library["n"] > 0]
        ratio = (library["weight"] / library["weight_true"]).groupby(library["day"]).mean()
        rows.append(
            {
                **dict(item.split("=") for item in str(cell).split(",")),
                "kind": kind,
                "screens": len(fits),
                "not_converged": int((fits["status"] != "converged").sum()),
                "seconds": fits["seconds"].median(),
                "coverage": coverage,
                "coverage_se": coverage_se,
                "worst_day": worst,
                "coverage_worst_day": by_day.iloc[worst],
                "coverage_gene": coverage_gene,
                "coverage_gene_se": coverage_gene_se,
                "null_z_sd": _null_z_sd(library),
                "null_gene_z_sd": _null_z_sd(gene),
                "rmse": np.sqrt(np.average(seen["rmse"] ** 2, weights=seen["n"])),
                "bias": np.average(seen["bias"], weights=seen["n"]),
                "mean_se": np.average(seen["mean_se"], weights=seen["n"]),
                "weight_ratio": ratio.iloc[(ratio - 1).abs().to_numpy().argmax()],
                "within": CELL_RANGE[0] <= coverage <= CELL_RANGE[1],
            }
        )
    return pd.DataFrame(rows)


def _coverage(part: pd.DataFrame) -> tuple[float, float]:
    """Share of intervals that hold the truth, and its standard error over screens."""
    by_screen = part.groupby("seed")[["covered", "n"]].sum()
    covered, n = by_screen["covered"], by_screen["n"]
    if not n.sum():
        return np.nan, np.nan
    share = covered.sum() / n.sum()
    # screens are independent, gene-days of a screen are not: ratio estimator over screens
    residual = (covered - share * n) / n.mean()
    return float(share), float(residual.std() / np.sqrt(len(n)))


def _null_z_sd(part: pd.DataFrame) -> float:
    """SD of z over the null gene-days of all screens."""
    n, total, square = part[["null_n", "null_z", "null_z_square"]].sum()
    return float(np.sqrt((square - total**2 / n) / (n - 1))) if n > 1 else np.nan


@styled
def plot_coverage(table: pd.DataFrame) -> Figure:
    """Draw every cell of the grid with its 95 % interval over screens.

    One column of panels for each truth and estimand (rows: labels, MOI, NTC share, guides a
    gene), and one for the SD of z over null gene-days.
    """
    rows = table[["labels", "moi", "ntc", "guides"]].drop_duplicates().reset_index(drop=True)
    place = {tuple(row): i for i, row in enumerate(rows.itertuples(index=False))}
    truths = list(dict.fromkeys(table["truth"]))
    panels = [
        (truth, *columns)
        for truth in truths
        for columns in (("library", "coverage"), ("gene", "coverage_gene"))
    ]
    fig = new_figure(2 + 1.5 * (len(panels) + 1), 1.3 + 0.15 * len(rows))
    axes = fig.subplots(1, len(panels) + 1, sharey=True)
    kinds = list(dict.fromkeys(table["kind"]))
    for ax, (truth, estimand, column) in zip(axes[:-1], panels, strict=True):
        _draw_lines(ax, [0.91, 0.93, 0.95, 0.97, 0.98], middle=0.95)
        for kind in kinds:
            part = table[(table["truth"] == truth) & (table["kind"] == kind)]
            _draw_marks(ax, part, column, place, kind, kinds)
        ax.set(title=f"{truth}: {estimand}", xlabel="coverage of 95 % intervals")
    ends = [table[column] - Z95 * table[f"{column}_se"].fillna(0) for column in ("coverage", "coverage_gene")]
    for ax in axes[:-1]:
        ax.set_xlim(min(0.895, *(end.min() - 0.01 for end in ends)), 1.003)
    _draw_lines(axes[-1], [0.95, 1.0, 1.05], middle=1.0)
    for kind in kinds:
        part = table[table["null_z_sd"].notna() & (table["kind"] == kind)]
        _draw_marks(axes[-1], part, "null_z_sd", place, kind, kinds)
    axes[-1].set(title="no effect: library", xlabel="SD of z")
    axes[0].set_yticks(range(len(rows)), [_row_name(*row) for row in place])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    for ax in axes:
        for edge in np.flatnonzero(rows["labels"] != rows["labels"].shift())[1:]:
            ax.axhline(edge - 0.5, color=GREY, linewidth=0.5)
    handles = axes[0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=len(kinds))
    least, most = int(table["screens"].min()), int(table["screens"].max())
    screens = f"{least}" if least == most else f"{least} to {most}"
    note = "bars: 95 % interval over screens; lines at 91, 93, 95, 97 and 98 %"
    fig.suptitle(f"{screens} screens a row; {note}", x=0.01, ha="left")
    return fig


def _row_name(labels: str, moi: str, ntc: str, guides: str) -> str:
    return f"{labels}, MOI {moi}, NTC {ntc} %, {guides} guides"


def _draw_lines(ax: Axes, positions: list[float], middle: float) -> None:
    for position in positions:
        colour, style = (GREY, "-") if position == middle else (PALE, "--")
        ax.axvline(position, color=colour, linestyle=style, linewidth=0.7, zorder=0)


def _draw_marks(
    ax: Axes, part: pd.DataFrame, column: str, place: dict[tuple[str, ...], int], kind: str, kinds: list[str]
) -> None:
    """Points of one kind of estimate, with bars where the table has a standard error."""
    keys = part[["labels", "moi", "ntc", "guides"]].itertuples(index=False)
    y = np.array([place[tuple(key)] for key in keys], dtype=float)
    y += 0.3 * (kinds.index(kind) - (len(kinds) - 1) / 2)  # side by side
    colour = KIND_COLOURS.get(kind, VERMILLION)
    error = Z95 * part[f"{column}_se"] if f"{column}_se" in part else None
    ax.errorbar(
        part[column], y, xerr=error, fmt="o", color=colour, markersize=2.2, elinewidth=0.7, label=kind
    )


def report(table: pd.DataFrame) -> str:
    """Say in a few lines how the table stands against its limits."""
    lines = []
    for (truth, kind), part in table.groupby(["truth", "kind"], sort=False):
        low, high = GRID_RANGE
        outside = part[~part["within"].astype(bool)]
        mean = part["coverage"].mean()
        lines.append(
            f"{truth}, {kind}: coverage {mean:.3f} over {len(part)} cells "
            f"({'within' if low <= mean <= high else 'OUTSIDE'} {low} to {high}), "
            f"{part['coverage'].min():.3f} to {part['coverage'].max():.3f}, {len(outside)} outside "
            f"{CELL_RANGE[0]} to {CELL_RANGE[1]}; gene {part['coverage_gene'].mean():.3f} "
            f"({part['coverage_gene'].min():.3f} to {part['coverage_gene'].max():.3f}); "
            f"weight over truth {part['weight_ratio'].min():.3f} to {part['weight_ratio'].max():.3f}; "
            f"{part['not_converged'].sum()} of {part['screens'].sum()} fits not converged; "
            f"{part['seconds'].median():.1f} s a fit"
        )
        null = part["null_z_sd"].dropna()
        if len(null):
            least, most = NULL_RANGE.get(str(kind), (0.0, 1.05))
            bad = ((null < least) | (null > most)).sum()
            lines.append(
                f"{truth}, {kind}: SD of null z {null.min():.3f} to {null.max():.3f}, {bad} cells outside "
                f"{least} to {most}"
            )
    return "\n".join(lines)


def main() -> None:
    """Write coverage.csv and coverage.png, and print how they stand against the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="blocks of screens")
    parser.add_argument("--out", type=Path, required=True, help="folder for coverage.csv and coverage.png")
    args = parser.parse_args()
    table = summarise(read_blocks(args.folder))
    write_table(table, args.out / "coverage.csv")
    save_figure(plot_coverage(table), [args.out / "coverage.png"])
    print(report(table))


if __name__ == "__main__":
    main()
