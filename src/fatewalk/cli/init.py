"""``fatewalk init``: what a file holds, and the config that reads it.

Nothing is guessed silently: what was found by its name alone stands under "Unsure".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from fatewalk.cli.columns import find_cluster, find_day, find_replicate
from fatewalk.config import Dataset, load_config
from fatewalk.config.messages import Problems
from fatewalk.core.errors import FatewalkError, first_few, nearest, quoted
from fatewalk.core.files import atomic_path
from fatewalk.core.foreign import is_zarr
from fatewalk.core.tables import read_table, write_table
from fatewalk.core.words import count, join
from fatewalk.screen.controls import looks_like_control
from fatewalk.screen.guide_map import ONE_OF_SEVERAL, read_guide_map, several_of_a_gene
from fatewalk.screen.raw import RawScreen, canonical_calls, canonical_cells
from fatewalk.screen.readers.anndata import AnnDataDataset
from fatewalk.screen.readers.guide_places import feature_types, key_of, places_of_guides, sounds_like_guides
from fatewalk.screen.readers.guides import read_guides
from fatewalk.screen.readers.matrices import kind_of, shape_of
from fatewalk.screen.readers.plain import PlainDataset
from fatewalk.screen.readers.stores import open_store
from fatewalk.screen.terminal import TERMINAL_STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fatewalk.screen.readers.guide_places import Place
    from fatewalk.screen.readers.stores import Part

Options = dict[str, Any]
FATE_KEY = re.compile(r"lineage|fate|absorption|toterminalstates")  # names of obsm, small letters
#: Keys of the config in messages of the readers, each with an option of the same name; not within a path.
KEYS_WITH_OPTION = re.compile(r"(?<![\w\[/.-])(day_key|rep_key|cluster_key|fate_key|guide_key|guide_map)\b")


@dataclass
class Found:
    """What was found in a screen.

    Attributes
    ----------
    entry
        Keys of the dataset entry, in the order of the config.
    words
        What each key's value holds, for a comment beside it.
    unsure
        Sentences on what a person should look at.
    """

    entry: dict[str, Any] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)

    def note(self, key: str, value: Any, words: str = "") -> None:
        """Set a key."""
        self.entry[key], self.words[key] = value, words


def write_config(screen: Path, options: Options) -> list[str]:
    """Write ``<name of the screen>.yaml``, and say what was found.

    Parameters
    ----------
    screen
        The file.
    options
        Those of the command line that were given.

    Returns
    -------
    list of str
        Lines for the terminal.

    Raises
    ------
    FatewalkError
        If the file cannot be read, something that is needed is not found, or the config is there already.
    """
    stem = screen.name.removesuffix(".gz").rsplit(".", 1)[0] or screen.name
    target = Path(options.pop("output", f"{stem}.yaml"))
    if target.exists():
        raise FatewalkError(
            f"{target}: is there already, and init overwrites nothing; delete it, or name another config "
            "with --output"
        )
    if screen.is_dir() and not is_zarr(screen):
        raise FatewalkError(f"{screen}: is a folder; name the file of the screen in it")
    try:
        return _look(screen, target, options)
    except FatewalkError as error:
        raise FatewalkError(KEYS_WITH_OPTION.sub(_as_option, str(error))) from None


def _as_option(key: re.Match[str]) -> str:
    """A key of the config as the option that sets it."""
    return f"--{key[1].replace('_', '-')}"


def _look(screen: Path, target: Path, options: Options) -> list[str]:
    """Look into the screen, write the config, and say what was found."""
    reference, ntc = options.pop("reference", None), list(options.pop("ntc", ()))
    is_table = not str(screen).endswith(AnnDataDataset.suffixes)
    found = _of_table(screen, options) if is_table else _of_anndata(screen, options)
    if ntc:
        found.note("ntc_names", ntc)
    problems = Problems(str(screen))
    dataset = problems.validate(PlainDataset if is_table else AnnDataDataset, found.entry)
    problems.raise_if_any()
    assert isinstance(dataset, Dataset)  # else there was a problem
    raw: RawScreen = dataset.read()
    fates = _fates_by_size(raw, reference)
    cells, report = canonical_cells(raw, fates)
    calls, _ = canonical_calls(raw)
    guide_map, proposed = _guide_map(raw, calls, found, target.with_name(f"{target.stem}_guides.csv"))
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", target.stem).strip("_-") or "screen"  # two configs, two results
    text = _config_text(name, screen, target, found, fates)
    load_config(yaml.safe_load(text), Problems(target.name))
    if proposed is not None:
        write_table(guide_map, proposed)
    with atomic_path(target) as temporary:
        temporary.write_text(text)
    return _said(screen, target, found, cells, report, calls, guide_map, fates)


# ------------------------------------------------------------------ the forms of a screen


def _of_table(screen: Path, options: Options) -> Found:
    """A table of cells, with the calls in another one."""
    found = Found()
    found.note("cells", str(screen))
    table = read_table(str(screen), text=())
    if given := [name for name in ("fates", "fate_key", "guide_key") if name in options]:
        raise FatewalkError(
            f"--{given[0].replace('_', '-')}: is for a screen in one file; {screen} is taken for a table of "
            "cells by its ending, whose fates are in its own columns"
        )
    if "guide_calls" not in options:
        raise FatewalkError(
            f"{screen}: is taken for a table of cells by its ending, and the guides of the cells are "
            f"missing; add --guide-calls calls.csv (a table cell_id, guide). A screen in one file ends in "
            f"{join([one for one in AnnDataDataset.suffixes if one[-1] != '/'])}"
        )
    found.note("guide_calls", options["guide_calls"])
    if "guide_map" in options:
        found.note("guide_map", options["guide_map"])
    _columns_into(found, {str(name): table[name] for name in table}, options, str(screen))
    return found


def _of_anndata(screen: Path, options: Options) -> Found:
    """An AnnData or MuData file."""
    found = Found()
    found.note("anndata", str(screen))
    if "guide_map" in options:
        found.note("guide_map", options["guide_map"])
    with open_store(str(screen)) as parts:
        _fates_into(found, parts, options)
        if "guide_calls" in options:
            path = options["guide_calls"]
            is_store = path.endswith(AnnDataDataset.suffixes)
            found.note("guide_anndata" if is_store else "protospacer_calls", path)
        else:
            _guides_into(found, parts, options)
        tables = _aligned([parts[-1].obs, *(part.obs for part in parts[:-1])])
        columns = {str(name): table[name] for table in tables for name in table}
        _columns_into(found, columns, options, str(screen))
    return found


def _aligned(tables: Sequence[pd.DataFrame]) -> Sequence[pd.DataFrame]:
    """Tables of the modalities of a MuData file, each with the cells that all have, in one order."""
    if len(tables) == 1:
        return tables
    shared = tables[0].index
    for table in tables[1:]:
        shared = shared.intersection(table.index, sort=False)
    return [table.loc[shared] for table in tables]


def _fates_into(found: Found, parts: Sequence[Part], options: Options) -> None:
    """Find the matrix of fate probabilities, and where the names of its columns are."""
    path = parts[0].path
    if "fate_key" in options:
        key = options["fate_key"]
    else:
        keys = dict.fromkeys(
            key for part in parts for key in part.keys("obsm") if not key.endswith("_memberships")
        )
        named = [key for key in keys if FATE_KEY.search(re.sub(r"[\W_]", "", key.lower()))]
        forward = [key for key in named if key in ("lineages_fwd", "to_terminal_states")]
        chosen = (forward or named)[:1]
        if not chosen:
            if _is_of_guides(parts):
                raise FatewalkError(
                    f"{path}: holds guides and no fate probabilities; give the file with days and fates "
                    f"first: fatewalk init screen.h5ad --guide-calls {path}"
                )
            raise FatewalkError(
                f"{path}: no fate probabilities were found: no obsm key is called like those of CellRank "
                f"(lineages_fwd); found in obsm: {quoted(keys, 12) or 'nothing'}. Name the key with "
                "--fate-key, or let CellRank write its fate probabilities into the file"
            )
        key = chosen[0]
        if len(named) > 1:
            found.unsure.append(
                f"Fates are read from obsm {key!r}; {quoted(set(named) - {key})} sounds like fates too "
                "(--fate-key)."
            )
    found.note("fate_key", key)
    if "fates" in options:
        found.note("fate_names", [name.strip() for name in options["fates"].split(",")])
        return
    holder = next((part for part in parts if key in part.keys("obsm")), None)
    if holder is None or kind_of(holder.group[f"obsm/{key}"]) == "dataframe":
        return  # its own names; or a key with a modality, or a wrong one, which the reader tells of
    width = shape_of(holder.group[f"obsm/{key}"], path)[1]
    for name in (*TERMINAL_STATES, "macrostates_fwd"):
        if len(holder.names(name) or []) == width:
            found.note("fate_names_key", name, "names of the fates")
            return


def _is_of_guides(parts: Sequence[Part]) -> bool:
    types = feature_types(parts[0].var)
    return len(parts) == 1 and types is not None and not (types == "Gene Expression").any()


def _guides_into(found: Found, parts: Sequence[Part], options: Options) -> None:
    """Find the guides: of several places the one with most calls, the others told."""
    fate_key = found.entry["fate_key"]
    if "guide_key" in options:
        found.note("guide_key", options["guide_key"])
        return
    places = places_of_guides(parts, fate_key)
    if not places:
        return  # the reader tells where it looked
    tried = [(place, _try_guides(place, fate_key, parts)) for place in places]
    readable = [(place, *one) for place, one in tried if one is not None]
    if not readable:
        return
    place, n_calls, n_guides, names_key = max(readable, key=lambda one: one[1])
    found.note("guide_key", key_of(place), f"{n_calls:,} calls of {n_guides} guides")
    if names_key:
        found.note("guide_names_key", names_key)
        if names_key != "guide_names":
            found.unsure.append(f"Names of the guides are taken from uns {names_key!r}: are they in order?")
    others = [
        f"{key_of(other)!r} ({n:,} calls of {g} names)" for other, n, g, _ in readable if other is not place
    ]
    if others:
        found.unsure.append(
            f"Guides are read from {key_of(place)!r}, which has the most calls ({n_calls:,}); they could be "
            f"read from {', '.join(others)} as well (--guide-key)."
        )


def _try_guides(place: Place, fate_key: str, parts: Sequence[Part]) -> tuple[int, int, str] | None:
    """Calls and names of guides in a place, and the uns key of the names if need be; None: unreadable."""
    names_key = ""
    element = place.part.group[place.element]
    if place.element.startswith("obsm/") and kind_of(element) != "dataframe":
        width = shape_of(element, place.where)[1]
        lists = [
            key
            for part in (place.part, *parts)
            for key in part.keys("uns")
            if sounds_like_guides(key) and getattr(part.group[f"uns/{key}"], "shape", ()) == (width,)
        ]
        names_key = "guide_names" if "guide_names" in lists else next(iter(lists), "")
    keys = {"guide_names_key": names_key} if names_key else {}
    dataset = AnnDataDataset(anndata=place.part.path, fate_key=fate_key, guide_key=key_of(place), **keys)
    try:
        calls = read_guides(place, dataset).calls
    except FatewalkError:
        return None
    return len(calls), int(calls["guide"].nunique()), names_key


def _columns_into(found: Found, columns: Mapping[str, pd.Series], options: Options, where: str) -> None:
    """Find day, replicate and cluster among the columns of the cells."""
    day = find_day(columns, options.get("day_key"), where)
    found.note("day_key", day.name, day.words)
    rep = find_replicate(columns, options.get("rep_key"), day)
    cluster = find_cluster(columns, options.get("cluster_key"), day, rep)
    found.note("rep_key", rep.name, rep.words)
    if cluster.name:
        found.note("cluster_key", cluster.name, cluster.words)
    for column in (day, rep, cluster):
        found.unsure += column.unsure


# ------------------------------------------------------------------------- fates and guides


def _fates_by_size(raw: RawScreen, reference: str | None) -> list[str]:
    """The fates, the reference first: the one that was asked for, or the commonest."""
    share = raw.prob.apply(pd.to_numeric, errors="coerce").mean()
    names = [str(name) for name in raw.prob]
    if reference is None:
        first = names[int(np.argmax(share.fillna(-1).to_numpy()))]
    elif reference in names:
        first = reference
    else:
        raise FatewalkError(
            f"--reference: found {reference!r}{nearest(reference, names)}; the fates of {raw.where} are "
            f"{quoted(names, 20)}"
        )
    return [first, *(name for name in names if name != first)]


def _guide_map(
    raw: RawScreen, calls: pd.DataFrame, found: Found, proposed: Path
) -> tuple[pd.DataFrame, Path | None]:
    """The guide map, and the file that a map made of the guides' names is to go to, if there is no other."""
    path = found.entry.get("guide_map")
    guides = calls["guide"].cat.remove_unused_categories().cat.categories
    if path is None and raw.guide_map is None and several_of_a_gene(guides):
        return _map_of_names(list(guides), found, proposed), proposed
    if "ntc_names" not in found.entry:
        try:
            return read_guide_map(raw, calls, path, None)[0], None
        except FatewalkError:
            every, _, _ = read_guide_map(raw, calls, path, [])  # which tells of any other mistake
        names = every["gene_name"].where(
            every["gene_name"].map(looks_like_control) | ~every["guide_name"].map(looks_like_control),
            every["guide_name"],
        )
        likely = [name for name in pd.unique(names) if looks_like_control(name)]
        found.note("ntc_names", likely)
        found.unsure.append(
            f"Controls are told by their names: {quoted(likely)}. Are these all? (ntc_names in the config)"
            if likely
            else "No guide has the name of a non-targeting control; if there are some, name them (--ntc)."
        )
    return read_guide_map(raw, calls, path, found.entry["ntc_names"])[0], None


def _map_of_names(guides: Sequence[str], found: Found, proposed: Path) -> pd.DataFrame:
    """A guide map made of names such as ``Sox17_2``, to be looked at by a person."""
    if proposed.exists():
        raise FatewalkError(
            f"{proposed}: is there already, and init overwrites nothing; give it as --guide-map, or delete it"
        )
    names = pd.Series(list(guides), dtype=object)
    gene = names.str.extract(ONE_OF_SEVERAL)["gene"].fillna(names)
    controls = set(found.entry.pop("ntc_names", []))
    if unknown := controls - set(names) - set(gene):
        raise FatewalkError(
            f"--ntc: no guide or gene is called {quoted(sorted(unknown))}; guides are {quoted(names, 6)}"
        )
    is_ntc = [
        looks_like_control(guide) or looks_like_control(target) or bool(controls & {guide, target})
        for guide, target in zip(names, gene, strict=True)
    ]
    found.note("guide_map", str(proposed), "made of the guides' names: look at it")
    found.unsure.append(
        f"There is no guide map. {proposed} was made of the guides' names ({names[0]!r} is of gene "
        f"{gene[0]!r}; {count(sum(is_ntc), 'control')}): look at it, or give yours with --guide-map."
    )
    return pd.DataFrame({"guide_name": names, "gene_name": gene, "is_ntc": is_ntc})


# ------------------------------------------------------------------------------- in words


def _config_text(name: str, screen: Path, target: Path, found: Found, fates: Sequence[str]) -> str:
    """The config, with a comment beside each key."""
    order = [*AnnDataDataset.files, *PlainDataset.files, "ntc_names"]
    keys = sorted(found.entry, key=lambda key: order.index(key) if key in order else len(order))
    lines = [f"    {key}: {_flow(found.entry[key])}" for key in keys]
    width = min(48, max(map(len, lines)))
    lines = [
        f"{line:<{width}}  # {found.words[key]}" if found.words.get(key) else line
        for line, key in zip(lines, keys, strict=True)
    ]
    unsure = [f"# Look at this: {sentence}" for sentence in found.unsure]
    return "\n".join(
        [
            f"# {screen.name}, as fatewalk init found it. Every other key: docs/configuration.md",
            f"#   fatewalk check {target}     what is in it, in seconds",
            f"#   fatewalk run {target}       the analysis; results go to ./results/{name}/main",
            *unsure,
            "datasets:",
            f"  {name}:",
            *lines,
            "model:",
            f"  fates: {_flow(list(fates))}  # the first is the reference",
            "",
        ]
    )


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _said(
    screen: Path,
    target: Path,
    found: Found,
    cells: pd.DataFrame,
    report: Mapping[str, Any],
    calls: pd.DataFrame,
    guide_map: pd.DataFrame,
    fates: Sequence[str],
) -> list[str]:
    """What was found, what is unsure, what to do next."""
    entry = found.entry
    days = [f"{day['label']}" for day in report["days"]]
    n_ntc = int(guide_map["is_ntc"].sum())
    genes = guide_map.loc[~guide_map["is_ntc"], "gene_name"].nunique()
    of_guides = next((entry[key] for key in ("guide_calls", "protospacer_calls", "guide_anndata", "guide_key")
                      if entry.get(key)), "the file")  # fmt: skip
    known = calls["guide"].isin(guide_map["guide_name"])
    carrying = calls.loc[known, "cell_id"].nunique()
    lines = [
        f"{screen}: {len(cells):,} cells",
        f"  fates       {join(list(fates))} ({entry.get('fate_key', 'columns of the table')}); "
        f"reference {fates[0]}",
        f"  days        {join(days)} (column {entry['day_key']})",
        f"  replicates  {_replicates(report, entry)}",
        f"  guides      {len(guide_map)} of {count(genes, 'gene')}, {n_ntc} of them controls ({of_guides}); "
        f"in {carrying:,} of the cells",
    ]
    if "cluster_key" in entry:
        lines.append(f"  clusters    {report['clusters']} (column {entry['cluster_key']})")
    unsure = list(found.unsure)
    if not known.all():
        strange = calls.loc[~known, "guide"].astype(str).unique().tolist()
        unsure.append(
            f"{count(len(strange), 'guide')} of {(~known).sum():,} calls are not in the guide map, such as "
            f"{quoted(strange)}: is it the map of this screen?"
        )
    if not n_ntc and not any("control" in sentence for sentence in unsure):
        unsure.append("There is no non-targeting control; effects are then against the average guide.")
    lines += ["", "Unsure, please look at it:", *(f"  - {one}" for one in unsure)] if unsure else []
    if report["notes"]:
        lines += ["", "Also noted:", *(f"  - {one}" for one in report["notes"])]
    return [*lines, "", f"Wrote {target}. Next: fatewalk check {target}"]


def _replicates(report: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    names = list(report["replicates"])
    if entry["rep_key"] is None:
        return "none found: all cells count as one replicate (--rep-key)"
    return f"{first_few(names, 6)} (column {entry['rep_key']})"
