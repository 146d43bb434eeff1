"""Refits of designs that were drawn again."""

from fatewalk.run.registry.entries import Column, File

FILES = (
    File(
        "refits.npz",
        stage="refit_draws",
        where="refits",
        text="Estimates of some refits of a bootstrap.",
        columns=(
            Column("number", "of each draw; of the replicate, where one is left out", shape="B"),
            Column("theta", "posterior mode of genes; missing without cells", "logit", "B, L, F*, D"),
            Column("likelihood", "likelihood-only estimates", "logit", "B, L, F*, D"),
            Column("score", "information times estimate, as in evidence.npz", "1/logit", "B, L, F*, D"),
            Column("information", "inverse error covariance", "1/logit²", "B, L, F*, D, F*, D"),
            Column("rounds, converged", "rounds of Newton-Laplace; whether they converged", shape="B"),
            Column("genes, contrasts, days", "names along the axes"),
        ),
    ),
    File(
        "bootstrap.csv",
        stage="tabulate_bootstrap",
        where="run",
        text="Target `all_bootstrap`: the spread of each gene's effect over refits, beside its SEs.",
        columns=(
            Column("gene, contrast, day", "names; effects are log odds against the reference"),
            Column("refits", "refits that have an estimate"),
            Column("estimate, se", "likelihood-only estimate and its standard error", unit="logit"),
            Column("se_drawn", "`se` without what the deviations of NTC guides add to it", unit="logit"),
            Column(
                "bootstrap_sd",
                "SD of the likelihood-only estimate over refits; jackknife where replicates are left out",
                unit="logit",
            ),
            Column("ratio", "`bootstrap_sd` / `se_drawn`"),
            Column("posterior_mean, posterior_sd", "of the fit", unit="logit"),
            Column(
                "bootstrap_sd_posterior",
                "SD of the posterior mode over refits; smaller than `posterior_sd` where the prior shrinks",
                unit="logit",
            ),
        ),
    ),
    File(
        "bootstrap_hits.csv",
        stage="tabulate_bootstrap",
        where="run",
        text="Target `all_bootstrap`: how often each hit is called again.",
        columns=(
            Column("gene, fate", "hits by source mash_fates, and what one refit in ten calls"),
            Column("called", "whether the run itself calls it"),
            Column("called_again", "share of refits that call it, under the mash prior of the run"),
            Column(
                "hit_again", "share of refits in which the fate moves, by itself or in the wake of others"
            ),
        ),
    ),
    File(
        "bootstrap_summary.json",
        stage="tabulate_bootstrap",
        where="run",
        text="Target `all_bootstrap`: spread against standard errors, and warnings.",
        columns=(
            Column("unit, refits, failed", "what was drawn; refits that converged, and that did not"),
            Column(
                "spread",
                "by contrast and day: `gene_days`, `ratio` of bootstrap SD to likelihood-only standard "
                "error, `ratio_posterior` of that of the mode to the posterior SD (roots of mean squares)",
            ),
            Column("warnings", "sentences: contrasts and days whose ratio is off by more than 25 %"),
        ),
    ),
)
