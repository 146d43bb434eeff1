"""Names of guides and genes in the guide map: spoilt, two for one, placeholders, of another gene."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.names import (
    is_missing,
    is_spoilt,
    is_unnamed,
    is_whole_number,
    refuse_missing,
    refuse_same,
    same_to_the_ear,
    same_to_the_eye,
    spellings,
)
from fatewalk.core.words import count
from fatewalk.screen.controls import looks_like_control
from fatewalk.screen.guide_map import ONE_OF_SEVERAL

if TYPE_CHECKING:
    from collections.abc import Container

    import pandas as pd

Report = dict[str, Any]

WORD = re.compile(r"[^\W_]+")
BETWEEN_GENES = re.compile(r"\s*[;,|+/&]\s*")


def _names_several(gene: str, genes: Container[str]) -> bool:
    """Whether a gene is a list of others: ``A;B``, ``A|B``, ``A+B``."""
    parts = BETWEEN_GENES.split(gene)
    return len(parts) > 1 and all(part in genes for part in parts)


def check_names(rows: pd.DataFrame, report: Report) -> None:
    """Refuse names of genes and guides that are spoilt or two for one; warn where they may be.

    Parameters
    ----------
    rows
        guide, gene, is_ntc of the guide map as given.
    report
        Gets ``warnings``.

    Raises
    ------
    FatewalkError
        If the name of a gene is missing, or is what a spreadsheet made of it, or if two are one to the eye.
    """
    targeting = rows[~rows["is_ntc"]]
    genes = {str(gene): int(n) for gene, n in targeting["gene"].value_counts(sort=False).items()}
    guides = list(rows["guide"].drop_duplicates())
    _check_genes(genes, report)
    _warn_of_two_in_one(list(genes), "gene", report)
    _warn_of_two_in_one(guides, "guide", report)
    if several := [gene for gene in genes if _names_several(gene, genes)]:
        report["warnings"].append(
            f"Gene {quoted(several)} names several genes of the guide map and is fitted as one "
            "of its own; a guide belongs to exactly one gene: leave such guides out if that is not meant."
        )
    gene_of = dict(zip(rows["guide"], rows["gene"], strict=True))
    spoilt = [name for name in guides if is_spoilt(name) and not name.startswith(gene_of[name] or " ")]
    if spoilt:  # JUN-01 is a guide of JUN
        report["warnings"].append(
            f"{count(len(spoilt), 'guide')} in the guide map: {quoted(spoilt)}, named like a "
            "date or a rounded number of a spreadsheet; if a spreadsheet did that, write the names again."
        )
    if missing := [guide for guide in guides if is_missing(guide)]:
        report["warnings"].append(
            f"The guide map has a guide {quoted(missing)}. If that marks cells without a "
            "guide, take it out of the map and of the calls."
        )
    _warn_of_other_genes(targeting, genes, report)


def _check_genes(genes: dict[str, int], report: Report) -> None:
    """Names of genes, with the guides of each, that are none."""
    place = "guide_map: column 'gene_name'"
    mend = "name their gene, set is_ntc to True, or leave these guides out"
    refuse_missing({gene: n for gene, n in genes.items() if gene != "NA"}, "gene", place, mend)
    if spoilt := [gene for gene in genes if is_spoilt(gene)]:
        raise FatewalkError(
            f"{place}: {quoted(spoilt)} is what a spreadsheet makes of the name of a gene "
            "(MARCH1, SEPT2, 2310009E13Rik), and several genes may have become one; write the symbols again, "
            "and import such columns as text"
        )
    for gene, n in genes.items():  # the neuraminidase of a virus is called NA
        if gene == "NA" or (is_unnamed(gene) and not looks_like_control(gene)):
            report["warnings"].append(
                f"Gene {gene!r} of {count(n, 'guide')} is taken for a gene; if the name is missing, name the "
                "gene, set is_ntc to True, or leave these guides out."
            )
    numbers = [gene for gene in genes if is_whole_number(gene)]
    if 0 < len(numbers) < len(genes) / 2:  # else they are Entrez identifiers
        found = first_few(f"{gene!r} of {count(genes[gene], 'guide')}" for gene in numbers)
        are = "gene of the guide map is a number", "genes of the guide map are numbers"
        report["warnings"].append(
            f"{count(len(numbers), *are)} where most have names: {found}. A spreadsheet makes dates of names "
            "and numbers of dates, and its look-ups give 0: write the names again."
        )


def _warn_of_two_in_one(names: list[str], what: str, report: Report) -> None:
    """Refuse names that are one to the eye; warn of those that may be one."""
    refuse_same(same_to_the_eye(names), f"{what}s", f"guide_map: column '{what}_name'")
    if alike := same_to_the_ear(names):
        report["warnings"].append(
            f"{count(len(alike), f'pair or group of {what}s', f'pairs or groups of {what}s')} of the guide "
            f"map differ only in case, signs or the writing of a number: {spellings(alike)}. They are "
            f"fitted as different {what}s; if they are one, write each in one way."
        )


def _warn_of_other_genes(targeting: pd.DataFrame, genes: Container[str], report: Report) -> None:
    """Warn of guides that are named after another gene than theirs, of the map or of their neighbours."""
    rows = targeting.drop_duplicates("guide")
    rows = rows.assign(stem=rows["guide"].str.extract(ONE_OF_SEVERAL)["gene"].fillna(rows["guide"]))
    other = rows[rows["stem"] != rows["gene"]]
    pairs = zip(other["guide"], other["gene"], strict=True)
    other = other[np.array([not _names(*pair) for pair in pairs], dtype=bool)]
    found = np.array([_named_after(guide, genes) is not None for guide in other["guide"]], dtype=bool)
    # beside guides that have the gene's name, several with another in common: filled down?
    beside = other["gene"].isin(rows["gene"][~rows.index.isin(other.index)])
    of_stem = other.groupby("stem")["gene"]
    filled = beside & (of_stem.transform("size") > 1) & (of_stem.transform("nunique") == 1)
    if len(odd := other[found | filled]):
        shown = first_few(
            f"{guide!r} (gene_name {gene!r})" for guide, gene in zip(odd["guide"], odd["gene"], strict=True)
        )
        its = "its" if len(odd) == 1 else "their"
        report["warnings"].append(
            f"{count(len(odd), 'guide is', 'guides are')} named after another gene than {its} own: {shown}. "
            "Correct gene_name if columns of the map were moved, sorted apart or filled down, or a name was "
            "mistyped."
        )


def _named_after(guide: str, genes: Container[str]) -> str | None:
    """The gene that the first words of a guide's name are: of ``sgTP53-2``, ``NKX2-1_g1``."""
    bare = guide.removeprefix("sg").lstrip("-_. ")
    ends = [found.start() for found in re.finditer(r"[\W_]", bare)]
    return next((bare[:end] for end in [len(bare), *reversed(ends)] if bare[:end] in genes), None)


def _names(guide: str, gene: str) -> bool:
    """Whether a guide's name has the words of its gene, or of one of several, whatever signs are between."""
    name = f"-{'-'.join(WORD.findall(guide.lower()))}-"
    words = ("-".join(WORD.findall(one)) for one in BETWEEN_GENES.split(gene.lower()))
    return any(f"-{one}-" in name or f"-sg{one}-" in name for one in words)
