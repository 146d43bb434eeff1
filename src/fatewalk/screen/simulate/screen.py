"""One screen from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fatewalk.core.files import atomic_path, write_json
from fatewalk.core.tables import write_table
from fatewalk.screen.simulate.cells import (
    draw_covariate,
    draw_nuisance,
    lay_out,
    linear_predictor,
    mean_by_day,
)
from fatewalk.screen.simulate.clones import draw_clones
from fatewalk.screen.simulate.effects import draw_effects
from fatewalk.screen.simulate.guides import call_guides, draw_burden, draw_guides
from fatewalk.screen.simulate.labels import draw_labels, shrink_labels, smooth_labels
from fatewalk.screen.simulate.library import draw_library
from fatewalk.screen.simulate.streams import random_streams
from fatewalk.screen.simulate.survival import Population, survivors
from fatewalk.screen.simulate.tables import cell_tables, departures, settings_and_scales, truth_tables

if TYPE_CHECKING:
    import pandas as pd

    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.streams import Floats


@dataclass(frozen=True)
class SimulatedScreen:
    """The canonical tables of a screen, and the truth behind them.

    Attributes
    ----------
    cells
        cell_id (categorical), day (label), time, rep, one column ``p_<fate>`` per fate [, cluster]
        [, covariate].
    guide_calls
        cell_id, guide (both categorical): one row per distinct guide of a cell.
    guide_map
        guide_name, gene_name, is_ntc.
    truth_theta
        gene, fate (contrast), day (index), theta (mean over the guides of the library), theta_gene
        (before the deviations of the library's guides; the same if they are centred).
    truth_delta
        guide, gene, fate, delta: targeting guides; sums to zero over the guides of a gene.
    truth
        settings; names of fates, contrasts, days, reps, clusters; times [D]; alpha and gamma
        [F*, D], b [F*, R], cluster_intercepts [F*, C], covariate_slopes [F*, 0 or 1]; mean_burden
        [D]; patterns (active gene -> pattern, or with active_per day its days, as ``d0;d2``);
        scales, the values that the fit's scales should find: tau [F*] and sigma_time
        [F*, D - 1] are root mean squares over the genes, of theta on the first day and of its
        steps, sigma_guide is the setting; guide_shares [M], the probability of each guide of the
        map in a draw; n_cells_capped, cells that wanted more guides than can be drawn. Of what the model
        does not have (0 or empty where it is off): ntc_effects [NTC guides, F*]; gene_replicate
        [L, F*, D, R]; clones (a dict each); label_dispersion [D, F], the variance of labels over that of
        one-hot labels, before smoothing and shrinking; n_cells_lost, draws that did not survive;
        n_calls_lost and n_calls_false of the guides.
    """

    cells: pd.DataFrame
    guide_calls: pd.DataFrame
    guide_map: pd.DataFrame
    truth_theta: pd.DataFrame
    truth_delta: pd.DataFrame
    truth: dict[str, Any]


def simulate_screen(config: SimulateConfig) -> SimulatedScreen:
    """Draw a screen from the model.

    Parameters
    ----------
    config
        Section ``simulate`` of a dataset entry.

    Returns
    -------
    SimulatedScreen
        Tables and truth; the same for the same settings (and NumPy release).

    Raises
    ------
    FatewalkError
        If moi is more than the number of guides that can be drawn, or too near to it; if no gene is left for
        a jackpot, a gene of ``growth`` is not in the library, or hardly any cell survives.
    """
    rngs = random_streams(config.seed)
    library = draw_library(config, rngs)
    effects = draw_effects(config, library, rngs)
    layout = lay_out(config)
    nuisance = draw_nuisance(config, layout, rngs)
    clones = draw_clones(config, layout, library, effects, rngs)
    capped: list[int] = []
    centre: list[Floats] = []  # of the burden: that of the first draw, for every draw

    def draw() -> Population:
        wanted = draw_burden(config, layout, rngs["moi"])
        drawn = draw_guides(config, layout, wanted, library.shares, rngs["guides"])
        n_guides, guides = clones.share_guides(*drawn[:2])
        capped.append(drawn[2])
        centre.append(mean_by_day(layout, n_guides))
        eta = linear_predictor(layout, library, effects, nuisance, n_guides, guides, centre[0])
        covariate = draw_covariate(config, rngs["covariate"])
        eta[:, 1:] += covariate @ nuisance.covariate.T
        if clones.cells:
            eta[:, 1:] += clones.eta(config.cells)
        prob = draw_labels(config, eta, layout.day, rngs["label"])
        return Population(n_guides, guides, covariate, eta, prob)

    drawn, n_lost = survivors(config, layout, library, draw, rngs["survival"])
    smooth = smooth_labels(config, drawn.prob, drawn.eta, layout.day, rngs["neighbour"])
    prob = shrink_labels(config, smooth, layout.day)
    calls = call_guides(config, drawn.n_guides, drawn.guides, library.shares, rngs)

    cells, guide_calls = cell_tables(config, layout, library, *calls[:2], prob)
    if drawn.covariate.shape[1]:
        cells["covariate"] = drawn.covariate[:, 0]
    truth_theta, truth_delta = truth_tables(config, library, effects)
    truth = settings_and_scales(config, layout, library, effects, nuisance)
    truth |= {"mean_burden": centre[0], "n_cells_capped": capped[0]}
    truth |= departures(config, layout, effects, drawn.eta)
    truth |= {"clones": clones.truth(library, layout, cells["cell_id"].astype(str).tolist())}
    truth |= {"n_cells_lost": n_lost, "n_calls_lost": calls[2], "n_calls_false": calls[3]}
    return SimulatedScreen(cells, guide_calls, library.guide_map, truth_theta, truth_delta, truth)


def write_screen(screen: SimulatedScreen, folder: str | Path) -> None:
    """Write the canonical tables and the truth, each file atomically.

    Parameters
    ----------
    screen
        A screen.
    folder
        Receives cells.parquet, guide_calls.parquet, guide_map.csv, truth_theta.csv,
        truth_delta.csv, truth.json; made if absent.
    """
    folder = Path(folder)
    for name, table in (("cells", screen.cells), ("guide_calls", screen.guide_calls)):
        with atomic_path(folder / f"{name}.parquet") as temporary:
            # One row group, because Parquet repeats the names of all cells in each.
            table.to_parquet(temporary, index=False, row_group_size=max(len(table), 1))
    write_table(screen.guide_map, folder / "guide_map.csv")
    write_table(screen.truth_theta, folder / "truth_theta.csv")
    write_table(screen.truth_delta, folder / "truth_delta.csv")
    write_json(screen.truth, folder / "truth.json")
