"""Names that are not what they seem: one name in two spellings, missing values, dates, rounded numbers.

All checks work on the distinct names of a column, never on its rows.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from fatewalk.core.errors import FatewalkError, first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: What programs and people write where there is no value.
WORDS_FOR_MISSING = """
    na nan <na> n/a #n/a n.a. none null <null> nat nil missing - -- --- . ?
    #ref! #name? #value! #div/0! #num! #null!
"""
MISSING = frozenset(WORDS_FOR_MISSING.split())
#: What programs that tell samples or clones apart write for cells that they could not place.
UNPLACED = frozenset(
    ("unassigned", "not assigned", "unknown", "undetermined", "unmapped", "ambiguous", "negative", "doublet",
     "multiplet", "singlet", "singleton", "no clone", "noclone", "no barcode", "no call", "unclustered",
     "unlabeled", "unlabelled", "-1")
)  # fmt: skip
#: What people write for a gene that they do not know, or have not looked up.
UNNAMED = frozenset(
    ("not known", "not found", "no gene", "unnamed", "unspecified", "undefined", "unclear", "tbd", "tba",
     "tbc", "todo", "to be determined", "other", "others", "misc", "various", "multiple", "error")
)  # fmt: skip
MONTH = "(Jan|Feb|Mar|Mrz|Apr|May|Mai|Jun|Jul|Aug|Sept?|Oct|Okt|Nov|Dec|Dez)"  # as spreadsheets write them
MONTH_ELSEWHERE = (  # in French, Spanish, Italian, Portuguese, Dutch, Nordic; genes may begin with them
    "janv|févr|mars|avr|juin|juil|août|déc|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|fev|out|mrt|mei|maj|märz"
)
MONTH_IN_FULL = (
    "January|February|March|April|June|July|August|September|October|November|December"  # May is above
)
DATE = re.compile(
    rf"\d{{1,2}}[-. /]+(?i:{MONTH}|{MONTH_IN_FULL}|{MONTH_ELSEWHERE})\.?([-. /]+\d{{2,4}})?"
    rf"|{MONTH}[- /]\d{{2,4}}|({MONTH_IN_FULL}) \d{{1,2}}(,? \d{{4}})?|\d{{4}}/\d{{1,2}}/\d{{1,2}}"
    r"|\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2})?)?|\d{1,2}[/.]\d{1,2}[/.](\d{2}|\d{4})"
)
ROUNDED = re.compile(r"\d[.,]\d+e[+-]?\d+|\de\+\d+", re.IGNORECASE)  # 1.2E+10
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
#: Letters of Cyrillic and Greek, and dashes, that look like those of a keyboard.
LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТХУаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    "ABESIJKMHOPCTXYaeopcyxijsABEZHIKMNOPTYXo-------",
)
SEPARATOR = "[-_. ]+"
BETWEEN_DIGITS = re.compile(rf"(?<=\d){SEPARATOR}(?=\d)")
BETWEEN_WORDS = re.compile(rf"(?<=[^\W\d_]){SEPARATOR}(?=[^\W_])|(?<=\d){SEPARATOR}(?=[^\W\d_])")
LEADING_ZEROS = re.compile(r"(?<=[^\W\d_])0+(?=\d)")
WORD_OF_REPLICATE = re.compile(r"(replicate|rep|r)(?=\d)")
WHOLE_NUMBER = re.compile(r"0*(\d+)(\.0*)?")
MARKS = "'\"`´‘’“”*†‡^ "  # of a spreadsheet's text, of quotation, of a footnote
ENSEMBL_VERSION = re.compile(r"(?<=\d{11})\.\d+")  # ENSG00000141510.18


def is_missing(name: str) -> bool:
    """Whether a name is a word for a missing value: ``NA``, ``nan``, ``-``, ``#REF!``, blanks."""
    return _spelled(name).lower() in MISSING or not _spelled(name)


def is_unplaced(name: str) -> bool:
    """Whether a name is a word for cells that no sample or clone was found for."""
    return _spelled(name).lower().replace("_", " ") in UNPLACED


def is_unnamed(name: str) -> bool:
    """Whether a name is a word for a gene that is not known, or for cells without one."""
    return is_unplaced(name) or _spelled(name).lower().replace("_", " ") in UNNAMED


def is_whole_number(name: str) -> bool:
    """Whether a name is a number such as ``44256`` or ``7157.0``."""
    return bool(WHOLE_NUMBER.fullmatch(_spelled(name)))


def is_spoilt(name: str) -> bool:
    """Whether a name is a date or a rounded number, as spreadsheets make them of names."""
    return bool(DATE.fullmatch(name.strip()) or ROUNDED.fullmatch(name.strip()))


def _spelled(name: str) -> str:
    """The name without differences that no eye sees: blanks, kinds of a letter and of a dash."""
    return " ".join(INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).translate(LOOK_ALIKES).split())


def _read_aloud(name: str) -> str:
    """The name without differences that no ear hears: case, dash or quotes, ``01`` or ``1.0`` for 1."""
    name = ENSEMBL_VERSION.sub("", _spelled(name).casefold().strip(MARKS).rstrip(".,;:"))
    if number := WHOLE_NUMBER.fullmatch(name):
        return number[1]
    return LEADING_ZEROS.sub("", BETWEEN_WORDS.sub("", BETWEEN_DIGITS.sub("_", name)))


def same_to_the_eye(names: Iterable[str]) -> list[list[str]]:
    """Groups of distinct names that differ only in blanks, or in composition or width of letters."""
    return _groups(names, _spelled)


def same_to_the_ear(names: Iterable[str]) -> list[list[str]]:
    """Groups of distinct names that differ only so, or in case, signs and the writing of a number."""
    return _groups(names, _read_aloud)


def same_replicates(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that are one to the ear, ``rep1``, ``replicate 1``, ``R1`` and ``1`` included."""
    return _groups(names, lambda name: _read_aloud(WORD_OF_REPLICATE.sub("", _read_aloud(name))))


def _groups(names: Iterable[str], form: Callable[[str], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(form(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def spellings(groups: Iterable[list[str]]) -> str:
    """Name groups, in quotes: ``'A' and 'A '``; letters that look alike as their codes."""
    return first_few(" and ".join(map(_shown, group)) for group in groups)


def _shown(name: str) -> str:
    """In quotes; what looks alike in another composition or width is written in codes."""
    return repr(name) if name.isascii() else ascii(name)


def refuse_same(groups: list[list[str]], what: str, where: str) -> None:
    """Refuse names that are one in several spellings.

    Raises
    ------
    FatewalkError
        If there is a group.
    """
    if groups:
        raise FatewalkError(
            f"{where}: {what} {spellings(groups)} differ only in blanks, case, signs or the form of their "
            "letters, so they are probably one and would count as two; write each name in one way"
        )


def refuse_missing(counts: Mapping[str, int], what: str, where: str, mend: str) -> None:
    """Refuse words for missing values that stand as names.

    Parameters
    ----------
    counts
        Rows of each name.
    what, where
        Kind of the names; file and column.
    mend
        What to do.

    Raises
    ------
    FatewalkError
        If a name is such a word.
    """
    if found := {name: n for name, n in counts.items() if is_missing(name)}:
        rows = first_few(f"{name!r} in {n} rows" for name, n in found.items())
        raise FatewalkError(f"{where}: {what} {rows} is a word for a missing value; {mend}")


def nearest_spelling(name: str, allowed: Iterable[str]) -> str | None:
    """The one allowed name that differs only in blanks, case, signs; None if there is none."""
    form = _read_aloud(name)
    found = [one for one in allowed if _read_aloud(one) == form]
    return found[0] if len(found) == 1 else None
