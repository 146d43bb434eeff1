"""From shrunken effects to calls: active days, hits, patterns over days, second views of a gene."""

from fatewalk.calls.aggregate import aggregate_guides
from fatewalk.calls.bootstrap import bootstrap_table, call_again, spread_of
from fatewalk.calls.compare import compare_modes
from fatewalk.calls.fate_hits import FateCalls, fate_effects_table, fate_hits_table
from fatewalk.calls.fates import FateEffects, MashedFates, percent_points, shrink_fates
from fatewalk.calls.hits import rank_hits
from fatewalk.calls.pairs import pair_effects_table
from fatewalk.calls.patterns import PATTERNS, classify, pattern_probabilities
from fatewalk.calls.sources import (
    SOURCES,
    Shrunk,
    gene_sources,
    genes_file,
    guides_file,
    joint_effects,
    mash_effects,
    mashr_effects,
    read_sources,
)
from fatewalk.calls.tables import ContrastEffects, effects_table, hits_table

__all__ = [
    "PATTERNS",
    "SOURCES",
    "ContrastEffects",
    "FateCalls",
    "FateEffects",
    "MashedFates",
    "Shrunk",
    "aggregate_guides",
    "bootstrap_table",
    "call_again",
    "classify",
    "compare_modes",
    "effects_table",
    "fate_effects_table",
    "fate_hits_table",
    "gene_sources",
    "genes_file",
    "guides_file",
    "hits_table",
    "joint_effects",
    "mash_effects",
    "mashr_effects",
    "pair_effects_table",
    "pattern_probabilities",
    "percent_points",
    "rank_hits",
    "read_sources",
    "shrink_fates",
    "spread_of",
]
