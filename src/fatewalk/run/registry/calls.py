"""After mash: shrunken effects, calls and hits."""

from fatewalk.run.registry.entries import Column, File

#: What mash adds to a table.
AFTER_MASH = (
    Column("postmean_d*", "posterior mean of the effect", unit="logit"),
    Column("postsd_d*", "posterior standard deviation", unit="logit"),
    Column(
        "lfsr_d*",
        "local false sign rate: probability that the sign is wrong, or that there is no "
        "effect. 0 to 1; small is certain",
        unit="probability",
    ),
    Column("lfsr_min", "smallest lfsr over the observed days", unit="probability"),
    Column("best_day", "its day, `d0`, `d1`, ...; the first one where days tie"),
)

#: Arrays of mash over fates and days.
OF_FATES = (
    Column("names, fates, days", "along the axes, the reference first"),
    Column("composition", "shares of the fates that the scale is at", "probability", "F, D"),
    Column("steepness", "as in evidence.npz", "", "F, D"),
    Column("estimate, se", "unshrunk, in logit of the fate's own probability", "logit", "n, F, D"),
    Column("mean, sd", "after mash; missing without cells and where a fate is rare", "logit", "n, F, D"),
    Column("lfsr", "local false sign rate", "probability", "n, F, D"),
    Column("prob_large", "probability that the effect exceeds eps", "probability", "n, F, D"),
    Column("patterns", "probability of each pattern over days", "probability", "n, F, 7"),
    Column(
        "steady",
        "probability of each pattern both in logit and on the scale of the labels' spread",
        "probability",
        "n, F, 7",
    ),
    Column(
        "gained",
        "probability of an effect above eps on the scale of the labels' spread alone",
        "probability",
        "n, F, D",
    ),
    Column("moved", "probability that the fate moved itself", "probability", "n, F"),
    Column(
        "untold",
        "probability, given an effect, that so many fates moved that which cannot be told",
        "probability",
        "n",
    ),
    Column("grid", "prior standard deviations by which the covariances are scaled", "logit", "G"),
    Column("pi0, pi", "weight of no effect, and those by class, time shape and scale", shape="; C, T, G"),
)

#: Parts of an annotated matrix.
ANNOTATED = (
    Column("X", "the layer `mash_mean`", "logit", "n, F x D"),
    Column("obs", "genes, with their number of rows in `hits.csv` (`n_hits`); or guides, with their gene"),
    Column("var", "`fate`, `day` (its label) and `time` of each column; names such as `MES@day2`"),
    Column(
        "layers",
        "as in `effects.parquet`: `estimate`, `se`, `mash_mean`, `mash_sd`, `percent_points` with `_low` and "
        "`_high`, `lfsr`, `plarge`, `n_cells`; of "
        "genes also `posterior_mean`, `posterior_sd` and `called` (1, 0 or missing). What each is stands in "
        '`uns["layers"]`',
        shape="n, F x D",
    ),
    Column("obsm", "`prob_moved`, a column a fate: probability that it moved itself", "probability", "n, F"),
    Column("uns", "`reference`, `effect_size_eps`, `calls_scale`, `layers`"),
    Column("obsp, varm, varp", "empty"),
)

FILES = (
    File(
        "mash_{level}_{mode}.csv",
        stage="fit_mash",
        where="contract",
        text="Effects of genes or guides after mash on `{level}_daywise_for_mash.csv`, by the built-in "
        "engine or by R.",
        extends="{level}_daywise_for_mash.csv",
        by_engine=True,
        columns=AFTER_MASH,
    ),
    File(
        "mash_{level}_{mode}.json",
        stage="fit_mash",
        where="contrast",
        text="The mixture that mash fitted.",
        by_engine=True,
        columns=(
            Column(
                "engine, mode, versions",
                "what made it; mode `likelihood` for the likelihood-only tables, which also have `estimand`",
            ),
            Column("n_rows", "rows of the table"),
            Column("n_significant", "rows with an lfsr below 0.05 on at least one day"),
            Column("se_inflate, se_floor", "what was done to the standard errors"),
            Column(
                "error_correlation",
                "D x D, correlation of the errors between days, as used; for likelihood-only tables"
                " the name of the file that has one per row",
            ),
            Column(
                "covariances",
                "prior covariances by name, D x D, largest variance 1: `identity`, one per day "
                "(effect on that day only), `equal_effects`, `simple_het_1` to `3`; for "
                "[time](method.md#mash) `sustained`, `early_*`, `late_*`, `transient_*`, "
                "`switch_*`, `sign_switch_*`, `ramp_up`, `ramp_down`, `random_walk`; learned from "
                "the data `ED_*`",
            ),
            Column("grid", "prior standard deviations by which they are scaled"),
            Column(
                "pi",
                "mixture weights: `null` (no effect on any day), then `<covariance>.<index in grid, from 1>`",
            ),
            Column("loglik", "log likelihood"),
            Column("kkt_gap", "built-in engine only: distance from the best weights, 0 at the optimum"),
            Column("notes", "sentences on what could not be estimated; often empty"),
        ),
    ),
    File(
        "mash_likelihood_{level}.csv",
        stage="fit_mash",
        where="contrast",
        text="Effects of genes or guides after mash on the likelihood-only estimates, by contrast.",
        extends="{level}_daywise_likelihood.csv",
        columns=AFTER_MASH,
    ),
    File(
        "mash_likelihood_{level}.json",
        stage="fit_mash",
        where="contrast",
        text="The mixture that this mash fitted, with the same entries.",
    ),
    File(
        "shrunk_{level}.npz",
        stage="fit_mash",
        where="contrast",
        text="What every source of calls says of genes or guides, from which `rank_hits` ranks. `<source>` "
        "is `mash_fates`, `mash_likelihood`, `mash_posterior` (not where R makes it, nor with "
        "`calls.estimand: gene`) or `joint`; of guides the first two.",
        columns=(
            Column("guide, gene", "names, in the order of the tables; `guide` only of guides", shape="n"),
            Column("postmean_<source>, postsd_<source>", "posterior mean and SD", "logit", "n, D"),
            Column("lfsr_<source>", "local false sign rate", "probability", "n, D"),
            Column(
                "plarge_<source>",
                "probability that the absolute effect exceeds `calls.effect_size_eps`",
                "probability",
                "n, D",
            ),
            Column(
                "<pattern>_<source>",
                "genes: probability of each pattern over days, and of `none`, no day with an effect above "
                "eps; from draws",
                "probability",
                "n",
            ),
        ),
    ),
    File(
        "shrunk_fates_gene.npz",
        stage="fit_mash",
        where="run",
        text="Genes after mash over fates and days, on the scale of each fate, and who moved.",
        columns=OF_FATES,
    ),
    File(
        "shrunk_fates_guide.npz",
        stage="fit_mash",
        where="run",
        text="The same of guides.",
        columns=OF_FATES,
    ),
    File(
        "mash_fates.json",
        stage="fit_mash",
        where="run",
        text="The mixtures that mash over fates and days fitted to `gene` and `guide`.",
        columns=(
            Column("gene, guide", "one mixture each"),
            Column("n_rows, versions", "rows; what made it"),
            Column("pi0", "weight of no effect on any fate and day"),
            Column(
                "pi0_by_null_weight",
                "what it would be with `mash.null_weight` 1, 3 and 10: how much that choice matters",
            ),
            Column(
                "pi",
                "other weights above 0, largest first: `<class>.<time shape>.<SD in logit>`; class `single` "
                "(one fate moves), `flow` (cells diverted between two) or `all`",
            ),
            Column("n_effects", "expected number of rows with any effect"),
            Column(
                "estimand, estimand_because",
                "of genes: what the calls ask for, `calls.estimand: auto` resolved, and why",
            ),
            Column("loglik", "log likelihood, against that of no effect anywhere", unit="nats"),
            Column("rounds", "rounds of EM that found the weights"),
            Column("gain", "what the last round added to the log posterior of the weights", unit="nats"),
        ),
    ),
    File(
        "certificate.json",
        stage="certify",
        where="run",
        text="Proof on this very screen, check by check.",
        columns=(
            Column("kind", "`quick` or `full`; `none`: nothing was checked (`calls.certificate`)"),
            Column("verdict", "`pass`, `warn` or `fail`, the worst of the checks; `none`"),
            Column("words", "the same in words, as the run says them at its end"),
            Column(
                "checks",
                "`name`, `verdict`, `value`, `limit` (beyond it the check fails) and `words`: "
                "`shuffled_guides` (spread of z with guides shuffled between cells; 1 is right), "
                "`control_guides` (spread of z of NTC guides taken for genes; 1), `quiet_genes` (spread of "
                "z of genes and controls that seem to do nothing; 1), `ntc_slope` (z), `label_weight` "
                "(weight of a label times its dispersion; 1), `false_hits` (hits with shuffled guides)",
            ),
            Column("cannot_tell", "what no check here can see"),
        ),
    ),
    File(
        "certificate_z.csv",
        stage="certify",
        where="run",
        text="Quantiles of z where nothing acts, for the picture: they should be those of a normal.",
        columns=(
            Column("what", "`shuffled guides`, or `control guides` taken for genes"),
            Column("fate", "the fate"),
            Column("normal", "quantile of the standard normal"),
            Column("z", "quantile of the z scores"),
            Column("n", "z scores"),
        ),
    ),
    File(
        "certificate_planted.csv",
        stage="certify",
        where="run",
        text="Coverage and power in screens like this one, with effects planted into its own labels "
        "(`calls.certificate: full`; else without rows).",
        columns=(
            Column("size_from, size_to", "class of the absolute change of a fate", unit="logit"),
            Column("n", "planted effects"),
            Column("covered", "share that the 95 % interval of the unshrunk estimate holds"),
            Column("called", "share called active"),
            Column("wrong_sign", "share of the called ones with the wrong sign"),
        ),
    ),
    File(
        "gene_p_values.csv",
        stage="certify",
        where="run",
        text="Randomisation p-values: how often a gene's guides, dealt to other cells of the same day, "
        "replicate and number of guides, move a fate as much. They lean on no model of the labels.",
        columns=(
            Column("gene, fate", "names"),
            Column(
                "p_value",
                "of no guide of the gene changing the fate on any day, which guides that go apart contradict "
                "too; somewhat too small where many other genes act; missing for a gene with too few cells, "
                "and without a certificate",
                unit="probability",
            ),
        ),
    ),
    File(
        "hits.csv",
        stage="rank_hits",
        where="run",
        text="The hits, best first, in words, for people: one row for each gene and fate that it moved. "
        "With `calls.scale: contrast` one for each gene and contrast.",
        columns=(
            Column("rank, gene", "from 1, best first; name"),
            Column("fate", "the fate whose own probability changes (scale contrast: `contrast, reference`)"),
            Column(
                "direction",
                "`gain` or `loss` of the fate over the active days; `gain then loss` and the like where "
                "the sign changes",
            ),
            Column("active_days", "labels of the days on which the gene is called active"),
            Column(
                "lfsr",
                "smallest local false sign rate of these days; the rank follows it",
                unit="probability",
            ),
            Column(
                "strongest_day",
                "the active day with the largest absolute effect; the next columns are of that day",
            ),
            Column(
                "effect, effect_low, effect_high",
                "change of the logit of the fate's probability after mash: mean and 95 % interval, mean "
                "+- 1.96 SD (scale contrast: of the log odds against the reference, by `calls.source`)",
                unit="logit",
            ),
            Column(
                "plarge",
                "probability that the absolute effect exceeds `calls.effect_size_eps`",
                unit="probability",
            ),
            Column(
                "percent_points, percent_points_low, percent_points_high",
                "change of the fate's probability, on average over the cells of the day, that goes with "
                "`effect` and its interval: 100 (expit(logit p + s effect) - p), p the fate's probability "
                "without the gene, s (`steepness` of evidence.npz) below 1 where cells differ otherwise",
                unit="percentage points",
            ),
            Column(
                "prob_moved",
                "scale fate: probability that the fate moved itself. Probabilities sum to one, so that "
                "others follow where one moves; followers are in `effects.parquet`",
                unit="probability",
            ),
            Column(
                "who_moved",
                "scale fate: `this fate`, or `cannot be told`: too many fates changed, or too little is "
                "known, to say which of them moved and which followed. All of them are listed then",
            ),
            Column(
                "also_moved",
                "scale fate: other fates that more likely moved than not, hits or not; where that cannot be "
                "told, the other fates with an effect",
            ),
            Column(
                "guides_agree",
                "how many of the gene's guides with cells on the day have the sign of its effect, `3 of 4` "
                "(scale contrast: further on also `n_guides`, `n_sources_hit`)",
            ),
            Column(
                "replicates_agree",
                "how many of the replicates with cells of the gene on the day have that sign, `2 of 3`",
            ),
            Column("n_cells", "cells of the day that carry a guide of the gene", unit="cells"),
            Column(
                "pattern, pattern_prob",
                "the likeliest course over the observed days, and its probability. A change between two days "
                "is claimed only if it holds in logit and against how far the labels of each day move "
                "([method](method.md#patterns)); else the words are like `present from day 5 on; day 3 not "
                "resolved` (scale contrast: in logit alone, as in `hits_ranked.csv`)",
            ),
            Column(
                "not_resolved",
                "scale fate: days whose labels resolve too little to say that there is no effect; empty if "
                "the pattern stands",
            ),
            Column(
                "marks",
                "what to look at before the hit is believed, in words, `; ` between them; empty: nothing. "
                "[What they mean](method.md#what-a-hit-rests-on); the numbers stand in `hit_support.csv`",
            ),
        ),
    ),
    File(
        "hit_support.csv",
        stage="rank_hits",
        where="run",
        text="What each hit rests on: its largest parts, replicates by sign, and what is left when parts of "
        "its cells are left out. One row for each row of `hits.csv`, in its order; all on the scale of the "
        "fate's own probability, from likelihood-only estimates (not shrunk), without fitting again.",
        columns=(
            Column("gene, fate, day", "of the hit; the strongest day, which the estimates are of"),
            Column("estimate, se", "likelihood-only, all cells", unit="logit"),
            Column("by_replicate", "the estimate of each replicate with cells, `rep1: 0.81; rep2: 1.02`"),
            Column("replicates_agree", "how many of them have the sign of the hit"),
            Column(
                "largest_guide, largest_guide_share",
                "the guide with most of the gene's cells on the day, its share of them (a cell with two "
                "of its guides counts twice)",
            ),
            Column(
                "largest_part, largest_part_share",
                "the same of the guide and replicate with most of the cells",
            ),
            Column(
                "without_a_guide_low, without_a_guide_high",
                "range of the estimate when each guide is left out; empty for a gene with one guide",
                unit="logit",
            ),
            Column(
                "without_a_replicate_low, without_a_replicate_high",
                "range of the estimate when each replicate is left out; empty with one replicate",
                unit="logit",
            ),
            Column("without_largest_part", "estimate without `largest_part`", unit="logit"),
            Column(
                "weakest_without",
                "the guide and replicate without which least is left of the hit over its active days",
            ),
            Column("weakest_without_estimate", "estimate without it", unit="logit"),
            Column(
                "weakest_without_z",
                "what is left over the active days, in the direction of the hit, in standard errors",
            ),
            Column(
                "survives",
                "`yes`: the hit is still seen without any one guide in one replicate; `no`: it is not; "
                "empty: there is but one",
            ),
            Column(
                "without_a_control_low, without_a_control_high",
                "range of the estimate when each control is left out: an NTC guide, or a cluster without "
                "targeting guides where clusters (embryos) share guides; empty where there is neither",
                unit="logit",
            ),
            Column("needed_control", "the control without which the hit is not seen; mostly empty"),
            Column(
                "needed_replicate",
                "the replicate without which less than 1.28 standard errors are left over the active days, "
                "and which lies 2.5 or more above the others; mostly empty",
            ),
            Column("marks", "as in `hits.csv`"),
        ),
    ),
    File(
        "hits_withheld.csv",
        stage="rank_hits",
        where="run",
        text="With the columns of `hits.csv`: the hits of a run whose certificate failed, which `hits.csv` "
        "then lacks (`calls.require`). Else without rows.",
    ),
    File(
        "effects.parquet",
        stage="rank_hits",
        where="run",
        text="Every effect, one row for each gene or guide, fate or contrast, and day.",
        columns=(
            Column("level", "`gene` or `guide`"),
            Column("gene, guide", "names; `guide` is missing for genes"),
            Column(
                "scale",
                "`fate`: logit of the fate's own probability; `contrast`: log odds against the reference",
            ),
            Column("fate, day", "the fate or contrast; the day's label"),
            Column("estimate, se", "likelihood-only"),
            Column("posterior_mean, posterior_sd", "of the hierarchical model; missing for guides on fates"),
            Column("mash_mean, mash_sd", "mash over fates and days"),
            Column(
                "percent_points, percent_points_low, percent_points_high",
                "scale fate: change of the fate's mean probability over the cells of the day that mash_mean "
                "makes, and its 95 % interval",
                unit="percentage points",
            ),
            Column(
                "lfsr, plarge",
                "scale contrast, genes: by the source of the calls (`calls.source`); else by mash over fates "
                "and days",
                unit="probability",
            ),
            Column(
                "p_value",
                "scale fate, genes: randomisation p-value (`gene_p_values.csv`) of no guide doing "
                "anything to the fate on any day: small also where guides go apart and the gene does nothing",
                unit="probability",
            ),
            Column(
                "called",
                "genes: whether the gene is called active on the day, followers included; missing without "
                "cells and for guides",
            ),
            Column(
                "prob_moved",
                "scale fate: probability that the fate moved itself; missing for contrasts",
                unit="probability",
            ),
            Column("n_cells", "cells of the day with the gene's guides, or the guide", unit="cells"),
        ),
    ),
    File(
        "results.h5ad",
        stage="rank_hits",
        where="run",
        text="Effects of genes on each fate's own probability as an AnnData, genes x (fate, day), for "
        "scanpy, R and your own code: `anndata.read_h5ad`, or `fatewalk.load(...).to_anndata()`.",
        columns=ANNOTATED,
    ),
    File(
        "results_guides.h5ad",
        stage="rank_hits",
        where="run",
        text="The same of single guides, each with its gene in `obs`.",
        columns=ANNOTATED,
    ),
    File(
        "hits_ranked.csv",
        stage="rank_hits",
        where="contract",
        text="All genes by rank with calls, shrunken effects and probabilities, for programs.",
        columns=(
            Column(
                "rank",
                "from 1. Hits first, by `min_lfsr_among_active`; then the other genes by their "
                "smallest lfsr. Ties: larger `max_abs_postmean`, then name",
            ),
            Column("gene, n_guides", "name; guides of the gene that are in at least one cell"),
            Column("hit_anyday", "`True`: a hit over the whole time course"),
            Column("active_days", "days on which the gene is called active, such as `d0;d2`; empty if none"),
            Column("n_active_days", "their number"),
            Column("best_day_among_active", "the active day with the smallest lfsr; empty if none"),
            Column("min_lfsr_among_active", "that lfsr; empty if none", unit="probability"),
            Column("max_abs_postmean", "largest absolute `postmean` over the observed days", unit="logit"),
            Column(
                "prob_any_day",
                "probability that the absolute effect exceeds `calls.effect_size_eps` on at least "
                "one observed day; empty for a gene without one",
                unit="probability",
            ),
            Column(
                "bayesian_fdr",
                "of the genes with enough active days whose `prob_any_day` is at least this one's: "
                "the mean of 1 - `prob_any_day`, the expected share of false hits in that set. "
                "Empty for other genes",
                unit="probability",
            ),
            Column(
                "pattern",
                "the likeliest course of the effect over the observed days (below); empty without "
                "an active day",
            ),
            Column(
                "pattern_prob",
                "its posterior probability. The rest goes to other patterns, and to no effect above"
                " eps on any day",
                unit="probability",
            ),
            Column("n_sources_hit", "by how many of the sources the gene is a hit"),
            Column(
                "source, estimand",
                "what the calls rest on (`calls.source`; `calls.estimand`, `auto` resolved)",
            ),
            Column(
                "postmean_d*, postsd_d*, lfsr_d*",
                "posterior mean and SD and local false sign rate, by that source",
                unit="logit",
            ),
            Column(
                "plarge_d*",
                "probability that the absolute effect exceeds `calls.effect_size_eps` (0.2 logit), "
                "by that source",
                unit="probability",
            ),
            Column("n_cells_d*", "cells, as in the gene table", unit="cells"),
            Column("hit_<source>, active_days_<source>", "the same verdicts by each other source"),
            Column("postmean_<source>_d*, lfsr_<source>_d*, plarge_<source>_d*", "its numbers"),
        ),
    ),
    File(
        "mash_mode_comparison.csv",
        stage="rank_hits",
        where="contract",
        text="Modes and engines of mash side by side, one row per gene and day.",
        columns=(
            Column("gene, day", "day as `d0`, `d1`, ..."),
            Column("n_cells", "cells of the gene on the day", unit="cells"),
            Column("postmean_<mode>, lfsr_<mode>", "of each mode"),
            Column(
                "called_<mode>",
                "`True`: lfsr below `calls.lfsr_day`. The size of the effect plays no part here",
            ),
            Column(
                "agree",
                "all modes call the gene-day with the same sign, or none calls it. With one mode "
                "`True` everywhere",
            ),
            Column(
                "postmean_conservative_<engine>, lfsr_conservative_<engine>, called_conservative_<engine>",
                "with `mash.compare_engines`: the same by the other engine",
            ),
            Column(
                "agree_engines_conservative",
                "both engines call the gene-day with the same sign, or neither calls it. Where "
                "gene-days are missing the engines differ a little ([method](method.md#mash))",
            ),
        ),
    ),
    File(
        "gene_from_guide_mash_{mode}.csv",
        stage="rank_hits",
        where="contract",
        text="Guides of a gene combined after mash: a description.",
        columns=(
            Column("gene, n_guides", "guides in the guide table"),
            Column("n_guides_used_d*", "guides with cells on the day"),
            Column(
                "meta_mean_d*, meta_sd_d*",
                "inverse-variance weighted mean of the guides' `betahat` (likelihood) or `postmean`"
                " (mash), and its SD",
                unit="logit",
            ),
            Column("q_d*", "Cochran's Q; empty with fewer than two guides"),
            Column(
                "i2_d*",
                "I², share of the spread that exceeds the guides' own SDs, 0 to 1; empty with fewer"
                " than two guides",
            ),
            Column("sign_agreement_d*", "number of guides with the sign of `meta_mean`"),
            Column(
                "lfsr_min_guide",
                "smallest lfsr after mash over the gene's guides and days",
                unit="probability",
            ),
            Column("best_day", "its day"),
            Column(
                "n_cells_d*",
                "cells of the gene (a cell with two of its guides counts once)",
                unit="cells",
            ),
        ),
    ),
    File(
        "gene_from_guide_likelihood.csv",
        stage="rank_hits",
        where="contrast",
        text="Guides of a gene combined, likelihood-only: a test of whether they have the same effect.",
        columns=(
            Column("gene, n_guides", "guides in the guide table"),
            Column("n_guides_used_d*", "guides with cells on the day"),
            Column(
                "meta_mean_d*, meta_sd_d*",
                "inverse-variance weighted mean of the guides' `betahat` (likelihood) or `postmean`"
                " (mash), and its SD",
                unit="logit",
            ),
            Column("q_d*", "Cochran's Q; empty with fewer than two guides"),
            Column(
                "i2_d*",
                "I², share of the spread that exceeds the guides' own SDs, 0 to 1; empty with fewer"
                " than two guides",
            ),
            Column(
                "q_pvalue_d*",
                "likelihood only: chance of a larger Q if all guides had the same effect",
                unit="probability",
            ),
            Column("sign_agreement_d*", "number of guides with the sign of `meta_mean`"),
            Column(
                "lfsr_min_guide",
                "smallest lfsr after mash over the gene's guides and days",
                unit="probability",
            ),
            Column("best_day", "its day"),
            Column(
                "n_cells_d*",
                "cells of the gene (a cell with two of its guides counts once)",
                unit="cells",
            ),
        ),
    ),
)
