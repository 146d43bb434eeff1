"""The fit, what is read off it, and whether it can be used."""

from fatewalk.run.registry.entries import Column, File

FILES = (
    File(
        "summary.txt",
        stage="",
        where="run",
        text="The last lines that the run printed: verdict, hits, where things lie.",
    ),
    File(
        "manifest.json",
        stage="",
        where="run",
        text="Of every file of the run the stage, the fit and the checksum.",
    ),
    File(
        "settings.json",
        stage="",
        where="run",
        text="Of every stage the keys of the config that its results depend on.",
    ),
    File(
        "run.json",
        stage="publish_design",
        where="run",
        text="Which design and fit the run uses.",
        columns=(
            Column("dataset, run", "names"),
            Column(
                "design, fit, folders",
                "folders of design and fit, by name and by path below the results; a run that is "
                "copied or saved alone goes without them",
            ),
            Column("draws", "posterior draws"),
            Column("reference, contrasts", "the fate that effects are against; the others"),
            Column("mash", "modes and engines"),
        ),
    ),
    File(
        "posterior.pt",
        stage="fit_effects",
        where="fit",
        text="Fitted parameters.",
    ),
    File(
        "fit_card.json",
        stage="fit_effects",
        where="fit",
        text="Whether the fit converged and by which criterion, weights of the labels, what the screen "
        "cannot tell.",
        copy=("check_delta", ""),
        columns=(
            Column(
                "status",
                "`converged`; `budget`: rounds or steps ran out, or a linear solve did; `diverged`: a "
                "round of Newton-Laplace could not be taken, or the ELBO is not finite (`warnings` says "
                "which); `unanchored`: converged, but nothing tells the common shift of all genes",
            ),
            Column(
                "criterion",
                "everything that the stopping rules watch, each with `value` and `limit`: "
                "`newton_step` (length of the last Newton step in posterior SDs), `scale_step` and "
                "`weight_step` (largest change of a log scale and a log weight in the last round); "
                "`solve_residual` (of linear solves, over its limit, where they are not exact); "
                "with SVI also `drift_mean` and `drift_sd` (log SDs) of the last window. "
                "`common_shift_sd`: SD that the labels leave to the common shift of all genes, on "
                "the best day and contrast (logit), against the prior SD of an effect: it decides on "
                "`unanchored`. "
                "`null`: infinite or not known",
                unit="SDs",
            ),
            Column(
                "rounds, rounds_symmetric, steps",
                "rounds of Newton-Laplace and of its second pass, under a prior that treats all fates "
                "alike; steps of SVI, 0 with `family: laplace`",
            ),
            Column(
                "loss",
                "negative ELBO, mean over the last window; `null` with `family: laplace`",
                unit="nats",
            ),
            Column("family", "posterior family"),
            Column("center_delta, likelihood_weight", "settings"),
            Column("label_resolution", "what the labels of each day resolve, as in `design_report.json`"),
            Column("weight_by_day", "weight of a cell's label, mean over the cells of the day"),
            Column(
                "phi_by_day",
                "scatter of the labels around the fit ([method](method.md#likelihood_weight))",
            ),
            Column(
                "phi_by_fate_and_day",
                "the same for each fate. Where all cells of a cluster carry the same guides, that "
                "of cluster totals, so that it includes what rho accounts for. `null` for a fate "
                "that is too rare on the day",
            ),
            Column(
                "rho_by_day",
                "correlation of labels within clusters; `null` without such correlation, and unless"
                " all cells of each cluster carry the same guides",
            ),
            Column("dispersion", "`fit.dispersion`"),
            Column(
                "error_factor_by_fate_and_day",
                "by how much the scatter of each fate's labels widens (above 1) or narrows the errors of "
                "likelihood-only estimates and of mash over fates, against one dispersion for all fates "
                "([method](method.md#likelihood_weight)); `null` with `dispersion: pooled`",
            ),
            Column(
                "scales",
                "`tau`, `sigma_time` (a list, one per step), `sigma_guide` and, with cluster "
                "intercepts, `sigma_cluster`: posterior `mean` and `sd` by contrast",
            ),
            Column(
                "laplace_and_svi",
                "how far SVI moved theta from Laplace: `sd_ratio` (SVI / Laplace: median, min, max)"
                " and `mean_difference_in_sd` (absolute: median, 99 %, max), over all genes, "
                "contrasts and days. `null` unless `family: structured`",
            ),
            Column(
                "identifiability",
                "what the design can tell, before the fit: `unanchored`; `sd_of_common_shift` by "
                "contrast and day (logit; SD that the labels alone leave to a common shift of all "
                "genes; `null`: infinite); shares of cells with NTC guides and without targeting "
                "guides, by day; `weak_directions`, weakest first (below); number of genes and "
                "guides with defects",
            ),
            Column(
                "ntc_slope",
                "by contrast: `slope` of an NTC guide beyond its share of the burden, `se` and `z`."
                " Should be 0. `null` without NTC guides, or where nothing tells it",
                unit="logit",
            ),
            Column(
                "ntc_guides",
                "NTC guides one by one. `contrasts`: `sd` of their deviations with `sd_95`, Cochran's `q` "
                "with `freedom` and `p`, `i2`, and `sd_of_common_shift`, the error that they leave to the "
                "effects of all genes of a day. `guides`: `effect` and `se` of each, and `shift_without`, "
                "how far all genes move when it is left out. Or `not_measured`, with the reason: few or no "
                "NTC guides, or controls that are clusters",
                unit="logit",
            ),
            Column(
                "replicates",
                "how much the effect of a gene on a day differs between replicates: by contrast `sd`, `q`, "
                "`freedom`, `p`, and `sd_in_errors`, the SD that estimand population uses (0 where p is not "
                "below `level`); `beyond_one`, replicates with cells less one, summed over gene-days, with "
                "`needed`; `estimand_auto`, what `calls.estimand: auto` makes of it, in words",
                unit="logit",
            ),
            Column("defects", "the sentences of the columns `defects`, by name of the gene or guide"),
            Column("covariance", "`dense`, or `blocks` above `fit.dense_limit`"),
            Column("clusters", "how clusters enter the likelihood, in words; `null` without clusters"),
            Column("warnings", "sentences; **read them**"),
            Column("cells, rows", "cells; rows of the regression after identical cells are merged"),
            Column("latents", "number of latent variables"),
            Column("device, device_reason, node, cuda_visible_devices, threads", "where it ran"),
            Column("seconds_by_phase", "`rows`, `checks` (identifiability), `laplace`, `svi`, `card`"),
            Column(
                "seed, wall_seconds, peak_memory_mb, versions",
                "of this process; a resumed fit counts from where it resumed",
            ),
            Column(
                "config",
                "the keys of sections `model` and `fit` that the fit was given; `contrast_fate`, "
                "`gpus`, `require` and `checkpoint_minutes` steer other things and are not among "
                "them",
            ),
            Column("hash_of_config_and_design", "SHA-256 of the design and of `config`"),
        ),
    ),
    File(
        "fit_trace.csv",
        stage="fit_effects",
        where="fit",
        text="What the fit watched in each round and window.",
        copy=("check_delta", ""),
        columns=(
            Column(
                "phase",
                "`laplace`: a round of Newton-Laplace; `symmetric`: of its second pass; `svi`: a window "
                "of SVI steps (at least 35; longer where the drift does not fall)",
            ),
            Column("step", "svi: last step of the window"),
            Column("loss", "svi: negative ELBO, mean over the window", unit="nats"),
            Column("learning_rate", "svi"),
            Column(
                "drift_mean",
                "svi: how far posterior means moved since the window before, in posterior SDs; "
                "empty in the first window",
            ),
            Column("drift_sd", "svi: how far log posterior SDs moved; empty in the first window"),
            Column("round", "laplace: number of the round"),
            Column(
                "log_posterior",
                "laplace: log posterior at the scales and weights of the round (nats, up to a "
                "constant). It may fall: new scales and weights make another posterior",
            ),
            Column("newton_step", "laplace: length of the Newton step, in posterior SDs"),
            Column(
                "scale_step, weight_step",
                "laplace: largest change of a log scale and a log weight; `inf` in rounds far from "
                "the mode, which leave both alone",
            ),
            Column(
                "solve_residual",
                "laplace: largest residual of linear solves over its limit; 0 where they are exact",
            ),
            Column("seconds", "laplace: time of the round"),
        ),
    ),
    File(
        "moments.npz",
        stage="summarise_posterior",
        where="summary",
        text="Posterior means and SDs of all effects, before the checks of the export; gene-days without "
        "cells hold extrapolations.",
        columns=(
            Column("theta_mean, theta_sd", "effects of genes", unit="logit", shape="L, F*, D"),
            Column("delta_mean, delta_sd", "deviations of guides", unit="logit", shape="G, F*"),
            Column("beta_mean, beta_sd", "effects of guides", unit="logit", shape="G, F*, D"),
            Column(
                "delta_gene_mean",
                "largest absolute mean of delta within the gene over all draws",
                unit="logit",
                shape="L, F*",
            ),
            Column("offset_mean", "mean of beta within the gene, less theta", unit="logit", shape="L, F*, D"),
            Column("tau_mean, tau_sd", "of the scale of effects on the first day", shape="F*"),
            Column(
                "sigma_time_mean, sigma_time_sd", "of the scales of steps between days", shape="F*, D - 1"
            ),
            Column("sigma_guide_mean, sigma_guide_sd", "of the scale of guides", shape="F*"),
            Column("sigma_guide_square", "mean of its square", unit="logit²", shape="F*"),
            Column(
                "theta_cov", "covariance of a gene between contrasts", unit="logit²", shape="L, F*, F*, D"
            ),
            Column("theta_day_cov", "covariance of a gene between days", unit="logit²", shape="L, F*, D, D"),
            Column("theta_prior_var", "prior variance of theta", unit="logit²", shape="F*, D"),
            Column("draws", "posterior draws"),
            Column("genes, guides, contrasts, days", "names along the axes"),
            Column("reference", "the fate that effects are against"),
            Column("guide_to_gene", "index of each guide's gene", shape="G"),
            Column("gene_cells, guide_cells", "cells by day", unit="cells", shape="L, D; G, D"),
        ),
    ),
    File(
        "nulls.npz",
        stage="summarise_posterior",
        where="summary",
        text="The screen with its guides shuffled between the cells of a day, replicate and number of "
        "guides, and  each NTC guide taken for a gene; the certificate rests on it.",
        columns=(
            Column("genes, fates, days, controls", "names along the axes"),
            Column("score", "of the first shuffles", shape="k, L, D, F"),
            Column(
                "variance, bend", "its covariance by the errors, and how it follows logits", "", "L, D, F, F"
            ),
            Column("told", "gene-days with enough cells", shape="L, D"),
            Column("z_sd", "SD of z over all shuffles and genes; missing for rare fates", shape="F, D"),
            Column("z_sd_freedom", "degrees of freedom of its square", shape="F, D"),
            Column("p_value", "randomisation p-value", "probability", "L, F"),
            Column("permutations, units", "how often how many cells or clusters were shuffled"),
            Column("control_z", "z of each NTC guide", shape="K, D, F"),
            Column("control_share", "independent z for which each counts", shape="K, D, F"),
            Column("gene_z, gene_share", "the same of genes", shape="L, D, F"),
            Column("weight_ratio", "weight of a label times its dispersion", shape="D"),
        ),
    ),
    File(
        "evidence.npz",
        stage="summarise_posterior",
        where="summary",
        text="What the labels say of the effects on all fates together, as score and information, whichever "
        "fate is the reference; mash over fates rests on it.",
        copy=("export_effects", ""),
        columns=(
            Column("gene_score, guide_score", "information times estimate", "1/logit", "L, F*, D; G, F*, D"),
            Column(
                "gene_information, guide_information",
                "inverse error covariance; 0 where the labels see nothing",
                "1/logit²",
                "L, F*, D, F*, D; G, F*, D, F*, D",
            ),
            Column("guide_variance", "variance of a guide around its gene, sigma_guide²", unit="logit²"),
            Column("composition", "mean probability of each fate by day", "probability", "F, D"),
            Column(
                "steepness",
                "slope of the mean probability over the cells of a day over that of a cell at this mean",
                "",
                "F, D",
            ),
            Column("label_spread", "SD of the labels over that of labels that name one fate", "", "F, D"),
            Column("genes, guides, fates, days", "names along the axes, the reference first"),
            Column("guide_to_gene", "index of each guide's gene", shape="G"),
            Column("gene_cells, guide_cells", "cells by day", unit="cells", shape="L, D; G, D"),
            Column(
                "ntc_shift",
                "covariance of the error that NTC guides leave to all rows alike, not yet in the information",
                "logit²",
                "F*, D, F*, D",
            ),
            Column(
                "replicate_variance",
                "variance that differences between replicates add to a gene",
                "logit²",
                "L, F*, D",
            ),
            Column("replicates_beyond_one", "replicates with cells, less one, summed over gene-days"),
        ),
    ),
    File(
        "guide_parts.npz",
        stage="summarise_posterior",
        where="summary",
        text="What the cells of each guide, replicate and day say of each fate, one step from the mode: hits "
        "are judged without parts of their cells by it.",
        columns=(
            Column("score", "of the logit of the fate's probability", "1/logit", "G, R, F, D"),
            Column("information", "its slope, 0 without cells", "1/logit²", "G, R, F, D"),
            Column("cells", "cells with the guide", "cells", "G, R, D"),
            Column("at_mode", "effects of the guides that the step starts from", "logit", "G, F*, D"),
            Column("guides, replicates", "names along the axes"),
            Column("controls", "clusters without targeting guides, where clusters share guides", shape="U"),
            Column("control_shift", "shift of all genes without each of them", "logit", "U, F, D"),
        ),
    ),
    File(
        "likelihood.npz",
        stage="summarise_posterior",
        where="summary",
        text="Likelihood-only estimates and their error covariances over contrasts and days, before the "
        "checks of the export.",
        columns=(
            Column("gene_mean", "estimates of genes", unit="logit", shape="L, F*, D"),
            Column("guide_mean", "of guides", unit="logit", shape="G, F*, D"),
            Column("gene_covariance", "error covariances", unit="logit²", shape="L, F*, D, F*, D"),
            Column("guide_covariance", "of guides", unit="logit²", shape="G, F*, D, F*, D"),
            Column("genes, guides, contrasts, days", "names along the axes"),
            Column("guide_to_gene", "index of each guide's gene", shape="G"),
            Column("gene_cells, guide_cells", "cells by day", unit="cells", shape="L, D; G, D"),
            Column(
                "replicate_variance",
                "variance that differences between replicates add to a gene",
                unit="logit²",
                shape="L, F*, D",
            ),
        ),
    ),
    File(
        "fate_change.npz",
        stage="summarise_posterior",
        where="summary",
        text="What `fate_probability_change.csv` is made of.",
        columns=(
            Column(
                "mean, low, high",
                "change in the probability of each fate, the reference first: mean, 95 % interval",
                unit="percentage points",
                shape="L, F, D",
            ),
        ),
    ),
    File(
        "verdict.json",
        stage="check_delta",
        where="run",
        text="The verdict on fit and deltas, each with value, limit and words.",
        columns=(
            Column(
                "verdict",
                "`ok`; `bad`: the fit did not converge or deltas are not centred; `uncentred`",
            ),
            Column(
                "fit.verdict, fit.status, fit.words, fit.warnings",
                "`ok` or `bad`; the status of the fit card; in words; number of its warnings",
            ),
            Column(
                "fit.criteria",
                "every quantity that the stopping rules watch: `value`, `limit`, `met`, `words`",
            ),
            Column(
                "delta.verdict, delta.words",
                "`ok`, `bad` (nothing is exported) or `uncentred`; in words",
            ),
            Column(
                "delta.max_abs_delta_mean, delta.limit",
                "largest absolute within-gene mean of the deviations over all posterior draws, "
                "genes and contrasts; the largest that counts as `ok`",
            ),
            Column("delta.max_abs_offset", "largest absolute offset of `qc_theta_beta_offset_by_gene.csv`"),
            Column("delta.center_delta", "the setting"),
            Column("delta.worst_genes", "the ten worst genes, each with its worst contrast"),
        ),
    ),
    File(
        "qc_delta_mean_by_gene.csv",
        stage="check_delta",
        where="contract",
        text="The check that guide deviations are centred within genes.",
        columns=(
            Column("gene, n_guides", "name; guides of the gene that are in at least one cell"),
            Column(
                "delta_mean_gene",
                "mean over the gene's guides of their deviations (posterior means, logit): 0 up to "
                "rounding unless the run is uncentred",
            ),
            Column(
                "delta_sd_gene",
                "SD over the gene's guides of their deviations; empty for a single guide. Large: "
                "the guides disagree",
                unit="logit",
            ),
        ),
    ),
    File(
        "qc_theta_beta_offset_by_gene.csv",
        stage="check_delta",
        where="contract",
        text="The check that a gene's effect is the mean effect of its guides.",
        columns=(
            Column("gene, n_guides", "name; guides of the gene that are in at least one cell"),
            Column(
                "offset_mean",
                "mean over days of (mean effect of the gene's guides minus gene effect), logit: 0 "
                "up to rounding unless uncentred",
            ),
            Column("offset_sd_across_days", "its SD over days"),
        ),
    ),
)
