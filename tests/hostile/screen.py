"""One small right screen in a folder, in every form that a case may spoil, and what becomes of it."""

import io
import logging
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from fatewalk.api import run_chain
from fatewalk.config import SimulateConfig, load_config, read_config
from fatewalk.config.messages import Problems
from fatewalk.core.errors import FatewalkError
from fatewalk.mash import MashError
from fatewalk.run.files import Run
from fatewalk.run.settings import sections
from fatewalk.screen.simulate import simulate_screen
from fatewalk.stages import (
    build_design,
    certify,
    check_delta,
    export_effects,
    fit_effects,
    fit_mash,
    import_screen,
    plot_figures,
    rank_hits,
    summarise_posterior,
    write_report,
)

PLAIN = {"cells": "cells.csv", "guide_calls": "calls.csv", "guide_map": "guides.csv"}
FATES = ["EC", "MES", "NEU"]
#: The one warning of the right screen, which is small: it is no answer to any case.
FEW_GENES = "All 5 genes have two or more guides, and 10 such genes are needed"


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes
    ----------
    name
        What is wrong, in words.
    stage
        Where it must come out: ``config``, ``import``, ``design``, or a later stage of a finished chain.
    spoil
        Changes the folder; of the stages after ``design`` that of a finished chain.
    expected
        ``refused``, ``warned`` (the chain goes on and says so), ``right`` (goes on without a warning).
    words
        What the message must hold: file, column, offenders, remedy.
    never
        What no message may hold.
    snakemake
        Run it through the workflow as well, in the slow part.
    """

    name: str
    stage: str
    spoil: Callable
    expected: str
    words: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    snakemake: bool = False


@dataclass
class Screen:
    """A folder with ``cells.csv``, ``calls.csv``, ``guides.csv`` and ``config.yaml``."""

    folder: Path

    def path(self, name):
        return self.folder / name

    def table(self, name):
        """A table as text, to be changed and written back."""
        return pd.read_csv(self.path(name), dtype=str, keep_default_na=False)

    def write(self, name, table):
        table.to_csv(self.path(name), index=False)

    def change(self, name, column, rows, value):
        """Put a value, or a function of the old ones, into some rows of a column of a table."""
        table = self.table(name)
        if column not in table:
            table[column] = ""
        old = table.loc[table.index[rows], column]
        table.loc[table.index[rows], column] = old.map(value) if callable(value) else value
        self.write(name, table)

    def config(self, **changes):
        """Set keys of the config: ``entry`` those of the data set, others the sections'."""
        config = yaml.safe_load(self.path("config.yaml").read_text())
        config["datasets"]["screen"].update(changes.pop("entry", {}))
        for section, keys in changes.items():
            config.setdefault(section, {}).update(keys)
        self.path("config.yaml").write_text(yaml.safe_dump(config))

    def text(self, text):
        """Write the config as it stands."""
        self.path("config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def write_screen(folder):
    """Write the right screen: 240 cells, 5 genes with 2 guides, 4 NTC guides, 2 days, 3 fates."""
    drawn = simulate_screen(
        SimulateConfig(
            cells=240, genes=5, guides_per_gene=2, ntc_guides=4, days=[0, 2], moi=2, active_genes=2,
            fates=FATES, seed=11,
        )
    )  # fmt: skip
    screen = Screen(folder)
    drawn.cells.to_csv(folder / PLAIN["cells"], index=False)
    drawn.guide_calls.to_csv(folder / PLAIN["guide_calls"], index=False)
    drawn.guide_map.to_csv(folder / PLAIN["guide_map"], index=False)
    config = {
        "datasets": {"screen": dict(PLAIN)},
        "model": {"fates": FATES},
        "fit": {"family": "laplace", "require": "none"},
        "export": {"draws": 100},
    }
    screen.text(yaml.safe_dump(config))
    return screen


@dataclass(frozen=True)
class Outcome:
    """How far an input went, and what was said."""

    stage: str
    kind: str  # refused | went on
    text: str


def outcome_of(case, folder, chain):
    """Spoil a copy of the right screen, or of its finished chain, and run it up to the case's stage."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(lambda record: FEW_GENES not in record.getMessage())
    log = logging.getLogger("fatewalk")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    stage = ""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for name, step in steps(case, folder, chain):
                stage = name
                step()
    except (FatewalkError, MashError) as error:
        return Outcome(stage, "refused", f"{said.getvalue()}{error}")
    finally:
        log.removeHandler(handler)
    shown = "".join(f"{type(one.message).__name__}: {one.message}\n" for one in caught)
    return Outcome(stage, "went on", said.getvalue() + shown)


BEFORE_FIT = ("config", "import", "design")


def steps(case, folder, chain):
    """Stages of a case, by name, each to be called in turn."""
    if case.stage in BEFORE_FIT:
        screen = write_screen(folder)
        case.spoil(screen)
        yield from first_steps(screen, BEFORE_FIT.index(case.stage))
        return
    shutil.copytree(chain, folder, dirs_exist_ok=True)
    case.spoil(folder / "results" / "screen")
    yield case.stage, lambda: later_stage(case.stage, folder)


def config_of(folder):
    """The config of a folder, checked."""
    raw = read_config(folder / "config.yaml")
    return load_config({"data_dir": str(folder), **raw}, Problems("config.yaml"))


def first_steps(screen, last):
    """From the config to the design."""
    held = {}

    def config():
        held["config"] = config_of(screen.folder)

    def read():
        held["settings"] = held["config"].settings("screen", "main")
        source = held["config"].datasets["screen"]
        import_screen.main(screen.path("input"), source, held["settings"].model.fates)

    def design():
        settings = sections(held["settings"].read_by("build_design"))
        build_design.main(screen.path("input"), screen.path("design"), settings)

    yield from list(zip(BEFORE_FIT, (config, read, design), strict=True))[: last + 1]


def later_stage(stage, folder):
    """One stage of a finished chain again."""
    settings = config_of(folder).settings("screen", "main")
    folder = folder / "results" / "screen"
    source, design, fit, summary = (folder / name for name in ("input", "design", "fit", "summary"))
    run = Run(folder / "main", settings.model.contrasts, settings)
    of_design = sections(settings.read_by("build_design"))
    calls = {
        "build_design": lambda: build_design.main(source, design, of_design),
        "fit_effects": lambda: fit_effects.main(design, fit, settings, 1, resumes=True),
        "summarise_posterior": lambda: summarise_posterior.main(design, fit, summary, 100, 0, 1),
        "check_delta": lambda: check_delta.main(run, fit, summary),
        "export_effects": lambda: export_effects.main(run, summary),
        "fit_mash": lambda: fit_mash.main(run),
        "certify": lambda: certify.main(run, design, fit, summary, 1),
        "rank_hits": lambda: rank_hits.main(run, summary),
        "plot_figures": lambda: plot_figures.main(run),
        "write_report": lambda: write_report.main(run),
    }
    calls[stage]()


def finished_chain(folder):
    """Run the right screen to the end in a folder; the folder."""
    write_screen(folder)
    run_chain(config_of(folder), "screen", folder / "results")
    return folder
