# From mash tables to calls.


rule rank_hits:
    input:
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
        likelihood=f"{CONTRAST}/mash_likelihood_gene.csv",
        likelihood_mixture=f"{CONTRAST}/mash_likelihood_gene.json",
        errors=f"{CONTRAST}/mash_error_covariance.npz",
        posterior=lambda w: f"{CONTRAST}/mash_gene_{default_mode(w)}.csv",
        posterior_mixture=lambda w: f"{CONTRAST}/mash_gene_{default_mode(w)}.json",
        theta=f"{RUN}/theta_posterior_summary.npz",
    output:
        hits=f"{CONTRAST}/hits_ranked.csv",
    log:
        f"{RESULTS}/logs/rank_hits/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rank_hits/{{dataset}}/{{run}}/{{contrast}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=100),
        runtime=minutes(15),
    params:
        calls=keys("calls"),
        mode=default_mode,
        stage_version=STAGE_VERSION["rank_hits"],
    message:
        "Rank the hits of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}"
    script:
        "../../scripts/rank_hits.py"


rule aggregate_guides:
    input:
        guide=f"{CONTRAST}/mash_guide_{{mode}}.csv",
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
    output:
        gene=f"{CONTRAST}/gene_from_guide_mash_{{mode}}.csv",
    log:
        f"{RESULTS}/logs/aggregate_guides/{{dataset}}/{{run}}/{{contrast}}_{{mode}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/aggregate_guides/{{dataset}}/{{run}}/{{contrast}}_{{mode}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=100),
        runtime=minutes(15),
    params:
        estimates="posterior",
        stage_version=STAGE_VERSION["aggregate_guides"],
    message:
        "Combine the guides of each gene: {wildcards.dataset} (run {wildcards.run}), {wildcards.contrast}"
    script:
        "../../scripts/aggregate_guides.py"


use rule aggregate_guides as aggregate_guides_likelihood with:
    input:
        guide=f"{CONTRAST}/mash_likelihood_guide.csv",
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
    output:
        gene=f"{CONTRAST}/gene_from_guide_likelihood.csv",
    log:
        f"{RESULTS}/logs/aggregate_guides_likelihood/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/aggregate_guides_likelihood/{{dataset}}/{{run}}/{{contrast}}.tsv"
    params:
        estimates="likelihood",
        stage_version=STAGE_VERSION["aggregate_guides"],


rule compare_modes:
    input:
        tables=mash_tables,
        second=second_tables,
    output:
        comparison=f"{CONTRAST}/mash_mode_comparison.csv",
    log:
        f"{RESULTS}/logs/compare_modes/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_modes/{{dataset}}/{{run}}/{{contrast}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=100),
        runtime=minutes(15),
    params:
        modes=lambda w: settings(w).mash.modes,
        second_engine=second_engine,
        lfsr_day=lambda w: settings(w).calls.lfsr_day,
        stage_version=STAGE_VERSION["compare_modes"],
    message:
        "Compare the modes of mash: {wildcards.dataset} (run {wildcards.run}), {wildcards.contrast}"
    script:
        "../../scripts/compare_modes.py"
