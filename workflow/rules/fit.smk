# From the design to identified effects: fit (the only rule with a GPU), check, export.
# A fit that is cut off leaves fit/checkpoint-*.pt, no declared output, from which the next attempt resumes.


rule fit_effects:
    input:
        design=f"{RUN}/design/design.pt",
    output:
        posterior=f"{RUN}/fit/posterior.pt",
        card=f"{RUN}/fit_card.json",
        trace=f"{RUN}/fit_trace.csv",
    log:
        f"{RESULTS}/logs/fit_effects/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_effects/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda w: settings(w).fit.threads
    resources:
        mem_mb=memory(4000, per_input_mb=15),
        runtime=minutes(120),
        gpu=gpus_of_fit,
    params:
        model=keys("model", *MODEL_KEYS_OF_FIT),
        fit=keys("fit", *FIT_KEYS_OF_FIT),
        stage_version=STAGE_VERSION["fit_effects"],
    message:
        "Fit the effects of {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/fit_effects.py"


rule summarise_posterior:
    input:
        posterior=f"{RUN}/fit/posterior.pt",
        design=f"{RUN}/design/design.pt",
    output:
        moments=f"{RUN}/fit/moments.npz",
    log:
        f"{RESULTS}/logs/summarise_posterior/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_posterior/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2500, per_input_mb=15),
        runtime=minutes(30),
    params:
        draws=lambda w: settings(w).export.draws,
        seed=lambda w: settings(w).fit.seed,
        stage_version=STAGE_VERSION["summarise_posterior"],
    message:
        "Draw from the posterior of {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/summarise_posterior.py"


rule likelihood_estimates:
    input:
        posterior=f"{RUN}/fit/posterior.pt",
        design=f"{RUN}/design/design.pt",
    output:
        likelihood=f"{RUN}/fit/likelihood.npz",
        power=f"{RUN}/gene_power.csv",
    log:
        f"{RESULTS}/logs/likelihood_estimates/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/likelihood_estimates/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda w: settings(w).fit.threads
    resources:
        mem_mb=memory(4000, per_input_mb=15),
        runtime=minutes(60),
    params:
        stage_version=STAGE_VERSION["likelihood_estimates"],
    message:
        "Likelihood-only estimates of {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/likelihood_estimates.py"


rule check_delta:
    input:
        moments=f"{RUN}/fit/moments.npz",
        card=f"{RUN}/fit_card.json",
    output:
        delta_mean=f"{RUN}/qc_delta_mean_by_gene.csv",
        offset=f"{RUN}/qc_theta_beta_offset_by_gene.csv",
        verdict=f"{RUN}/qc_delta_verdict.json",
    log:
        f"{RESULTS}/logs/check_delta/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_delta/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=20),
        runtime=minutes(15),
    params:
        contrast=lambda w: settings(w).model.contrast,
        stage_version=STAGE_VERSION["check_delta"],
    message:
        "Check that delta is centred within genes: {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/check_delta.py"


rule export_effects:
    input:
        moments=f"{RUN}/fit/moments.npz",
        verdict=f"{RUN}/qc_delta_verdict.json",
        card=f"{RUN}/fit_card.json",
    output:
        theta=f"{RUN}/theta_posterior_summary.npz",
        delta=f"{RUN}/delta_posterior_summary.npz",
        pairwise=f"{RUN}/pairwise_fate_effects.csv",
    log:
        f"{RESULTS}/logs/export_effects/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_effects/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=20),
        runtime=minutes(15),
    params:
        require=lambda w: settings(w).fit.require,
        stage_version=STAGE_VERSION["export_effects"],
    message:
        "Export the effects of {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/export_effects.py"


rule average_fate_change:
    input:
        gate=f"{RUN}/theta_posterior_summary.npz",
        posterior=f"{RUN}/fit/posterior.pt",
        design=f"{RUN}/design/design.pt",
        card=f"{RUN}/fit_card.json",
    output:
        change=f"{RUN}/fate_probability_change.csv",
    log:
        f"{RESULTS}/logs/average_fate_change/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/average_fate_change/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2500, per_input_mb=15),
        runtime=minutes(30),
    params:
        draws=lambda w: settings(w).export.draws,
        seed=lambda w: settings(w).fit.seed,
        stage_version=STAGE_VERSION["average_fate_change"],
    message:
        "Average the change in fate probabilities of {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/average_fate_change.py"


rule export_tables:
    input:
        theta=f"{RUN}/theta_posterior_summary.npz",
        moments=f"{RUN}/fit/moments.npz",
        card=f"{RUN}/fit_card.json",
    output:
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
        guide=f"{CONTRAST}/guide_daywise_for_mash.csv",
        concordance=f"{CONTRAST}/guide_concordance.csv",
        delta_mean=f"{CONTRAST}/qc_delta_mean_by_gene.csv",
        offset=f"{CONTRAST}/qc_theta_beta_offset_by_gene.csv",
    log:
        f"{RESULTS}/logs/export_tables/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_tables/{{dataset}}/{{run}}/{{contrast}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=20),
        runtime=minutes(15),
    params:
        stage_version=STAGE_VERSION["export_tables"],
    message:
        "Write the day-wise tables of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}"
    script:
        "../../scripts/export_tables.py"


rule export_likelihood:
    input:
        gate=f"{RUN}/theta_posterior_summary.npz",
        likelihood=f"{RUN}/fit/likelihood.npz",
        card=f"{RUN}/fit_card.json",
    output:
        gene=f"{CONTRAST}/gene_daywise_likelihood.csv",
        guide=f"{CONTRAST}/guide_daywise_likelihood.csv",
        covariance=f"{CONTRAST}/mash_error_covariance.npz",
    log:
        f"{RESULTS}/logs/export_likelihood/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_likelihood/{{dataset}}/{{run}}/{{contrast}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=20),
        runtime=minutes(15),
    params:
        stage_version=STAGE_VERSION["export_likelihood"],
    message:
        "Write the likelihood-only tables of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}"
    script:
        "../../scripts/export_likelihood.py"


# The primary contrast stands at the run's top as well, under the names that users' scripts read.
rule publish_primary:
    input:
        lambda w: f"{RUN}/contrast={settings(w).model.contrast}/{{table}}",
    output:
        f"{RUN}/{{table}}",
    log:
        f"{RESULTS}/logs/publish_primary/{{dataset}}/{{run}}/{{table}}.log",
    wildcard_constraints:
        table=r"(gene|guide)_daywise_(for_mash|likelihood)\.csv|guide_concordance\.csv"
        r"|mash_(gene|guide)_(conservative|enriched)\.(csv|json)|mash_likelihood_(gene|guide)\.(csv|json)"
        r"|gene_from_guide_mash_(conservative|enriched)\.csv|gene_from_guide_likelihood\.csv|mash_mode_comparison\.csv|hits_ranked\.csv"
        r"|daywise_confusion\.csv|recovery_by_day\.csv|pred_call_summary\.json",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        contrast=lambda w: settings(w).model.contrast,
    message:
        "Copy {wildcards.table} of the primary contrast to the top of {wildcards.dataset} (run {wildcards.run})"
    shell:
        "cp {input:q} {output:q} 2> {log:q}"
