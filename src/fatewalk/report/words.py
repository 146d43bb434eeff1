"""What the page says in words, for people who know biology and no statistics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fatewalk import __version__
from fatewalk.core.words import count, join, on_days

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.report.data import Axes
    from fatewalk.run.files import Run

#: Columns of hits.csv that not every run has, and their heads.
OPTIONAL = {
    "replicates_agree": "Replicates that agree",
    "not_resolved": "Not resolved",
    "marks": "Look twice because",
}
PATTERNS = {
    "none": "no clear course",
    "early": "early: from the first day on, over before the last",
    "late": "late: sets in after the first day and lasts",
    "transient": "transient: days in between only",
    "sustained": "sustained: on all days",
    "intermittent": "comes and goes",
    "sign_switch": "changes its direction",
}
UNKNOWN = "not known"
SMALLEST_CHANCE = 1e-6  # smaller ones are told as less than this
#: The word that stands for a state beside its colour.
STATES = {"ok": "good", "bad": "bad", "warn": "look"}


def percent(value: float, digits: int = 0) -> str:
    """A share of one as percent."""
    return f"{100 * value:.{digits}f} %" if math.isfinite(value) else UNKNOWN


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−") if math.isfinite(value) else UNKNOWN


def chance(value: float) -> str:
    """A small probability in percent, with two digits."""
    if not math.isfinite(value):
        return UNKNOWN
    if value < SMALLEST_CHANCE:
        return "< 0.0001 %"
    return f"{100 * value:.2g} %" if value >= 1e-4 else f"{100 * value:.1g} %".replace("e-0", "e-")


def odds(effect: float) -> str:
    """An effect in logit as the factor by which it changes odds."""
    if not math.isfinite(effect):
        return UNKNOWN
    factor = math.exp(min(effect, 50.0))
    return f"{factor:.2f}" if factor < 10 else f"{factor:.3g}"


def headline(run: Run, axes: Axes) -> str:
    """How many hits, in how many genes, on which fates."""
    hits = run.all_hits
    if run.withheld:
        return f"The certificate failed: {count(len(hits), 'hit is', 'hits are')} withheld"
    if hits.empty:
        return f"No hits among {count(len(axes.genes), 'gene')}"
    genes = hits["gene"].nunique()
    by_fate = hits["fate" if axes.scale == "fate" else "contrast"].value_counts()
    parts = [f"{n} on {fate}" for fate, n in by_fate.items()]
    return (
        f"{count(genes, 'gene')} of {len(axes.genes)} "
        f"{'shifts' if genes == 1 else 'shift'} a fate: {count(len(hits), 'hit')}, {join(parts)}"
    )


def verdict(run: Run, data: Mapping[str, Any]) -> list[dict[str, str]]:
    """The answers to whether this run can be trusted, each with what was asked and how it stands."""
    found = run.json("verdict.json")
    fit, delta = found["fit"], found["delta"]
    items = [_item("The fit", "ok" if fit["verdict"] == "ok" else "bad", _of_fit(fit))]
    several = run.json("design_report.json")["genes"]["with_several_guides"]
    if several or delta["verdict"] != "ok":  # one guide a gene leaves nothing to compare
        items.append(
            _item("Guides against genes", "ok" if delta["verdict"] == "ok" else "bad", _of_delta(delta))
        )
    if data["composition"]:
        items.append(_of_labels(data["composition"]))
    items.append(_of_certificate(run.json("certificate.json"), run.settings.calls.require))
    notes = [*run.json("design_report.json")["warnings"], *run.json("fit_card.json")["warnings"]]
    items.sort(key=lambda item: item["state"] != "bad")  # what stops a reader comes first
    return [*items, *(_item("Look at this", "warn", note) for note in notes)]


def _item(what: str, state: str, text: str) -> dict[str, str]:
    return {"what": what, "state": state, "mark": STATES[state], "text": text[:1].upper() + text[1:]}


def _of_certificate(certificate: Mapping[str, Any], require: str) -> dict[str, str]:
    """What the checks on this very screen said; those that did not pass in their own words."""
    state = {"pass": "ok", "warn": "warn", "fail": "bad"}.get(certificate["verdict"], "warn")
    checks = certificate["checks"]
    if not checks:
        words = "The errors were not tried on this very screen (calls.certificate: none)."
    elif state == "ok":
        words = (
            "Tried on this very screen, the analysis finds nothing where there is nothing: its errors "
            f"hold for guides shuffled between cells and for controls taken for genes ({len(checks)} checks)."
        )
    else:
        failing = [check["words"] for check in checks if check["verdict"] != "pass"]
        words = (
            f"Tried on this very screen, {len(checks) - len(failing)} of {len(checks)} checks passed. "
            f"{' '.join(failing)}"
        )
        if any("z score" in line for line in failing):
            words += " (A z score is an effect in units of its stated error; a spread above 1 says that the "
            words += "stated errors are too small.)"
    if state == "bad" and require == "certified":
        words += " So the hits are withheld: they stand in hits_withheld.csv."
    elif state == "bad":
        words += " The hits are shown all the same, as calls.require is none: do not trust them."
    return _item("Certificate", state, words)


def _of_fit(fit: Mapping[str, Any]) -> str:
    if fit["verdict"] == "ok":
        return "The calculation settled on its result (it converged), so its numbers can be read."
    return (
        f"{fit['words']}. Everything on this page is PROVISIONAL and not to be published: the "
        "calculation has "
        "not settled on its result."
    )


def _of_delta(delta: Mapping[str, Any]) -> str:
    if delta["verdict"] == "ok":
        return (
            "The effect of a gene is exactly the mean effect of its guides, as it must be; "
            "differences between "
            "guides are told apart from it."
        )
    return f"{delta['words']}: the effect of a gene is not the mean of its guides, so effects may be shifted."


def _of_labels(composition: list[dict[str, Any]]) -> dict[str, str]:
    """How clear the fates of the cells are, on the day on which they are least clear."""
    clear: dict[str, float] = {}
    cells: dict[str, int] = {}
    for row in composition:
        cells[row["day"]] = cells.get(row["day"], 0) + row["cells"]
        clear[row["day"]] = clear.get(row["day"], 0.0) + row["cells"] * row["clear"]
    share = {day: clear[day] / cells[day] for day in cells}
    worst = min(share, key=lambda day: share[day])
    if share[worst] >= 0.5:
        text = (
            f"most cells have a clear fate on every day: even on {worst}, the least clear one, "
            f"{percent(share[worst])} of the cells have a fate with a probability of at least 0.8."
        )
        return _item("Fate labels", "ok", text)
    text = (
        f"on {worst} only {percent(share[worst])} of the cells have a fate with a probability of "
        "at least 0.8. "
        "Effects on such a day are blurred, and later days may shine through: read its courses with care."
    )
    return _item("Fate labels", "warn", text)


def none_found(run: Run, data: Mapping[str, Any]) -> list[str]:
    """What it means that there are no hits, and how large an effect would have been seen."""
    if run.withheld:
        return [
            "The certificate says that the errors of this run do not hold on this screen, so nothing is "
            "called a hit. What would have been called stands in hits_withheld.csv, and every effect in the "
            "tables and pictures below; do not publish them before the reason is found.",
        ]
    said = [
        "No gene passes the rule for a hit. That is a result, and not a failure of the run: within what this "
        "screen can show, no gene shifts a fate.",
    ]
    for fate, sizes in data["power"].items():
        known = {day: size for day, size in zip(data["days"], sizes, strict=True) if size is not None}
        if known:
            best = min(known, key=lambda day: known[day])
            said.append(
                f"{fate}: the smallest effect that a typical gene can be expected to show is a change of the "
                f"odds by a factor of {odds(known[best])} ({on_days([best])}, the most sensitive day). "
                "Smaller effects may be there and were not seen."
            )
    said.append(
        "The genes are ranked all the same in “All genes and fates” below, the surest first. "
        "More cells, more "
        "guides a gene or clearer fate labels would show smaller effects."
    )
    return said


def hit_rows(run: Run) -> list[dict[str, Any]]:
    """Rows of hits.csv, with odds and courses in words."""
    table = run.table("hits.csv")
    names = [str(name) for name in table]
    rows = [dict(zip(names, row, strict=True)) for row in table.itertuples(index=False, name=None)]
    for row in rows:
        fate = row.get("fate", row.get("contrast"))
        against = f" against {row['reference']}" if "reference" in row else ""
        row |= {
            "shown_fate": f"{fate}{against}",
            "odds": odds(row["effect"]),
            "odds_low": odds(row["effect_low"]),
            "odds_high": odds(row["effect_high"]),
            "days": row["active_days"].split("; "),
            "arrow": {"gain": "▲", "loss": "▼"}.get(row["direction"], "◆"),
            "course": course(row["pattern"]),
        }
        row |= {name: _said(row[name]) for name in (*OPTIONAL, "also_moved", "who_moved") if name in row}
    return rows


def course(pattern: Any) -> str:
    """A course over the days in short; one that is in words already stays as it is."""
    name = _said(pattern)
    return PATTERNS[name].partition(":")[0] if name in PATTERNS else name


def _said(value: Any) -> str:
    """A text; an empty one where there is none."""
    return "" if value is None or value != value else str(value)


def dropped(report: Mapping[str, Any]) -> list[str]:
    """What of the input did not enter the fit, and what is only known of."""
    cells, guides, calls, genes = (report[name] for name in ("cells", "guides", "guide_calls", "genes"))
    said = {
        f"{cells['given'] - cells['kept']:,} of {cells['given']:,} cells": cells["given"] - cells["kept"],
        "guides that are in no cell": guides["in_no_cell_dropped"],
        "guide calls of cells that the table of cells does not have": calls["of_unknown_cells_dropped"],
        "guide calls with too few UMIs": calls["below_min_umi_dropped"],
        "guide calls that stood there twice and were merged": calls["repeats_merged"],
        "genes without a guide in any cell": len(genes["dropped"]),
    }
    return [f"{what}: {n:,}" if not what[0].isdigit() else what for what, n in said.items() if n]


def criteria(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the stopping rules watched: words, whether each is met."""
    return [{"words": one["words"], "met": one["met"]} for one in found["fit"]["criteria"].values()]


#: What effects were shrunk by, by ``calls.source``.
SHRUNK = {
    "mash_fates": "Estimates by the likelihood alone were shrunk by multivariate adaptive shrinkage (mash) "
    "over fates and days.",
    "mash_likelihood": "Estimates by the likelihood alone were shrunk by multivariate adaptive shrinkage "
    "(mash) over days, each contrast for itself.",
    "mash_posterior": "Posterior means and standard deviations were shrunk once more by multivariate "
    "adaptive shrinkage (mash) over days, each contrast for itself.",
    "joint": "Effects and their probabilities are those of the joint posterior.",
}
#: What a hit has to pass over all days under rule lfsr, by ``calls.anyday_correction``.
ANY_DAY = {
    "bonferroni": "; for a hit, on some day with the rate divided by the number of days",
    "fdr": "; hits are the largest set of genes with a Bayesian false discovery rate of {fdr:g}",
    "none": "",
}
#: What is said of ``model.burden_slope``.
SLOPE = {
    "per_day": "a slope by day for the number of guides in a cell, ",
    "shared": "a slope for the number of guides in a cell, ",
    "none": "",
}


def methods(run: Run) -> list[str]:
    """Sentences for a methods section, with the run's own numbers."""
    report, card, calls = run.json("design_report.json"), run.json("fit_card.json"), run.settings.calls
    cells, guides, genes, ntc = (report[name] for name in ("cells", "guides", "genes", "ntc"))
    fates = [run.reference, *run.contrasts]
    versions = card["versions"]
    by_fate = calls.source == "mash_fates" and calls.scale == "fate"
    of_what = "genes, fates and days" if by_fate else "genes and days of a contrast"
    rule = (
        f"the largest set of {of_what} with a Bayesian false discovery rate of {calls.fdr:g} for "
        "effects above "
        f"{calls.effect_size_eps:g} logit, each with a probability of at least {calls.fdr_prob_large_min:g}"
        if calls.rule == "fdr"
        else f"a local false sign rate below {calls.lfsr_day:g} and a probability of at least "
        f"{calls.effect_prob_large_min:g} of an effect above {calls.effect_size_eps:g} logit"
        + ANY_DAY[calls.anyday_correction].format(fdr=calls.anyday_fdr)
    )
    weight = card["likelihood_weight"]
    return [
        f"Effects of {genes['kept']:,} perturbed genes on the probabilities of {len(fates)} cell fates "
        f"({join(fates)}; reference {run.reference}) were estimated with fatewalk "
        f"{versions['fatewalk']} from "
        f"{cells['kept']:,} cells sampled on {count(len(report['days']), 'day')} "
        f"({join(run.days)}) in {count(len(report['cells_by_replicate_and_day']), 'replicate')}.",
        f"Cells carried {report['guides_per_cell']['mean']:.1f} guides on average "
        f"({guides['kept']:,} targeting guides and {ntc['guides_in_cells']:,} non-targeting controls, the "
        f"latter in {percent(ntc['share_of_cells'])} of the cells).",
        "A hierarchical multinomial regression with intercepts by fate and day, "
        "levels of replicates and of their samples, "
        + SLOPE[card["config"]["model"]["burden_slope"]]
        + "gene effects that move as a random walk over days, and "
        "deviations of "
        f"guides that are {'' if card['center_delta'] else 'not '}centred within their gene was fitted by "
        + ("a Laplace approximation" if card["family"] == "laplace" else "variational inference")
        + (
            ", the weight of the fate labels estimated from their residual dispersion."
            if weight == "auto"
            else f", with weight {weight:g} of the fate labels."
        ),
        f"{SHRUNK[calls.source]} A gene was called active on a day by {rule}.",
        f"Software: fatewalk {versions['fatewalk']}, torch {versions['torch']}, Pyro {versions['pyro']}, "
        f"NumPy {versions['numpy']}, Python {versions['python']}.",
    ]


def citation() -> str:
    """How to cite, as in CITATION.cff."""
    return (
        "The fatewalk authors. fatewalk: which genes shift which cell fate, on which day, by how much, in "
        f"time-course Perturb-seq. Version {__version__}."
    )
