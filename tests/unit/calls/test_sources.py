"""What each source of calls says, against closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from fatewalk import mash
from fatewalk.calls import (
    PATTERNS,
    Shrunk,
    gene_sources,
    genes_file,
    guides_file,
    joint_effects,
    mash_effects,
    mashr_effects,
    read_sources,
)
from fatewalk.calls.shrink import fit_mash_likelihood, fit_mash_table
from fatewalk.config import MashConfig
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError
from fatewalk.estimates.export import observed

ALL = np.ones((3, 2), dtype=bool)


def share(effects, name):
    return effects.patterns[:, PATTERNS.index(name)]


def test_the_joint_posterior_is_taken_as_normal():
    mean = np.array([[0.3, 0.0], [-0.3, 0.0], [0.0, 0.5]])
    covariance = np.tile([[0.01, 0.003], [0.003, 0.04]], (3, 1, 1))
    found = joint_effects(mean, covariance, ALL, 0.2)
    np.testing.assert_allclose(found.sd, np.tile([0.1, 0.2], (3, 1)))
    np.testing.assert_allclose(found.lfsr, norm.cdf(-np.abs(mean) / found.sd))
    np.testing.assert_allclose(found.prob_large[:2, 0], norm.sf(-1) + norm.cdf(-5))
    neither = [
        multivariate_normal.cdf([0.2, 0.2], row, cov=covariance[0], lower_limit=[-0.2, -0.2]) for row in mean
    ]
    np.testing.assert_allclose(found.prob_any_day, 1 - np.array(neither), atol=0.03)
    np.testing.assert_allclose(found.patterns.sum(axis=1), 1)


def test_days_without_cells_say_nothing():
    observed = np.array([[True, False], [True, True], [False, False]])
    mean = np.full((3, 2), 5.0)
    covariance = np.tile(0.01 * np.eye(2), (3, 1, 1))
    covariance[2] = np.nan
    found = joint_effects(mean, covariance, observed, 0.2)
    for values in (found.mean, found.sd, found.lfsr, found.prob_large):
        np.testing.assert_array_equal(np.isnan(values), ~observed)
    assert share(found, "sustained").tolist()[:2] == [1, 1]
    assert share(found, "none").tolist()[:2] == [0, 0]
    assert np.isnan(found.patterns[2]).all()  # not "no effect": nothing is known
    assert np.isnan(found.prob_any_day[2])


def test_mash_gives_the_pattern_of_a_known_prior():
    # one covariance, effects on both days alike, and nearly exact data
    prior = mash.MashPrior(("equal",), np.ones((1, 2, 2)), np.array([1.0]), True, np.array([0.5, 0.5]))
    betahat = np.array([[1.0, 1.0], [0.0, 0.0], [-1.0, np.nan]])
    data = mash.set_data(betahat, np.full((3, 2), 0.05))
    found = mash_effects(prior, data, mash.posterior(prior, data), ALL, 0.2)
    np.testing.assert_allclose(share(found, "sustained"), [1, 0, 1], atol=0.01)
    np.testing.assert_array_equal(np.isnan(found.lfsr), np.isnan(betahat))  # though day 0 informs day 1
    np.testing.assert_allclose(found.prob_any_day, found.prob_large[:, 0], atol=0.01)


def test_patterns_do_not_depend_on_other_genes():
    rng = np.random.default_rng(2)
    data = mash.set_data(rng.normal(0, 0.3, (30, 2)), np.full((30, 2), 0.1))
    prior = mash.fit_mash(data, mash.cov_canonical(2))
    all_genes, alone = (
        mash_effects(prior, of, mash.posterior(prior, of), np.ones((of.n_rows, 2), dtype=bool), 0.2)
        for of in (data, data.take(slice(7, 8)))
    )
    np.testing.assert_allclose(all_genes.patterns[7], alone.patterns[0], atol=0.05)


@pytest.fixture(scope="module")
def files():
    """Files of a screen of 30 genes on two days; gene 3 has no cells on day 1."""
    rng = np.random.default_rng(4)
    genes = np.array([f"g{i}" for i in range(30)])
    truth = np.where(rng.random((30, 1)) < 0.3, rng.normal(0, 1, (30, 1)), 0) * [1, 1]
    covariance = np.tile(0.01 * np.array([[1, 0.4], [0.4, 2]]), (30, 1, 1))
    cells = np.full((30, 2), 50)
    cells[3, 1] = 0
    noise = np.einsum("de,ne->nd", np.linalg.cholesky(covariance[0]), rng.normal(size=(30, 2)))
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    blocks = observed({"betahat": truth + noise, "se": sd}, cells)
    table = Daywise({"gene": genes, **blocks, "n_guides": np.full(30, 4)}).table()
    errors = {"gene": covariance, "genes": genes, "guide_sampling": np.full(30, 0.09)}
    theta = {
        "genes": genes,
        "contrasts": np.array(["NEU", "MES"]),
        "theta_mean": np.stack([truth + noise] * 2, axis=1),
        "theta_day_cov": np.stack([covariance] * 2, axis=1),
        "guide_sampling": np.full((30, 2), 0.09),
    }
    return table, errors, theta


def gathered(files, estimand="library", genes=None):
    table, errors, theta = files
    posterior = fit_mash_table(table, MashConfig(), "conservative", "t")
    likelihood = fit_mash_likelihood(table, errors, MashConfig(), "t", estimand)
    genes = table if genes is None else genes
    return gene_sources(genes, over_fates(table), likelihood, posterior, theta, "MES", estimand, 0.2)


def over_fates(table):
    """What mash over all fates could say: numbers that stand nowhere else."""
    seen = np.where(np.stack([table["n_cells_d0"], table["n_cells_d1"]], axis=1) > 0, 0.5, np.nan)
    return Shrunk(seen + 0.1, seen + 0.2, seen - 0.1, seen, np.full((len(table), len(PATTERNS)), 1 / 7))


def test_files_give_all_sources(files):
    found = gathered(files)
    assert list(found) == ["mash_fates", "mash_likelihood", "mash_posterior", "joint"]
    for effects in found.values():
        assert np.isnan(effects.lfsr[3]).tolist() == [False, True]
        assert np.isnan(effects.lfsr).sum() == 1
    table, errors, _ = files
    shrunk = fit_mash_likelihood(table, errors, MashConfig(), "t").table
    np.testing.assert_allclose(found["mash_likelihood"].lfsr[:, 0], shrunk["lfsr_d0"])


def test_the_gene_estimand_adds_guide_sampling(files):
    library, gene = gathered(files), gathered(files, "gene")
    np.testing.assert_allclose(gene["joint"].sd[0] ** 2 - library["joint"].sd[0] ** 2, 0.09)
    active = np.abs(library["mash_likelihood"].mean[:, 0]) > 0.5
    assert active.any()
    assert (gene["mash_likelihood"].sd[active, 0] > library["mash_likelihood"].sd[active, 0] * 1.5).all()
    assert list(gene) == ["mash_fates", "mash_likelihood", "joint"]  # mash_posterior describes the library
    table, errors, _ = files
    found = fit_mash_likelihood(table, errors, MashConfig(), "t", "gene")
    shrunk = found.table
    np.testing.assert_allclose(shrunk["se_d0"] ** 2, 0.01 + 0.09)
    assert shrunk["se_d1"].isna().sum() == 1
    assert found.mixture["estimand"] == "gene"


@pytest.mark.parametrize("estimand", ["library", "gene"])
def test_the_file_gives_back_every_source(files, estimand, tmp_path):
    found = gathered(files, estimand)
    genes_file(files[0]["gene"].to_numpy(), found, {"provisional": "budget"}).save(tmp_path / "g.npz")
    file = Daywise.load(tmp_path / "g.npz")
    assert file.marks == {"provisional": "budget"}
    back = read_sources(file, files[0])
    assert list(back) == list(found)
    for source, shrunk in found.items():
        for name, values in vars(shrunk).items():
            np.testing.assert_array_equal(getattr(back[source], name), values)
    with pytest.raises(FatewalkError, match=r"shrunk_gene.npz has other genes.*run fit_mash again"):
        read_sources(file, files[0].head(29))


def test_the_mixture_of_r_is_read_from_its_files(files):
    fitted = fit_mash_table(files[0], MashConfig(), "conservative", "t")
    by_r = mashr_effects(files[0], fitted.table, fitted.mixture, 0.2)
    for name, values in vars(gathered(files)["mash_posterior"]).items():
        np.testing.assert_allclose(getattr(by_r, name), values, rtol=1e-9)
    with pytest.raises(FatewalkError, match="mash_gene table has other genes"):
        mashr_effects(files[0].head(29), fitted.table, fitted.mixture, 0.2)


def test_guides_are_kept_with_their_probability_of_a_large_effect(files):
    table, errors, _ = files
    guides = table.assign(guide=table["gene"] + "_1", provisional="budget")
    errors = {"guide": errors["gene"], "guides": guides["guide"].to_numpy()}
    fitted = fit_mash_likelihood(guides, errors, MashConfig(), "t")
    file = guides_file(over_fates(table), fitted, 0.2)
    assert file["guide"].tolist() == guides["guide"].tolist()
    assert file.marks == {"provisional": "budget"}
    np.testing.assert_array_equal(file["postmean_mash_fates"], over_fates(table).mean)
    np.testing.assert_array_equal(file["plarge_mash_fates"], over_fates(table).prob_large)
    large = mash.prob_large(fitted.prior, fitted.data, 0.2)
    large[3, 1] = np.nan  # no cells
    np.testing.assert_array_equal(file["plarge_mash_likelihood"], large)
    np.testing.assert_array_equal(file["lfsr_mash_likelihood"][:, 0], fitted.table["lfsr_d0"])


def test_files_that_do_not_belong_together_are_refused(files):
    table, errors, _ = files
    with pytest.raises(FatewalkError, match="other genes than"):
        gathered(files, genes=table.assign(gene=table["gene"].str.upper()))
    unknown = errors | {"guide_sampling": np.full(30, np.nan)}
    with pytest.raises(FatewalkError, match="too few genes"):
        fit_mash_likelihood(table, unknown, MashConfig(), "t", "gene")
    other = errors | {"genes": np.char.upper(errors["genes"])}
    with pytest.raises(FatewalkError, match="'g0' has no covariance"):
        fit_mash_likelihood(table, other, MashConfig(), "t")
