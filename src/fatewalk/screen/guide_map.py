"""The guide map: which guide is of which gene, and which are controls.

It comes from the file that the entry names, else from the screen's own file, else every value of the calls
is a gene of its own (a column of perturbations). Which names are controls is never guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from fatewalk.core.errors import FatewalkError, first_few, nearest, quoted
from fatewalk.core.schema import GUIDE_MAP
from fatewalk.core.tables import as_bool, read_table, require_columns, with_names_of_rows
from fatewalk.screen.controls import looks_like_control
from fatewalk.screen.readers.guide_places import names_no_guide, names_several
from fatewalk.screen.readers.tenx import FEATURE_REFERENCE, is_feature_reference, map_of_reference
from fatewalk.screen.text import or_blank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fatewalk.screen.raw import RawScreen

SEPARATORS = ";|,+"
ONE_OF_SEVERAL = re.compile(r"(?P<gene>.+)[-_. #]+(sg|sgrna|grna|g|guide)?[-_]?\d+", re.IGNORECASE)


def read_guide_map(
    raw: RawScreen, calls: pd.DataFrame, path: str | None, ntc_names: Sequence[str] | None
) -> tuple[pd.DataFrame, str, list[str]]:
    """Read the guide map of a screen.

    Parameters
    ----------
    raw
        The screen, with a guide map if its own file carries one.
    calls
        The canonical calls: cell_id, guide.
    path
        ``guide_map`` of the entry: a table guide_name, gene_name [, is_ntc] or 10x ``feature_reference.csv``.
    ntc_names
        ``ntc_names`` of the entry: guides or genes that are controls.

    Returns
    -------
    guide_map : pandas.DataFrame
        guide_name, gene_name, is_ntc (bool); one row a guide, in the order of its source.
    where : str
        The file that it is from.
    notes : list of str
        Sentences for the report.

    Raises
    ------
    FatewalkError
        If a column, a gene or a name is missing, or nothing says which guides are controls.
    """
    guides = calls["guide"].cat.remove_unused_categories().cat.categories
    notes: list[str] = []
    if path is not None:
        where = path
        table = read_table(path, text=(*GUIDE_MAP, *FEATURE_REFERENCE))
        if is_feature_reference(table):
            table, notes = map_of_reference(table, guides, path)
        else:
            table, notes = with_names_of_rows(table, "guide_name", path)
        require_columns(table, GUIDE_MAP[:2], path)
    elif raw.guide_map is not None:
        where, table = raw.calls_where, raw.guide_map  # it stands beside the guides
    else:
        where, table = raw.calls_where, pd.DataFrame({"guide_name": guides, "gene_name": guides})
        _refuse_no_guides(guides, where)
        notes = [_each_its_own_gene(guides, where)]
    if table.empty:
        raise FatewalkError(f"{where}: the guide map has no rows")
    own = path is None and raw.guide_map is None
    known = or_blank(table["guide_name"])
    single = known[~known.str.contains(f"[{SEPARATORS}]")] if own else known
    _refuse_several_in_one(guides, single, raw.calls_where)
    others = [name for name in table if name not in GUIDE_MAP]
    table = table[[name for name in GUIDE_MAP if name in table]].reset_index(drop=True)
    if "is_ntc" in table:
        table["is_ntc"] = as_bool(table["is_ntc"], where)
    elif ntc_names is None:
        lacking = (
            "there is no guide_map"
            if own
            else f"the guide map has no column is_ntc{nearest('is_ntc', others)}"
        )
        raise FatewalkError(f"{where}: {lacking}, {_proposal(table, calls)}")
    if ntc_names is not None:
        table["is_ntc"], note = _with_names(table, ntc_names, where)
        notes = [*notes, note]
    _refuse_nameless(table, where)
    return table, where, notes


def _with_names(table: pd.DataFrame, ntc_names: Sequence[str], where: str) -> tuple[pd.Series, str]:
    """Controls of the map: those that it marks, and those whose guide or gene is in ``ntc_names``."""
    guide, gene = or_blank(table["guide_name"]), or_blank(table["gene_name"])
    known = pd.Index(pd.unique(pd.concat([gene, guide])))
    if unknown := [name for name in ntc_names if name not in known]:
        raise FatewalkError(
            f"{where}: ntc_names lists {', '.join(f'{name!r}{nearest(name, known)}' for name in unknown[:3])}"
            f"{f' (and {len(unknown) - 3} more)' if len(unknown) > 3 else ''}, but no guide and no gene has "
            f"this name; found: {quoted(known, 10)}. Spell ntc_names as they are there"
        )
    named = guide.isin(ntc_names) | gene.isin(ntc_names)
    marked = table["is_ntc"] if "is_ntc" in table else pd.Series(False, index=table.index)
    beside = f", beside {int((marked & ~named).sum())} that {where} marks" if (marked & ~named).any() else ""
    return named | marked, f"Controls by ntc_names: {int(named.sum())} guides{beside}."


def _refuse_nameless(table: pd.DataFrame, where: str) -> None:
    guide = or_blank(table["guide_name"])
    nameless = (or_blank(table["gene_name"]) == "") & ~table["is_ntc"].to_numpy(dtype=bool)
    if nameless.any():
        raise FatewalkError(
            f"{where}: {nameless.sum()} guides have no gene: {quoted(guide[nameless])}; name "
            "the gene of each, or mark controls (is_ntc True, or ntc_names)"
        )


def _refuse_several_in_one(guides: pd.Index, known: pd.Series, where: str) -> None:
    """Refuse values of the calls that hold several known guides, with a separator between them."""
    values = guides[~guides.isin(known)]
    for separator in SEPARATORS:
        parts = values[values.str.contains(separator, regex=False)].to_series().str.split(separator).explode()
        several = parts.str.strip().isin(known).groupby(level=0).all()
        if several.any():
            raise FatewalkError(
                f"{where}: {several.sum()} values such as {several.index[several][0]!r} hold several guides, "
                f"with {separator!r} between them; write one row for each call, in Python: "
                f"calls.assign(guide=calls['guide'].str.split({separator!r})).explode('guide')"
            )


def _refuse_no_guides(guides: pd.Index, where: str) -> None:
    """Refuse words for cells without a known guide, where every value would be a gene."""
    if words := [name for name in guides if names_no_guide(name) or names_several(name)]:
        raise FatewalkError(
            f"{where}: {quoted(words)} names no guide and, without guide_map, would be a gene; "
            "leave these calls out, and the cells too if they have guides that are not known"
        )


# ----------------------------------------------------------- nothing says which are controls


def _each_its_own_gene(guides: pd.Index, where: str) -> str:
    several = several_of_a_gene(guides)
    warning = (
        f" But names such as {several} look like guides of one gene: give guide_map, or their effects are "
        "estimated apart."
        if several
        else ""
    )
    note = f"No guide map: each of the {len(guides)} values of {where} is a gene of its own.{warning}"
    return note + _warning_of_pairs(guides)


def _warning_of_pairs(guides: pd.Index) -> str:
    """Tell of values that are several of the others, with a sign between that is no usual separator."""
    pieces = guides.to_series().str.split(r"[\W_]", regex=True)
    pairs = [
        name for name, parts in pieces.items() if len(parts) > 1 and all(part in guides for part in parts)
    ]
    if not pairs:
        return ""
    return (
        f" But {len(pairs)} of them are several of the others, such as {pairs[0]!r}: if these cells carry "
        "all of them, write ';' between, or set guide_separator to the sign; else each is a gene apart."
    )


def several_of_a_gene(guides: Iterable[str]) -> str:
    """Two guides of what looks like one gene, if most names look so and of more than one gene; or nothing."""
    names = pd.Series([name for name in guides if not looks_like_control(name)], dtype=object)
    gene = names.str.extract(ONE_OF_SEVERAL)["gene"]
    several = gene.duplicated(keep=False) & gene.notna()
    if gene[several].nunique() < 2 or several.mean() < 0.5:
        return ""
    return quoted(names[gene == gene[several].iloc[0]], 2)


def _proposal(table: pd.DataFrame, calls: pd.DataFrame) -> str:
    """What to write where nothing says which guides are controls: the names that look like some."""
    guide, gene = or_blank(table["guide_name"]), or_blank(table["gene_name"])
    name = gene.where(gene.map(looks_like_control) | ~guide.map(looks_like_control), guide)
    cells = _cells_of(calls, dict(zip(guide, name, strict=True)))  # by name, most first
    likely = [each for each in pd.unique(name) if looks_like_control(each)]
    if likely:
        guides = name.value_counts()
        listed = (f"{each!r} ({guides[each]} guides, {cells.get(each, 0)} cells)" for each in likely)
        what = f"{first_few(listed, 10)} may be controls; if they are, paste"
    else:
        listed = (f"{each!r} ({n} cells)" for each, n in cells.items())
        what = f"None looks like a control; there are {first_few(listed, 10)}. Name the controls, pasting"
    names = likely or cells.index[:1].tolist()
    line = yaml.safe_dump(names, default_flow_style=True, width=1e9).strip()
    several = several_of_a_gene(guide) if guide.equals(gene) else ""
    better = (
        f". Names such as {several} look like guides of one gene: then give guide_map, a table "
        f"{', '.join(GUIDE_MAP)}, instead"
        if several
        else ""
    )
    return (
        f"and nothing says which of its names are controls. {what} this line into the data set's entry, "
        f"corrected:\n    ntc_names: {line}\nIf there are no controls, write ntc_names: []{better}"
    )


def _cells_of(calls: pd.DataFrame, names: dict[str, str]) -> pd.Series:
    """Cells with a call of each name, most first."""
    guide, cell = calls["guide"].cat, calls["cell_id"].cat
    codes, distinct = pd.factorize(guide.categories.map(lambda each: names.get(each, "")))
    pairs = np.unique(codes[guide.codes] * np.int64(len(cell.categories)) + cell.codes)
    count = np.bincount(pairs // max(len(cell.categories), 1), minlength=len(distinct))
    found = pd.Series(count, index=distinct).sort_values(ascending=False, kind="stable")
    return found[(found.index != "") & (found > 0)]
