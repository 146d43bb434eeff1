# From mash tables to calls.


rule rank_hits:
    input:
        table=lambda w: f"{CONTRAST}/mash_gene_{default_mode(w)}.csv",
        mixture=lambda w: f"{CONTRAST}/mash_gene_{default_mode(w)}.json",
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
        stage_version=STAGE_VERSION["aggregate_guides"],
    message:
        "Combine the guides of each gene: {wildcards.dataset} (run {wildcards.run}), {wildcards.contrast}"
    script:
        "../../scripts/aggregate_guides.py"


rule compare_modes:
    input:
        tables=mash_tables,
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
        lfsr_day=lambda w: settings(w).calls.lfsr_day,
        stage_version=STAGE_VERSION["compare_modes"],
    message:
        "Compare the modes of mash: {wildcards.dataset} (run {wildcards.run}), {wildcards.contrast}"
    script:
        "../../scripts/compare_modes.py"
