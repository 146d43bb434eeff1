#!/usr/bin/env bash
# Snakemake runs this once inside a new environment (--sdm conda): fatewalk itself, from the checkout
# (workflow/rules/common.smk names it), editable so that the environment follows the code.
set -euo pipefail
python -m pip install --no-deps --editable "${FATEWALK_CHECKOUT:?set by workflow/rules/common.smk}"
