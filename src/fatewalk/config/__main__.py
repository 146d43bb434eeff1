"""Check config files without Snakemake: ``python -m fatewalk.config my_screen.yaml``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fatewalk.config.messages import Problems
from fatewalk.config.reading import read_config
from fatewalk.config.root import load_config
from fatewalk.core.errors import FatewalkError


def main(arguments: list[str]) -> int:
    """Say of each file what is wrong with it, or which data sets and runs it names; the exit status."""
    parser = argparse.ArgumentParser("python -m fatewalk.config", description="Check configs of fatewalk.")
    parser.add_argument("configs", nargs="+", metavar="my_screen.yaml", help="config files, YAML or JSON")
    wrong = 0
    for path in parser.parse_args(arguments).configs:
        try:
            config = load_config(read_config(path), Problems(Path(path).name))
        except FatewalkError as error:
            print(error, file=sys.stderr)
            wrong = 1
        else:
            runs = [f"{dataset}/{run}" for dataset, runs in config.runs.items() for run in runs]
            print(f"{path}: right; runs: {', '.join(runs)}")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
