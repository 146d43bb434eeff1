"""Non-targeting controls: the names that they usually have, and what is lost where they are few."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fatewalk.core.errors import first_few, quoted
from fatewalk.core.names import is_missing
from fatewalk.core.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd

FEW_NTC = 0.01  # share of cells with an NTC guide below which the anchor is warned of
#: In small letters, without blanks, dashes, numbers at the end, and sg before them.
USUAL_NAMES = """
    ntc ntcs nt ntctrl ntcontrol ctrl ctrls cntrl ctl control controls ctrlntc ctrlinj
    controlinjected neg negs negctrl negctl negcontrol negative negatives negativectrl
    negativecontrol negativecontrols nosite nocurrent onenongenesite oneintergenicsite inactive
    inactive4t inactive5t nongene nonhuman nonmouse noncutting nontarget nottargeting notarget
    notargeting safe safes safesafe safetarget safecutting safeharbor safeharbour aavs haavs rosa
    mrosa hrosa gtrosa26sor hipp11 lacz laci egfp gfp emgfp copgfp turbogfp yfp eyfp bfp ebfp tagbfp
    rfp tagrfp turborfp mcherry tdtomato dsred mscarlet mneongreen luciferase luc fluc rluc firefly
    fireflyluciferase renilla renillaluciferase ren713 scramble scrambled scr scrmbl scrctrl
    scramblectrl scramblecontrol scrambledcontrol shuffled random randomised randomized dummy mock
    empty emptyvector emptyplasmid emptybackbone vector vectoronly backbone intergenic genedesert
    olfactory olfactoryctrl olfactorycontrol offtarget wt wildtype unperturbed untreated uninjected
    untransduced uninfected parental ev plko plkoempty plentiguide lentiguide zsgreen mvenus venus
    mkate irfp mtagbfp ntgrna ntgrnas ntsgrna ntguide ntguides nogrna nosgrna noguide noguiderna
    cutting cuttingcontrol cuttingctrl ctrlcutting controlcutting cas9 cas9only dcas9 dcas9only
"""
CONTROLS = frozenset(USUAL_NAMES.split())
#: A name that begins so, or holds this, is a control's whatever follows.
BEGINS = ("nontarget", "intergenic", "safetarget", "safeharbo", "noncodingcontrol", "noncutting")
HOLDS = ("negativecontrol", "negativectrl", "nontargeting", "safetargeting")
#: Genes all the same (of man, mouse or fly): told only where the map marks no control at all.
ALSO_GENES = re.compile(r"CTRL|Ctrl|CNTRL|Cntrl|Scr")
GUIDE_INDEX = re.compile(r"[-_. ]+(g|sg|guide|s?grna)[-_. ]*\d+$")

Report = dict[str, Any]


def looks_like_control(name: str) -> bool:
    """Whether controls usually have this name, and genes do not: ``sgNTC-1``, ``AAVS1``, ``LacZ``."""
    return not ALSO_GENES.fullmatch(name.strip()) and _may_be_control(name)


def _may_be_control(name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", GUIDE_INDEX.sub("", name.strip().lower()))
    if plain.startswith("wt1"):  # the gene of Wilms tumours, no wild type
        return False
    bare = plain.removeprefix("sg")
    forms = {plain, bare, plain.rstrip("0123456789"), bare.rstrip("0123456789")}
    first, *others = re.split(r"[-_. ;,|+/&]+", name.strip().lower())
    return (
        bool(forms & CONTROLS)
        or bare.startswith(BEGINS)
        or any(word in plain for word in HOLDS)
        or bool(others and re.fullmatch(r"(sg)?ntc\d*", first))  # NTC-seq, NTC_07|NTC_08
    )


def warn_of_unmarked(rows: pd.DataFrame, report: Report) -> None:
    """Warn where marks and names of controls do not agree; nothing is guessed.

    Parameters
    ----------
    rows
        guide, gene, is_ntc of the guide map as given.
    report
        Gets ``warnings``.
    """
    targeting = rows[~rows["is_ntc"]]
    genes = list(targeting["gene"].drop_duplicates())
    anywhere = bool(rows["is_ntc"].any())
    hidden = [g for g in genes if looks_like_control(g) or (not anywhere and _may_be_control(g))]
    if hidden:
        n = int(targeting["gene"].isin(hidden).sum())
        report["warnings"].append(
            f"{_names('Gene', hidden)} looks like a non-targeting control but its guides have is_ntc False "
            f"({n} rows of the guide map), so it is fitted as a gene; set is_ntc to True in the guide map if "
            "it is a control."
            if len(hidden) == 1
            else f"{_names('Gene', hidden)} look like non-targeting controls but their guides have is_ntc "
            f"False ({n} rows of the guide map), so they are fitted as genes; set is_ntc to True in the "
            "guide map if they are controls."
        )
    odd = [
        f"{guide!r} (gene {gene!r})"
        for guide, gene in zip(targeting["guide"], targeting["gene"], strict=True)
        if gene not in hidden and looks_like_control(guide) and not guide.lower().startswith(gene.lower())
    ]
    if odd:
        report["warnings"].append(
            f"{count(len(odd), 'guide is', 'guides are')} named like a control but with is_ntc False: "
            f"{first_few(odd)}; set is_ntc to True in the guide map if that is what they are."
        )
    _warn_of_marks(rows, set(genes), report)


def _warn_of_marks(rows: pd.DataFrame, genes: set[str], report: Report) -> None:
    """The reverse: NTC guides of a gene, or most guides NTC."""
    ntc = rows[rows["is_ntc"] & (rows["gene"] != "")]
    both = [gene for gene in ntc["gene"].drop_duplicates() if gene in genes]
    if both:
        has = "has" if len(both) == 1 else "have"
        report["warnings"].append(
            f"{_names('Gene', both)} {has} guides with is_ntc True and "
            "others with False; those with True count as controls. Correct is_ntc in the guide map if all of "
            "them target the gene, or none."
        )
    guides = rows.drop_duplicates("guide")
    n_ntc = int(guides["is_ntc"].sum())
    like = guides.loc[guides["is_ntc"], "gene"].map(lambda gene: gene == "" or looks_like_control(gene))
    if len(guides) / 2 < n_ntc < len(guides) and like.mean() < 0.5:
        report["warnings"].append(
            f"{n_ntc} of {len(guides)} guides of the guide map have is_ntc True, first "
            f"{quoted(guides.loc[guides['is_ntc'], 'guide'])}: is the column the wrong way "
            "round? True marks non-targeting guides."
        )
    # some give every control its own name as its gene
    others = set(ntc["gene"]) - genes - set(ntc["guide"])
    named = sorted(gene for gene in others if not looks_like_control(gene) and not is_missing(gene))
    if named:
        report["notes"].append(
            f"NTC guides name {count(len(named), 'gene')} that no control is usually called: "
            f"{quoted(named)}. They count as controls, without an effect."
        )


def _names(what: str, names: Sequence[str]) -> str:
    return f"{what}{'s' * (len(names) > 1)} {quoted(names)}"


def warn_of_controls(
    is_ntc: np.ndarray, used: np.ndarray, share: float, has_burden: bool, report: Report
) -> None:
    """Say what is lost where non-targeting controls are few.

    Parameters
    ----------
    is_ntc, used : numpy.ndarray, bool [M]
        The guide is an NTC guide; it is in at least one cell.
    share
        Share of the cells with an NTC guide.
    has_burden
        The burden comes from a column.
    """
    n_map, n_used = int(is_ntc.sum()), int((is_ntc & used).sum())
    report["ntc"] = {"guides_in_map": n_map, "guides_in_cells": n_used, "share_of_cells": share}
    if n_used == 0:
        found = "The guide map has no NTC guide" if n_map == 0 else "No cell has an NTC guide"
        report["warnings"].append(
            f"{found}: a common shift of the effects of all genes cannot be told from the burden slope "
            "(unless model.burden_slope is none), only the prior anchors it. Mark non-targeting guides with "
            "is_ntc True, and read effects relative to the average guide."
        )
        return
    if share < FEW_NTC:
        report["warnings"].append(
            f"Only {100 * share:.2g} % of the cells carry an NTC guide: a common shift of the effects of all "
            "genes is told from the burden slope mostly by the prior."
        )
    if n_used == 1 and not has_burden:
        report["warnings"].append(
            "All NTC calls carry one label. If it pools several guides, repeats in a cell are hidden, the "
            "burden is miscounted and the effects of all genes can shift together: give the NTC guides their "
            "own names, or give the cells a burden column (burden_key)."
        )
