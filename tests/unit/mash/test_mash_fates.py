"""mash over fates and days against brute force, and its symmetry in the fates."""

import importlib

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from fatewalk import mash
from fatewalk.mash import fates as engine
from fatewalk.mash.fates import Evidence, FatesPrior, contrast_vectors, fate_classes, time_shapes

F, D = 4, 3
K = (F - 1) * D
SHARES = np.array([[0.4, 0.3, 0.5], [0.3, 0.3, 0.2], [0.2, 0.3, 0.2], [0.1, 0.1, 0.1]])


def errors(rng, n, size=K):
    """Error covariances of about 0.2 squared, each its own [n, size, size]."""
    root = 0.2 * (np.eye(size) + 0.3 * rng.normal(size=(n, size, size)) / np.sqrt(size))
    return root @ root.swapaxes(1, 2)


def screen(seed=1, n=60, moved=((0,), (1,), (0, 2)), size=1.5):
    """Rows of no effect, then ten for each set of moved fates: estimates, errors, truth by fate."""
    rng = np.random.default_rng(seed)
    by_fate = np.zeros((n, F, D))
    for place, one in enumerate(moved):
        rows = slice(n - 10 * (place + 1), n - 10 * place)
        for fate in one:
            by_fate[rows, fate] = size * rng.choice([-1, 1], size=(10, 1)) * rng.uniform(0.8, 1.2, (10, 1))
    truth = by_fate[:, 1:] - by_fate[:, :1]
    error = errors(rng, n)
    noise = np.einsum("nij,nj->ni", np.linalg.cholesky(error), rng.normal(size=(n, K)))
    return truth + noise.reshape(truth.shape), error.reshape(n, F - 1, D, F - 1, D), by_fate


@pytest.fixture(scope="module")
def found():
    estimates, error, _ = screen()
    return mash.mash_fates(*mash.evidence_of(estimates, error), SHARES)


def one_normal(covariance, weight=0.6):
    """A prior of no effect and one normal over all fates and days [K, K]."""
    root = np.linalg.cholesky(covariance).reshape(F - 1, D, K)
    # the loading of a class is its factor times that of time: here time is left to the factor
    member = [root]
    pi = np.full((1, 1, 1), weight)
    return FatesPrior({"all": member}, {"any": np.ones((D, 1))}, np.ones(1), 1 - weight, pi)


def test_likelihood_and_posterior_of_one_normal():
    """Against densities of the estimates, row by row."""
    rng = np.random.default_rng(3)
    error, prior = errors(rng, 5), 0.3 * errors(rng, 1)[0] / 0.04
    estimates = rng.normal(size=(5, F - 1, D))
    evidence = Evidence(*mash.evidence_of(estimates, error.reshape(5, F - 1, D, F - 1, D)))
    eps = 0.2
    got = mash.contrast_effects(one_normal(prior), evidence, eps)
    for row in range(5):
        x = estimates[row].ravel()
        logs = [multivariate_normal(np.zeros(K), error[row] + c).logpdf(x) for c in (0.0, prior)]
        weight = 0.6 / (0.6 + 0.4 * np.exp(logs[0] - logs[1]))
        gain = prior @ np.linalg.inv(prior + error[row])
        mean, sd = gain @ x, np.sqrt(np.diag(prior - gain @ prior))
        np.testing.assert_allclose(got.mean[row].ravel(), weight * mean, atol=1e-9)
        second = weight * (mean**2 + sd**2) - (weight * mean) ** 2
        np.testing.assert_allclose(got.sd[row].ravel(), np.sqrt(second), atol=1e-9)
        normal = multivariate_normal(0, 1).cdf
        below, above = weight * normal(-mean / sd), weight * normal(mean / sd)
        np.testing.assert_allclose(got.lfsr[row].ravel(), 1 - np.maximum(below, above), atol=1e-9)
        large = weight * (normal((mean - eps) / sd) + normal((-eps - mean) / sd))
        np.testing.assert_allclose(got.prob_large[row].ravel(), large, atol=1e-9)
        against = mash.contrast_effects(one_normal(prior), evidence, eps, [[1, -1, 0]])  # two other fates
        difference = np.kron([[1.0, -1.0, 0.0]], np.eye(D))
        np.testing.assert_allclose(against.mean[row].ravel(), weight * difference @ mean, atol=1e-9)


def normal_logpdf(x, covariances):
    """Log density of each row under a normal with mean 0 and its own covariance, [n]."""
    _, logdet = np.linalg.slogdet(covariances)
    square = np.einsum("ni,ni->n", x, np.linalg.solve(covariances, x[..., None])[..., 0])
    return -0.5 * (square + logdet + x.shape[1] * np.log(2 * np.pi))


def test_the_likelihood_is_that_of_tied_members():
    """Members averaged by hand, and weights of classes that do not depend on time shape and scale."""
    estimates, error, _ = screen(n=30, moved=((1,),))
    evidence = Evidence(*mash.evidence_of(estimates, error))
    fit = mash.fit_fates(evidence, SHARES)
    assert fit.pi0 + fit.pi.sum() == pytest.approx(1)
    shares = fit.pi.reshape(len(fit.classes), -1)
    common = (shares > 0).all(axis=0)
    ratio = shares[1:, common] / shares[0, common]
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape))
    matrices, x = error.reshape(-1, K, K), estimates.reshape(-1, K)  # of the rows
    density = np.zeros((30, 1 + int((fit.pi > 0).sum())))
    density[:, 0] = 1
    weights = [fit.pi0]
    for place, (c, t, g) in enumerate(np.argwhere(fit.pi > 0), start=1):
        kind, time = list(fit.classes)[c], list(fit.times)[t]
        members = []
        for member in range(len(fit.classes[kind])):
            loading = fit.grid[g] * fit.loading(kind, member, time)
            alike = normal_logpdf(x, matrices + loading @ loading.T) - normal_logpdf(x, matrices)
            members.append(np.exp(alike))
        density[:, place] = np.mean(members, axis=0)
        weights.append(fit.pi[c, t, g])
    weights = np.array(weights)
    assert fit.loglik == pytest.approx(np.log(density @ weights).sum(), abs=0.2)  # negligible ones left out


def turned(order, seed=1):
    """Evidence of the screen with another reference: estimates and errors against fate ``order[0]``."""
    estimates, error, _ = screen(seed)
    to = contrast_of(order) @ np.linalg.pinv(contrast_of(range(F)))  # new contrasts from old ones
    estimates = np.einsum("gf,nfd->ngd", to, estimates)
    error = np.einsum("gf,nfdke,hk->ngdhe", to, error, to)
    return mash.evidence_of(estimates, error)


def contrast_of(order):
    """Matrix from values of the fates to contrasts against ``order[0]`` [F*, F]."""
    eye = np.eye(F)
    return eye[list(order[1:])] - eye[order[0]]


def test_nothing_depends_on_the_reference(found):
    """Effects of each fate up to the noise of the draws, who moved and the weights exactly."""
    order = [2, 3, 0, 1]
    other = mash.mash_fates(*turned(order), SHARES[order])
    assert other.fit.loglik == pytest.approx(found.fit.loglik, abs=1e-5)
    for name, limit in (("mean", 0.02), ("sd", 0.02), ("lfsr", 0.02), ("prob_large", 0.02)):
        np.testing.assert_allclose(getattr(other.fate, name), getattr(found.fate, name)[:, order], atol=limit)
    np.testing.assert_allclose(other.moved, found.moved[:, order], atol=1e-5)
    # a contrast against another fate is a difference of two
    evidence = Evidence(*mash.evidence_of(*screen()[:2]))
    pair = mash.contrast_effects(found.fit, evidence, 0.2, [[0, -1, 1]])
    np.testing.assert_allclose(pair.mean[:, 0], other.contrast.mean[:, 0], atol=1e-5)
    np.testing.assert_allclose(pair.lfsr[:, 0], other.contrast.lfsr[:, 0], atol=1e-5)


@pytest.mark.parametrize("reference", [1, 2, 3])
def test_scales_do_not_depend_on_the_reference(reference):
    """On screens whose largest effect is on a pair without the reference, too."""
    order = [reference, *(fate for fate in range(F) if fate != reference)]
    for seed in range(5):
        one, other = (engine.effect_grid(Evidence(*turned(o, seed))) for o in (range(F), order))
        np.testing.assert_allclose(other, one)


def test_a_pair_is_seen_on_a_day_without_the_reference():
    """With its estimate and error; what has a part in the reference is not."""
    rng = np.random.default_rng(5)
    of_fates = rng.normal(size=(3, F, D))  # log shares, the errors of fates independent with variance .04
    precision = np.full((F, D), 25.0)
    precision[0, 1] = 0.0  # nothing is known of the reference on the second day
    information = np.zeros((F - 1, D, F - 1, D))
    for d in range(D):
        known = np.diag(precision[:, d]) - np.outer(precision[:, d], precision[:, d]) / precision[:, d].sum()
        information[:, d, :, d] = known[1:, 1:]
    contrasts = of_fates[:, 1:] - of_fates[:, :1]
    score = np.einsum("fdke,nke->nfd", information, contrasts)
    evidence = Evidence(score, np.broadcast_to(information, (3, *information.shape)))
    pair = np.array([[1.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    mean, root, seen = (one.reshape(3, 2, D, *one.shape[2:]) for one in evidence.estimates(contrasts=pair))
    assert seen[:, 0].all()
    assert seen[:, 1].tolist() == [[True, False, True]] * 3
    np.testing.assert_allclose(mean[:, 0], of_fates[:, 1] - of_fates[:, 2])
    np.testing.assert_allclose((root[:, 0] ** 2).sum(axis=2), 0.08)


def test_who_moved(found):
    """The reference, another fate, and two of four."""
    moved = found.moved
    assert (moved[:30].max(axis=1) < 0.5).all()
    assert (found.who.untold[30:] < 0.5).all()
    for rows, expected in ((slice(50, 60), (0,)), (slice(40, 50), (1,)), (slice(30, 40), (0, 2))):
        named = moved[rows] > 0.5
        assert (named == np.isin(range(F), expected)).all(axis=1).sum() >= 9


def test_followers_have_an_effect_but_did_not_move(found):
    """Where the reference moves, what the others do on their own scale is real, of the other sign."""
    rows = slice(50, 60)
    mean = found.fate.mean[rows].mean(axis=2)  # [10, F]
    assert (np.sign(mean[:, 1:]) == -np.sign(mean[:, :1])).all()
    assert (found.fate.lfsr[rows].max(axis=(1, 2)) < 0.05).mean() > 0.5
    assert (found.moved[rows, 1:] < 0.5).all()


def test_small_error_rates_keep_their_order():
    """A lfsr far below the rounding of 1 is a number of its own, on both scales."""
    estimates, error, _ = screen(size=2.5)
    got = mash.mash_fates(*mash.evidence_of(estimates, error), SHARES)
    for lfsr in (got.fate.lfsr[50:, 0, 0], got.contrast.lfsr[50:, 0, 0]):
        assert (lfsr > 0).all()
        assert lfsr.max() < 1e-17
        assert len(np.unique(lfsr)) == 10


def test_with_three_fates_two_movers_cannot_be_told():
    rng = np.random.default_rng(2)
    truth = np.zeros((40, 2, 2))
    truth[20:, 0], truth[20:, 1] = 1.2, -1.2
    error = np.broadcast_to(0.04 * np.eye(4).reshape(2, 2, 2, 2), (40, 2, 2, 2, 2))
    estimates = truth + 0.2 * rng.normal(size=truth.shape)
    got = mash.mash_fates(*mash.evidence_of(estimates, error), np.full((3, 2), 1 / 3))
    assert (got.who.untold[20:] > 0.5).mean() > 0.9


def test_with_two_fates_both_move_and_effects_are_opposite():
    rng = np.random.default_rng(2)
    truth = np.repeat([0.0, 1.0], 20)[:, None, None] * np.ones((1, 1, 3))
    error = np.broadcast_to(0.04 * np.eye(3).reshape(1, 3, 1, 3), (40, 1, 3, 1, 3))
    estimates = truth + 0.2 * rng.normal(size=truth.shape)
    got = mash.mash_fates(*mash.evidence_of(estimates, error), [[0.7] * 3, [0.3] * 3])
    np.testing.assert_allclose(got.fate.mean[:, 1], got.contrast.mean[:, 0], atol=0.01)
    np.testing.assert_allclose(got.fate.mean[:, 0], -got.fate.mean[:, 1], atol=1e-12)
    np.testing.assert_allclose(got.fate.lfsr[:, 1], got.contrast.lfsr[:, 0], atol=0.005)
    assert (got.who.untold == 1).all()
    assert (got.moved[20:] > 0.9).all()


def test_chances_are_those_that_counting_finds():
    """With 40,000 draws counted, where the sign is in doubt (SD of the count 0.002)."""
    estimates, error, _ = screen(seed=4, size=0.5)
    evidence = Evidence(*mash.evidence_of(estimates, error))
    fit = mash.fit_fates(evidence, SHARES)
    few = [block.summary() for block in mash.draw_effects(fit, evidence, SHARES, 0.2)]
    lfsr, large = (np.concatenate([getattr(one, name) for one in few]) for name in ("lfsr", "prob_large"))
    counted, mean = [], []
    for block in mash.draw_effects(fit, evidence, SHARES, 0.2, n_draws=40_000, seed=9):
        below, above, big = (
            block.average(x.astype(float))
            for x in (
                block.moves & (block.fate < 0),
                block.moves & (block.fate > 0),
                np.abs(block.fate) > 0.2,
            )
        )
        counted.append((1 - np.maximum(below, above), big))
        mean.append(block.average(block.fate))
    by_count = [np.concatenate(x) for x in zip(*counted, strict=True)]
    relevant = np.abs(np.concatenate(mean)) > 0.15
    assert relevant.sum() > 100
    for got, expected in zip((lfsr, large), by_count, strict=True):
        np.testing.assert_allclose(got[relevant], expected[relevant], atol=0.04)
        assert np.abs(got - expected)[relevant].mean() < 0.006


def test_what_is_missing_says_nothing():
    """A missing day, by NaN or by an error of 1,000; and a row without anything has no effect to speak of."""
    estimates, error, _ = screen(n=40, moved=((1,),))
    vague = error.copy().reshape(40, K, K)
    gone = np.arange(K) % D == 1
    estimates[5, :, 1] = np.nan
    estimates[6] = np.nan
    got = mash.mash_fates(*mash.evidence_of(estimates, error), SHARES)
    vague[5][np.ix_(gone, ~gone)] = vague[5][np.ix_(~gone, gone)] = 0
    vague[5][np.ix_(gone, gone)] = 1e6 * np.eye(F - 1)
    filled = np.nan_to_num(estimates)
    score, information = mash.evidence_of(filled, vague.reshape(error.shape))
    score[6], information[6] = 0, 0
    same = mash.mash_fates(score, information, SHARES)
    np.testing.assert_allclose(got.contrast.mean, same.contrast.mean, atol=1e-4)
    assert got.who.active[6] == pytest.approx(1 - got.fit.pi0, abs=1e-6)
    np.testing.assert_allclose(got.contrast.mean[6], 0, atol=1e-12)


def test_a_shared_error_is_added_to_the_covariance():
    rng = np.random.default_rng(5)
    error = errors(rng, 6)
    estimates = rng.normal(size=(6, F - 1, D))
    evidence = Evidence(*mash.evidence_of(estimates, error.reshape(6, F - 1, D, F - 1, D)))
    variance = rng.uniform(0.01, 0.1, size=6)
    more = evidence.with_shared_error(variance)
    shared = np.kron((np.eye(F - 1) + 1) / 2, np.ones((D, D)))
    for row in range(6):
        expected = np.linalg.inv(error[row] + variance[row] * shared)
        np.testing.assert_allclose(more.flat()[1][row], expected, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(more.flat()[0][row], expected @ estimates[row].ravel(), rtol=1e-7)


def test_scale_of_a_fate():
    """Whatever the reference; the fate's own effect where it alone moves; opposite with two fates."""
    rng = np.random.default_rng(6)
    by_fate = rng.normal(size=(7, F, D))
    found = mash.fate_scale(by_fate[:, 1:] - by_fate[:, :1], SHARES)
    order = [3, 1, 0, 2]
    moved = by_fate[:, order]
    again = mash.fate_scale(moved[:, 1:] - moved[:, :1], SHARES[order])
    np.testing.assert_allclose(again, found[:, order], atol=1e-12)
    grown = SHARES * np.exp(by_fate)
    share = grown / grown.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.log(share / (1 - share)) - np.log(SHARES / (1 - SHARES)), atol=1e-9)
    for fate in range(F):
        alone = 0.7 * contrast_vectors(F)[fate][:, None] * np.ones(D)
        np.testing.assert_allclose(mash.fate_scale(alone, SHARES)[fate], 0.7, atol=1e-12)


def test_classes_are_symmetric_in_the_fates():
    """Under a change of reference every class keeps its set of covariances; flows follow the day's shares."""
    order = [1, 3, 0, 2]
    to = contrast_of(order) @ np.linalg.pinv(contrast_of(range(F)))
    one, other = fate_classes(SHARES), fate_classes(SHARES[order])
    assert list(one) == ["single", "flow", "all"]
    for kind in one:
        mapped = [np.einsum("gf,fda->gda", to, m) for m in one[kind]]
        first, second = (
            [np.einsum("fda,gda->dfg", m, m) for m in members] for members in (mapped, other[kind])
        )
        for a in first:
            assert min(np.abs(a - b).max() for b in second) < 1e-9
    assert "flow" not in fate_classes(np.full((engine.MOST_FLOW + 1, 1), 1 / (engine.MOST_FLOW + 1)))


def test_shapes_that_set_in_or_fade_are_zero_before_or_after():
    shapes = time_shapes(5)
    for k in (1, 2, 3):
        for name in ("walk", "ramp"):
            late, early = (np.diag(shapes[f"{when}_{name}_{k}"]) for when in ("late", "early"))
            assert (late[:k] == 0).all()
            assert (late[k:] > 0).all()
            np.testing.assert_allclose(early, late[::-1])
    assert not {name for name in time_shapes(2) if name.startswith(("late_", "early_"))}
    for shape in shapes.values():
        assert np.linalg.eigvalsh(shape)[0] > -1e-12
        assert np.diag(shape).max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": np.zeros((3, 2))}, r"found the shapes \(3, 2\)"),
        ({"score": np.full((3, 2, 1), np.nan)}, "evidence must be finite"),
        ({"composition": [[0.5], [0.5]]}, "share of each of 3 fates on 1 days"),
        ({"composition": [[0.5], [0.4], [0.3]]}, "sum to one"),
        ({"null_weight": 0.5}, "null_weight must be a number >= 1; found 0.5"),
        ({"information": np.zeros((3, 2, 1, 2, 1))}, "says nothing of any effect"),
    ],
)
def test_refusals(change, message):
    usable = {
        "score": np.ones((3, 2, 1)),
        "information": np.broadcast_to(np.eye(2).reshape(2, 1, 2, 1), (3, 2, 1, 2, 1)),
        "composition": [[0.5], [0.3], [0.2]],
    }
    with pytest.raises(mash.MashError, match=message):
        mash.mash_fates(**(usable | change))


def test_an_error_that_is_no_covariance_is_refused():
    error = np.broadcast_to(np.ones((2, 1, 2, 1)), (3, 2, 1, 2, 1))
    with pytest.raises(mash.MashError, match="not positive definite"):
        mash.evidence_of(np.ones((3, 2, 1)), error)


def test_no_effect_anywhere_is_all_shrunk_to_zero():
    """Also where no draw is left to make."""
    rng = np.random.default_rng(8)
    error = np.broadcast_to(0.04 * np.eye(K).reshape(F - 1, D, F - 1, D), (50, F - 1, D, F - 1, D))
    got = mash.mash_fates(*mash.evidence_of(0.02 * rng.normal(size=(50, F - 1, D)), error), SHARES)
    assert got.fate.prob_large.max() < 0.05
    assert (got.fate.lfsr > 0.5).all()
    assert (got.moved < 0.5).all()


@pytest.mark.parametrize("n_fates", [7, 10])  # every pair is tried, or those with the best fate
def test_three_movers_of_many_fates_are_told(n_fates, monkeypatch):
    """And without sets of three and more, only that more than two moved."""
    rng = np.random.default_rng(8)
    by_fate = np.zeros((40, n_fates, 2))
    by_fate[:8, [1, 3, 5]] = rng.choice([-1.5, 1.5], size=(8, 3, 1))
    truth = by_fate[:, 1:] - by_fate[:, :1]
    shape = (n_fates - 1, 2)
    error = np.kron((np.eye(shape[0]) + 1) / 2, np.eye(2)) * 0.03
    noise = rng.multivariate_normal(np.zeros(len(error)), error, 40).reshape(truth.shape)
    errors = np.tile(error.reshape(*shape, *shape), (40, 1, 1, 1, 1))
    data = *mash.evidence_of(truth + noise, errors), np.full((n_fates, 2), 1 / n_fates)
    who = mash.mash_fates(*data).who
    others = np.setdiff1d(np.arange(n_fates), [1, 3, 5])
    assert (who.moved[:8, [1, 3, 5]] > 0.9).all()
    assert (who.moved[:8, others] < 0.5).mean() > 0.95
    assert (who.untold[:8] < 0.1).all()
    module = importlib.import_module("fatewalk.mash.movers")
    monkeypatch.setattr(module._Sets, "grown", lambda self, *_: self)
    assert (mash.mash_fates(*data).who.untold[:8] > 0.9).all()


@pytest.mark.parametrize("n_fates", [3, 6])
def test_without_any_effect_nobody_moved(n_fates):
    data = np.zeros((20, n_fates - 1, 2)), np.zeros((20, *[n_fates - 1, 2] * 2))
    data[1][:] = np.eye(2 * (n_fates - 1)).reshape(data[1].shape[1:]) * 50
    found = mash.mash_fates(*data, np.full((n_fates, 2), 1 / n_fates))
    assert (found.moved < 0.01).all()
    assert ((found.who.untold > 0) & (found.who.untold < 0.3)).all()
    assert (found.fate.lfsr > 0.9).all()
