"""Effects before mash."""

from fatewalk.run.registry.entries import Column, File

FILES = (
    File(
        "gene_daywise_for_mash.csv",
        stage="export_effects",
        where="contract",
        text="Effects of genes by day with standard errors, before mash.",
        columns=(
            Column("gene", "gene name of the guide map"),
            Column(
                "betahat_d*",
                "posterior mean of the gene's effect on the day: the average over the gene's guides"
                " in this library",
                unit="logit",
            ),
            Column("se_d*", "its posterior standard deviation", unit="logit"),
            Column(
                "se_gene_d*",
                "standard deviation for the effect of perturbing the gene with any guides, not only"
                " those of this library: the variance of guides, sigma_guide² / `n_guides`, is "
                "added. This part is shared by all days. Empty where it cannot be known",
                unit="logit",
            ),
            Column(
                "post_prior_var_d*",
                "posterior variance of the effect over its prior variance on that day, at the posterior mean "
                "of the squared scales (docs/method.md). Near 0: the cells "
                "decide. Near 1: the data said nothing about this gene on this day, and `betahat` "
                "is the prior; it can exceed 1 a little",
            ),
            Column("n_cells_d*", "cells of the day that carry at least one guide of the gene", unit="cells"),
            Column("n_guides", "guides of the gene that are in at least one cell"),
            Column(
                "se_gene_reason",
                "why `se_gene_d*` is empty; empty if it is not. Ten genes with two or more guides are needed",
            ),
            Column(
                "defects",
                "sentences: what the design cannot tell of this gene, such as another gene that "
                "always occurs with it, a day on which all its cells have one fate or are of one "
                "cluster, or batches without controls. Empty for most genes. The same sentences for"
                " all contrasts",
            ),
        ),
    ),
    File(
        "guide_daywise_for_mash.csv",
        stage="export_effects",
        where="contract",
        text="Effects of single guides by day with standard errors, before mash.",
        columns=(
            Column("guide, gene", "names of the guide map"),
            Column(
                "betahat_d*",
                "posterior mean of the guide's effect on the day: gene effect plus deviation of the guide",
                unit="logit",
            ),
            Column("se_d*", "its posterior standard deviation, from joint draws of both parts", unit="logit"),
            Column("n_cells_d*", "cells of the day that carry the guide", unit="cells"),
            Column(
                "defects",
                "sentences: what the design cannot tell of this guide, such as another guide that "
                "always occurs with it. Empty for most guides",
            ),
        ),
    ),
    File(
        "gene_daywise_likelihood.csv",
        stage="export_effects",
        where="contrast",
        text="Effects of genes by day that no prior of their own has shrunk: what the labels alone say. "
        "Empty without cells, and where the fate or the reference is rarer than 0.1 % on the day.",
        columns=(
            Column("gene", "gene name of the guide map"),
            Column(
                "betahat_d*",
                "estimate of the gene's effect on the day: the average over the gene's guides in "
                "this library",
                unit="logit",
            ),
            Column("se_d*", "standard deviation of its error", unit="logit"),
            Column("n_cells_d*, n_guides", "as in `gene_daywise_for_mash.csv`", unit="cells"),
        ),
    ),
    File(
        "guide_daywise_likelihood.csv",
        stage="export_effects",
        where="contrast",
        text="The same for single guides.",
        columns=(
            Column("guide, gene", "names of the guide map"),
            Column("betahat_d*", "estimate of the guide's effect on the day", unit="logit"),
            Column("se_d*", "standard deviation of its error", unit="logit"),
            Column("n_cells_d*", "cells of the day that carry the guide", unit="cells"),
        ),
    ),
    File(
        "guide_concordance.csv",
        stage="export_effects",
        where="contrast",
        text="Whether the guides of a gene agree, one row per gene.",
        columns=(
            Column("gene, n_guides", "name; guides of the gene that are in at least one cell"),
            Column("n_guides_seen_d*", "guides of the gene with cells on the day"),
            Column(
                "n_agree_d*",
                "those of them whose effect has the sign of the gene's effect. A gene without an "
                "effect has guides of both signs: read this for genes with a clear effect only",
            ),
            Column(
                "loo_low_d*, loo_high_d*",
                "smallest and largest effect of the gene when one of its guides is left out: the "
                "mean over the other guides. A range that crosses 0 while `betahat_d*` is far from "
                "it: one guide makes the effect. Empty for a gene with one guide and for gene-days "
                "without cells",
                unit="logit",
            ),
        ),
    ),
    File(
        "mash_error_covariance.npz",
        stage="export_effects",
        where="contrast",
        text="Covariances over days of the errors of the likelihood-only tables.",
        columns=(
            Column(
                "gene",
                "error covariance of each gene. NaN rows and columns for days that are empty in the table",
                unit="logit²",
                shape="L, D, D",
            ),
            Column("guide", "of each guide", shape="G, D, D"),
            Column(
                "guide_sampling",
                "variance that guide sampling adds to each gene's effect, the same on all days; NaN"
                " where it is not known",
                unit="logit²",
                shape="L",
            ),
            Column("genes, guides, days", "names along the axes; here days are labels"),
            Column("contrast", "the fate", shape="text"),
        ),
    ),
    File(
        "theta_posterior_summary.npz",
        stage="export_effects",
        where="run",
        text="Gene effects of all contrasts as arrays.",
        columns=(
            Column(
                "theta_mean, theta_sd",
                "posterior mean and SD of the gene effects",
                unit="logit",
                shape="L, F*, D",
            ),
            Column(
                "theta_sd_gene",
                "SD for the effect of perturbing the gene with any guides, not only those of this "
                "library: the variance of guides, sigma_guide² / number of guides, is added. NaN "
                "where it cannot be known",
                shape="L, F*, D",
            ),
            Column(
                "theta_sd_gene_missing_because",
                "why; empty if it is there. Ten genes with two or more guides are needed",
                shape="text",
            ),
            Column(
                "theta_cov",
                "posterior covariance of a gene's effects between contrasts, for the SD of any "
                "other contrast",
                shape="L, F*, F*, D",
            ),
            Column("theta_day_cov", "the same between days", shape="L, F*, D, D"),
            Column(
                "guide_sampling",
                "variance that guide sampling adds to a gene's effect, the same on all days; "
                "missing where it is not known",
                shape="L, F*",
            ),
            Column("n_cells", "as in the gene table", unit="cells", shape="L, D"),
            Column("genes, contrasts, days", "names along the axes; here days are labels"),
            Column("tau_mean, tau_sd", "SD of the gene effects on the first day", shape="F*"),
            Column("sigma_time_mean, sigma_time_sd", "SD of the change to each later day", shape="F*, D - 1"),
            Column("sigma_guide_mean, sigma_guide_sd", "SD of guides within a gene", shape="F*"),
        ),
    ),
    File(
        "delta_posterior_summary.npz",
        stage="export_effects",
        where="run",
        text="Deviations of guides of all contrasts as arrays.",
        columns=(
            Column(
                "delta_mean, delta_sd",
                "posterior mean and SD of a guide's deviation from its gene, the same on all days. "
                "0 for the only guide of a gene",
                unit="logit",
                shape="G, F*",
            ),
            Column("guides, genes", "guide, and the gene of each guide", shape="G"),
            Column("contrasts", "names", shape="F*"),
            Column("tau_*, sigma_time_*, sigma_guide_*", "as above"),
        ),
    ),
    File(
        "fate_probability_change.csv",
        stage="export_effects",
        where="run",
        text="Effects in percentage points of each fate, with intervals, by the hierarchical posterior: one "
        "dispersion for all fates, these guides and replicates. Those of `hits.csv` go with the calls.",
        columns=(
            Column("gene, fate", "names"),
            Column(
                "change_d*",
                "average change in the probability of the fate, in percentage points: +5 takes 20 %"
                " to 25 %. Posterior mean. The changes of a gene-day add up to 0 over the fates",
                unit="percentage points",
            ),
            Column(
                "low_d*, high_d*",
                "ends of the 95 % interval (2.5 and 97.5 % quantiles of the posterior draws)",
                unit="percentage points",
            ),
            Column("n_cells_d*", "cells of the gene on the day, as in the gene table", unit="cells"),
        ),
    ),
    File(
        "pairwise_fate_effects.csv",
        stage="export_effects",
        where="run",
        text="Effects between any two fates.",
        columns=(
            Column("gene", "name"),
            Column(
                "fate, reference",
                "the effect is on log(P(fate) / P(reference)). Each pair stands once: the reference"
                " is the one that comes first when `model.ref_fate` is put first and the others "
                "follow in the order of `model.fates`. For the other direction change the sign of "
                "`betahat`",
            ),
            Column(
                "betahat_d*, se_d*",
                "posterior mean and SD, the SD from joint draws of both fates",
                unit="logit",
            ),
            Column(
                "se_gene_d*",
                "with the variance of guides of both fates added, as in the gene table",
                unit="logit",
            ),
            Column("n_cells_d*", "as in the gene table", unit="cells"),
            Column("se_gene_reason", "as in the gene table"),
        ),
    ),
    File(
        "gene_power.csv",
        stage="summarise_posterior",
        where="summary",
        text="The smallest effect that the screen can be expected to show, by gene and day.",
        copy=("export_effects", ""),
        columns=(
            Column("gene, contrast", "the fate of the contrast"),
            Column(
                "mde_d*",
                "effect whose |z| exceeds 1.96 with probability 0.8: 2.8 standard errors of the "
                "likelihood-only estimate that the design leads to expect. Empty without cells; "
                "`inf` where there are cells but they tell nothing",
                unit="logit",
            ),
            Column("n_cells_d*, n_guides", "as in the gene table", unit="cells"),
        ),
    ),
)
