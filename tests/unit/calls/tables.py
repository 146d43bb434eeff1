"""Small mash tables for the tests of calls."""

import numpy as np
import pandas as pd

from fatewalk.core.schema import day_columns

NAN = np.nan


def daywise(**stems):
    """Columns <stem>_d* from lists of rows."""
    blocks = [
        pd.DataFrame(rows, columns=day_columns(stem, len(rows[0])), dtype=float)
        for stem, rows in stems.items()
    ]
    return pd.concat(blocks, axis=1)


def mash_genes(lfsr, postmean=None, n_cells=None, genes=None):
    """A mash_gene table; a missing lfsr makes the gene-day unobserved."""
    lfsr = np.array(lfsr, float)
    seen = np.where(np.isnan(lfsr), NAN, 1.0)
    postmean = seen if postmean is None else np.array(postmean, float) * seen
    n_cells = np.nan_to_num(seen * 50) if n_cells is None else n_cells
    columns = daywise(
        betahat=seen, se=seen, n_cells=n_cells, postmean=postmean, postsd=0.25 * seen, lfsr=lfsr
    )
    genes = genes or [f"g{i}" for i in range(len(lfsr))]
    return pd.concat([pd.DataFrame({"gene": genes, "n_guides": 4}), columns], axis=1)


def mash_guides(genes, postmean, postsd, lfsr=None):
    """A mash_guide table; a missing postmean makes the guide-day unobserved."""
    seen = np.where(np.isnan(np.array(postmean, float)), NAN, 1.0)
    lfsr = 0.5 * seen if lfsr is None else lfsr
    names = pd.DataFrame({"guide": [f"s{i}" for i in range(len(genes))], "gene": genes})
    columns = daywise(betahat=seen, se=seen, n_cells=50 * seen, postmean=postmean, postsd=postsd, lfsr=lfsr)
    return pd.concat([names, columns], axis=1)
