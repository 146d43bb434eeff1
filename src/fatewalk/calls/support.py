"""What a hit rests on: its largest parts, replicates that agree, and what is left when parts are left out.

A part is what one guide in one replicate says of a fate on a day (`fatewalk.estimates.parts`). Parts are
pooled as the fit pools guides: within a guide by information, over guides by 1 / (error + variance between
guides). Estimates without some parts are the likelihood-only estimate plus the change of the pooled one.

Letters: m hits, J guides of a gene, R replicates, D days, A active days of a hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk import mash
from fatewalk.core.daywise import ACTIVE_DAYS
from fatewalk.core.schema import NOT_APART
from fatewalk.core.words import on_days

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fatewalk.calls.fates import FateEffects
    from fatewalk.estimates.arrays import GuideParts

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Place = tuple[int | slice, int | slice]  # of parts: guide and replicate, or all of them

LEFT = 1.2815515655446004  # SEs that the rest must keep: one-sided 10 %
APART = 2.5  # SEs by which a part stands out from the rest
ALONE = 3.0  # SEs that the rest must keep then: it has to show the hit on its own
MEDIAN_SQUARE = 0.454936  # median of chi-squared with one degree of freedom

ONE_PART = "rests on one guide in one replicate"
NO_REST = "only one guide in one replicate"
ONE_CONTROL = "hangs on one control"
ONE_REPLICATE = "rests on one replicate"
INSEPARABLE = "cannot be told from another gene"
UNSURE = "direction unsure"
UNSURE_LFSR = 0.15  # chance of the other direction
HALF = 0.5  # share of the effect that a control takes along at least
DEPLETED = "depleted by"  # and the day's own label


@dataclass(frozen=True)
class Parts:
    """All parts of a screen on the scale of the fates.

    Attributes
    ----------
    step : array [G, R, F, D]
        Effect by each part alone, logit of the fate's probability; 0 without cells.
    information : array [G, R, F, D]
        Inverse of its error variance; 0 without cells.
    cells : array [G, R, D]
    guide_variance : array [F, D]
        Between the guides of a gene.
    guides, replicates : array of str
        Names.
    gene : array, int [G]
        Gene of each guide.
    """

    step: Numbers
    information: Numbers
    cells: NDArray[np.int64]
    guide_variance: Numbers
    guides: NDArray[np.object_]
    replicates: NDArray[np.object_]
    gene: NDArray[np.int64]

    @classmethod
    def of(cls, parts: GuideParts, evidence: Mapping[str, np.ndarray]) -> Parts:
        """From guide_parts.npz and evidence.npz.

        The labels of some fates scatter more than others: errors are widened by day and fate until the
        median part deviates from the fit as it should, which single parts that stand out do not move.
        """
        seen = parts.information > 0
        safe = np.where(seen, parts.information, 1.0)
        square = np.where(seen, parts.score**2 / safe, np.nan)  # [G, R, F, D]
        scatter = np.ones(square.shape[2:])
        if seen.any():
            some = seen.any(axis=(0, 1))
            median = np.nanmedian(np.where(some, square, 0.0), axis=(0, 1))
            scatter = np.maximum(median / MEDIAN_SQUARE, 1.0)
        composition = evidence["composition"]  # [F, D]
        at_mode = mash.fate_scale(parts.at_mode, composition)  # [G, F, D]
        others = (composition**2).sum(axis=0) - composition**2
        spread = 0.5 * (1 + others / (1 - composition).clip(min=1e-12) ** 2)  # fates vary independently
        return cls(
            step=np.where(seen, at_mode[:, None] + parts.score / safe, 0.0),
            information=parts.information / scatter,
            cells=parts.cells,
            guide_variance=float(evidence["guide_variance"]) * spread,
            guides=parts.guides.astype(object),
            replicates=parts.replicates.astype(object),
            gene=evidence["guide_to_gene"],
        )


@dataclass(frozen=True)
class Controls:
    """How far all genes move when one control is left out.

    Attributes
    ----------
    names : array [U]
        NTC guides, or clusters.
    shift : array [U, F, D]
        Logit of the fate's probability.
    """

    names: NDArray[np.object_]
    shift: Numbers

    @classmethod
    def of(cls, card: Mapping[str, Any], parts: GuideParts, composition: Numbers) -> Controls:
        """Clusters as guide_parts.npz has them, else NTC guides as fit_card.json has them; or none."""
        if len(parts.controls):
            return cls(parts.controls.astype(object), parts.control_shift)
        guides = (card.get("ntc_guides") or {}).get("guides") or {}
        contrasts = [
            [list(of_contrast["shift_without"].values()) for of_contrast in guide.values()]
            for guide in guides.values()
        ]  # [J, F*, D]
        shape = (len(guides), len(composition) - 1, composition.shape[1])
        by_contrast = np.array(contrasts, dtype=float).reshape(shape)
        slope = mash.fate_jacobian(np.zeros(shape[1:]), composition)  # [F, F*, D]
        return cls(np.array(list(guides), dtype=object), np.einsum("fkd,ukd->ufd", slope, by_contrast))


def support_table(hits: pd.DataFrame, genes: FateEffects, parts: Parts, controls: Controls) -> pd.DataFrame:
    """What each hit rests on.

    Parameters
    ----------
    hits
        hits.csv, on either scale.
    genes
        Effects on each fate.
    parts
        Of all guides.
    controls
        NTC guides or control clusters.

    Returns
    -------
    pandas.DataFrame
        hit_support.csv, a row for each of the hits, in their order: gene, fate, day and `COLUMNS`.
    """
    scale = "fate" if "fate" in hits else "contrast"
    names = (pd.Index(genes.names), pd.Index(genes.fates), list(genes.days))
    columns: dict[str, list[object]] = {name: [] for name in ("gene", "fate", "day", *COLUMNS)}
    for hit in hits.to_dict("records"):
        gene, fate = names[0].get_loc(hit["gene"]), names[1].get_loc(hit[scale])
        days = [names[2].index(day) for day in hit[ACTIVE_DAYS].split("; ")]
        one = _Hit(_Gene.of(gene, genes, parts), fate, days, names[2].index(hit["strongest_day"]))
        found = {"gene": hit["gene"], "fate": hit[scale], "day": hit["strongest_day"]}
        found |= one.row() | one.controls(controls)
        for name, column in columns.items():
            column.append(found[name])
    return pd.DataFrame(columns).round(DECIMALS)


COLUMNS = (
    "estimate", "se", "by_replicate", "replicates_agree",
    "largest_guide", "largest_guide_share", "largest_part", "largest_part_share",
    "without_a_guide_low", "without_a_guide_high", "without_a_replicate_low", "without_a_replicate_high",
    "without_largest_part", "weakest_without", "weakest_without_estimate", "weakest_without_z", "survives",
    "without_a_control_low", "without_a_control_high", "needed_control",
    "needed_replicate",
)  # fmt: skip
DECIMALS = dict.fromkeys(COLUMNS, 3)


def with_marks(hits: pd.DataFrame, support: pd.DataFrame, marks: list[list[str]]) -> pd.DataFrame:
    """Hits with the columns replicates_agree and marks, in plain words.

    Parameters
    ----------
    hits
        hits.csv.
    support
        `support_table` of them.
    marks : [m]
        Of each hit.
    """
    hits = hits.copy()
    place = list(hits).index("guides_agree") + 1
    hits.insert(place, "replicates_agree", support["replicates_agree"].to_numpy(dtype=object))
    words = np.array(["; ".join(one) for one in marks], dtype=object)
    last = "not_resolved" if "not_resolved" in hits else "n_guides"  # by fate, by contrast
    hits.insert(list(hits).index(last) + 1, "marks", words)
    return hits


def marks_of_parts(support: pd.DataFrame) -> list[list[str]]:
    """Marks on hits that one guide in one replicate makes, [m]."""
    words = {"yes": [], "no": [ONE_PART], "": [NO_REST]}
    return [list(words[survives]) for survives in support["survives"]]


def marks_of_controls(support: pd.DataFrame) -> list[list[str]]:
    """Marks on hits that one control takes away when it is left out, [m]."""
    return [[ONE_CONTROL] * bool(control) for control in support["needed_control"]]


def marks_of_replicates(support: pd.DataFrame) -> list[list[str]]:
    """Marks on hits that one replicate makes, though the others saw the gene, [m]."""
    return [[ONE_REPLICATE] * bool(replicate) for replicate in support["needed_replicate"]]


def marks_of_defects(support: pd.DataFrame, defects: Mapping[str, str]) -> list[list[str]]:
    """Marks on hits of genes that occur in the same cells as another, whose effect theirs may be, [m].

    Parameters
    ----------
    support
        `support_table`.
    defects
        What the fit found wrong with genes (``defects`` of fit_card.json), by name.
    """
    return [[INSEPARABLE] * (NOT_APART in defects.get(gene, "")) for gene in support["gene"]]


def marks_of_direction(hits: pd.DataFrame) -> list[list[str]]:
    """Marks on hits that move, but may well move the other way, [m].

    Rule fdr asks for an effect above calls.effect_size_eps, of either sign.
    """
    return [[UNSURE] * bool(lfsr > UNSURE_LFSR) for lfsr in hits["lfsr"]]


def marks_of_survival(support: pd.DataFrame, survival: pd.DataFrame) -> list[list[str]]:
    """Marks on hits of genes that get rarer over time, [m].

    Parameters
    ----------
    support
        `support_table`.
    survival
        survival.csv, the days in their order.
    """
    depleted = survival[(survival["level"] == "gene") & (survival["depleted"] == "yes")]
    first = depleted.drop_duplicates("gene").set_index("gene")["day"]
    words = {gene: f"{DEPLETED} {on_days([str(day)])}" for gene, day in first.items()}
    return [[words[gene]] if gene in words else [] for gene in support["gene"]]


def joined(*marks: list[list[str]]) -> list[list[str]]:
    """All marks of each hit, [m]."""
    return [[mark for one in of_hit for mark in one] for of_hit in zip(*marks, strict=True)]


@dataclass(frozen=True)
class _Pooled:
    """Parts of a gene pooled on each fate.

    Attributes
    ----------
    mean, variance : array [F, D]
        Missing where no part is left.
    weight : array [J, F, D]
        Of the guides.
    """

    mean: Numbers
    variance: Numbers
    weight: Numbers


@dataclass(frozen=True)
class _Gene:
    """The parts of a gene, and its estimates from all of them."""

    step: Numbers  # [J, R, F, D]
    information: Numbers  # [J, R, F, D]
    cells: NDArray[np.int64]  # [J, R, D]
    guide_variance: Numbers  # [F, D]
    guides: NDArray[np.object_]
    replicates: NDArray[np.object_]
    estimate: Numbers  # [F, D]
    se: Numbers  # [F, D]
    sign: Numbers  # [F, D]

    @classmethod
    def of(cls, gene: int, genes: FateEffects, parts: Parts) -> _Gene:
        own = parts.gene == gene
        return cls(
            parts.step[own], parts.information[own], parts.cells[own], parts.guide_variance,
            parts.guides[own], parts.replicates,
            genes.estimate[gene], genes.se[gene], np.sign(genes.mean[gene]),
        )  # fmt: skip

    def pooled(self, keep: Flags | None = None) -> _Pooled:
        """Parts that are kept [J, R], pooled."""
        information = self.information if keep is None else self.information * keep[:, :, None, None]
        own = information.sum(axis=1)  # [J, F, D]
        seen = own > 0
        safe = np.where(seen, own, 1.0)
        mean, error = (information * self.step).sum(axis=1) / safe, 1 / safe
        weight = np.where(seen, 1 / (error + self.guide_variance), 0.0)
        weight = weight / np.where(seen.any(axis=0), weight.sum(axis=0), np.nan)
        return _Pooled((weight * mean).sum(axis=0), (weight**2 * error).sum(axis=0), weight)

    def without(self, keep: Flags) -> tuple[Numbers, Numbers]:
        """Likelihood-only estimates and variances [F, D] from the parts that are kept [J, R]."""
        whole, rest = self.pooled(), self.pooled(keep)
        more = np.maximum(rest.variance - whole.variance, 0.0)
        return self.estimate + rest.mean - whole.mean, self.se**2 + more

    def apart(self, part: Place, keep: Flags, days: list[int]) -> float:
        """By how many standard errors a part differs from the rest over some days, on the fate where most."""
        rest = self.pooled(keep)
        own = self.information[part]  # [F, D]
        found = [0.0]
        for fate in range(len(own)):
            known = [d for d in days if own[fate, d] > 0 and np.isfinite(rest.mean[fate, d])]
            if not known:
                continue
            error = 1 / own[fate, known] + rest.variance[fate, known]
            weight = 1 / error
            weight = weight / weight.sum()
            difference = (self.step[part][fate] - rest.mean[fate])[known]
            share = rest.weight[:, fate, known] @ weight  # [J]
            share[part[0]] -= 1.0
            between = (weight @ self.guide_variance[fate, known]) * (share**2).sum()
            along = weight * self.sign[fate, known]
            found.append(float(abs(along @ difference) / np.sqrt(weight**2 @ error + between)))
        return max(found)


@dataclass(frozen=True)
class _Hit:
    """A hit: a gene on one fate."""

    gene: _Gene
    fate: int
    days: list[int]  # active
    day: int  # the strongest

    def over_days(self, mean: Numbers, variance: Numbers) -> float:
        """Effect [D] in the direction of the hit over its active days, in SEs; missing where none is left."""
        days = [d for d in self.days if np.isfinite(mean[d])]
        weight = self.gene.se[self.fate, days] ** -2
        along = weight * self.gene.sign[self.fate, days]
        return float(along @ mean[days] / np.sqrt(weight**2 @ variance[days])) if days else np.nan

    def row(self) -> dict[str, object]:
        """The columns of the hit in hit_support.csv."""
        place = self.fate, self.day
        found = {"estimate": self.gene.estimate[place], "se": self.gene.se[place]}
        parts = self._replicates() | self._largest() | self._ranges() | self._weakest()
        return found | parts | {"needed_replicate": self._needed_replicate()}

    def controls(self, controls: Controls) -> dict[str, object]:
        """The strongest day without each control, and the control without which the hit is not seen."""
        estimate, se = self.gene.estimate[self.fate], self.gene.se[self.fate]
        whole = self.over_days(estimate, se**2)
        found, needed = [], []
        for name, shift in zip(controls.names, controls.shift[:, self.fate], strict=True):
            z = self.over_days(estimate + shift, se**2)
            found.append(float(estimate[self.day] + shift[self.day]))
            if z < min(LEFT, HALF * whole):
                needed.append((z, str(name)))
        known = [value for value in found if np.isfinite(value)]
        return {
            "without_a_control_low": min(known, default=np.nan),
            "without_a_control_high": max(known, default=np.nan),
            "needed_control": min(needed, default=(0.0, ""))[1],
        }

    def _needed_replicate(self) -> str:
        """The replicate without which little is left of the hit, and which stands apart from the others."""
        cells = self.gene.cells[:, :, self.days].sum(axis=2)  # [J, R]
        found = []
        for r in np.flatnonzero(cells.sum(axis=0)).tolist():
            keep = _all_but(cells, (slice(None), r))
            z = self.over_days(*(values[self.fate] for values in self.gene.without(keep)))
            if z < LEFT and self._stands_apart(keep) > APART:
                found.append((z, str(self.gene.replicates[r])))
        return min(found, default=(0.0, ""))[1]

    def _stands_apart(self, keep: Flags) -> float:
        """By how many SEs the effect of what is left out exceeds that of the rest, over the active days."""
        own, rest = self.gene.pooled(~keep), self.gene.pooled(keep)
        both = np.isfinite(own.mean[self.fate] + rest.mean[self.fate])
        at = self.fate, [day for day in self.days if both[day]]
        if not at[1]:
            return 0.0
        guides = ((own.weight - rest.weight)[:, *at] ** 2).sum(axis=0) * self.gene.guide_variance[at]
        variance = own.variance[at] + rest.variance[at] + guides  # [days]
        along = self.gene.sign[at] / variance
        return float(along @ (own.mean - rest.mean)[at] / np.sqrt((1 / variance).sum()))

    def _on_day(self, keep: Flags) -> float:
        return float(self.gene.without(keep)[0][self.fate, self.day])

    def _name(self, part: Place) -> str:
        return f"{self.gene.guides[part[0]]} in {self.gene.replicates[part[1]]}"

    def _replicates(self) -> dict[str, object]:
        """The strongest day by each replicate with cells there."""
        cells = self.gene.cells[:, :, self.day]  # [J, R]
        found = {
            str(self.gene.replicates[r]): self._on_day(~_all_but(cells, (slice(None), r)))
            for r in np.flatnonzero(cells.sum(axis=0)).tolist()
        }
        sign = self.gene.sign[self.fate, self.day]
        agree = sum(np.sign(value) == sign for value in found.values())
        words = "; ".join(f"{name}: {value:.2f}" for name, value in found.items())
        return {"by_replicate": words, "replicates_agree": f"{agree} of {len(found)}"}

    def _largest(self) -> dict[str, object]:
        """The largest guide and part on the strongest day."""
        cells = self.gene.cells[:, :, self.day]  # [J, R]
        guide, part = int(cells.sum(axis=1).argmax()), divmod(int(cells.argmax()), cells.shape[1])
        total = max(int(cells.sum()), 1)
        return {
            "largest_guide": self.gene.guides[guide],
            "largest_guide_share": cells[guide].sum() / total,
            "largest_part": self._name(part),
            "largest_part_share": cells[part] / total,
            "without_largest_part": self._on_day(_all_but(cells, part)),
        }

    def _ranges(self) -> dict[str, object]:
        """The strongest day without each guide, and without each replicate."""
        cells = self.gene.cells[:, :, self.day]  # [J, R]
        guides = [(j, slice(None)) for j in np.flatnonzero(cells.sum(axis=1)).tolist()]
        replicates = [(slice(None), r) for r in np.flatnonzero(cells.sum(axis=0)).tolist()]
        found: dict[str, object] = {}
        for name, places in (("guide", guides), ("replicate", replicates)):
            values = [value for place in places if np.isfinite(value := self._on_day(_all_but(cells, place)))]
            found[f"without_a_{name}_low"] = min(values, default=np.nan)
            found[f"without_a_{name}_high"] = max(values, default=np.nan)
        return found

    def _weakest(self) -> dict[str, object]:
        """The part without which least is left of the hit over its active days, and whether it survives."""
        cells = self.gene.cells[:, :, self.days].sum(axis=2)
        left = []
        for part in zip(*(place.tolist() for place in np.nonzero(cells)), strict=True):
            keep = _all_but(cells, part)
            mean, variance = (values[self.fate] for values in self.gene.without(keep))
            z = self.over_days(mean, variance)
            if np.isfinite(z):
                # a clone may be of one day only, and other active days would thin it out
                apart = (self.gene.apart(part, keep, days) for days in (self.days, [self.day]))
                enough = z >= LEFT and (z >= ALONE or max(apart) <= APART)
                left.append((enough, z, float(mean[self.day]), part))
        names = ("survives", "weakest_without", "weakest_without_estimate", "weakest_without_z")
        if not left:
            return dict(zip(names, ("", "", np.nan, np.nan), strict=True))
        survives, z, mean, part = min(left)
        return dict(zip(names, ("yes" if survives else "no", self._name(part), mean, z), strict=True))


def _all_but(cells: NDArray[np.int64], place: Place) -> Flags:
    """All parts but those at a place, [J, R]."""
    keep = np.ones(cells.shape, dtype=bool)
    keep[place] = False
    return keep
