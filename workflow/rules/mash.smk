# Multivariate adaptive shrinkage of a day-wise table. Posterior tables go through one of two engines with
# one contract: the table with postmean, postsd and lfsr, and the fitted mixture in JSON. Likelihood-only
# tables, with the error covariance of every row, go through the built-in engine alone.


rule fit_mash:
    input:
        table=f"{CONTRAST}/{{level}}_daywise_for_mash.csv",
    output:
        table=f"{CONTRAST}/mash_{{level}}_{{mode}}.csv",
        mixture=f"{CONTRAST}/mash_{{level}}_{{mode}}.json",
    log:
        f"{RESULTS}/logs/fit_mash/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_mash/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.tsv"
    wildcard_constraints:
        dataset=where(lambda s: s.mash.engine == "python"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000, per_input_mb=300),
        runtime=minutes(30),
    params:
        mash=mash_keys,
        stage_version=STAGE_VERSION["fit_mash"],
    message:
        "mash on the {wildcards.level} table of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}, {wildcards.mode}"
    script:
        "../../scripts/fit_mash.py"


rule run_mashr:
    input:
        table=f"{CONTRAST}/{{level}}_daywise_for_mash.csv",
        script=workflow.source_path("../../scripts/run_mashr.R"),
    output:
        table=f"{CONTRAST}/mash_{{level}}_{{mode}}.csv",
        mixture=f"{CONTRAST}/mash_{{level}}_{{mode}}.json",
    log:
        f"{RESULTS}/logs/run_mashr/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/run_mashr/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.tsv"
    wildcard_constraints:
        dataset=where(lambda s: s.mash.engine == "mashr"),
    conda:
        "../../envs/mashr.yaml"
    resources:
        mem_mb=memory(3000, per_input_mb=600),
        runtime=minutes(60),
    params:
        options=mashr_options,
        stage_version=STAGE_VERSION["run_mashr"],
    message:
        "R mashr on the {wildcards.level} table of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}, {wildcards.mode}"
    shell:
        """
        if ! command -v Rscript >/dev/null; then
            echo "mash.engine: mashr and mash.compare_engines need R, and there is no Rscript here. Use --sdm conda (envs/mashr.yaml), install R with the package mashr, or set mash.engine: python and mash.compare_engines: false." | tee {log:q} >&2
            exit 1
        fi
        Rscript --vanilla {input.script:q} --table {input.table:q} --mode {wildcards.mode} \
            --output {output.table:q} --summary {output.mixture:q} {params.options} 2>&1 | tee {log:q} >&2
        """


use rule fit_mash as fit_mash_beside with:
    output:
        table=f"{CONTRAST}/engine=python/mash_{{level}}_{{mode}}.csv",
        mixture=f"{CONTRAST}/engine=python/mash_{{level}}_{{mode}}.json",
    log:
        f"{RESULTS}/logs/fit_mash_beside/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_mash_beside/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.tsv"
    wildcard_constraints:
        dataset=where(lambda s: s.mash.engine == "mashr" and s.mash.compare_engines),


use rule run_mashr as run_mashr_beside with:
    output:
        table=f"{CONTRAST}/engine=mashr/mash_{{level}}_{{mode}}.csv",
        mixture=f"{CONTRAST}/engine=mashr/mash_{{level}}_{{mode}}.json",
    log:
        f"{RESULTS}/logs/run_mashr_beside/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/run_mashr_beside/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.tsv"
    wildcard_constraints:
        dataset=where(lambda s: s.mash.engine == "python" and s.mash.compare_engines),


rule fit_mash_likelihood:
    input:
        table=f"{CONTRAST}/{{level}}_daywise_likelihood.csv",
        errors=f"{CONTRAST}/mash_error_covariance.npz",
    output:
        table=f"{CONTRAST}/mash_likelihood_{{level}}.csv",
        mixture=f"{CONTRAST}/mash_likelihood_{{level}}.json",
    log:
        f"{RESULTS}/logs/fit_mash_likelihood/{{dataset}}/{{run}}/{{contrast}}_{{level}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_mash_likelihood/{{dataset}}/{{run}}/{{contrast}}_{{level}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000, per_input_mb=300),
        runtime=minutes(30),
    params:
        mash=keys("mash", *LIKELIHOOD_KEYS),
        estimand=estimand_of_level,
        stage_version=STAGE_VERSION["fit_mash_likelihood"],
    message:
        "mash on the likelihood-only {wildcards.level} table of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}"
    script:
        "../../scripts/fit_mash_likelihood.py"
