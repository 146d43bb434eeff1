"""Guides of AnnData and MuData: the calls and the guide map that a matrix or a column of obs gives."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.tables import truth_of
from fatewalk.screen.readers.guide_places import (
    DEFAULT,
    as_names,
    feature_types,
    guide_variables,
    is_text,
    key_of,
    names_no_guide,
    names_several,
    plain,
)
from fatewalk.screen.readers.matrices import kind_of, read_entries, shape_of
from fatewalk.screen.readers.tenx import split_protospacer_calls
from fatewalk.screen.text import or_blank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fatewalk.screen.readers.anndata import AnnDataDataset
    from fatewalk.screen.readers.guide_places import Place
    from fatewalk.screen.readers.matrices import Entries
    from fatewalk.screen.readers.stores import Part

# usual names, in lower case without signs
_GENES = ("intendedtargetname", "targetgenename", "targetgene", "guidetarget", "targetname", "target",
          "genename", "genesymbol", "gene")  # fmt: skip
_IS_NTC = ("isntc", "ntc", "nontargeting", "isnontargeting", "iscontrol", "control")
_TYPES = ("type", "guidetype", "targettype")
_NTC_TYPES = {"nontargeting", "safetargeting", "negativecontrol", "ntc"}

# between names; a + beside _ - : . | or at an end is the strand in a name ("A1BG_+_588")
_SEPARATORS = {";": ";", "|": r"\|", ",": ",", "+": r"(?<![_\-:.|])(?<!^)\+(?![_\-:.|]|$)"}


@dataclass(frozen=True)
class Found:
    """Guides as they were read.

    Attributes
    ----------
    calls : pandas.DataFrame
        cell_id, guide [, umi]; one row a call.
    notes : list of str
        Sentences for the report.
    guide_map : pandas.DataFrame or None
        guide_name, gene_name [, is_ntc], if the file has one.
    """

    calls: pd.DataFrame
    notes: list[str]
    guide_map: pd.DataFrame | None = None


def read_guides(place: Place, dataset: AnnDataDataset) -> Found:
    """Read calls, notes and guide map from where the guides are.

    Raises
    ------
    FatewalkError
        If they are no guides of these cells, or no cell has one.
    """
    if place.element.startswith("obs/"):
        found = _of_column(place, dataset)
    else:
        found = _of_obsm(place, dataset) if place.element.startswith("obsm/") else _of_variables(place)
    if found.calls.empty:
        raise FatewalkError(f"{place.where}: no cell has a guide; set guide_key to where the guides are")
    by_itplace = dataset.guide_key is None and place.element != f"obsm/{DEFAULT}"
    notes = [f"Guides are read from {place.where}."] if by_itplace else []
    return replace(found, notes=notes + found.notes)


# ------------------------------------------------------------------ matrices


def _of_obsm(place: Place, dataset: AnnDataDataset) -> Found:
    """Every value above zero of a cells x guides matrix."""
    element = place.part.group[place.element]
    shape = shape_of(element, place.where)
    names = guide_names(place, shape[-1], dataset)
    entries = _checked(place, read_entries(element, place.where), *shape)
    by_itself = dataset.guide_key is None and place.element != f"obsm/{DEFAULT}"
    if by_itself and (entries.value % 1 != 0).any():
        raise FatewalkError(
            f"{place.where} holds no counts, so that it may not be the calls. If each value above 0 is one, "
            f"set guide_key to {key_of(place)!r}; else make it 0/1 with a threshold of your own"
        )
    calls, notes = _calls(place, entries, entries.value, names)
    return Found(calls, notes)


def guide_names(place: Place, width: int, dataset: AnnDataDataset) -> list[str]:
    """Names of the columns of an obsm element: its own, else those configured, else those in uns."""
    part = place.part
    element = part.group[place.element]
    if kind_of(element) == "dataframe":
        own = [str(name) for name in element.attrs["column-order"]]
        if dataset.guide_names and own != list(dataset.guide_names):
            raise FatewalkError(
                f"{place.where}: guide_names lists {quoted(dataset.guide_names, 10)}, but the "
                f"columns of the data frame are {quoted(own, 10)}; leave guide_names out"
            )
        return own
    names = dataset.guide_names or part.names(dataset.guide_names_key)
    if names is None:
        raise FatewalkError(
            f"{place.where} is a matrix without names of the guides, and there is no list "
            f"uns[{dataset.guide_names_key!r}]{_lists_of(part, width)}; set guide_names_key or guide_names"
        )
    if len(names) != width:
        origin = "guide_names" if dataset.guide_names else f"{dataset.guide_names_key!r}"
        raise FatewalkError(
            f"{place.where}: {width} columns, but {origin} gives {len(names)} names "
            f"({quoted(names, 10)}); set guide_names to the names in the order of the columns"
        )
    return list(names)


def _lists_of(part: Part, width: int) -> str:
    """Lists in uns that could be the names, for the message."""
    shapes = {
        key: getattr(part.group[f"uns/{key}"], "shape", ())
        for key in part.keys("uns")
        if not key.endswith("_colors")
    }
    lists = [f"uns[{key!r}]" for key, shape in shapes.items() if shape == (width,)]
    return f" (a list of {width} is {' or '.join(lists)})" if lists else ""


def _of_variables(place: Place) -> Found:
    """Guides that are variables of X or a layer, with the guide map that var holds."""
    part = place.part
    if place.element not in part.group:
        raise FatewalkError(f"{part.where}: has no {place.element}; set guide_key to where the guides are")
    is_guide, types = guide_variables(part.var), feature_types(part.var)
    if is_guide is None and types is not None and (types == "Gene Expression").any():
        raise FatewalkError(
            f"{place.where}: no variable is a guide; var[{types.name!r}] holds "
            f"{quoted(types.unique())}, and guides are 'CRISPR Guide Capture'. Set guide_key "
            "to where the guides are"
        )
    wanted = np.ones(len(part.var), dtype=bool) if is_guide is None else is_guide
    names = part.var.index.astype(str)
    element = part.group[place.element]
    entries = _checked(place, read_entries(element, place.where, wanted), len(part.obs), int(wanted.sum()))
    notes = [] if wanted.all() else [f"{wanted.sum()} of {len(wanted)} variables are guides."]
    notes += _note_of_names(place, part.var[wanted])
    umi = entries.value
    if place.assigned:
        umi, more = _umis_beside(place, entries, wanted)
        notes += more
    calls, more = _calls(place, entries, umi, names, wanted)
    return Found(calls, notes + more, _map_in(part.var[wanted]))


def _note_of_names(place: Place, var: pd.DataFrame) -> list[str]:
    """Tell of a column of names of guides that are not those of the variables."""
    guide = var.index.astype(str)
    return [
        f"Guides of {place.where} are named as its variables are ({quoted(guide)}), not as "
        f"var[{name!r}] has them ({quoted(or_blank(var[name]))}); for these, in Python: "
        f"adata.var_names = adata.var[{name!r}]"
        for name in var
        if plain(name) in ("guidename", "guideid") and not or_blank(var[name]).isin(guide).any()
    ]


def _umis_beside(place: Place, called: Entries, wanted: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """UMI counts in X of the calls of the layer guide_assignment; ones, if X has none."""
    part, width = place.part, len(wanted)
    ones = np.ones(len(called.value))
    if "X" not in part.group:
        return ones, []
    counts = read_entries(part.group["X"], f"{part.where}: X", wanted)
    of = pd.Series(counts.value).groupby(counts.row * width + counts.column).sum()
    umi = of.reindex(called.row * width + called.column).to_numpy(dtype=float)
    without = int((~(umi >= 1) | (umi % 1 != 0)).sum())
    if without:
        return ones, [
            f"{without} of {len(umi)} calls of {place.where} have no UMI count in X: none are read."
        ]
    return umi, []


def _checked(place: Place, entries: Entries, rows: int, width: int) -> Entries:
    """Refuse a matrix of other cells, or of values that are no counts; keep what is above zero."""
    place.part.refuse_rows(place.within, rows)
    _refuse_no_counts(place, entries)
    twice = pd.Series(entries.row * (entries.column.max(initial=0) + 1) + entries.column).duplicated()
    if twice.any():
        raise FatewalkError(
            f"{place.where} is damaged: {twice.sum()} of {len(twice)} values stand in a place that has one, "
            f"first of cell {place.part.cell_id[entries.row[twice]][0]!r}; copy the file again, or call "
            f"adata.{place.within}.sum_duplicates() in Python and write it again"
        )
    _refuse_no_calls(place, entries.value, rows, width)
    return entries


def _refuse_no_counts(place: Place, entries: Entries) -> None:
    """Refuse missing values, which stand for no call perhaps, and negative ones, which are no counts."""
    missing, negative = ~np.isfinite(entries.value), entries.value < 0
    cells = place.part.cell_id
    if missing.any():
        raise FatewalkError(
            f"{place.where} holds missing or infinite values ({missing.sum()}, first of cell "
            f"{cells[entries.row[missing]][0]!r}); it must hold UMI counts or 0/1: where no guide was seen, "
            f"write 0, of a data frame in Python: adata.{place.within} = adata.{place.within}.fillna(0)"
        )
    if negative.any():
        others = [f"layers[{key!r}]" for key in place.part.keys("layers") if key != place.element[7:]]
        layers = f" (is that {' or '.join(others)}? then set guide_key to its name)" if others else ""
        raise FatewalkError(
            f"{place.where} holds negative values ({negative.sum()}, first {entries.value[negative][0]:.3g} "
            f"of cell {cells[entries.row[negative]][0]!r}), so that it is scaled or background was taken "
            f"off; name the UMI counts{layers}, or calls as 0/1"
        )


def _refuse_no_calls(place: Place, value: np.ndarray, cells: int, guides: int) -> None:
    """Refuse probabilities, and values of nearly all guides, of which those above 0 are no calls."""
    if (value % 1 == 0).all():
        return
    small, mean = int((value < 0.5).sum()), len(value) / cells
    if value.max() <= 1 and small:
        found = f"{small} of {len(value)} are below 0.5, so that they are probabilities or shares"
    elif mean > guides / 2:
        found = (
            f"{len(value)} are above 0, so that a cell would have {mean:.3g} of {guides} guides on average"
        )
    else:
        return
    raise FatewalkError(
        f"{place.where} must hold UMI counts or 0/1: of its values {found}; make it 0/1 with a threshold of "
        f"your own, in Python: adata.{place.within} = (adata.{place.within} > 0.5).astype(int)"
    )


def _calls(
    place: Place,
    entries: Entries,
    umi: np.ndarray,
    names: Sequence[str] | pd.Index,
    wanted: np.ndarray | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Calls in long form, with UMIs if these are counts."""
    index = pd.Index(names)
    used = index if wanted is None else index[wanted]
    if repeated := used[used.duplicated()].unique().tolist():
        raise FatewalkError(
            f"{place.where}: guide {quoted(repeated)} stands in several columns; give each guide a name of "
            "its own (if these are names of genes, the names of the guides are needed here), and leave a "
            "column out only where it is a copy"
        )
    if len(blank := np.flatnonzero(used.astype(str).str.strip() == "")):
        raise FatewalkError(
            f"{place.where}: column {first_few(blank + 1)} of {len(used)} has no name; name its guide, or "
            "leave the column out"
        )
    rank = np.arange(len(index)) if wanted is None else np.cumsum(wanted) - 1
    table = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(entries.row, categories=place.part.cell_id),
            "guide": pd.Categorical.from_codes(rank[entries.column], categories=used),
        }
    )
    whole = bool((umi % 1 == 0).all())
    if whole and (umi > 1).any():
        table["umi"] = umi
    note = f"{place.where} holds no counts: each value above 0 is taken as a call."
    return table, [] if whole else [note]


def _map_in(var: pd.DataFrame) -> pd.DataFrame | None:
    """The guide map that a table of guides holds: its columns of genes and of controls."""
    columns = {plain(name): var[name] for name in reversed(var.columns)}
    guide = var.index.astype(str)
    texts = (or_blank(columns[name]).to_numpy(dtype=object) for name in _GENES if name in columns)
    gene = next((text for text in texts if (text != guide).any()), None)
    if gene is None:
        return None
    table = pd.DataFrame({"guide_name": guide, "gene_name": gene})
    is_ntc = _controls(columns)
    return table if is_ntc is None else table.assign(is_ntc=is_ntc)


def _controls(columns: dict[str, pd.Series]) -> np.ndarray | None:
    """Which guides are controls by their table, bool [M]; None if it does not say."""
    for name in ("targeting", *_IS_NTC):
        if name in columns:
            said = truth_of(columns[name])
            if said.notna().all():
                return said.to_numpy(dtype=bool) != (name == "targeting")
    for name in _TYPES:
        if name in columns:
            kinds = columns[name].astype(str).map(plain)
            if kinds.isin(_NTC_TYPES | {"targeting"}).all():
                return kinds.isin(_NTC_TYPES).to_numpy(dtype=bool)
    return None


# ------------------------------------------------------------------- columns


def _of_column(place: Place, dataset: AnnDataDataset) -> Found:
    """Guides that a column of obs names: one of a cell, or several between separators."""
    key = place.element.removeprefix("obs/")
    column, cells = place.part.obs[key], place.part.cell_id
    if not is_text(column):
        raise FatewalkError(
            f"{place.where} holds numbers ({first_few(column.unique())}); guide_key needs a column of names "
            f"of guides; if these numbers are names, in Python: {as_names(key)}"
        )
    if plain(key) == "featurecall" and "num_umis" in place.part.obs:
        return _of_tenx_columns(place, key)
    codes, distinct = pd.factorize(column)  # -1: missing
    if lists := [text for text in map(str, distinct) if text[:1] + text[-1:] in ("[]", "()", "{}")]:
        raise FatewalkError(
            f"{place.where} holds lists, such as {lists[-1]!r}; write the guides of a cell as one text, in "
            f"Python: adata.obs[{key!r}] = [';'.join(guides) for guides in lists]"
        )
    texts, notes = _split(place, pd.Series(distinct.astype(str)).str.strip(), dataset.guide_separator)
    guide, guides = pd.factorize(texts)
    names = pd.DataFrame({"value": texts.index, "guide": guide})  # one row a guide of a distinct value
    several = np.array([names_several(name) for name in guides], dtype=bool)
    nothing = np.array([names_no_guide(name) for name in guides], dtype=bool)
    if several.any():
        count = np.isin(codes, names["value"][several[guide]]).sum()
        raise FatewalkError(
            f"{place.where}: {count} cells have {quoted(guides[several])}, which tells none of "
            "their guides; leave these cells out, or name all their guides"
        )
    rows = pd.DataFrame({"cell": np.flatnonzero(codes >= 0), "value": codes[codes >= 0]})
    calls = rows.merge(names[~nothing[guide]], on="value")
    if without := len(cells) - calls["cell"].nunique():
        words = [*map(repr, guides[nothing]), *(["missing"] if (codes < 0).any() else [])]
        notes.append(f"{without} cells name no guide in {place.where} ({first_few(words)}).")
    table = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(calls["cell"], categories=cells),
            "guide": pd.Categorical.from_codes(calls["guide"], categories=guides),
        }
    )
    return Found(table, notes)


def _split(place: Place, texts: pd.Series, configured: str | None) -> tuple[pd.Series, list[str]]:
    """Names in each distinct text, indexed by the text's number, and what separates them."""
    separator = configured or _separator(place, texts)
    if separator is None:
        return texts, []
    pattern = _SEPARATORS.get(separator, re.escape(separator))
    names = texts.str.split(pattern, regex=True).explode().str.strip()
    return names, [f"Guides of {place.where} are separated by {separator!r}."]


def _of_tenx_columns(place: Place, key: str) -> Found:
    """Columns that were joined from Cell Ranger's table: feature_call, num_umis."""
    obs = place.part.obs
    table = pd.DataFrame(
        {"cell_barcode": place.part.cell_id, "feature_call": obs[key], "num_umis": obs["num_umis"]}
    )
    calls, without = split_protospacer_calls(table.reset_index(drop=True).astype(object), place.where)
    return Found(calls, [f"{without} cells name no guide in {place.where}."] if without else [])


def _separator(place: Place, texts: pd.Series) -> str | None:
    """The one separator that occurs; None where each value is one guide."""
    found = [sign for sign, pattern in _SEPARATORS.items() if texts.str.contains(pattern).any()]
    if len(found) > 1:
        examples = [texts[texts.str.contains(_SEPARATORS[sign])].iloc[0] for sign in found]
        raise FatewalkError(
            f"{place.where}: several signs can separate guides: "
            f"{', '.join(f'{sign!r} in {text!r}' for sign, text in zip(found, examples, strict=True))}; set "
            "guide_separator to the one that does"
        )
    return found[0] if found else None
