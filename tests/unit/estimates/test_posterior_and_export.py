"""Streamed moments, the delta check, the gate and the exported tables."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.marks import marks_of_card
from fatewalk.diagnostics.centring import delta_mean_table, delta_verdict, offset_table
from fatewalk.estimates.arrays import Moments
from fatewalk.estimates.export import (
    concordance_table,
    gene_posterior_table,
    gene_sd,
    guide_posterior_table,
    pairwise_table,
    summaries,
)
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.stages.export_effects import refuse
from fatewalk.stages.fit_effects import fit_effects

CARD = {
    "status": "converged", "center_delta": True, "steps": 5, "rounds": 9,
    "criterion": {
        "newton_step": {"value": 0.01, "limit": 0.05},
        "drift_mean": {"value": 0.3, "limit": 0.05},
        "drift_sd": {"value": None, "limit": 0.02},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def posterior(small_design):
    return fit_effects(small_design, ModelConfig(), FitConfig(max_steps=100))[0]


@pytest.fixture(scope="module")
def moments(posterior, small_design):
    return posterior_moments(posterior, small_design, draws=500, seed=4)


def test_streamed_moments_equal_those_of_all_draws(posterior, small_design, moments, monkeypatch):
    monkeypatch.setattr("fatewalk.estimates.from_draws.CHUNK_NUMBERS", 1000)  # many small chunks
    streamed = posterior_moments(posterior, small_design, draws=500, seed=4)
    torch.manual_seed(4)
    chunks = [posterior.family.draw(n) for n in _chunk_sizes(500, posterior)]
    latents = {name: torch.cat([chunk[name] for chunk in chunks]).detach() for name in chunks[0]}
    effects = posterior.model.effects(latents)
    beta = effects.beta(small_design.guide_to_gene)
    for name, draws in {"theta": effects.theta, "delta": effects.delta, "beta": beta}.items():
        mean, sd = (x.swapaxes(0, 1).numpy() for x in (draws.mean(dim=0), draws.std(dim=0)))
        np.testing.assert_allclose(getattr(streamed, f"{name}_mean"), mean, atol=1e-12)
        np.testing.assert_allclose(getattr(streamed, f"{name}_sd"), sd, atol=1e-10)
    assert_joint_parts_equal_those_of_all_draws(streamed, effects.theta.numpy(), latents)
    # another split of the draws is another sample of the same posterior
    np.testing.assert_allclose(moments.theta_sd, streamed.theta_sd, rtol=0.25)


def assert_joint_parts_equal_those_of_all_draws(streamed, theta, latents):
    """Covariance between contrasts [L, F*, F*, D] and prior variance [F*, D]."""
    for gene in range(theta.shape[2]):
        for day in range(theta.shape[3]):
            np.testing.assert_allclose(
                streamed.theta_cov[gene, :, :, day], np.cov(theta[:, :, gene, day].T), atol=1e-10
            )
        for contrast in range(theta.shape[1]):
            between_days = np.cov(theta[:, contrast, gene].T)
            np.testing.assert_allclose(streamed.theta_day_cov[gene, contrast], between_days, atol=1e-10)
    tau, steps = latents["tau"].numpy(), latents["sigma_time"].numpy()
    for day in range(theta.shape[3]):
        prior = tau**2 + (steps[..., :day] ** 2).sum(axis=-1)
        np.testing.assert_allclose(streamed.theta_prior_var[:, day], prior.mean(axis=0))


def _chunk_sizes(draws, posterior):
    t = posterior.model.terms
    size = 1000 // (t.n_contrasts * t.n_days * (t.n_genes + t.n_guides))
    n = -(-draws // max(size, 2))
    return [draws // n + (i < draws % n) for i in range(n)]


def test_beta_sd_is_joint_not_a_sum_of_variances(posterior, small_design, moments):
    """Theta and delta of a gene are not independent in general; for singletons beta is theta."""
    single = np.flatnonzero(small_design.n_guides_per_gene.numpy() == 1)
    assert len(single)
    for gene in single:
        guide = np.flatnonzero(moments.guide_to_gene == gene)[0]
        np.testing.assert_allclose(moments.beta_sd[guide], moments.theta_sd[gene])
        assert (moments.delta_mean[guide] == 0).all()


def test_check_passes_when_centred_and_tables_have_the_agreed_columns(moments):
    verdict = delta_verdict(moments, center_delta=True)
    assert verdict["verdict"] == "ok"
    assert verdict["max_abs_delta_mean"] < 1e-12
    assert len(verdict["worst_genes"]) == len(moments.genes) == 6  # each gene once
    table = delta_mean_table(moments, 0)
    assert list(table) == ["gene", "n_guides", "delta_mean_gene", "delta_sd_gene"]
    assert table["delta_mean_gene"].abs().max() < 1e-12
    assert table["delta_sd_gene"].isna().tolist() == (table["n_guides"] == 1).tolist()
    offset = offset_table(moments, 1)
    assert list(offset) == ["gene", "n_guides", "offset_mean", "offset_sd_across_days"]
    assert offset["offset_mean"].abs().max() < 1e-12


def test_check_finds_a_shift_and_the_gate_names_the_genes(moments):
    shifted = moments.delta_gene_mean.copy()
    shifted[2, 1] = 0.3
    verdict = delta_verdict(dataclasses.replace(moments, delta_gene_mean=shifted), center_delta=True)
    assert verdict["verdict"] == "bad"
    assert verdict["worst_genes"][0] == {
        "gene": str(moments.genes[2]), "contrast": "NEU", "abs_delta_mean": 0.3,
    }  # fmt: skip
    with pytest.raises(FatewalkError, match=rf"not centred.*Ten worst genes: {moments.genes[2]} \(NEU"):
        refuse(CARD, verdict, "none")


def test_check_counts_nan_as_bad(moments):
    broken = np.full_like(moments.delta_gene_mean, np.nan)
    verdict = delta_verdict(dataclasses.replace(moments, delta_gene_mean=broken), center_delta=True)
    assert verdict["verdict"] == "bad"


def test_uncentred_run_is_marked_not_refused(moments):
    shifted = dataclasses.replace(moments, delta_gene_mean=moments.delta_gene_mean + 0.3)
    verdict = delta_verdict(shifted, center_delta=False)
    assert verdict["verdict"] == "uncentred"
    refuse(CARD, verdict, "converged")
    assert marks_of_card({**CARD, "center_delta": False}) == {"uncentred": True}


def test_gate_wants_convergence_unless_told_otherwise(moments):
    verdict = delta_verdict(moments, center_delta=True)
    refuse(CARD, verdict, "converged")
    budget, diverged = {**CARD, "status": "budget"}, {**CARD, "status": "diverged"}
    said = (
        r"status budget after 9 rounds.*5 steps.*Newton step in SDs 0\.01 \(limit 0\.05\); drift of means in "
        r"SDs 0\.3 \(limit 0\.05\); drift of log SDs not known \(limit 0\.02\).*Raise fit\.max_steps, or set "
        r"fit\.require: none"
    )
    with pytest.raises(FatewalkError, match=said):
        refuse(budget, verdict, "converged")
    refuse(budget, verdict, "none")
    assert marks_of_card(budget) == {"provisional": "budget"}
    assert marks_of_card(CARD) == {}
    with pytest.raises(FatewalkError, match="diverged"):
        refuse(diverged, verdict, "none")


def test_gate_does_not_blame_the_steps_for_rounds_that_ran_out(moments):
    verdict = delta_verdict(moments, center_delta=True)
    criterion = {"scale_step": {"value": 0.1, "limit": 0.002}}
    with pytest.raises(FatewalkError, match=r"log scales 0\.1 \(limit 0\.002\).*See the warnings") as error:
        refuse({**CARD, "status": "budget", "criterion": criterion}, verdict, "converged")
    assert "max_steps" not in str(error.value)


def test_exported_tables(moments, small_design):
    cells = moments.gene_cells.copy()
    cells[1, 2] = 0
    some = dataclasses.replace(moments, gene_cells=cells)
    table = gene_posterior_table(some, 1, {"provisional": "budget"})
    days = range(3)
    assert list(table) == [
        "gene", *(f"betahat_d{d}" for d in days), *(f"se_d{d}" for d in days),
        *(f"se_gene_d{d}" for d in days), *(f"post_prior_var_d{d}" for d in days),
        *(f"n_cells_d{d}" for d in days), "n_guides", "se_gene_reason", "defects",
        "provisional",
    ]  # fmt: skip
    assert (table["defects"] == "").all()
    sentence = "It never occurs without Gene002."
    of_gene = gene_posterior_table(some, 1, {}, {str(table["gene"][0]): sentence})["defects"]
    assert of_gene.tolist() == [sentence, *[""] * (len(table) - 1)]
    assert table["gene"].tolist() == list(small_design.genes)
    assert pd.isna(table.loc[1, "betahat_d2"])
    assert pd.isna(table.loc[1, "se_d2"])
    assert pd.isna(table.loc[1, "post_prior_var_d2"])
    assert table.loc[0, "betahat_d2"] == moments.theta_mean[0, 1, 2]
    ratio = moments.theta_sd[0, 1, 2] ** 2 / moments.theta_prior_var[1, 2]
    assert table.loc[0, "post_prior_var_d2"] == pytest.approx(ratio)
    assert 0 < ratio < 1.2
    assert table["se_gene_d0"].isna().all()  # six genes are too few
    assert table["se_gene_reason"].str.contains("genes have two or more guides").all()
    assert (table["provisional"] == "budget").all()

    guides = guide_posterior_table(moments, 0, {})
    assert list(guides)[:2] == ["guide", "gene"]
    assert guides.loc[3, "se_d1"] == moments.beta_sd[3, 0, 1]
    assert guides["gene"].tolist() == [small_design.genes[g] for g in small_design.guide_to_gene]
    unseen = small_design.guide_cells.numpy() == 0
    assert guides[["betahat_d0", "betahat_d1", "betahat_d2"]].isna().to_numpy().tolist() == unseen.tolist()


def test_gene_sd_adds_guide_sampling_or_says_why_not():
    theta_sd, square = np.full((12, 1, 2), 0.3), np.array([0.16])
    sd, reason = gene_sd(theta_sd, square, np.array([4] * 12))
    np.testing.assert_allclose(sd, np.sqrt(0.09 + 0.04))
    assert reason == ""
    sd, reason = gene_sd(theta_sd, square, np.array([4] * 9 + [1] * 3))
    assert np.isnan(sd).all()
    assert reason.startswith("9 genes have two or more guides")


def many_genes(moments):
    """The moments with their genes repeated, so that sigma_guide can be learned."""
    times = 4
    genes = np.array([f"{gene}_{i}" for i in range(times) for gene in moments.genes])
    per_gene = ("theta_mean", "theta_sd", "theta_cov", "theta_day_cov", "offset_mean", "delta_gene_mean")
    per_gene = (*per_gene, "gene_cells")
    per_guide = ("delta_mean", "delta_sd", "beta_mean", "beta_sd", "guide_cells", "guides")
    repeated = {name: np.concatenate([getattr(moments, name)] * times) for name in (*per_gene, *per_guide)}
    gene = np.concatenate([moments.guide_to_gene + i * len(moments.genes) for i in range(times)])
    return dataclasses.replace(moments, genes=genes, guide_to_gene=gene, **repeated)


def test_gene_table_gives_the_gene_estimand_where_it_can(moments):
    many = many_genes(moments)
    table = gene_posterior_table(many, 1, {})
    assert (table["se_gene_reason"] == "").all()
    variance = table["se_d1"] ** 2 + many.sigma_guide_square[1] / table["n_guides"]
    np.testing.assert_allclose(table["se_gene_d1"], np.sqrt(variance))


def test_pairwise_effects_are_those_of_the_joint_draws(posterior, small_design):
    """SD of a difference of two fates from the draws themselves, the reference fate's pairs included."""
    moments = posterior_moments(posterior, small_design, draws=500, seed=4)
    torch.manual_seed(4)
    theta = posterior.model.effects(posterior.family.draw(500)).theta.detach().numpy()  # [n, F*, L, D]
    logits = {"EC": np.zeros_like(theta[:, 0]), "MES": theta[:, 0], "NEU": theta[:, 1]}  # [n, L, D]
    many = dataclasses.replace(moments, gene_cells=np.maximum(moments.gene_cells, 1))
    table = pairwise_table(many, {"provisional": "budget"})
    assert list(table) == [
        "gene", "fate", "reference", *(f"{stem}_d{d}" for stem in ("betahat", "se", "se_gene", "n_cells")
                                       for d in range(3)), "se_gene_reason", "provisional",
    ]  # fmt: skip
    assert list(zip(table["fate"], table["reference"], strict=True))[:3] == [
        ("MES", "EC"), ("NEU", "EC"), ("NEU", "MES"),
    ]  # fmt: skip
    assert table["gene"].tolist() == np.repeat(moments.genes, 3).tolist()
    for row, gene in enumerate(np.repeat(np.arange(6), 3)):
        fate, reference = table.loc[row, ["fate", "reference"]]
        difference = (logits[fate] - logits[reference])[:, gene]  # [n, D]
        for day in range(3):
            assert table.loc[row, f"betahat_d{day}"] == pytest.approx(difference[:, day].mean())
            assert table.loc[row, f"se_d{day}"] == pytest.approx(difference[:, day].std(ddof=1))


def test_pairwise_gene_sd_adds_the_guides_of_both_fates(moments):
    many = many_genes(moments)
    table = pairwise_table(many, {}).query("fate == 'NEU' and reference == 'MES'")
    sampling = many.sigma_guide_square.sum() / many.n_guides
    np.testing.assert_allclose(table["se_gene_d0"] ** 2 - table["se_d0"] ** 2, sampling)
    unobserved = many.gene_cells.copy()
    unobserved[2, 1] = 0
    table = pairwise_table(dataclasses.replace(many, gene_cells=unobserved), {})
    assert table.loc[6:8, ["betahat_d1", "se_d1", "se_gene_d1"]].isna().all(axis=None)
    assert table.notna().sum()["betahat_d1"] == len(table) - 3


def test_concordance_of_guides(moments):
    some = dataclasses.replace(
        moments,
        gene_cells=np.maximum(moments.gene_cells, 1),
        guide_cells=np.maximum(moments.guide_cells, 1),
    )
    gene = int(np.argmax(moments.n_guides))  # four guides
    guides = np.flatnonzero(moments.guide_to_gene == gene)
    some.guide_cells[guides[0], 1] = 0
    table = concordance_table(some, 1, {"provisional": "budget"})
    stems = ("n_guides_seen", "n_agree", "loo_low", "loo_high")
    assert list(table) == [
        "gene", "n_guides", *(f"{stem}_d{d}" for stem in stems for d in range(3)), "provisional",
    ]  # fmt: skip
    theta, delta = moments.theta_mean[gene, 1], moments.delta_mean[guides, 1]
    beta = moments.beta_mean[guides, 1]  # [4, D]
    for day in range(3):
        without = theta[day] - delta / (len(guides) - 1)
        assert table.loc[gene, f"loo_low_d{day}"] == pytest.approx(without.min(), abs=1e-12)
        assert table.loc[gene, f"loo_high_d{day}"] == pytest.approx(without.max(), abs=1e-12)
        others = [np.delete(beta[:, day], i).mean() for i in range(len(guides))]
        np.testing.assert_allclose(np.sort(others), np.sort(without), atol=1e-12)
        agree = [beta[i, day] * theta[day] > 0 for i in range(len(guides)) if day != 1 or i > 0]
        assert table.loc[gene, f"n_agree_d{day}"] == sum(agree)
        assert table.loc[gene, f"n_guides_seen_d{day}"] == len(agree) == 4 - (day == 1)
    single = table[table["n_guides"] == 1]
    assert len(single)
    assert single[["loo_low_d0", "loo_high_d2"]].isna().all(axis=None)
    assert (single["n_agree_d0"] == 1).all()


def test_summaries_hold_the_agreed_arrays(moments, tmp_path):
    cells = moments.gene_cells.copy()
    cells[1, 2] = 0
    arrays = summaries(dataclasses.replace(moments, gene_cells=cells), {"provisional": "budget"})
    for name in ("theta_mean", "theta_sd"):
        assert np.isnan(arrays["theta"][name][1, :, 2]).all()
        assert np.isnan(arrays["theta"][name]).sum() == 2
    assert (
        np.isnan(arrays["theta"]["theta_cov"]).sum()
        == np.isnan(arrays["theta"]["theta_cov"][1, ..., 2]).sum()
        == 4
    )
    assert arrays["delta"]["provisional"] == "budget"
    assert {"theta_mean", "theta_sd", "theta_sd_gene", "genes", "contrasts", "days"} <= set(arrays["theta"])
    assert {"delta_mean", "delta_sd", "guides", "genes", "contrasts"} <= set(arrays["delta"])
    assert {"tau_mean", "sigma_time_sd", "sigma_guide_mean"} <= set(arrays["delta"])
    assert arrays["theta"]["theta_mean"].shape == (6, 2, 3)
    moments.save(tmp_path / "m.npz")
    again = Moments.load(tmp_path / "m.npz")
    for field in dataclasses.fields(Moments):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(moments, field.name))


def test_gate_says_what_an_unanchored_fit_lacks(moments):
    verdict = delta_verdict(moments, center_delta=True)
    criterion = {**CARD["criterion"], "common_shift_sd": {"value": None, "limit": 1.0}}
    card = {**CARD, "status": "unanchored", "criterion": criterion}
    with pytest.raises(FatewalkError, match=r"unanchored.*common shift not known \(limit 1\).*NTC guides"):
        refuse(card, verdict, "converged")
    refuse(card, verdict, "none")
    assert marks_of_card(card) == {"provisional": "unanchored"}
