"""The worked notebook runs, cell by cell, on the results of a tiny screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import fatewalk
from tests.notebook import read, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The notebook after it ran in a folder of its own."""
    folder: Path = tmp_path_factory.mktemp("notebook")
    screen = fatewalk.simulate(cells=1500, genes=12, active_genes=5, days=[0, 2], seed=1)
    tables = screen.cells, screen.guide_map, screen.guide_calls
    result = fatewalk.fit(*tables, fates=["EC", "MES", "NEU"], family="laplace", draws=200)
    (folder / "results").symlink_to(result.folder.parents[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run(read(), ("results/demo", "results/screen"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs_and_most_show_something(done: dict[str, Any]) -> None:
    cells = code_cells(done)
    assert len(cells) >= 12
    assert all(cell["outputs"] for cell in cells)
    kinds = [kind for cell in cells for one in cell["outputs"] for kind in one.get("data", {})]
    assert kinds.count("image/png") >= 3
    assert kinds.count("text/html") >= 4


def test_what_is_committed_shows_what_the_cells_give(done: dict[str, Any]) -> None:
    for cell, again in zip(code_cells(read()), code_cells(done), strict=True):
        kinds = [sorted(one.get("data", ())) for one in cell["outputs"]]
        assert kinds == [sorted(one.get("data", ())) for one in again["outputs"]], "".join(cell["source"])
