"""Many commands of Python in little time: the libraries are imported once, and each command runs in a fork.

Reads lists of words, as JSON, each of them ["-m", MODULE, ...]; writes return codes and outputs.
"""

import json
import multiprocessing
import os
import runpy
import sys
import tempfile
import traceback

import snakemake.cli  # noqa: F401

from fatewalk import cli  # noqa: F401
from fatewalk.stages import certify, fit_effects  # noqa: F401


def run(words):
    """Return code and output of ``python -m MODULE ...``."""
    with tempfile.TemporaryFile("w+") as kept:
        for stream in (1, 2):
            os.dup2(kept.fileno(), stream)
        sys.argv = words[1:]
        try:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:  # noqa: BLE001  what a command may raise is its own affair
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        kept.seek(0)
        return code, kept.read()


if __name__ == "__main__":
    commands = json.load(sys.stdin)
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        json.dump(pool.map(run, commands, chunksize=1), sys.stdout)
