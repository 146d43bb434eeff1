"""What becomes of numerical steps that fail reaches status and card, and no diagnostic ends a fit."""

import dataclasses
import math

import pytest
import torch

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.outcome import NumericalError
from fatewalk.diagnostics import card, identifiability, power
from fatewalk.estimates import likelihood_only
from fatewalk.infer import dispersion, laplace, systems
from fatewalk.infer.checkpoint import Checkpoint
from fatewalk.model import make_rows, make_terms
from fatewalk.model.linalg import cholesky, eigh, inverse, solve
from fatewalk.screen.design import save_design
from fatewalk.stages import summarise_posterior
from fatewalk.stages.fit_effects import fit_effects, write_fit
from tests.conftest import CutOff, make_design


@pytest.fixture(scope="module")
def design():
    return make_design(cells=400, genes=4, ntc_guides=2, days=[0, 2], moi=2, active_genes=2, seed=1)[1]


def fit(design, **keys):
    keys = {"family": "laplace"} | keys
    return fit_effects(design, ModelConfig(), FitConfig(**keys), False)[1]


def fates_of(design, fate):
    """The design with one-hot labels, [N] of fates."""
    return dataclasses.replace(design, prob=torch.nn.functional.one_hot(fate, 3).double())


def test_decompositions_say_which_matrix_failed():
    with pytest.raises(NumericalError, match="the information is not positive definite"):
        cholesky(-torch.eye(2).double(), "the information")
    with pytest.raises(NumericalError, match="the information is not finite"):
        cholesky(torch.full((2, 2), math.nan).double(), "the information")
    with pytest.raises(NumericalError, match="the products is not finite"):
        eigh(torch.full((2, 2), math.inf).double(), "the products")
    with pytest.raises(NumericalError, match="the covariance is singular"):
        solve(torch.zeros(2, 2).double(), torch.ones(2).double(), "the covariance")
    with pytest.raises(NumericalError, match="the covariance is not finite"):
        inverse(torch.full((2, 2), math.nan).double(), "the covariance")
    many = 2 * torch.eye(3).double().expand(3, 3, 3)  # as many matrices as rows
    assert torch.equal(inverse(many, "the covariance"), many / 4)


def test_a_solve_that_ends_early_is_not_converged(design, monkeypatch):
    assert fit(design, dense_limit=1)["status"] == "converged"
    monkeypatch.setattr(systems, "MAX_ITERATIONS", 1)
    monkeypatch.setattr(laplace, "MAX_ROUNDS", 8)
    card = fit(design, dense_limit=1)
    assert card["status"] == "budget"
    solve = card["criterion"]["solve_residual"]
    assert solve["value"] > solve["limit"] == 1
    assert any("Conjugate gradients ended before their limit" in words for words in card["warnings"])


def test_a_round_that_fails_ends_the_fit_as_diverged(design, monkeypatch):
    rounds = iter(range(10))
    original = laplace._linearise

    def failing(problem, state):
        if next(rounds) == 2:
            raise NumericalError("the information matrix is not positive definite")
        return original(problem, state)

    monkeypatch.setattr(laplace, "_linearise", failing)
    card = fit(design, family="structured", max_steps=50)
    assert card["status"] == "diverged"
    assert card["steps"] == 0  # SVI has nothing to start from
    words = "Newton-Laplace failed after round 2: the information matrix is not positive definite."
    assert words in card["warnings"]


def test_a_posterior_that_cannot_be_made_is_that_of_the_round_before(design, monkeypatch):
    original = systems.DenseSystem.whitening
    calls = iter([False, True])

    def whitening(self):
        if next(calls):
            return original(self)
        raise NumericalError("the covariance is not positive definite")

    monkeypatch.setattr(systems.DenseSystem, "whitening", whitening)
    assert fit(design)["status"] == "diverged"


def test_a_resumed_fit_that_fails_is_diverged_like_an_uninterrupted_one(design, monkeypatch, tmp_path):
    """The last state is not one that a round can be taken from: the one before is, also from a checkpoint."""
    original, bad = laplace._linearise, []

    def failing(problem, state):
        if len(state.trace) == 3 and not bad:
            bad.append(state.x)
        if bad and torch.equal(state.x, bad[0]):
            raise NumericalError("the information matrix is not positive definite")
        return original(problem, state)

    monkeypatch.setattr(laplace, "_linearise", failing)
    config, kind = FitConfig(family="laplace"), ModelConfig()
    whole = fit_effects(design, kind, config, False)
    path = tmp_path / "checkpoint-x.pt"
    with pytest.raises(SystemExit):
        fit_effects(design, kind, config, False, checkpoint=CutOff(path, 3))
    resumed = fit_effects(design, kind, config, False, checkpoint=Checkpoint(path))
    assert resumed[1]["status"] == whole[1]["status"] == "diverged"
    assert torch.equal(resumed[0].laplace["y"], whole[0].laplace["y"])


def test_a_step_that_does_not_improve_is_told(design, monkeypatch):
    values = iter([0.0] + [-1.0] * 100)
    monkeypatch.setattr(laplace, "_log_posterior", lambda *_: next(values))
    with pytest.raises(FatewalkError, match="ends without a posterior: no part of the Newton step raises"):
        fit(design)


def test_an_objective_that_is_not_finite_is_told(design, monkeypatch):
    monkeypatch.setattr(laplace, "_log_posterior", lambda *_: math.nan)
    with pytest.raises(
        FatewalkError, match="without a posterior: the log posterior or its gradient is not finite"
    ):
        fit(design)


def test_a_correlation_that_does_not_settle_is_told(monkeypatch):
    knobs = {"clusters": 10, "cluster_shares_guides": True, "cluster_sd": 0.8}
    design = make_design(cells=400, genes=4, active_genes=2, days=[0, 2], moi=1, seed=1, **knobs)[1]
    monkeypatch.setattr(dispersion, "RHO_ROUNDS", 1)
    words = "The correlation of labels within clusters did not settle."
    assert words in fit(design)["warnings"]


HARD = {
    "a burden of UMI counts": lambda d: dataclasses.replace(d, burden=(1e5 * (0.3 + d.prob[:, 0])).round()),
    "a reference fate that nobody takes": lambda d: fates_of(d, 1 + torch.arange(d.n_cells) % 2),
    "labels fixed by the day": lambda d: fates_of(d, d.day),
    "one fate": lambda d: fates_of(d, torch.zeros_like(d.day)),
}


@pytest.mark.parametrize("dense_limit", [12000, 1], ids=["dense", "blocks"])
@pytest.mark.parametrize("change", HARD.values(), ids=HARD)
def test_no_diagnostic_ends_a_fit(design, change, dense_limit):
    card = fit(change(design), dense_limit=dense_limit)
    assert card["status"] in ("converged", "budget", "unanchored")
    assert not [words for words in card["warnings"] if words.startswith("The check of")]
    assert card["warnings"]


def test_a_large_burden_is_warned_of(design):
    warnings = fit(HARD["a burden of UMI counts"](design))["warnings"]
    assert any("log scale as a covariate" in words for words in warnings)


def test_a_check_that_fails_is_a_warning(design, monkeypatch):
    def broken(*_):
        raise RuntimeError("no convergence")

    monkeypatch.setattr(identifiability, "weak_directions", broken)
    card = fit(design)
    assert card["status"] == "converged"
    words = "The check of weak directions failed (no convergence), so nothing is known of it."
    assert words in card["warnings"]
    monkeypatch.setattr(identifiability, "Profile", broken)
    assert fit(design)["criterion"]["common_shift_sd"]["value"] is None


def test_checks_that_fail_numerically_are_warnings(design, monkeypatch):
    def broken(*_):
        raise NumericalError("a matrix is singular")

    monkeypatch.setattr(identifiability, "judge_anchor", broken)
    monkeypatch.setattr(card, "ntc_slope", broken)
    found = fit(design)
    assert found["status"] == "converged"
    for what in ("the anchor", "NTC guides"):
        words = f"The check of {what} failed (a matrix is singular), so nothing is known of it."
        assert words in found["warnings"]
    monkeypatch.setattr(power, "Profile", broken)
    terms = make_terms(design, ModelConfig())
    assert power.gene_power(design, terms, make_rows(design, terms))["mde_d1"].isna().all()


def test_a_fit_without_estimates_ends_the_stage_in_words(design, monkeypatch, tmp_path):
    def broken(*_):
        raise NumericalError("the covariance of a gene is singular")

    save_design(design, [f"cell{i}" for i in range(design.n_cells)], tmp_path)
    found = fit_effects(design, ModelConfig(), FitConfig(family="laplace"), False)
    files = (tmp_path / name for name in ("design.pt", "posterior.pt", "fit_card.json", "fit_trace.csv"))
    write_fit(*found, *files)
    monkeypatch.setattr(likelihood_only, "inverse", broken)
    with pytest.raises(FatewalkError, match="no estimates: the covariance of a gene is singular"):
        summarise_posterior.main(tmp_path, tmp_path, tmp_path, 50, 0, 1)
