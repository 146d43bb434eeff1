"""Snakemake on tiny screens, each in a folder of its own."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

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


@dataclass
class Workflow:
    """A folder with a config, in which Snakemake runs."""

    folder: Path
    config: dict

    def run(self, *arguments, path=None):
        """Run Snakemake; return the finished process with stdout and stderr in one text."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--workflow-profile", "none", "--profile", str(ROOT / "profiles" / "ci"), *arguments]
        env = None if path is None else {"PATH": path}
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=500, check=False, env=env
        )
        done.text = done.stdout + done.stderr
        return done

    def planned(self, *arguments):
        """Names of the rules that a dry run would execute."""
        done = self.run(*arguments, "--dry-run", "--quiet", "rules")
        assert done.returncode == 0, done.text
        stats = done.text.split("Job stats:")[-1].split("total")[0] if "Job stats:" in done.text else ""
        return set(re.findall(r"^(\w+) +\d+ *$", stats, re.MULTILINE)) - {"job"}

    def path(self, name):
        """File of run main."""
        return self.folder / "results" / "tiny" / "main" / name


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The tiny screen, run to the end."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"), TINY)
    done = workflow.run()
    assert done.returncode == 0, done.text
    return workflow


@pytest.fixture
def fresh(tmp_path):
    """A folder in which nothing has run."""
    return Workflow(tmp_path, TINY)
