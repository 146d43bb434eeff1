"""A finished run in Python: tables, card, figures."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk import plot
from fatewalk.api.annotated import add_fitted, fitted_of_cells
from fatewalk.calls import FateEffects, pair_effects_table
from fatewalk.core.errors import FatewalkError, nearest, one_of
from fatewalk.core.files import make_folder
from fatewalk.plot.effects import SCALES
from fatewalk.run.layout import contrast_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

TABLES = (".csv", ".parquet")


class Result:
    """A finished run: tables as DataFrames, the fit card, figures.

    Parameters
    ----------
    run
        The run. The temporary folder of a fit is removed when nothing holds the run any more.

    Attributes
    ----------
    plot
        Figures: ``result.plot.heatmap()``, ``result.plot.volcano("NEU")``, ``plot.overview_heatmap()``.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.plot = Plots(run)

    def __repr__(self) -> str:
        sizes = f"{len(self.hits())} hits, fates {', '.join([self.run.reference, *self.run.contrasts])}"
        return f"<fatewalk result: {self.card['status']}, {sizes}, days {', '.join(self.run.days)}>"

    @property
    def folder(self) -> Path:
        """Folder of the run, with all files of docs/outputs.md."""
        return self.run.folder

    @property
    def card(self) -> dict[str, Any]:
        """The fit card: status, stopping rules, dispersion, warnings."""
        card: dict[str, Any] = copy.deepcopy(self.run.json("fit_card.json"))
        return card

    @property
    def verdict(self) -> dict[str, Any]:
        """What is to be thought of fit and centring, each with value, limit and words."""
        verdict: dict[str, Any] = copy.deepcopy(self.run.json("verdict.json"))
        return verdict

    def hits(self) -> pd.DataFrame:
        """Hits of all contrasts, best first: the columns of hits.csv."""
        return self.run.table("hits.csv").copy()

    def effects(
        self, level: str = "gene", scale: str | None = None, pair: tuple[str, str] | None = None
    ) -> pd.DataFrame:
        """All effects of genes or of guides, a row for each fate or contrast, and day; or those on a pair.

        Parameters
        ----------
        level
            gene | guide.
        scale
            fate (each fate's own probability) | contrast (log odds against the reference); both if left out.
        pair
            Instead of a scale, two fates such as ``("MES", "NEU")``: log odds of the first against the
            second.

        Returns
        -------
        pandas.DataFrame
            The columns of effects.parquet, but for the level, and for the guide where it is that of genes.
            Of a pair, those of `fatewalk.calls.pair_effects_table`: estimate and se are unshrunk, lfsr and
            plarge by mash over fates and days, whatever the source of the calls.

        Raises
        ------
        FatewalkError
            For another level, scale or fate.

        Examples
        --------
        >>> import fatewalk
        >>> screen = fatewalk.simulate(cells=1500, genes=12, active_genes=6, days=[0, 2], seed=1)
        >>> result = fatewalk.fit(
        ...     screen.cells,
        ...     screen.guide_map,
        ...     screen.guide_calls,
        ...     fates=["EC", "MES", "NEU"],
        ...     family="laplace",
        ... )
        >>> list(result.effects("gene", pair=("MES", "NEU")).columns[:6])
        ['gene', 'fate', 'against', 'day', 'estimate', 'se']
        """
        one_of("level", level, ("gene", "guide"))
        if pair is not None:
            if scale is not None:
                raise FatewalkError(f"scale: found {scale!r} beside pair; leave one of the two out")
            return _pair_effects(self.run, level, _two_fates(self.run, pair))
        if scale is not None:
            one_of("scale", scale, SCALES)
        table = self.run.table("effects.parquet")
        wanted = (table["level"] == level) & (scale is None or table["scale"] == scale)
        found = table[wanted].reset_index(drop=True)
        return found.drop(columns=["level", "guide"] if level == "gene" else ["level"])

    def to_anndata(self, level: str = "gene") -> Any:
        """Effects on each fate and day as an AnnData, genes or guides x (fate, day), with layers.

        Parameters
        ----------
        level
            gene | guide.

        Returns
        -------
        anndata.AnnData
            The content of results.h5ad, or of results_guides.h5ad: see docs/outputs.md.

        Raises
        ------
        FatewalkError
            For another level, or a run of before there were such files.

        Examples
        --------
        >>> genes = result.to_anndata()  # doctest: +SKIP
        >>> genes[:, genes.var["fate"] == "NEU"].to_df("percent_points")  # doctest: +SKIP
        """
        one_of("level", level, ("gene", "guide"))
        path = self.folder / ("results.h5ad" if level == "gene" else "results_guides.h5ad")
        if not path.is_file():
            raise FatewalkError(f"{path}: no such file; run the workflow again, which writes it now")
        import anndata

        return anndata.read_h5ad(self.run.checked(path))

    def add_to(self, adata: Any, key: str = "fatewalk") -> None:
        """Write the fitted fate probabilities of its cells into an AnnData, in place.

        They are what the model gives to a cell with these guides on this day and in this replicate: the
        average over posterior draws, smoother than the cell's own label.

        Parameters
        ----------
        adata
            With the cells of the run, by their names in ``obs_names``. More or fewer cells, in any order, are
            no matter; those that were not fitted are missing.
        key
            Where in ``obsm``: a table with a column for each fate.

        Raises
        ------
        FatewalkError
            If no cell is of the run, or the fit is not at hand, as for a result that was saved elsewhere.
        """
        add_fitted(adata, fitted_of_cells(self.run), key)

    def table(self, name: str, contrast: str | None = None) -> pd.DataFrame:
        """A table of the run by the name of its file (docs/outputs.md), of a contrast or of the run's top.

        Raises
        ------
        FatewalkError
            If the run has no such table or contrast.
        """
        if not isinstance(name, str):
            raise FatewalkError(f"table: found {name!r}; allowed: the name of a file, such as 'hits.csv'")
        chosen = None if contrast is None else self.run.choose(contrast)
        known = _tables_in(self.folder, chosen)
        if name not in known:
            other = "for all contrasts together" if chosen else "for each contrast"
            elsewhere = sorted(
                set(_tables_in(self.folder, None if chosen else self.run.primary)) - set(known)
            )
            if name in elsewhere:
                call = f"table({name!r})" if chosen else f"table({name!r}, {self.run.primary!r})"
                raise FatewalkError(f"table: {name!r} is {other}; write {call}")
            raise FatewalkError(
                f"table: found {name!r}{nearest(name, [*known, *elsewhere])}; allowed: "
                f"{', '.join(known) or 'none, they are not in the folder'}"
                + (f"; and, {other}: {', '.join(elsewhere)}" if elsewhere else "")
            )
        return self.run.table(name, chosen).copy()

    def __reduce__(self) -> Any:
        """Refuse to be pickled without the files that it stands for."""
        if self.run.keep is not None:
            raise TypeError("the files of a result are temporary: use save(folder) and fatewalk.load(folder)")
        return super().__reduce__()

    def save(self, folder: str | Path) -> Path:
        """Write the files of the run, for `load` and for other programs.

        Parameters
        ----------
        folder
            New or empty.

        Raises
        ------
        FatewalkError
            If there is something in it, or it cannot be written.
        """
        folder = folder_of(folder)
        if folder.resolve().is_relative_to(self.folder.resolve()):
            raise FatewalkError(f"{folder}: lies within the result; give a folder elsewhere")
        make_folder(folder)
        if any(folder.iterdir()):
            raise FatewalkError(f"{folder}: is there already and not empty; give a new folder")
        try:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)  # half of a run would pass for one
            if isinstance(error, shutil.Error):  # tells every file that could not be copied
                raise FatewalkError(f"{folder}: cannot be written: {error.args[0][0][2]}") from error
            raise
        return folder


def folder_of(path: Any) -> Path:
    """The folder that an argument names, ``~`` written out, wherever the process works later on.

    Raises
    ------
    FatewalkError
        If it is no path, or an empty one.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
        shown = isinstance(path, str | bytes | None)
        found = repr(path) if shown else f"an object of type {type(path).__name__}"
        raise FatewalkError(f"folder: found {found}; allowed: the path of a folder")
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 (Path raises for no such user)


def _two_fates(run: Run, pair: Any) -> tuple[str, str]:
    """Two different fates of a run, the reference like any other."""
    fates = [run.reference, *run.contrasts]
    known = f"allowed: two of {', '.join(fates)}"
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or pair[0] == pair[1]:
        raise FatewalkError(f"pair: found {pair!r}; {known}, such as {(fates[0], fates[1])}")
    for fate in pair:
        if fate not in fates:
            raise FatewalkError(f"pair: found {fate!r}{nearest(str(fate), fates)}; {known}")
    return pair[0], pair[1]


def _pair_effects(run: Run, level: str, pair: tuple[str, str]) -> pd.DataFrame:
    """Effects on two fates, by the prior that the run fitted."""
    effects = FateEffects.load(run.checked(run.folder / f"shrunk_fates_{level}.npz"))
    return pair_effects_table(
        level,
        effects,
        run.arrays("evidence.npz"),
        pair,
        run.table(f"{level}_daywise_for_mash.csv", run.primary),
        estimand=run.estimand.name,
        eps=run.settings.calls.effect_size_eps,
        theta=run.arrays("theta_posterior_summary.npz"),
        day_cells=run.day_cells,
    )


class Plots:
    """The figures of a run by name."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Figure]:
        if name.startswith("_"):
            raise AttributeError(name)
        known = dir(self)
        if name not in known:
            raise AttributeError(f"plot: found {name!r}{nearest(name, known)}; allowed: {', '.join(known)}")
        draw = plot.figure(name)

        def of_run(*args: Any, **keys: Any) -> Figure:
            for key in keys.keys() & {"max_genes", "n_top"}:
                if not isinstance(keys[key], int | np.integer) or keys[key] < 1:
                    raise FatewalkError(f"{key}: found {keys[key]!r}; allowed: a whole number above 0")
            return draw(self._run, *args, **keys)

        of_run.__doc__, of_run.__name__ = draw.__doc__, name
        return of_run

    def __dir__(self) -> list[str]:
        return plot.figure_names(self._run)


def _tables_in(folder: Path, contrast: str | None) -> list[str]:
    """Names of the tables of a contrast, or of the run's top and what lies below it otherwise."""
    top = folder / contrast_folder(contrast) if contrast else folder
    paths = [
        path.relative_to(top)
        for suffix in TABLES
        for path in top.rglob(f"*{suffix}")
        if not path.relative_to(top).parts[0].startswith(("contrast=", "stale"))
    ]
    return sorted(path.as_posix() for path in paths)
