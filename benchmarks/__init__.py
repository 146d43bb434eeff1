"""Measurements behind docs/benchmarks.md; run from the repository's root, ``python -m benchmarks.speed``."""
