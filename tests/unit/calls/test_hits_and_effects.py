"""hits.csv and effects.parquet: what a person and a program read of all contrasts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fatewalk.calls import ContrastEffects, effects_table, hits_table
from fatewalk.core.daywise import Daywise

DAYS = ["18hpf", "24hpf", "36hpf"]


def ranked(genes, **marks):
    """hits_ranked.csv of (gene, hit, active days, postmean by day, lfsr by day)."""
    rows = []
    for gene, hit, active, mean, lfsr in genes:
        days = range(len(mean))
        called = [lfsr[int(day[1])] for day in active.split(";") if day]
        rows.append(
            {
                "gene": gene, "hit_anyday": hit, "active_days": active, "n_guides": 4, "pattern": "late",
                "pattern_prob": 0.9, "n_sources_hit": 2, "min_lfsr_among_active": min(called, default=np.nan),
                **{f"postmean_d{d}": mean[d] for d in days}, **{f"postsd_d{d}": 0.1 for d in days},
                **{f"lfsr_d{d}": lfsr[d] for d in days}, **{f"plarge_d{d}": 0.95 for d in days},
                **{f"n_cells_d{d}": 10 * d + 5 for d in days}, **marks,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def concordance(*genes):
    columns = {f"n_guides_seen_d{d}": 4 - d for d in range(3)} | {f"n_agree_d{d}": 2 for d in range(3)}
    return pd.DataFrame([{"gene": gene, **columns} for gene in genes])


def on_fates():
    """What percentage points are made of: each fate is half of the cells, two gene-days change."""
    mean = np.zeros((3, 3, 3))  # [L, F, D]
    mean[1, 2, 1], mean[2, 1, 2] = -np.log(3), np.log(3)
    share = np.full((3, 3), 0.5)
    return SimpleNamespace(
        names=["quiet", "lost", "turns"],
        fates=["EC", "MES", "NEU"],
        mean=mean,
        sd=mean * 0,
        composition=share,
        steepness=np.ones((3, 3)),
    )


TURNS = ("turns", True, "d0;d2", [0.9, 0.0, -1.1], [1e-4, 0.8, 1e-3])
LOST = ("lost", True, "d1;d2", [0.0, -0.70004, -0.5], [0.9, 1.2345e-6, 0.01])
QUIET = ("quiet", False, "d1", [0.1, 0.4, 0.1], [0.5, 0.04, 0.5])


def two_fates(**marks):
    tables = {"MES": ranked([TURNS, QUIET], **marks), "NEU": ranked([LOST, QUIET], **marks)}
    agree = {contrast: concordance("quiet", "lost", "turns") for contrast in tables}
    return tables, agree, on_fates()


def test_hits_of_all_contrasts_best_first_in_words():
    table = hits_table(*two_fates(), DAYS, "EC", np.full(3, 1e9))
    assert table[["rank", "gene", "contrast", "reference"]].to_numpy().tolist() == [
        [1, "lost", "NEU", "EC"],
        [2, "turns", "MES", "EC"],
    ]
    assert table["direction"].tolist() == ["loss", "gain then loss"]
    assert table["active_days"].tolist() == ["24hpf; 36hpf", "18hpf; 36hpf"]
    assert table["strongest_day"].tolist() == ["24hpf", "36hpf"]
    assert table["effect"].tolist() == [-0.7, -1.1]
    np.testing.assert_allclose(table["effect_high"] - table["effect_low"], 2 * 1.96 * 0.1, atol=1e-3)
    assert table["lfsr"].tolist() == [1.23e-6, 1e-4]  # as a person reads them
    # numbers of the strongest day: guides, cells, percentage points of the fate itself
    assert table["guides_agree"].tolist() == ["2 of 3", "2 of 2"]
    assert table["n_cells"].tolist() == [15, 25]
    assert table["percent_points"].tolist() == [-25, 25]
    assert (table["percent_points_low"] == table["percent_points_high"]).all()


def test_marks_are_carried_and_no_hits_leave_the_header():
    marked = hits_table(*two_fates(provisional="budget"), DAYS, "EC", np.full(3, 1e9))
    assert (marked["provisional"] == "budget").all()
    tables, agree, points = two_fates()
    none = {contrast: table.assign(hit_anyday=False) for contrast, table in tables.items()}
    empty = hits_table(none, agree, points, DAYS, "EC", np.full(3, 1e9))
    assert len(empty) == 0
    assert list(empty) == list(hits_table(tables, agree, points, DAYS, "EC", np.full(3, 1e9)))


def daywise(names, **stems):
    """A day-wise table: values of a stem are n + d / 10."""
    rows, days = np.arange(len(names["gene"]))[:, None], np.arange(3) / 10
    columns = {name: np.array(values) for name, values in names.items()}
    return Daywise(columns | {stem: start + rows + days for stem, start in stems.items()})


def contrast_effects(names, lfsr, called):
    return ContrastEffects(
        daywise(names, betahat=0, se=100, n_cells=200),
        daywise(names, betahat=300, se=400),
        daywise(names, postmean_mash_fates=500, postsd_mash_fates=600),
        lfsr,
        1 - lfsr,
        called,
    )


def test_effects_are_tidy_and_every_number_is_at_its_place():
    lfsr = np.array([[0.1, 0.2, np.nan], [0.4, 0.5, 0.6]])
    called = np.array([[True, False, False], [False, False, True]])
    genes = contrast_effects({"gene": ["a", "b"]}, lfsr, called)
    guides = contrast_effects({"guide": ["a1", "b1"], "gene": ["a", "b"]}, lfsr, np.zeros((2, 3), dtype=bool))
    table = effects_table({"MES": genes, "NEU": genes}, {"MES": guides}, DAYS)
    assert len(table) == 2 * 6 + 6
    row = table.query("level == 'gene' and fate == 'NEU' and gene == 'b' and day == '36hpf'").iloc[0]
    assert row["estimate"] == pytest.approx(1.2)
    assert row["se"] == pytest.approx(101.2)
    assert row["posterior_mean"] == pytest.approx(301.2)
    assert row["posterior_sd"] == pytest.approx(401.2)
    assert row["mash_mean"] == pytest.approx(501.2)
    assert row["mash_sd"] == pytest.approx(601.2)
    assert (row["lfsr"], row["plarge"], row["called"], row["n_cells"]) == (0.6, 0.4, True, 201)
    assert row["guide"] is None
    missing = table.query("level == 'gene' and fate == 'MES' and gene == 'a' and day == '36hpf'").iloc[0]
    assert pd.isna(missing["called"])
    of_guides = table[table["level"] == "guide"]
    assert of_guides["guide"].tolist() == ["a1"] * 3 + ["b1"] * 3
    assert of_guides["called"].isna().all()
