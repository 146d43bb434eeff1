"""What a design cannot tell: every defect is planted once, numbers are checked against dense oracles."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk.config import DesignConfig, ModelConfig, PriorsConfig, SimulateConfig
from fatewalk.core.files import write_json
from fatewalk.core.outcome import WELL_TOLD
from fatewalk.diagnostics import directions
from fatewalk.diagnostics.defects import same_sets
from fatewalk.diagnostics.identifiability import check_identifiability
from fatewalk.diagnostics.ntc import ntc_slope
from fatewalk.diagnostics.power import gene_power
from fatewalk.infer.intercepts import day_intercepts
from fatewalk.infer.laplace import START_SHARE, fit_laplace
from fatewalk.model import make_terms
from fatewalk.model.cells import centred_burden
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import RowIndex, curvature, information
from fatewalk.model.rows import make_rows, row_of_cells
from fatewalk.screen.design import build_design
from fatewalk.screen.simulate import simulate_screen
from tests.conftest import rows_of

ZSCAPE = Path(__file__).parents[4] / "shared" / "realdata" / "zscape_crispants"
SMALL = {"cells": 1200, "genes": 8, "guides_per_gene": 2, "ntc_guides": 5, "moi": 3, "active_genes": 2}


def screen(**knobs):
    """Tables of a simulated screen, with plain columns."""
    config = SimulateConfig(**{**SMALL, "days": [0, 1], **knobs})
    drawn = simulate_screen(config)
    text = {"cell_id": str, "day": str, "rep": str}
    calls = drawn.guide_calls.astype({"cell_id": str, "guide": str})
    guides = drawn.guide_map.astype({"guide_name": str, "gene_name": str})
    return drawn.cells.astype(text), calls, guides, config.fates


def design_of(cells, calls, guides, fates):
    return build_design(cells, calls, guides, DesignConfig(), fates)[0]


def check(design, **config):
    terms = make_terms(design, ModelConfig(**config))
    return check_identifiability(design, terms, make_rows(design, terms))


def warned(found, *words):
    hits = [sentence for sentence in found.warnings if all(word in sentence for word in words)]
    assert len(hits) == 1, found.warnings
    return hits[0]


def test_a_sound_screen_has_no_defects():
    found = check(design_of(*screen(cells=6000, ntc_share=0.2, seed=3)))
    assert not found.unanchored
    assert found.warnings == []
    assert found.gene_defects == found.guide_defects == {}
    assert found.shift_sd.shape == (2, 2)
    assert {weak.name.split(" of all genes")[0] for weak in found.weak_directions} <= {"common shift"}


@pytest.mark.parametrize(
    ("knobs", "config"),
    [
        ({"days": [0], "replicates": 1, "fates": ["EC", "MES"]}, {}),
        ({"replicates": 3}, {"center_delta": False}),
        ({"days": [0, 1, 4], "covariate_effect": 0.2}, {"time_scale": "gaps", "burden_slope": "shared"}),
        ({"clusters": 10}, {}),
    ],
)
def test_no_defect_in_any_variant_of_the_model(knobs, config):
    design = design_of(*screen(cells=6000, ntc_share=0.3, seed=3, **knobs))
    assert check(design, **config).warnings == []
    terms = make_terms(design, ModelConfig(**config))
    power = gene_power(design, terms, make_rows(design, terms))
    assert len(power) == len(design.genes) * len(design.contrasts)
    assert np.isfinite(power["mde_d0"]).all()


def test_above_the_dense_limit_only_candidates_are_looked_at(monkeypatch):
    monkeypatch.setattr(directions, "DENSE_COORDINATES", 0)
    design = design_of(*screen(cells=6000, ntc_share=0.2))
    found = check(design).weak_directions
    assert [weak.share for weak in found] == [None, None]
    assert {weak.labels_sd for weak in found} == set(check(design).shift_sd[0])


# ------------------------------------------------------------------ anchor


def dense_shift_sd(design, slope):
    """SDs of the common shift from the whole information of intercepts, slopes and shifts."""
    n_days, n = len(design.days), len(design.contrasts)
    day = np.eye(n_days)[design.day.numpy()]
    m = design.cell_offsets.diff().numpy()[:, None] * day
    k = centred_burden(design).numpy()[:, None] * day
    nuisances = {"per_day": [day, k], "shared": [day, k.sum(1, keepdims=True)], "none": [day]}[slope]
    x = np.concatenate([m, *nuisances], axis=1)
    total = np.zeros((n * x.shape[1],) * 2)
    for d in range(n_days):
        here = design.day.numpy() == d
        pi = design.prob.numpy()[here].mean(0)[1:]
        total += np.kron(np.diag(pi) - np.outer(pi, pi), x[here].T @ x[here])
    sd = np.sqrt(np.diag(np.linalg.inv(total)))
    return sd.reshape(n, -1)[:, :n_days]


@pytest.mark.parametrize(("slope", "tolerance"), [("per_day", 1e-6), ("shared", 0.05), ("none", 1e-6)])
def test_sd_of_the_common_shift(slope, tolerance):
    design = design_of(*screen(replicates=1, ntc_share=0.2))
    found = check(design, burden_slope=slope)
    np.testing.assert_allclose(found.shift_sd, dense_shift_sd(design, slope), rtol=tolerance)
    share = [float((design.n_ntc[design.day == d] > 0).double().mean()) for d in (0, 1)]
    np.testing.assert_allclose(found.ntc_share, share)


def test_twice_the_weight_is_half_the_variance():
    design = design_of(*screen())
    rows = rows_of(design)
    one = check_identifiability(design, make_terms(design, ModelConfig()), rows)
    two = check_identifiability(design, make_terms(design, ModelConfig()), rows.weighted(2.0))
    np.testing.assert_allclose(one.shift_sd, two.shift_sd * 2**0.5)
    one, two = (
        gene_power(design, make_terms(design, ModelConfig()), r)["mde_d0"] for r in (rows, rows.weighted(2.0))
    )
    assert (two < one).all()


def test_without_ntc_guides_only_a_model_without_burden_slope_is_anchored():
    design = design_of(*screen(ntc_share=0, ntc_guides=0))
    for slope in ("per_day", "shared"):
        found = check(design, burden_slope=slope)
        assert found.unanchored
        assert np.isinf(found.shift_sd).all()
        warned(found, "not known on any day", "burden slope", "Add NTC guides")
    assert not check(design, burden_slope="none").unanchored


@pytest.mark.parametrize("slope", ["per_day", "none"])
def test_one_guide_in_every_cell(slope):
    """The burden is constant: there is no slope, and NTC cells anchor the intercept."""
    knobs = {"moi": 1, "moi_distribution": "fixed"}
    with_ntc = check(design_of(*screen(**knobs, ntc_share=0.2)), burden_slope=slope)
    assert not with_ntc.unanchored
    assert all("intercept" in w.name for w in with_ntc.weak_directions if "shift" in w.name)
    without = check(design_of(*screen(**knobs, ntc_share=0, ntc_guides=0)), burden_slope=slope)
    assert without.unanchored
    assert "burden slope" not in without.warnings[0]


def test_a_day_without_ntc_guides_is_named_and_the_others_are_not():
    cells, calls, guides, fates = screen(ntc_share=0.3, cells=3000)
    lost = calls["cell_id"].isin(cells["cell_id"][cells["day"] == "day1"])
    is_ntc = calls["guide"].isin(guides["guide_name"][guides["is_ntc"]])
    found = check(design_of(cells, calls[~(lost & is_ntc)], guides, fates))
    assert not found.unanchored
    assert np.isfinite(found.shift_sd[:, 0]).all()
    assert np.isinf(found.shift_sd[:, 1]).all()
    warned(found, "common shift of all genes on day1 is not told from the burden slope", "nothing")


def test_little_anchor_is_a_warning():
    found = check(design_of(*screen(cells=3000, ntc_share=0.01)))
    warned(found, "say little of the common shift", "day0", "day1")


def test_report_is_json(tmp_path):
    found = check(design_of(*screen(ntc_share=0, ntc_guides=0)))
    write_json(found.report(), tmp_path / "report.json")
    assert found.report()["sd_of_common_shift"]["MES"] == {"day0": None, "day1": None}


# ----------------------------------------------------------- local defects


def test_sets_of_cells_against_all_pairs():
    rng = np.random.default_rng(0)
    sets = [set(rng.choice(300, size=rng.integers(1, 60), replace=False)) for _ in range(40)]
    sets[7] = set(sets[3])
    sets[9] = set(list(sets[12])[1:]) if len(sets[12]) > 20 else sets[9]
    sets[20] = set(range(100))
    sets[21] = set(range(3, 100))
    item = np.concatenate([np.full(len(s), i) for i, s in enumerate(sets)])
    cell = np.concatenate([sorted(s) for s in sets])
    pairs = {
        (i, j) for i in range(40) for j in range(i) if len(sets[i] & sets[j]) >= 0.9 * len(sets[i] | sets[j])
    }
    found = same_sets(item, cell, 40, 300)
    assert {tuple(members[::-1]) for members, _ in found} == pairs
    assert {tuple(m): o for m, o in found}[(20, 21)] == pytest.approx(0.97)
    assert {tuple(m): o for m, o in found}[(3, 7)] == 1


def copied_guide(calls, old, new, share=1.0):
    """Add a guide to the cells of another."""
    copies = calls[calls["guide"] == old].assign(guide=new)
    return pd.concat([calls, copies.iloc[: round(share * len(copies))]])


@pytest.mark.parametrize("share", [1.0, 0.95])
def test_guides_that_occur_together(share):
    cells, calls, guides, fates = screen(cells=3000, guides_per_gene=1)
    first, gene = guides.loc[~guides["is_ntc"], ["guide_name", "gene_name"]].iloc[0]
    more = pd.DataFrame({"guide_name": ["copy_g1"], "gene_name": ["copy"], "is_ntc": [False]})
    calls = copied_guide(calls, first, "copy_g1", share)
    found = check(design_of(cells, calls, pd.concat([guides, more]), fates))
    word = "always occur together:" if share == 1 else "nearly always occur together (95% "
    sentence = warned(found, f"{first} (gene {gene})", "copy_g1 (gene copy)", word)
    sentence = sentence.removesuffix(" Read them as one, or give them one name.")
    assert found.guide_defects == {first: sentence, "copy_g1": sentence}
    assert found.gene_defects == {gene: sentence, "copy": sentence}
    if share == 1:
        weakest = found.weak_directions[0]
        assert weakest.name == f"guide {first} against guide copy_g1, which occur together"
        assert weakest.labels_sd == np.inf
        assert weakest.share == pytest.approx(0, abs=1e-9)
        assert not any("combination" in weak.name for weak in found.weak_directions)


def test_guides_of_one_gene_that_occur_together_are_a_defect_of_the_guides_only():
    cells, calls, guides, fates = screen(cells=3000)
    first, gene = guides.loc[~guides["is_ntc"], ["guide_name", "gene_name"]].iloc[0]
    more = pd.DataFrame({"guide_name": ["copy_g1"], "gene_name": [gene], "is_ntc": [False]})
    found = check(design_of(cells, copied_guide(calls, first, "copy_g1"), pd.concat([guides, more]), fates))
    assert set(found.guide_defects) == {first, "copy_g1"}
    assert found.gene_defects == {}
    assert any(weak.name.startswith(f"guide {first} against") for weak in found.weak_directions)


def test_cassettes_are_told_once():
    """Two guides of a gene in one vector, for every gene: one warning with the remedy, not one a gene."""
    cells, calls, guides, fates = screen(cells=3000, guides_per_gene=1)
    second = guides[~guides["is_ntc"]].assign(guide_name=lambda table: table["guide_name"] + "_second")
    copies = calls[calls["guide"].isin(guides["guide_name"][~guides["is_ntc"]])]
    calls = pd.concat([calls, copies.assign(guide=copies["guide"] + "_second")])
    found = check(design_of(cells, calls, pd.concat([guides, second]), fates))
    sentence = warned(found, "occur together")
    assert sentence.startswith(
        "8 groups of guides of one gene occur together, as in cassettes. First: Guides "
    )
    assert "Effects are per guide" in sentence
    assert "one name, in the calls and in the guide map" in sentence
    assert len(found.guide_defects) == 16


def test_a_guide_in_nearly_every_cell():
    cells, calls, guides, fates = screen(guides_per_gene=1)
    guide = guides["guide_name"].iloc[0]
    most = pd.DataFrame({"cell_id": cells["cell_id"].iloc[12:], "guide": guide})
    found = check(design_of(cells, pd.concat([calls, most]), guides, fates))
    warned(found, f"Guide {guide} is called in", "% of the cells of a day", "leave it out")


def test_a_tiny_prior_is_not_a_lack_of_controls():
    design = design_of(*screen(cells=3000, ntc_share=0.2))
    found = check(design, priors={"s_tau": 1e-3})
    sentence = warned(found, "SD of 0.001 (model.priors.s_tau)", "Raise model.priors.s_tau")
    assert found.unanchored
    assert "Add NTC guides" not in sentence


def test_controls_are_enough_where_the_default_prior_would_do():
    assert PriorsConfig().s_tau == WELL_TOLD


def test_genes_that_occur_together_on_one_day():
    cells, calls, guides, fates = screen(cells=3000, guides_per_gene=1)
    (one, two), genes = guides.loc[~guides["is_ntc"], "guide_name"][:2], guides["gene_name"].iloc[:2].tolist()
    on_day = calls["cell_id"].isin(cells["cell_id"][cells["day"] == "day0"])
    copies = calls[(calls["guide"] == one) & on_day].assign(guide=two)
    calls = calls[~((calls["guide"] == two) & on_day)]
    found = check(design_of(cells, pd.concat([calls, copies]), guides, fates))
    sentence = warned(found, f"Genes {genes[0]} and {genes[1]} always occur together on day0")
    assert found.gene_defects == dict.fromkeys(genes, sentence)
    assert found.guide_defects == {}
    assert found.weak_directions[0].name == f"gene {genes[0]} against gene {genes[1]} on day0"


def test_gene_in_every_cell_of_a_day():
    cells, calls, guides, fates = screen(guides_per_gene=1)
    guide, gene = guides.loc[~guides["is_ntc"], ["guide_name", "gene_name"]].iloc[0]
    everywhere = pd.DataFrame({"cell_id": cells["cell_id"][cells["day"] == "day0"], "guide": guide})
    design = design_of(cells, pd.concat([calls, everywhere]), guides, fates)
    found = check(design)
    warned(found, f"Gene {gene} is in every cell of day0")
    warned(found, f"Guide {guide} is in every cell of day0")
    assert list(found.gene_defects) == [gene]
    power = gene_power(design, make_terms(design, ModelConfig()), rows_of(design)).set_index("gene")
    assert np.isinf(power.loc[gene, "mde_d0"]).all()
    assert np.isfinite(power.loc[gene, "mde_d1"]).all()


def lonely_replicate(extra_gene):
    """Replicate r3 carries only two genes, without controls; one of them may be seen elsewhere."""
    cells, calls, guides, fates = screen(moi=1, moi_distribution="fixed", guides_per_gene=1, cells=4000)
    names = guides["guide_name"][~guides["is_ntc"]].tolist()
    of_one = calls.set_index("cell_id")["guide"].reindex(cells["cell_id"]).to_numpy()
    cells.loc[of_one == names[0], "rep"] = "r3"
    if extra_gene:
        cells.loc[(of_one == names[1]) & (np.arange(len(cells)) % 2 == 0), "rep"] = "r3"
    genes = guides["gene_name"][~guides["is_ntc"]].tolist()
    return check(design_of(cells, calls, guides, fates)), genes


def test_replicate_without_control():
    found, genes = lonely_replicate(extra_gene=False)
    warned(found, "r3 has no control", genes[0], "cannot be told from the effects")
    assert "replicates without a control (r3" in found.gene_defects[genes[0]]
    assert list(found.gene_defects) == [genes[0]]
    first = found.weak_directions[0]
    assert first.name == "level of replicate r3, which has no control, against its genes"
    assert first.share == pytest.approx(0, abs=1e-9)


def test_cells_with_an_ntc_guide_are_controls_whatever_else_they_carry():
    cells, calls, guides, fates = screen(moi=5, ntc_share=0.3)
    targeting = guides["guide_name"][~guides["is_ntc"]].tolist()
    more = pd.DataFrame({"cell_id": cells["cell_id"], "guide": np.resize(targeting, len(cells))})
    design = design_of(cells, pd.concat([calls, more]), guides, fates)
    assert int(design.cell_offsets.diff().min()) > 0
    assert not any("no control" in s or "has a control" in s for s in check(design).warnings)


def test_replicate_whose_genes_are_elsewhere_too():
    found, _ = lonely_replicate(extra_gene=True)
    warned(found, "r3 has no control", "rests on the genes that it shares")
    assert found.gene_defects == {}


def test_effects_that_rest_on_one_cluster():
    cells, calls, guides, fates = screen(
        clusters=30, cluster_shares_guides=True, moi=1, moi_distribution="fixed", guides_per_gene=1
    )
    guide = calls.set_index("cell_id")["guide"].reindex(cells["cell_id"]).to_numpy()
    target, gene = guides.loc[~guides["is_ntc"], ["guide_name", "gene_name"]].iloc[0]
    day0 = (cells["day"] == "day0").to_numpy()
    own = cells["cluster"][(guide == target) & day0].unique()
    drop = cells["cluster"].isin(own[1:]).to_numpy()
    cells, calls = cells[~drop], calls[calls["cell_id"].isin(cells["cell_id"][~drop])]
    found = check(design_of(cells, calls, guides, fates))
    assert "The effect on day0 rests on a single cluster." in found.gene_defects[gene]
    warned(found, "rest on a single cluster", gene)


def test_clusters_of_one_gene_with_their_own_intercepts():
    cells, calls, guides, fates = screen(clusters=10, cells=2400)
    target = guides["guide_name"][~guides["is_ntc"]].iloc[0]
    lonely = cells["cell_id"][cells["cluster"] == cells["cluster"].iloc[0]]
    calls = calls[~calls["cell_id"].isin(lonely)]
    calls = pd.concat([calls, pd.DataFrame({"cell_id": lonely, "guide": target})])
    # a second cluster of one gene has controls
    other = cells["cell_id"][cells["cluster"] == cells["cluster"].iloc[-1]]
    ntc = guides["guide_name"][guides["is_ntc"]].iloc[0]
    more = pd.DataFrame({"cell_id": other, "guide": [target] * (len(other) - 9) + [ntc] * 9})
    calls = pd.concat([calls[~calls["cell_id"].isin(other)], more])
    found = check(design_of(cells, calls, guides, fates))
    warned(found, "1 of 40 clusters carries only one gene and no control", cells["cluster"].iloc[0])
    assert np.isfinite(found.shift_sd).all()
    assert not any("imitate" in sentence for sentence in found.warnings)


def test_cluster_intercepts_cost_information_on_the_shift():
    tables = screen(clusters=100, cells=2400)  # 6 cells each
    with_clusters = check(design_of(*tables))
    without = check(design_of(tables[0].drop(columns="cluster"), *tables[1:]))
    assert (with_clusters.shift_sd > 1.005 * without.shift_sd).all()


def test_labels_that_are_determined():
    cells, calls, guides, fates = screen(cells=3000)
    gene = guides["gene_name"][~guides["is_ntc"]].iloc[0]
    mine = calls["cell_id"][calls["guide"].isin(guides["guide_name"][guides["gene_name"] == gene])]
    sure = cells["cell_id"].isin(mine) & (cells["day"] == "day1")
    cells.loc[sure, ["p_EC", "p_MES", "p_NEU"]] = [0.0, 1.0, 0.0]
    found = check(design_of(cells, calls, guides, fates))
    warned(found, "1 gene-day has cells of one and the same fate", f"{gene} on day1")
    assert f"all its cells ({sure.sum()}) have fate MES" in found.gene_defects[gene]


def test_fate_that_a_day_lacks():
    cells, calls, guides, fates = screen(cells=3000)
    day0 = cells["day"] == "day0"
    cells.loc[day0, "p_MES"] += cells.loc[day0, "p_NEU"]
    cells.loc[day0, "p_NEU"] = 0.0
    design = design_of(cells, calls, guides, fates)
    found = check(design)
    warned(found, "No cell of day0 has fate NEU")
    assert not found.unanchored
    power = gene_power(design, make_terms(design, ModelConfig()), rows_of(design)).set_index("contrast")
    assert np.isinf(power.loc["NEU", "mde_d0"]).all()
    assert np.isfinite(power.loc["NEU", "mde_d1"]).all()
    assert np.isfinite(power.loc["MES", "mde_d0"]).all()


def test_unnamed_dependence_is_described_by_its_parts():
    """A guide of gene 3 in the cells that have gene 1 or gene 2, each cell one of them."""
    cells, calls, guides, fates = screen(moi=1, moi_distribution="fixed", guides_per_gene=1, cells=3000)
    names = guides["guide_name"][~guides["is_ntc"]].tolist()
    genes = guides["gene_name"][~guides["is_ntc"]].tolist()
    calls = calls[calls["guide"] != names[2]]
    both = calls[calls["guide"].isin(names[:2])].assign(guide=names[2])
    found = check(design_of(cells, pd.concat([calls, both]), guides, fates))
    hits = [sentence for sentence in found.warnings if "imitate each other" in sentence]
    assert len(hits) == 2  # one for each day
    assert all(f"gene {gene} on day" in sentence for sentence in hits for gene in genes[:3])
    # units of the burden, which also has information, are no matter
    design = design_of(cells, pd.concat([calls, both]), guides, fates)
    design = dataclasses.replace(design, burden=1e6 * (1 + torch.arange(design.n_cells) % 7).double())
    again = [sentence for sentence in check(design).warnings if "imitate each other" in sentence]
    assert sorted(again) == sorted(hits)


# ------------------------------------------------------------------- power


def dense_se(design, config, rows):
    """Likelihood-only SEs: own prior of the gene left out, all else with its prior, [F*, L, D]."""
    c = Coordinates(make_terms(design, config))
    share = torch.stack([design.prob[design.day == d].mean(0) for d in range(len(design.days))])
    h = information(RowIndex(rows, c), c, curvature(rows, share[rows.day]))
    sd = c.sd(c.scales.log_scales(c.scales.start(START_SHARE)))
    prior = sd.reshape(-1).pow(-2)
    n, size, n_genes, n_days = len(design.contrasts), c.size, len(design.genes), len(design.days)
    sum_up = torch.kron(torch.eye(n), torch.tril(torch.ones(n_days, n_days))).double()
    out = torch.zeros(n, n_genes, n_days, dtype=torch.float64)
    for gene in range(n_genes):
        own = torch.tensor(
            [f * size + c.walk.start + d * n_genes + gene for f in range(n) for d in range(n_days)]
        )
        rest = torch.ones(n * size, dtype=torch.bool)
        rest[own] = False
        others = h[rest][:, rest] + torch.diag(prior[rest])
        j = h[own][:, own] - h[own][:, rest] @ torch.linalg.solve(others, h[rest][:, own])
        out[:, gene] = (sum_up @ torch.linalg.inv(j) @ sum_up.T).diagonal().sqrt().view(n, n_days)
    return out


@pytest.mark.parametrize(("moi", "guides"), [(1, {1: 0.5, 2: 0.5}), (5, 4)])
def test_minimum_detectable_effect_against_the_full_information(moi, guides):
    design = design_of(
        *screen(cells=6000, genes=20, guides_per_gene=guides, moi=moi, days=[0, 1, 2], guide_abundance_sd=1.0)
    )
    rows = rows_of(design)
    table = gene_power(design, make_terms(design, ModelConfig()), rows)
    assert list(table.columns[:5]) == ["gene", "contrast", "mde_d0", "mde_d1", "mde_d2"]
    assert table["n_cells_d1"].iloc[0] == int(design.gene_cells[0, 1])
    se = table[["mde_d0", "mde_d1", "mde_d2"]].to_numpy().reshape(2, 20, 3) / 2.8
    ratio = np.log(se / dense_se(design, ModelConfig(), rows).numpy())
    assert abs(ratio.mean()) < 0.06
    assert np.abs(ratio).max() < 0.22


def test_power_of_an_unobserved_gene_day_is_missing():
    cells, calls, guides, fates = screen(guides_per_gene=1)
    guide, gene = guides.loc[~guides["is_ntc"], ["guide_name", "gene_name"]].iloc[0]
    on_day = calls["cell_id"].isin(cells["cell_id"][cells["day"] == "day0"])
    design = design_of(cells, calls[~(on_day & (calls["guide"] == guide))], guides, fates)
    power = gene_power(design, make_terms(design, ModelConfig()), rows_of(design)).set_index("gene")
    assert power.loc[gene, "mde_d0"].isna().all()
    assert np.isfinite(power.loc[gene, "mde_d1"]).all()
    assert list(check(design).gene_defects) == []


# --------------------------------------------------------------- NTC slope


def fit(design):
    coordinates = Coordinates(make_terms(design, ModelConfig()))
    return fit_laplace(coordinates, rows_of(design), day_intercepts(design), None, False, 12000)


@pytest.mark.parametrize("pooled", [False, True])
def test_ntc_slope_finds_a_pooled_ntc_label(pooled):
    cells, calls, guides, fates = screen(
        cells=4000, genes=60, guides_per_gene=1, moi=5, ntc_share=0.4, ntc_guides=20, burden_slope=0.3,
        active_genes=6, labels="dirichlet",
    )  # fmt: skip
    if pooled:
        is_ntc = calls["guide"].isin(guides["guide_name"][guides["is_ntc"]])
        calls = calls.assign(guide=calls["guide"].mask(is_ntc, "NTC")).drop_duplicates(["cell_id", "guide"])
        label = pd.DataFrame({"guide_name": ["NTC"], "gene_name": ["NTC"], "is_ntc": [True]})
        guides = pd.concat([guides[~guides["is_ntc"]], label])
    found = ntc_slope(fit(design_of(cells, calls, guides, fates)), design_of(cells, calls, guides, fates))
    assert found.report()["MES"]["z"] == pytest.approx(found.slope[0] / found.se[0])
    if pooled:
        assert (found.z > 5).all()
        assert "NTC guides act beyond" in found.warnings[0]
        assert "probably miscounted" in found.warnings[0]
    else:
        assert (np.abs(found.z) < 3).all()
        assert found.warnings == []


@pytest.mark.parametrize(
    ("slope", "burden", "varies", "words"),
    [
        ("per_day", None, 1, "probably miscounted"),
        ("per_day", 3.0, 3, "correct the column"),
        ("per_day", 3.0, 1, "act on MES"),
        ("none", None, 1, "Set model.burden_slope: per_day"),
    ],
)
def test_why_ntc_guides_act_is_said_in_words_of_the_model(slope, burden, varies, words):
    """NTC guides act on the cell like all guides, or the burden that would take it up is wrong."""
    cells, calls, guides, fates = screen(cells=2000, ntc_share=0.4, labels="dirichlet")
    if burden:
        cells = cells.assign(burden=[burden + i % varies for i in range(len(cells))])
    is_ntc = calls["guide"].isin(guides["guide_name"][guides["is_ntc"]])
    carriers = cells["cell_id"].isin(calls["cell_id"][is_ntc])
    cells.loc[carriers, ["p_EC", "p_MES", "p_NEU"]] = [0.05, 0.9, 0.05]
    design = design_of(cells, calls, guides, fates)
    coordinates = Coordinates(make_terms(design, ModelConfig(burden_slope=slope)))
    rows = make_rows(design, coordinates.terms)
    laplace = fit_laplace(coordinates, rows, day_intercepts(design), None, False, 12000)
    (sentence,) = ntc_slope(laplace, design).warnings
    assert words in sentence
    assert ("miscounted" in sentence) == (words == "probably miscounted")
    assert ("burden_slope" in sentence) == (slope == "none")


def test_ntc_slope_is_the_newton_step_of_the_larger_model():
    """The same step from dense matrices over single cells."""
    design = design_of(*screen(cells=400, genes=4))
    laplace = fit(design)
    c, rows, row = laplace.coordinates, laplace.rows, row_of_cells(design, make_terms(design, ModelConfig()))
    sd = c.sd(c.scales.log_scales(laplace.vector))
    unit = torch.eye(c.size, dtype=torch.float64)[:, None]
    x = (rows.matrix @ c.coefficients(unit)[:, 0].T.contiguous())[row]  # [N, p]
    x = torch.cat([x, design.n_ntc.double()[:, None]], dim=1)
    eta = x[:, :-1] @ (sd * laplace.y).T
    pi = torch.softmax(torch.cat([torch.zeros(len(eta), 1), eta], dim=1), dim=1)[:, 1:]
    w, n, size = rows.weight[row], pi.shape[1], x.shape[1]
    bend = w[:, None, None] * (torch.diag_embed(pi) - pi[:, :, None] * pi[:, None, :])
    h = torch.einsum("ip,ifg,iq->fpgq", x, bend, x).reshape(n * size, n * size)
    flat = torch.zeros(n, 1, dtype=torch.float64)
    h += torch.diag(torch.cat([sd.pow(-2), flat], dim=1).reshape(-1))
    score = x.T @ (w[:, None] * (design.prob[:, 1:] - pi))  # [size, F*]
    score -= torch.cat([laplace.y / sd, flat], dim=1).T
    covariance = torch.linalg.inv(h)
    step = (covariance @ score.T.reshape(-1)).view(n, size)[:, -1]
    se = covariance.diagonal().view(n, size)[:, -1].sqrt()
    found = ntc_slope(laplace, design)
    np.testing.assert_allclose(found.se, se, rtol=1e-6)
    np.testing.assert_allclose(found.slope, step, atol=0.02 * float(se.min()))


def test_no_ntc_slope_without_ntc_guides():
    design = design_of(*screen(cells=400, genes=4, ntc_share=0, ntc_guides=0))
    assert ntc_slope(fit(design), design) is None


def test_row_of_cells_is_that_of_the_rows():
    design = design_of(*screen(moi=1))
    rows = rows_of(design)
    total = torch.zeros_like(rows.target).index_add(
        0, row_of_cells(design, make_terms(design, ModelConfig())), design.prob
    )
    torch.testing.assert_close(total, rows.target)


# --------------------------------------------------------------- real data


def split_crispants():
    """Every double crispant as two reagents that its embryos carry."""
    cells = pd.read_csv(ZSCAPE / "cells.csv.gz")
    embryos = pd.read_csv(ZSCAPE / "embryos.csv").set_index("embryo")
    reagent = embryos["guides_split"].str.split("|").explode().rename("guide")
    guides = pd.DataFrame({"guide_name": reagent.unique()})
    guides["is_ntc"] = guides["guide_name"].str.startswith("ctrl")
    guides["gene_name"] = guides["guide_name"].str.replace("_crispant", "").mask(guides["is_ntc"], "NTC")
    calls = cells[["cell_id", "embryo"]].merge(reagent, left_on="embryo", right_index=True)
    fates = ["eye", *sorted(set(cells["fate"]) - {"eye"})]
    labels = pd.get_dummies(cells["fate"]).astype(float)[fates].add_prefix("p_")
    cells = pd.concat([cells[["cell_id", "rep"]], labels], axis=1).assign(
        day=cells["hpf"].astype(str), time=cells["hpf"], cluster=cells["embryo"]
    )
    return design_of(cells, calls[["cell_id", "guide"]], guides, fates)


@pytest.mark.skipif(not ZSCAPE.exists(), reason="the zscape_crispants data are not here")
def test_double_crispants_in_split_form():
    design = split_crispants()
    found = check(design, burden_slope="none", fates=list(design.fates), contrast_fate="notochord")
    together = warned(
        found, "wnt3a_crispant (gene wnt3a)", "wnt8_crispant (gene wnt8)", "always occur together"
    )
    together = together.removesuffix(" Read them as one, or give them one name.")
    assert found.guide_defects == {"wnt3a_crispant": together, "wnt8_crispant": together}
    assert found.gene_defects["wnt3a"] == found.gene_defects["wnt8"] == together
    warned(found, "B06 has no control", "hoxb1a", "cannot be told")
    warned(found, "B09 has no control", "met", "tfap2a", "rests on the genes that it shares")
    assert "B06" in found.gene_defects["hoxb1a"]
    assert set(found.gene_defects) == {"wnt3a", "wnt8", "hoxb1a"}
    assert not found.unanchored
    names = [weak.name for weak in found.weak_directions]
    assert "guide wnt3a_crispant against guide wnt8_crispant, which occur together" in names
    assert not any("combination" in name for name in names)
