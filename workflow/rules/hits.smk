# From mash tables to calls, and all effects in one table.
for kind in KINDS.values():

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
