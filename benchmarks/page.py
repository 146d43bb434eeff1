"""How large the page of a big screen is, and how soon it stands in a browser.

    python -m benchmarks.page results/demo/main --genes 300 --fates 18

Takes a finished run, repeats its tables under new names of genes and fates up to the wanted size, and opens
the page in chromium: the time until the first picture stands. The numbers are no results; only their amount
counts.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fatewalk.report import write_page
from fatewalk.run.files import Run
from fatewalk.run.settings import sections

if TYPE_CHECKING:
    from collections.abc import Sequence


def enlarged(run: Run, n_genes: int, n_fates: int) -> Run:
    """The same run with more genes and fates: tables repeated under new names."""
    fates = [f"fate{n:02d}" for n in range(n_fates)]
    calls = {"calls": vars(run.settings.calls)}
    settings = sections({"model": {"ref_fate": fates[0], "contrast_fate": fates[1]}, **calls})
    big = Run(run.folder, fates[1:], settings)
    genes = run.effects("gene", "fate")["gene"].unique()
    copies = -(-n_genes // len(genes))
    for level in ("gene", "guide"):
        table = _by_fate(run.effects(level, "fate"), fates)
        table = _by_gene(table, copies, ("gene", "guide") if level == "guide" else ("gene",))
        big._held[f"effects of {level}s by fate", run.folder / "effects.parquet"] = table
    for name in ("hits.csv", "fate_probability_change.csv"):
        table = _by_gene(_by_fate(run.table(name), fates), copies, ("gene",))
        big._held["table", run.folder / name] = table.assign(rank=range(1, len(table) + 1))
    return big


def _by_fate(table: pd.DataFrame, fates: Sequence[str]) -> pd.DataFrame:
    """Rows for every fate, those of the table's fates in turn."""
    own = table["fate"].unique()
    parts = [table[table["fate"] == own[n % len(own)]].assign(fate=fate) for n, fate in enumerate(fates)]
    return pd.concat(parts, ignore_index=True)


def _by_gene(table: pd.DataFrame, copies: int, names: Sequence[str]) -> pd.DataFrame:
    """The table several times under other names."""
    parts = [table.assign(**{name: table[name] + f"_{n}" for name in names}) for n in range(copies)]
    return pd.concat(parts, ignore_index=True)


def seconds_to_open(path: Path) -> tuple[float, float]:
    """Seconds until the page can be read, and until its first picture stands."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        browser.new_page().goto("about:blank")
        page, start = browser.new_page(), time.perf_counter()
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        read = time.perf_counter() - start
        page.wait_for_selector("[data-picture=overview] svg, [data-picture=overview] canvas")
        return read, time.perf_counter() - start


def main() -> None:
    """Print size and times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--fates", type=int, default=18)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(shutil.copytree(asked.run, Path(folder) / "run"))  # its cells have other fates
        path, start = Path(folder) / "report.html", time.perf_counter()
        write_page(enlarged(Run.load(alone), asked.genes, asked.fates), path)
        print(f"written in {time.perf_counter() - start:.1f} s, {path.stat().st_size / 1e6:.1f} MB")
        print("to be read after {:.1f} s, first picture after {:.1f} s".format(*seconds_to_open(path)))


if __name__ == "__main__":
    main()
