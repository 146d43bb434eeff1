"""Guides of AnnData and MuData: where they are, and the calls and the guide map that they give.

Guides are a matrix (an element of obsm, X or a layer, of which the variables are the guides), or a column
of obs that names them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few, nearest, quoted
from fatewalk.core.names import is_missing
from fatewalk.core.tables import truth_of
from fatewalk.screen.readers.matrices import SPARSE, kind_of, read_entries, shape_of
from fatewalk.screen.readers.tenx import split_protospacer_calls
from fatewalk.screen.text import or_blank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fatewalk.screen.readers.anndata import AnnDataDataset
    from fatewalk.screen.readers.matrices import Entries
    from fatewalk.screen.readers.stores import Part

DEFAULT = "guide"  # key of obsm that is taken before all others
ASSIGNMENT = "guide_assignment"  # layer of calls, beside counts in X
FEATURES = ("feature_types", "feature_type")  # columns of var that tell guides from genes

# usual names, in lower case without signs
_GUIDES = re.compile(r"guide|grna|crispr|protospacer|perturb|gdo")
_MODALITIES = {"guide", "guides", "grna", "grnas", "sgrna", "sgrnas", "crispr", "crisprguidecapture",
               "guidecapture", "perturbation", "perturbations", "protospacer", "gdo"}  # fmt: skip
_COLUMNS = {"guide", "guides", "guideid", "guideids", "guidename", "guidenames", "guideidentity", "guidecall",
            "guidecalls", "grna", "grnas", "grnaid", "sgrna", "sgrnas", "sgrnaid", "featurecall",
            "perturbation", "perturbations", "nt"}  # fmt: skip
_GUIDE_VAR = {"intendedtargetname", "guidetarget", "targeting", "protospacer", "spacer", "sgrna", "guideid"}
_GENES = ("intendedtargetname", "targetgenename", "targetgene", "guidetarget", "targetname", "target",
          "genename", "genesymbol", "gene")  # fmt: skip
_IS_NTC = ("isntc", "ntc", "nontargeting", "isnontargeting", "iscontrol", "control")
_TYPES = ("type", "guidetype", "targettype")
_NTC_TYPES = {"nontargeting", "safetargeting", "negativecontrol", "ntc"}

# what stands in a column of guides where there is none, beside words for what is missing, or more than
# anyone told apart
_NO_GUIDE = {"unassigned", "notassigned", "noguide", "noguides", "nogrna", "nosgrna", "nocall", "nocalls",
             "unknown", "undetermined", "unmapped"}  # fmt: skip
_SEVERAL = {"doublet", "doublets", "multiplet", "multiplets", "multiple", "multi", "ambiguous"}
# between names; a + beside _ - : . | or at an end is the strand in a name ("A1BG_+_588")
_SEPARATORS = {";": ";", "|": r"\|", ",": ",", "+": r"(?<![_\-:.|])(?<!^)\+(?![_\-:.|]|$)"}


def plain(name: object) -> str:
    """A name in lower case without blanks and signs, to compare spellings."""
    return re.sub(r"[\W_]", "", str(name).lower())


def sounds_like_guides(key: object) -> bool:
    """Whether an obsm key, or another name, can be of guides."""
    return _GUIDES.search(plain(key)) is not None


def is_modality_of_guides(name: str) -> bool:
    """Whether a modality of MuData has a usual name of guides."""
    return plain(name) in _MODALITIES


def is_column_of_guides(key: object) -> bool:
    """Whether an obs column has a usual name of guides."""
    return plain(key) in _COLUMNS


def names_no_guide(name: str) -> bool:
    """Whether a name stands where no guide is known: ``NA``, ``unassigned``, ``*``."""
    return is_missing(name) or plain(name) in {"", *_NO_GUIDE}


def names_several(name: str) -> bool:
    """Whether a name stands for guides that nobody told apart: ``multiplet``."""
    return plain(name) in _SEVERAL


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


@dataclass(frozen=True)
class Place:
    """Where guides are: an element of a part of the file, or a column of its obs.

    Attributes
    ----------
    part
        The part.
    element
        ``obsm/guide``, ``X``, ``layers/counts`` or ``obs/guide_identity``.
    assigned
        Calls are those of the layer guide_assignment, which stands beside the counts.
    """

    part: Part
    element: str
    assigned: bool = False

    @property
    def within(self) -> str:
        """As one would write it in Python."""
        group, _, key = self.element.partition("/")
        return f"{group}[{key!r}]" if key else group

    @property
    def label(self) -> str:
        """With its modality."""
        return f"{self.within} of modality {self.part.name!r}" if self.part.name else self.within

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.part.path}: {self.label}"

    def read(self, dataset: AnnDataDataset) -> Found:
        """Read calls, notes and guide map.

        Raises
        ------
        FatewalkError
            If they are no guides of these cells, or no cell has one.
        """
        if self.element.startswith("obs/"):
            found = _of_column(self, dataset)
        else:
            found = _of_obsm(self, dataset) if self.element.startswith("obsm/") else _of_variables(self)
        if found.calls.empty:
            raise FatewalkError(f"{self.where}: no cell has a guide; set guide_key to where the guides are")
        by_itself = dataset.guide_key is None and self.element != f"obsm/{DEFAULT}"
        notes = [f"Guides are read from {self.where}."] if by_itself else []
        return replace(found, notes=notes + found.notes)


# --------------------------------------------------------------------- where


def find_guides(parts: Sequence[Part], dataset: AnnDataDataset, alone: bool = False) -> Place:
    """Find the guides: where ``guide_key`` says, else in the one place that can only be theirs.

    Parameters
    ----------
    parts
        Of the file.
    dataset
        The entry.
    alone
        The file is of guides alone, so that X may be taken without any sign of it.

    Raises
    ------
    FatewalkError
        If there is no such place, or several.
    """
    if dataset.guide_key is not None:
        return _named(parts, dataset.guide_key)
    if len(parts) == 1 and DEFAULT in parts[0].keys("obsm"):
        return Place(parts[0], f"obsm/{DEFAULT}")
    places = [place for part in parts for place in _matrices(part, dataset.fate_key)]
    places = places or [place for part in parts for place in _columns(part)]
    places = places or [_variables(part) for part in parts if sounds_like_guides(part.name)]
    if len(places) == 1:
        return places[0]
    if places:
        shown = "; ".join(f"{_key_of(place)!r}: {_shown(place)}" for place in places)
        raise FatewalkError(
            f"{parts[0].path}: guides can be read from {len(places)} places. Set guide_key to one of them: "
            + shown
        )
    if alone and len(parts) == 1:
        return _variables(parts[0])
    raise FatewalkError(
        f"{parts[0].path}: no guides were found; {_inventory(parts)}. Set guide_key to the obsm key of the "
        "cells x guides matrix, to the obs column that names the guides of a cell, or to X or a layer if the "
        "variables are guides, in MuData to their modality; or give protospacer_calls (10x) or guide_anndata "
        f"(a second file){''.join(f'. {hint}' for part in parts for hint in _elsewhere(part))}"
    )


def _named(parts: Sequence[Part], key: str) -> Place:
    """The place that ``guide_key`` names; in MuData also as ``modality:key``."""
    modality, _, rest = key.partition(":")
    inside = [part for part in parts if rest and part.name == modality]
    for chosen, name in ((parts, key), (inside, rest)):
        for part in chosen:
            if part.name and part.name == name:
                return _variables(part)
        places = [place for part in chosen for place in _at(part, name)]
        if len(places) == 1:
            return places[0]
        if places:
            raise FatewalkError(
                f"{parts[0].path}: guide_key {key!r} is in {len(places)} places; set it to one of "
                f"{', '.join(repr(_key_of(place)) for place in places)}"
            )
    known = [name for part in parts for name in (part.name, *part.keys("obsm"), *part.obs.columns)]
    raise FatewalkError(
        f"{parts[0].path}: guide_key {key!r} is neither in obsm nor in obs, and no layer"
        f"{nearest(key, known)}; {_inventory(parts)}. Set guide_key to the right key"
    )


def _at(part: Part, key: str) -> list[Place]:
    if key in part.keys("obsm"):
        return [Place(part, f"obsm/{key}")]
    if key in part.obs:
        return [Place(part, f"obs/{key}")]
    if key in part.keys("layers"):
        return [Place(part, f"layers/{key}")]
    return [Place(part, "X")] if key == "X" and "X" in part.group else []


def _matrices(part: Part, fate_key: str) -> list[Place]:
    """Matrices that can only be of guides, by their names and kinds."""
    places = [
        Place(part, f"obsm/{key}")
        for key in part.keys("obsm")
        if key != fate_key and sounds_like_guides(key) and _can_be_counts(part, key)
    ]
    if is_modality_of_guides(part.name) or guide_variables(part.var) is not None:
        places.append(_variables(part))
    return places


def _can_be_counts(part: Part, key: str) -> bool:
    """A sparse matrix, a data frame of numbers, or an array of whole ones: no embedding."""
    element = part.group[f"obsm/{key}"]
    if kind_of(element) == "dataframe":
        columns = [element[name] for name in element.attrs["column-order"][:1]]
        return all(kind_of(column) not in ("categorical", "string-array") for column in columns)
    return kind_of(element) in SPARSE or getattr(element, "dtype", np.dtype(float)).kind in "biu"


def _columns(part: Part) -> list[Place]:
    """Columns of obs with usual names of guides, that hold text."""
    return [
        Place(part, f"obs/{key}") for key in part.obs if is_column_of_guides(key) and _is_text(part.obs[key])
    ]


def _is_text(column: pd.Series) -> bool:
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return not (pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype))


def _variables(part: Part) -> Place:
    """Guides that are the variables: the calls of the layer guide_assignment, if there is one, or X."""
    assigned = ASSIGNMENT in part.keys("layers")
    return Place(part, f"layers/{ASSIGNMENT}" if assigned else "X", assigned)


def guide_variables(var: pd.DataFrame) -> np.ndarray | None:
    """Which variables are guides by their table, bool [M]; None if it has no sign of any."""
    types = _feature_types(var)
    if types is not None:
        is_guide = types.map(plain).str.contains("crispr|grna|guide").to_numpy(dtype=bool)
        return is_guide if is_guide.any() else None
    signs = _GUIDE_VAR.intersection(map(plain, var.columns))
    return np.ones(len(var), dtype=bool) if signs else None


def _feature_types(var: pd.DataFrame) -> pd.Series | None:
    """What each variable is, as 10x writes it; None if the table does not say."""
    names = [name for name in FEATURES if name in var]
    return var[names[0]].astype(str) if names else None


def _key_of(place: Place) -> str:
    """What ``guide_key`` has to be for a place."""
    key = place.element.partition("/")[2] or "X"
    if not place.part.name:
        return key
    return place.part.name if place == _variables(place.part) else f"{place.part.name}:{key}"


def _shown(place: Place) -> str:
    if not place.element.startswith("obs/"):
        return place.label
    values = place.part.obs[place.element.removeprefix("obs/")].dropna()
    return f"{place.label}, such as {str(values.iloc[0])!r}" if len(values) else f"{place.label}, empty"


def _elsewhere(part: Part) -> list[str]:
    """Where guides may be in a form that is not read, and how to bring them into one that is."""
    hints = []
    if "raw/var" in part.group and guide_variables(part.read("raw/var")) is not None:
        hints.append(
            "The guides are in raw: in Python, adata.raw.to_adata().write_h5ad('guides.h5ad'), to be named "
            "as guide_anndata"
        )
    types = _feature_types(part.var)
    if types is not None and (types != "Gene Expression").any():
        hints.append(
            f"var[{types.name!r}] holds {quoted(types.unique())}: those of guides must be "
            "'CRISPR Guide Capture'"
        )
    hints += [
        f"obs[{key!r}] holds numbers: if these are names of guides, in Python: {_as_names(key)}"
        for key in part.obs
        if is_column_of_guides(key) and not _is_text(part.obs[key])
    ]
    columns = [str(key) for key in part.obs if sounds_like_guides(key) and _is_text(part.obs[key])]
    if columns:
        hints.append(
            f"Columns of obs whose names sound like guides: {quoted(columns, 10)}"
            + (
                f". If each holds one guide of a cell, in Python: adata.obs['guide'] = adata.obs[{columns}]"
                ".apply(lambda row: ';'.join(row.dropna().astype(str)), axis=1)"
                if len(columns) > 1
                else ""
            )
        )
    if others := [key for key in part.keys("uns") if sounds_like_guides(key)]:
        hints.append(
            f"Guides are not read from uns ({quoted(others, 10)}): put them into obsm, a data "
            "frame of cells x guides, or into obs, the names of a cell's guides with ';' between"
        )
    return hints


def _as_names(key: object) -> str:
    """How a column of numbers becomes one of names."""
    return f"adata.obs[{key!r}] = adata.obs[{key!r}].astype('Int64').astype(str)"


def _inventory(parts: Sequence[Part]) -> str:
    names = [part.name for part in parts if part.name]
    found = [f"modalities: {', '.join(names)}"] if names else []
    for part in parts:
        of = f" of modality {part.name!r}" if part.name else ""
        groups = {"obsm": part.keys("obsm"), "obs": list(map(str, part.obs)), "layers": part.keys("layers")}
        found += [f"{group}{of}: {', '.join(keys)}" for group, keys in groups.items() if keys]
    return f"found in {'; in '.join(found)}" if found else "obsm, obs and layers are empty"


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
            f"set guide_key to {_key_of(place)!r}; else make it 0/1 with a threshold of your own"
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
    is_guide, types = guide_variables(part.var), _feature_types(part.var)
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
    if not (np.isfinite(entries.value).all() and (entries.value >= 0).all()):
        raise FatewalkError(
            f"{place.where} holds missing or negative values; it must hold UMI counts or 0/1, not normalised "
            "values"
        )
    twice = pd.Series(entries.row * (entries.column.max(initial=0) + 1) + entries.column).duplicated()
    if twice.any():
        raise FatewalkError(
            f"{place.where} is damaged: {twice.sum()} of {len(twice)} values stand in a place that has one, "
            f"first of cell {place.part.cell_id[entries.row[twice]][0]!r}; copy the file again, or call "
            f"adata.{place.within}.sum_duplicates() in Python and write it again"
        )
    _refuse_no_calls(place, entries.value, rows, width)
    return entries


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
        raise FatewalkError(f"{place.where}: guide {quoted(repeated)} stands in several columns; keep one")
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
    if not _is_text(column):
        raise FatewalkError(
            f"{place.where} holds numbers ({first_few(column.unique())}); guide_key needs a column of names "
            f"of guides; if these numbers are names, in Python: {_as_names(key)}"
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
