"""Configs: keys, values, and what YAML makes of them."""

from tests.hostile.screen import Case

CASES = [
    Case(
        "an unknown key", "config", lambda s: s.config(model={"rf_fate": "EC"}), "refused",
        ("model.rf_fate: unknown key, did you mean 'ref_fate'?",), snakemake=True,
    ),
]  # fmt: skip
