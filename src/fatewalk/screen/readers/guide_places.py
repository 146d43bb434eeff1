"""Where the guides of AnnData and MuData are: a matrix, or a column of obs, by usual names or `guide_key`.

A matrix is an element of obsm, or X or a layer, of which the variables are the guides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, nearest, quoted
from fatewalk.core.names import is_missing
from fatewalk.screen.readers.matrices import OF_NUMBERS, SPARSE, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fatewalk.screen.readers.anndata import AnnDataDataset
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
# what stands in a column of guides where there is none, beside words for what is missing, or more than
# anyone told apart
_NO_GUIDE = {"unassigned", "notassigned", "noguide", "noguides", "nogrna", "nosgrna", "nocall", "nocalls",
             "unknown", "undetermined", "unmapped"}  # fmt: skip
_SEVERAL = {"doublet", "doublets", "multiplet", "multiplets", "multiple", "multi", "ambiguous"}


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
    places = places_of_guides(parts, dataset.fate_key)
    if len(places) == 1:
        return places[0]
    if places:
        shown = "; ".join(f"{key_of(place)!r}: {_shown(place)}" for place in places)
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
                f"{', '.join(repr(key_of(place)) for place in places)}"
            )
    known = [name for part in parts for name in (part.name, *part.keys("obsm"), *part.obs.columns)]
    raise FatewalkError(
        f"{parts[0].path}: guide_key {key!r} is neither in obsm nor in obs, and no layer"
        f"{nearest(key, known)}; {_inventory(parts)}. Set guide_key to the right key"
    )


def places_of_guides(parts: Sequence[Part], fate_key: str) -> list[Place]:
    """Every place that can only be of guides, by usual names: matrices, or else columns of obs."""
    if len(parts) == 1 and DEFAULT in parts[0].keys("obsm"):
        return [Place(parts[0], f"obsm/{DEFAULT}")]
    places = [place for part in parts for place in _matrices(part, fate_key)]
    places = places or [place for part in parts for place in _columns(part)]
    return places or [_variables(part) for part in parts if sounds_like_guides(part.name)]


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
        return all(kind_of(column) in OF_NUMBERS for column in columns)
    return kind_of(element) in SPARSE or getattr(element, "dtype", np.dtype(float)).kind in "biu"


def _columns(part: Part) -> list[Place]:
    """Columns of obs with usual names of guides, that hold text."""
    return [
        Place(part, f"obs/{key}") for key in part.obs if is_column_of_guides(key) and is_text(part.obs[key])
    ]


def is_text(column: pd.Series) -> bool:
    """Whether a column holds neither numbers nor truth values."""
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return not (pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype))


def _variables(part: Part) -> Place:
    """Guides that are the variables: the calls of the layer guide_assignment, if there is one, or X."""
    assigned = ASSIGNMENT in part.keys("layers")
    return Place(part, f"layers/{ASSIGNMENT}" if assigned else "X", assigned)


def guide_variables(var: pd.DataFrame) -> np.ndarray | None:
    """Which variables are guides by their table, bool [M]; None if it has no sign of any."""
    types = feature_types(var)
    if types is not None:
        is_guide = types.map(plain).str.contains("crispr|grna|guide").to_numpy(dtype=bool)
        return is_guide if is_guide.any() else None
    signs = _GUIDE_VAR.intersection(map(plain, var.columns))
    return np.ones(len(var), dtype=bool) if signs else None


def feature_types(var: pd.DataFrame) -> pd.Series | None:
    """What each variable is, as 10x writes it; None if the table does not say."""
    names = [name for name in FEATURES if name in var]
    return var[names[0]].astype(str) if names else None


def key_of(place: Place) -> str:
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
    types = feature_types(part.var)
    if types is not None and (types != "Gene Expression").any():
        hints.append(
            f"var[{types.name!r}] holds {quoted(types.unique())}: those of guides must be "
            "'CRISPR Guide Capture'"
        )
    hints += [
        f"obs[{key!r}] holds numbers: if these are names of guides, in Python: {as_names(key)}"
        for key in part.obs
        if is_column_of_guides(key) and not is_text(part.obs[key])
    ]
    columns = [str(key) for key in part.obs if sounds_like_guides(key) and is_text(part.obs[key])]
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


def as_names(key: object) -> str:
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
