"""Files of the likelihood-only estimates: their arrays and tables."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fatewalk.core.schema import day_columns
from fatewalk.estimates.arrays import Unshrunk, name_estimates
from fatewalk.estimates.export import error_covariances, gene_likelihood_table, guide_likelihood_table

F, D = 2, 3


def covariances(n, seed):
    """Covariances over contrasts and days, [n, F*, D, F*, D]."""
    root = np.random.default_rng(seed).normal(size=(n, F * D, F * D))
    return (root @ root.transpose(0, 2, 1)).reshape(n, F, D, F, D)


def everywhere(design):
    """Estimates with values for all genes, guides, contrasts and days."""
    rng, L, G = np.random.default_rng(1), len(design.genes), len(design.guides)
    return SimpleNamespace(
        gene_mean=rng.normal(size=(L, F, D)), gene_covariance=covariances(L, 2),
        guide_mean=rng.normal(size=(G, F, D)), guide_covariance=covariances(G, 3),
    )  # fmt: skip


@pytest.fixture
def made(small_design):
    """Estimates with values everywhere; gene 1 has no cells on day 2, guide 0 none on day 1."""
    estimates = everywhere(small_design)
    gene_cells, guide_cells = small_design.gene_cells.clone(), small_design.guide_cells.clone()
    gene_cells[1, 2] = 0
    guide_cells[0, 1] = 0
    names = ("genes", "guides", "fates", "contrasts", "days", "guide_to_gene", "day", "prob")
    named = {name: getattr(small_design, name) for name in names}
    design = SimpleNamespace(**named, gene_cells=gene_cells, guide_cells=guide_cells)
    return estimates, name_estimates(estimates, design)


def test_contrasts_of_a_fate_that_a_day_lacks_are_missing(small_design):
    estimates = everywhere(small_design)
    for fate, lost in ((2, [1]), (0, [0, 1])):  # the reference takes all contrasts along
        prob = small_design.prob.clone()
        prob[small_design.day == 1, fate] = 0
        found = name_estimates(estimates, replace(small_design, prob=prob))
        missing = np.isnan(found.gene_mean)
        assert missing[:, lost, 1].all()
        assert missing.sum() == len(lost) * len(small_design.genes)
        assert np.isnan(found.gene_covariance[:, lost, 1]).all()
        assert np.isnan(found.guide_mean).sum() == len(lost) * len(small_design.guides)


def test_gene_days_without_cells_are_missing_with_rows_and_columns(made):
    estimates, found = made
    assert np.isnan(found.gene_mean[1, :, 2]).all()
    assert np.isnan(found.gene_covariance[1, :, 2]).all()
    assert np.isnan(found.gene_covariance[1, :, :, :, 2]).all()
    assert np.isnan(found.guide_mean[0, :, 1]).all()
    rest = np.ix_([1], range(F), [0, 1], range(F), [0, 1])
    np.testing.assert_array_equal(found.gene_covariance[rest], estimates.gene_covariance[rest])
    np.testing.assert_array_equal(found.gene_mean[2:], estimates.gene_mean[2:])
    assert np.isnan(found.gene_mean).sum() == F


def test_a_file_holds_all_of_it(made, tmp_path):
    found = made[1]
    found.save(tmp_path / "likelihood.npz")
    again = Unshrunk.load(tmp_path / "likelihood.npz")
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert again.genes.dtype.kind == "U"


def test_tables_have_the_agreed_columns_and_the_contrasts_numbers(made, small_design):
    estimates, found = made
    days = [day_columns(stem, D) for stem in ("betahat", "se", "n_cells")]
    by_day = [column for columns in days for column in columns]
    table = gene_likelihood_table(found, 1, {"provisional": "budget"})
    assert list(table) == ["gene", *by_day, "n_guides", "provisional"]
    assert table["gene"].tolist() == list(small_design.genes)
    np.testing.assert_array_equal(table["n_guides"], small_design.n_guides_per_gene)
    np.testing.assert_array_equal(table[days[0]].loc[3], estimates.gene_mean[3, 1])
    np.testing.assert_allclose(table[days[1]].loc[3] ** 2, np.diag(estimates.gene_covariance[3, 1, :, 1]))
    assert table.loc[1, ["betahat_d2", "se_d2"]].isna().all()
    assert table.loc[1, "n_cells_d2"] == 0
    guides = guide_likelihood_table(found, 0, {})
    assert list(guides) == ["guide", "gene", *by_day]
    genes = [small_design.genes[gene] for gene in small_design.guide_to_gene]
    pd.testing.assert_series_equal(guides["gene"], pd.Series(genes, name="gene"), check_dtype=False)
    np.testing.assert_array_equal(guides.loc[4, days[0]].astype(float), estimates.guide_mean[4, 0])
    np.testing.assert_allclose(
        guides.loc[4, days[1]].astype(float) ** 2, np.diag(estimates.guide_covariance[4, 0, :, 0])
    )
    assert guides.loc[0, ["betahat_d1", "se_d1"]].isna().all()


def test_error_covariances_are_those_of_the_contrast_over_days(made, small_design):
    estimates, found = made
    sampling = np.arange(2 * len(found.genes)).reshape(-1, 2)
    arrays = error_covariances(found, 1, sampling, {"uncentred": True})
    np.testing.assert_array_equal(arrays["guide_sampling"], sampling[:, 1])
    assert set(arrays) == {
        "gene",
        "guide",
        "guide_sampling",
        "genes",
        "guides",
        "days",
        "contrast",
        "uncentred",
    }
    assert arrays["gene"].shape == (len(small_design.genes), D, D)
    np.testing.assert_array_equal(arrays["gene"][0], estimates.gene_covariance[0, 1, :, 1])
    np.testing.assert_array_equal(arrays["guide"][3], estimates.guide_covariance[3, 1, :, 1])
    assert np.isnan(arrays["gene"][1, 2]).all()
    assert np.isnan(arrays["gene"][1, :, 2]).all()
    assert not np.isnan(arrays["gene"][1, :2, :2]).any()
    assert str(arrays["contrast"]) == small_design.contrasts[1]
    assert arrays["days"].tolist() == list(small_design.days)
