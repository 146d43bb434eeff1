"""Two real screens give the same tables as AnnData and as plain tables."""

from pathlib import Path

import pandas as pd
import pytest

from fatewalk.config import DesignConfig
from fatewalk.screen.design import build_design
from fatewalk.screen.readers.anndata import AnnDataDataset
from fatewalk.screen.readers.plain import PlainDataset
from fatewalk.stages import import_screen

FOLDER = Path(__file__).parents[4] / "shared" / "realdata"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the real data are not here")


def import_both(name, tmp_path, **keys):
    folder = FOLDER / name
    guide_map = str(folder / "guide_map.csv")
    fates = sorted(pd.read_csv(folder / "cells.csv.gz", usecols=["fate"])["fate"].unique())
    sources = {
        "anndata": AnnDataDataset(
            anndata=str(folder / f"{name}.h5ad"),
            guide_map=guide_map,
            fate_key="fate_prob",
            fate_names_key="fate_names",
            **keys,
        ),
        "plain": PlainDataset(
            cells=str(folder / "cells.csv.gz"),
            guide_calls=str(folder / "guides.csv.gz"),
            guide_map=guide_map,
            **keys,
        ),
    }
    for kind, dataset in sources.items():
        import_screen.main(tmp_path / kind, dataset, fates)
    tables = [
        [pd.read_parquet(tmp_path / kind / f"{table}.parquet") for kind in sources]
        for table in ("cells", "guide_calls")
    ]
    for one, other in tables:
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    maps = [(tmp_path / kind / "guide_map.csv").read_bytes() for kind in sources]
    assert maps[0] == maps[1]
    return build_design(
        tables[0][0], tables[1][0], pd.read_csv(tmp_path / "plain/guide_map.csv"), DesignConfig(), fates
    )


def test_zscape(tmp_path):
    design, report = import_both("zscape_crispants", tmp_path, cluster_key="embryo")
    assert (design.n_cells, len(design.genes), len(design.clusters), len(design.reps)) == (
        241127,
        28,
        804,
        20,
    )
    assert design.times == (0.75, 1.0, 1.5, 2.0, 3.0)
    assert report["unobserved_gene_days"] == 59
    assert report["ntc"]["guides_in_cells"] == 5


def test_mcf10a(tmp_path):
    design, report = import_both("mcf10a_cropseq_dox", tmp_path)
    assert (design.n_cells, len(design.guides), len(design.genes), len(design.days)) == (5698, 174, 29, 1)
    assert report["guide_calls"]["kept"] == 7402
    assert design.burden.mean().item() == pytest.approx(1.30, abs=0.005)
