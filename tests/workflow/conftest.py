"""Snakemake on tiny screens, each in a folder of its own."""

import copy
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tests import forked

ROOT = Path(__file__).parents[2]

TINY = {
    "datasets": {
        "tiny": {
            "simulate": {
                "cells": 2500, "genes": 12, "guides_per_gene": 3, "days": [0, 2], "moi": 2,
                "active_genes": 4, "effect_size": [1.0, 1.5], "fates": ["EC", "MES"],
            }
        }
    },
    "model": {"fates": ["EC", "MES"]},
    "export": {"draws": 400},
}  # fmt: skip


def snakemake(folder, *arguments, env=None):
    """Run Snakemake in a folder; the finished process, with stdout and stderr in one text."""
    words = ["-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile")]
    words += ["--workflow-profile", "none", "--profile", str(ROOT / "profiles" / "ci")]
    done = forked.run(words, folder, env)
    done.text = done.stdout + done.stderr
    return done


@dataclass
class Workflow:
    """A folder with a config, in which Snakemake runs."""

    folder: Path
    config: dict

    def run(self, *arguments, path=None):
        """Run Snakemake; return the finished process with stdout and stderr in one text."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        return snakemake(self.folder, *arguments, env=None if path is None else {"PATH": path})

    def finish(self, *arguments, **options):
        """Run Snakemake, which must succeed; return what it printed."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.text
        return done.text

    def planned(self, *arguments):
        """Names of the rules that a dry run would execute, target and copies included."""
        text = self.finish(*arguments, "--dry-run", "--quiet", "rules")
        stats = text.split("Job stats:")[-1].split("total")[0] if "Job stats:" in text else ""
        return set(re.findall(r"^(\w+) +\d+ *$", stats, re.MULTILINE)) - {"job"}

    def changed(self, **sections):
        """The same folder with some keys changed."""
        config = copy.deepcopy(self.config)
        for section, keys in sections.items():
            config.setdefault(section, {}).update(keys)
        return replace(self, config=config)

    def copied_to(self, folder):
        """The same in another folder, with all results."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def path(self, name, run="main"):
        """File of a run."""
        return self.folder / "results" / "tiny" / run / name


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """The tiny screen, run to the end; not to be changed: take `copied_to`. Workers of pytest run it once."""
    own = tmp_path_factory.mktemp("finished")
    folder = own / "once" if worker_id == "master" else own.parents[1] / "finished_once"
    with FileLock(f"{folder}.lock"):
        said = folder / "said.txt"
        if not said.is_file():
            folder.mkdir(exist_ok=True)
            said.write_text(Workflow(folder, TINY).finish())
    workflow = Workflow(folder, TINY).copied_to(own / "copy")
    workflow.said = (workflow.folder / "said.txt").read_text()
    return workflow


@pytest.fixture
def fresh(tmp_path):
    """A folder in which nothing has run."""
    return Workflow(tmp_path, TINY)
