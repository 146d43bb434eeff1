"""Patterns over days where the labels of the first day resolve little."""

from benchmarks.resolution import LABELS, claims, screen_hits

CONSTANT = {"effect_patterns": {"sustained": 1}, "label_shrink": [0.3, 1, 1, 1], "seed": 1}


def test_constant_effects_are_not_called_late_where_early_labels_resolve_little():
    """In logit alone, as before, half of the hits claim a change that is none."""
    hits = screen_hits(LABELS["soft"] | CONSTANT)
    assert len(hits) >= 15
    assert claims(hits, "logit", "logit_prob").mean() > 0.3
    assert claims(hits, "words", "prob").mean() <= 0.05
    late = hits[(hits["logit"] == "late") & (hits["logit_prob"] > 0.9)]
    assert (late["words"] == "present from day1 on; day0 not resolved").all()
    assert (late["not_resolved"] == "day0").all()
