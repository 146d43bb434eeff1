# Multivariate adaptive shrinkage of the day-wise tables. Posterior tables go through one of two engines with
# one contract: the table with postmean, postsd and lfsr, and the fitted mixture in JSON. Likelihood-only
# tables, with the error covariance of every row, go through the built-in engine alone. What the calls need of
# the fitted mixtures stands in shrunk_gene.npz and shrunk_guide.npz.
for kind in KINDS.values():

    rule:
        name:
            kind.name("fit_mash")
        input:
            effects=kind.effects(),
            theta=f"{RUN}/theta_posterior_summary.npz",
            evidence=f"{RUN}/evidence.npz",
            run=f"{RUN}/run.json",
        output:
            **kind.at_top("fit_mash"),
            tables=kind.mash_outputs(),
        log:
            f"{RESULTS}/logs/fit_mash/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/fit_mash/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2500, per_input_mb=60),
            runtime=minutes(60),
        params:
            settings=read_by("fit_mash"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["fit_mash"],
        message:
            "mash on the tables of {wildcards.dataset} (run {wildcards.run})"
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
