"""The three kinds of dataset entries: simulated, AnnData, plain tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from fatewalk.config.base import Section
from fatewalk.config.simulate import SimulateConfig
from fatewalk.core.schema import is_reserved

Keys = dict[str, Any]


class Overrides(Section):
    """Sections that a dataset entry or a run may carry; the keys given there win.

    They hold some keys of a section only, so they are checked once merged (``root.load_config``).
    """

    design: Keys = Field(default_factory=dict)
    model: Keys = Field(default_factory=dict)
    fit: Keys = Field(default_factory=dict)
    export: Keys = Field(default_factory=dict)
    mash: Keys = Field(default_factory=dict)
    calls: Keys = Field(default_factory=dict)


class DatasetBase(Overrides):
    """What every kind of dataset entry may carry."""

    runs: dict[str, Overrides] = Field(default_factory=dict)
    read_by: ClassVar = ("import_screen",)

    def own_keys(self) -> dict[str, Any]:
        """The keys of this kind of entry, as plain containers, without the sections it carries."""
        return self.model_dump(mode="json", exclude=set(DatasetBase.model_fields))

    @property
    def carried(self) -> list[str]:
        """Covariates that the cells table of the data set holds."""
        raise NotImplementedError


def _names_of_covariates(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names must differ")
    if taken := [name for name in names if not name or is_reserved(name)]:
        raise ValueError(
            f"{taken[0]!r} is a column of the cells table with a meaning of its own, which the model knows "
            "of already; for other content rename the column"
        )
    return names


Covariates = Annotated[list[str], AfterValidator(_names_of_covariates)]


class SimulatedDataset(DatasetBase):
    """``{simulate: {...}}``."""

    simulate: SimulateConfig

    @property
    def carried(self) -> list[str]:
        """One column, if it has an effect."""
        return ["covariate"] if self.simulate.covariate_effect else []


class AnnDataDataset(DatasetBase):
    """``{anndata: screen.h5ad, guide_map: guides.csv, ...keys...}``."""

    anndata: str = Field(
        examples=["screen.h5ad"], description="path of the .h5ad file; its X and layers are never read"
    )
    guide_map: str = Field(examples=["guides.csv"], description="table guide_name, gene_name, is_ntc")
    fate_key: str = Field(
        "lineages_fwd", description="obsm key of the fate probabilities (here CellRank 2 puts them)"
    )
    fate_names: list[str] | None = Field(
        None, description="names of their columns, if the file does not carry them"
    )
    fate_names_key: str = Field(
        "term_states_fwd",
        description="where the names are, if obsm holds a bare array: a categorical obs column "
        "(CellRank's terminal states) or a list in uns",
    )
    guide_key: str = Field("guide", description="obsm key of the cells x guides matrix (UMI counts or 0/1)")
    guide_names: list[str] | None = Field(
        None, description="names of its columns, if the file does not carry them"
    )
    guide_names_key: str = Field(
        "guide_names", description="uns key of the list of names, if obsm holds a bare matrix"
    )
    protospacer_calls: str | None = Field(
        None, description="10x protospacer_calls_per_cell.csv, instead of guide_key"
    )
    day_key: str = Field("day", description="obs column (or one-column obsm key) of the day: d0, 72hpf, 18.0")
    rep_key: str | None = Field(
        "rep", description="obs column (or one-column obsm key) of the replicate; null: one replicate"
    )
    cluster_key: str | None = Field(
        None, description="obs column (or one-column obsm key) of the cluster: embryo, clone, well"
    )
    burden_key: str | None = Field(
        None,
        description="obs column (or one-column obsm key) of the guide burden; null: distinct guides "
        "called in the cell",
    )
    covariates: Covariates = Field(
        [], description="obs columns (or one-column obsm keys) of cell covariates: numbers or categories"
    )

    @property
    def carried(self) -> list[str]:
        """The covariates that the entry names."""
        return self.covariates

    @model_validator(mode="after")
    def _one_source_of_guides(self) -> AnnDataDataset:
        default = type(self).model_fields["guide_key"].default  # a dumped model states it, too
        if self.protospacer_calls is not None and self.guide_key != default:
            raise ValueError("protospacer_calls: found beside guide_key, allowed: one of the two")
        return self


class PlainDataset(DatasetBase):
    """``{cells: cells.parquet, guide_calls: calls.parquet, guide_map: guides.csv}``."""

    cells: str = Field(
        examples=["cells.parquet"], description="table cell_id, day, rep, p_<fate>... or fate (a label)"
    )
    guide_calls: str = Field(
        examples=["calls.parquet"],
        description="table cell_id, guide, [umi]; or 10x protospacer_calls_per_cell.csv",
    )
    guide_map: str = Field(examples=["guides.csv"], description="table guide_name, gene_name, is_ntc")
    day_key: str = Field("day", description="column of the day: d0, 72hpf, 18.0")
    rep_key: str | None = Field("rep", description="column of the replicate; null: one replicate")
    cluster_key: str | None = Field(None, description="column of the cluster: embryo, clone, well")
    burden_key: str | None = Field(
        None, description="column of the guide burden; null: distinct guides called in the cell"
    )
    covariates: Covariates = Field([], description="columns of cell covariates: numbers or categories")

    @property
    def carried(self) -> list[str]:
        """The covariates that the entry names."""
        return self.covariates


Dataset = SimulatedDataset | AnnDataDataset | PlainDataset

KINDS: dict[str, type[DatasetBase]] = {
    "simulate": SimulatedDataset,
    "anndata": AnnDataDataset,
    "cells": PlainDataset,
}


def dataset_kind(entry: Mapping[str, Any]) -> type[DatasetBase] | None:
    """Tell the kind of a dataset entry by the key only that kind has; None if unclear."""
    kinds = [kind for key, kind in KINDS.items() if key in entry]
    return kinds[0] if len(kinds) == 1 else None
