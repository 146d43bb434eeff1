# From mash tables to the certificate and to calls, and all effects in one table.
for kind in KINDS.values():

    rule:
        name:
            kind.name("certify")
        input:
            design=design_of_run("design.pt"),
            posterior=fit_of_run("posterior.pt"),
            nulls=summary_of_run("nulls.npz"),
            evidence=f"{RUN}/evidence.npz",
            card=f"{RUN}/fit_card.json",
            genes=f"{RUN}/shrunk_fates_gene.npz",
        output:
            **kind.outputs("certify"),
        log:
            f"{RESULTS}/logs/certify/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/certify/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2500, per_input_mb=60),
            runtime=minutes(60),
        params:
            settings=read_by("certify"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["certify"],
        message:
            "Certify {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/certify.py"

    rule:
        name:
            kind.name("rank_hits")
        input:
            mash=kind.mash_inputs(),
            effects=kind.effects(),
            change=f"{RUN}/fate_probability_change.csv",
            theta=f"{RUN}/theta_posterior_summary.npz",
            genes=f"{RUN}/shrunk_fates_gene.npz",
            guides=f"{RUN}/shrunk_fates_guide.npz",
            evidence=f"{RUN}/evidence.npz",
            parts=summary_of_run("guide_parts.npz"),
            survival=f"{RUN}/survival.csv",
            card=f"{RUN}/fit_card.json",
            report=f"{RUN}/design_report.json",
            certificate=f"{RUN}/certificate.json",
            p_values=f"{RUN}/gene_p_values.csv",
        output:
            **kind.outputs("rank_hits"),
            published=kind.published_mashr(),
        log:
            f"{RESULTS}/logs/rank_hits/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/rank_hits/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2500, per_input_mb=60),
            runtime=minutes(30),
        params:
            settings=read_by("rank_hits"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["rank_hits"],
        message:
            "Rank the hits of {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/rank_hits.py"
