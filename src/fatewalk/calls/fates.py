"""mash over fates and days on the evidence of a fit: effects on contrasts and on each fate, and who moved.

Letters: n genes or guides, F fates (the reference first), F* contrasts, D days, P patterns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk import __version__, mash
from fatewalk.calls.checks import refuse_unknown
from fatewalk.calls.patterns import PATTERNS, classify, on_both_scales, stretch
from fatewalk.calls.sources import Shrunk
from fatewalk.core.schema import RARE, Z95
from fatewalk.estimates.arrays import ArrayFile, told_contrasts
from fatewalk.estimates.export import guide_sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fatewalk.core.schema import Estimand

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

POOR = 1.5  # spread of the best day's labels over that of a day which tells little
SEED = 1
POINTS = ("percent_points", "percent_points_low", "percent_points_high")


@dataclass(frozen=True)
class FateEffects(ArrayFile):
    """Genes or guides on the scale of each fate, the content of ``shrunk_fates_<level>.npz``.

    Attributes
    ----------
    names, fates, days : array of str
        Names along the axes.
    composition : array [F, D]
        Shares of the fates that the scale is at.
    steepness : array [F, D]
        Slope of the mean probability over all cells of the day over that of a cell at this mean.
    estimate, se : array [n, F, D]
        Unshrunk, in logit of the fate's own probability.
    mean, sd, lfsr, prob_large : array [n, F, D]
        After mash; missing without cells and for fates rarer than `RARE`.
    patterns : array [n, F, P]
        Probability of each of `fatewalk.calls.patterns.PATTERNS`.
    steady : array [n, F, P]
        Probability of each pattern on both scales, logit and the spread of the day's labels.
    gained : array [n, F, D]
        Probability of an effect above eps on the scale of the labels' spread, and not in logit: the labels of
        that day resolve too little to say that there is none.
    moved : array [n, F]
        Probability that the fate moved itself, and does not only follow others.
    untold : array [n]
        Probability, given an effect, that so many fates moved that which cannot be told.
    grid, pi0, pi : array [G], [], [classes, time shapes, G]
        Of the fitted prior, see `prior`.
    """

    names: NDArray[Any]
    fates: NDArray[Any]
    days: NDArray[Any]
    composition: Numbers
    steepness: Numbers
    estimate: Numbers
    se: Numbers
    mean: Numbers
    sd: Numbers
    lfsr: Numbers
    prob_large: Numbers
    patterns: Numbers
    steady: Numbers
    gained: Numbers
    moved: Numbers
    untold: Numbers
    grid: Numbers
    pi0: Numbers
    pi: Numbers

    @property
    def prior(self) -> mash.FatesPrior:
        """The prior that the effects are shrunk by."""
        return mash.FatesPrior.over(self.composition, self.grid, float(self.pi0), self.pi)


def percent_points(effects: FateEffects, carriers: Numbers) -> dict[str, Numbers]:
    """Change of each fate's probability that goes with the effects after mash, at the day's mix of fates.

    A fate's share P of a day is that of all cells, a share c of them with the gene's guides. Cells differ,
    the more so the more other guides they carry, and the mean over them moves less than a cell at that mean:
    by s Lambda in logit, with Lambda the effect and s the steepness (as of a logistic curve averaged over
    normal differences). So p, the share among cells without the gene, solves
    (1 - c) p + c expit(logit p + s Lambda) = P, and

        change = 100 (expit(logit p + s Lambda) - p)

    whose 95 % interval has the ends of that of Lambda, p held.

    Parameters
    ----------
    effects
        On each fate.
    carriers : array [n, D]
        Share of the day's cells that carry the gene, or the guide.

    Returns
    -------
    dict
        percent_points, percent_points_low, percent_points_high, [n, F, D] each; missing where the effect is.
    """
    share, c = effects.composition, carriers[:, None, :]
    k = np.exp(effects.steepness * effects.mean)
    a, b = (1 - c) * (k - 1), 1 - c + c * k - share * (k - 1)  # a p^2 + b p = P
    root = np.sqrt(np.maximum(b**2 + 4 * a * share, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(b > 0, 2 * share / (b + root), (root - b) / (2 * a))
    return {
        name: 100 * (_moved(p, effects.steepness * (effects.mean + z * effects.sd)) - p)
        for name, z in zip(POINTS, (0.0, -Z95, Z95), strict=True)
    }


def _moved(p: Numbers, effect: Numbers) -> Numbers:
    """Probability whose logit is larger by the effect."""
    odds = p / (1 - p) * np.exp(effect)
    found: Numbers = odds / (1 + odds)
    return found


@dataclass(frozen=True)
class MashedFates:
    """mash over fates and days, of one level.

    Attributes
    ----------
    by_fate
        Effects on each fate.
    by_contrast
        Effects by contrast, in the order of the contrasts.
    mixture
        The fitted mixture, an entry of ``mash_fates.json``.
    """

    by_fate: FateEffects
    by_contrast: list[Shrunk]
    mixture: dict[str, Any]


def shrink_fates(
    evidence: Mapping[str, np.ndarray],
    level: str,
    estimand: Estimand,
    null_weight: float,
    eps: float,
) -> MashedFates:
    """Run mash over fates and days on the genes or the guides.

    Parameters
    ----------
    evidence
        Arrays of evidence.npz.
    level
        gene or guide.
    estimand
        library: the mean effect of the library's guides; gene: guide sampling is one more error, the same on
        all days; population: differences between replicates are one more, each day another.
    null_weight
        ``mash.null_weight``.
    eps
        Smallest effect of interest, logit.

    Raises
    ------
    FatewalkError
        If the estimand needs the variance between guides and it is not known.
    """
    given = evidence_of_level(evidence, level, estimand)
    composition = evidence["composition"]  # [F, D]
    seen = evidence[f"{level}_cells"].astype(bool)  # [n, D]
    fit = mash.fit_fates(given, composition, null_weight=null_weight)
    stretched = stretch(evidence["label_spread"])  # [F, D]
    estimate, se = unshrunk(given, composition)
    blocks = [
        _Block.of(block, composition, stretched, estimate[block.rows], se[block.rows], seen[block.rows], eps)
        for block in mash.draw_effects(fit, given, composition, eps, seed=SEED)
    ]
    of_fates = mash.Effects.joined(block.fate for block in blocks)
    patterns, steady, gained, of_contrasts = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("patterns", "steady", "gained", "contrast_patterns")
    )
    who = mash.movers(fit, given, 1 - np.concatenate([block.null for block in blocks]))
    shown = seen[:, None, :] & (composition > RARE)  # [n, F, D]
    shown_contrasts = seen[:, None, :] & told_contrasts(composition)  # [n, F*, D]
    any_day = np.asarray(shown.any(axis=2))[:, :, None]
    by_fate = FateEffects(
        names=evidence[f"{level}s"],
        fates=evidence["fates"],
        days=evidence["days"],
        composition=composition,
        steepness=evidence["steepness"],
        estimate=np.where(shown, estimate, np.nan),
        se=np.where(shown, se, np.nan),
        mean=np.where(shown, of_fates.mean, np.nan),
        sd=np.where(shown, of_fates.sd, np.nan),
        lfsr=np.where(shown, of_fates.lfsr, np.nan),
        prob_large=np.where(shown, of_fates.prob_large, np.nan),
        patterns=np.where(any_day, patterns, np.nan),
        steady=np.where(any_day, steady, np.nan),
        gained=np.where(shown, gained, np.nan),
        moved=who.moved,
        untold=who.untold,
        grid=fit.grid,
        pi0=np.array(fit.pi0),
        pi=fit.pi,
    )
    return MashedFates(
        by_fate, _contrasts(fit, given, of_contrasts, shown_contrasts, eps), _mixture(fit, who, len(given))
    )


def shrink_again(
    genes: FateEffects, given: mash.Evidence, seen: Flags, eps: float, n_draws: int
) -> FateEffects:
    """Other evidence under the prior that was fitted to genes.

    Parameters
    ----------
    genes
        What was fitted; its prior and its composition hold.
    given
        The evidence, of n rows.
    seen : array, bool [n, D]
        Gene-days with cells.
    eps
        As in `shrink_fates`.
    n_draws
        Draws of a row: 200 tell a probability of .9 to .02.
    """
    prior, composition = genes.prior, genes.composition
    shown = seen[:, None, :] & (composition > RARE)  # [n, F, D]
    of_blocks, nulls, patterns = [], [], []
    for block in mash.draw_effects(prior, given, composition, eps, n_draws=n_draws, seed=SEED):
        of_blocks.append(block.summary())
        nulls.append(block.null)
        patterns.append(_patterns(block, block.fate, shown[block.rows], eps))
    found = mash.Effects.joined(of_blocks)
    who = mash.movers(prior, given, 1 - np.concatenate(nulls))
    return replace(
        genes,
        mean=np.where(shown, found.mean, np.nan),
        sd=np.where(shown, found.sd, np.nan),
        lfsr=np.where(shown, found.lfsr, np.nan),
        prob_large=np.where(shown, found.prob_large, np.nan),
        patterns=np.concatenate(patterns),
        moved=who.moved,
        untold=who.untold,
    )


def evidence_of_level(evidence: Mapping[str, np.ndarray], level: str, estimand: Estimand) -> mash.Evidence:
    """What evidence.npz says of the genes or the guides; arguments and errors as of `shrink_fates`."""
    given = mash.Evidence(evidence[f"{level}_score"], evidence[f"{level}_information"])
    if (shift := evidence.get("ntc_shift")) is not None and shift.any():
        given = given.with_errors(shift[None])
    if level == "guide" or estimand == "library":
        return given
    given = given.with_shared_error(_guide_sampling(evidence, estimand))
    if estimand == "population" and (evidence["replicate_variance"] > 0).any():
        given = given.with_errors(replicate_errors(evidence["replicate_variance"]))
    return given


def replicate_errors(variance: Numbers) -> Numbers:
    """Covariance of errors of this variance [L, F*, D], independent by day and by fate: [L, F*, D, F*, D].

    Independent by fate: two contrasts of the same variance have correlation 1/2.
    """
    sd = np.sqrt(variance)
    _, contrasts, days = sd.shape
    alike = (np.eye(contrasts) + 1) / 2
    return np.einsum("lfd,lgd,fg,de->lfdge", sd, sd, alike, np.eye(days))


@dataclass(frozen=True)
class _Block:
    """What is kept of the draws of a block of rows."""

    null: Numbers
    fate: mash.Effects
    patterns: Numbers  # [B, F, P]
    steady: Numbers  # [B, F, P]
    gained: Numbers  # [B, F, D]
    contrast_patterns: Numbers  # [B, F*, P]

    @classmethod
    def of(
        cls,
        draws: mash.FateDraws,
        composition: Numbers,
        stretched: Numbers,
        estimate: Numbers,
        se: Numbers,
        seen: Flags,
        eps: float,
    ) -> _Block:
        shown = seen[:, None, :] & (composition > RARE)  # [B, F, D]
        whole = seen[:, None, :] & told_contrasts(composition)  # [B, F*, D]
        return cls(
            draws.null,
            draws.summary(),
            _patterns(draws, draws.fate, shown, eps),
            *_on_both_scales(draws, _on_labels(draws, stretched, estimate, se), shown, eps),
            _patterns(draws, draws.contrast, whole, eps),
        )


def _patterns(draws: mash.FateDraws, effects: Numbers, observed: Flags, eps: float) -> Numbers:
    """Probability of each pattern over the observed days, [B, f, P] from draws [T, f, D]."""
    n_days = effects.shape[2]
    seen = observed[draws.row].reshape(-1, n_days)  # [T f, D]
    codes = classify(effects.reshape(-1, n_days), seen, eps).reshape(effects.shape[:2])  # [T, f]
    return _shares(draws, codes)


def _on_labels(draws: mash.FateDraws, stretched: Numbers, estimate: Numbers, se: Numbers) -> Numbers:
    """Draws [T, F, D] as large as they would be if the labels of each day spread as those of the best one.

    Where labels spread far less than that, what other days and genes say of a day counts for nothing: they
    have learned from the same labels that there is no effect. Draws are of the unshrunk estimate there.
    """
    noise = np.random.default_rng([SEED, draws.rows.start]).normal(size=draws.fate.shape)
    alone = estimate[draws.row] + se[draws.row] * noise
    poor = (stretched >= POOR) & np.isfinite(alone)
    return np.where(poor, alone, draws.fate) * stretched


def _on_both_scales(
    draws: mash.FateDraws, on_labels: Numbers, observed: Flags, eps: float
) -> tuple[Numbers, Numbers]:
    """Probability of each pattern on both scales [B, F, P]; of days active on the second alone [B, F, D]."""
    effects, seen = draws.fate, observed[draws.row]  # [T, F, D]
    n_days = effects.shape[2]
    codes, gained = on_both_scales(
        effects.reshape(-1, n_days), on_labels.reshape(-1, n_days), seen.reshape(-1, n_days), eps
    )
    return (
        _shares(draws, codes.reshape(effects.shape[:2])),
        draws.average(gained.reshape(effects.shape).astype(float)),
    )


def _shares(draws: mash.FateDraws, codes: NDArray[np.int8]) -> Numbers:
    """Probability of each pattern, [B, f, P] from those of draws [T, f]; no effect counts as none."""
    found = np.stack([draws.average((codes == code).astype(float)) for code in range(len(PATTERNS))], axis=2)
    found[:, :, PATTERNS.index("none")] += draws.null[:, None]
    return found


def _contrasts(
    fit: mash.FatesFit, given: mash.Evidence, patterns: Numbers, shown: Flags, eps: float
) -> list[Shrunk]:
    """Effects by contrast; missing where they are not shown [n, F*, D]."""
    found = mash.contrast_effects(fit, given, eps)
    any_day = np.asarray(shown.any(axis=2, keepdims=True))
    return [
        Shrunk(
            mean=np.where(shown[:, c], found.mean[:, c], np.nan),
            sd=np.where(shown[:, c], found.sd[:, c], np.nan),
            lfsr=np.where(shown[:, c], found.lfsr[:, c], np.nan),
            prob_large=np.where(shown[:, c], found.prob_large[:, c], np.nan),
            patterns=np.where(any_day[:, c], patterns[:, c], np.nan),
        )
        for c in range(patterns.shape[1])
    ]


def _guide_sampling(evidence: Mapping[str, np.ndarray], estimand: Estimand) -> Numbers:
    """Variance that guide sampling adds to each gene's contrasts [L]."""
    n_guides = np.bincount(evidence["guide_to_gene"], minlength=len(evidence["genes"]))
    found: Numbers = guide_sampling(evidence["guide_variance"].reshape(1), n_guides)[:, 0]
    if estimand == "population":
        return np.nan_to_num(found)  # what is not known is not carried, and `choose_estimand` says so
    refuse_unknown(found)
    return found


def unshrunk(given: mash.Evidence, composition: Numbers) -> tuple[Numbers, Numbers]:
    """Unshrunk estimates and standard errors on the scale of each fate, [n, F, D]; missing where not seen.

    The estimate on contrasts is J^-1 h where J sees, the standard error that of the linear map at the
    estimate.
    """
    n, contrasts, days = given.score.shape
    flat, root, seen = given.estimates()
    mean = flat.reshape(n, contrasts, days)
    jacobian = mash.fate_jacobian(mean, composition)  # [n, F, F*, D]
    along = np.einsum("nfkd,nkdm->nfdm", jacobian, root.reshape(n, contrasts, days, -1))
    # a fate's own change needs all contrasts of the day
    missing = (~seen.reshape(n, contrasts, days)).any(axis=1, keepdims=True)  # [n, 1, D]
    estimate = mash.fate_scale(mean, composition)
    return np.where(missing, np.nan, estimate), np.where(missing, np.nan, np.sqrt((along**2).sum(axis=3)))


def _mixture(fit: mash.FatesFit, who: mash.Movers, n_rows: int) -> dict[str, Any]:
    """The fitted mixture, for ``mash_fates.json``."""
    weights = {
        f"{kind}.{time}.{fit.grid[g]:.3g}": float(fit.pi[c, t, g])
        for c, kind in enumerate(fit.classes)
        for t, time in enumerate(fit.times)
        for g in np.flatnonzero(fit.pi[c, t] > 0)
    }
    return {
        "versions": {"fatewalk": __version__},
        "n_rows": n_rows,
        "pi0": fit.pi0,
        "pi0_by_null_weight": {f"{weight:g}": pi0 for weight, pi0 in fit.pi0_by_null_weight.items()},
        "pi": dict(sorted(weights.items(), key=lambda item: -item[1])),
        "n_effects": float(who.active.sum()),
        "loglik": fit.loglik,
        "rounds": fit.rounds,
        "gain": fit.gain,
    }
