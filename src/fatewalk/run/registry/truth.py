"""Calls and estimates against the truth of a simulated screen."""

from fatewalk.run.registry.entries import Column, File

FILES = (
    File(
        "daywise_confusion.csv",
        stage="evaluate_recovery",
        where="contract",
        text="Calls against the truth: gene-days rightly and wrongly called, and missed.",
        columns=(
            Column(
                "day",
                "`d0`.., `overall`: their sum, `any`: genes, active on any day against `hit_anyday`",
            ),
            Column(
                "tp, fp, fn, tn",
                "counts. A gene-day is truly active if its absolute effect is at least "
                "`calls.effect_size_eps`. Unobserved gene-days are left out",
            ),
            Column("precision, recall, f1, fpr", "ratios; empty with a denominator of 0"),
        ),
    ),
    File(
        "recovery_by_day.csv",
        stage="evaluate_recovery",
        where="contrast",
        text="Estimates against the truth.",
        columns=(
            Column("day", "`d0`.., `overall`"),
            Column("n, n_null", "gene-days; those of them whose truth is 0"),
            Column("rmse", "root mean square error of `betahat`", unit="logit"),
            Column("bias_null", "mean `betahat` where the truth is 0", unit="logit"),
            Column("sd_z_null", "SD of `betahat` / `se` there"),
            Column("coverage95", "share of `betahat` +- 1.96 `se` that hold the truth"),
            Column("correlation", "of `betahat` with the truth"),
        ),
    ),
    File(
        "pred_call_summary.json",
        stage="evaluate_recovery",
        where="contract",
        text="The settings of the calls, and how many there are.",
        columns=(
            Column(
                "source, estimand, effect_size_eps, effect_prob_large_min, lfsr_day",
                "section `calls`; its `rule` is in `settings.json`",
            ),
            Column("anyday_correction, anyday_fdr, min_active_days", "the rest of it"),
            Column("n_genes, n_days, n_hits, n_active_gene_days", "what there is, and what is called"),
            Column("n_wrong_sign", "calls with the wrong sign"),
            Column("overall, any, by_day", "the counts of `daywise_confusion.csv`"),
            Column("left_out", "what was left out"),
        ),
    ),
    File(
        "ablation.csv",
        stage="tabulate_ablation",
        where="ablation",
        text="Simulated screens, each fitted with and without centring.",
        columns=(
            Column(
                "kind",
                "`screen`; `mean` over screens; `difference`, uncentred minus centred, paired by "
                "screen; `difference_se`, its standard error",
            ),
            Column("dataset, run, day", "names"),
            Column("fp, fn, tp", "counts"),
            Column("rmse", "of gene effects", unit="logit"),
            Column(
                "offset",
                "mean over genes of the absolute offset between gene effect and mean guide effect; "
                "in the row `overall`",
                unit="logit",
            ),
        ),
    ),
)
