# The fit, the only rule with a GPU, and what is read off it. Runs that ask for the same fit share it.
# A fit that is cut off leaves checkpoint-*.pt in its folder, no declared output, from which the next attempt resumes.


rule fit_effects:
    input:
        design=design_of_fit,
    output:
        **files_in(FIT, "fit_effects", "fit"),
    log:
        f"{RESULTS}/logs/fit_effects/{{dataset}}/{{fit}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_effects/{{dataset}}/{{fit}}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda w: CONFIG.settings_of_fit(w.dataset, w.fit).fit.threads
    resources:
        mem_mb=memory(4000, per_input_mb=15),
        runtime=minutes(120),
        gpu=lambda w: int(CONFIG.settings_of_fit(w.dataset, w.fit).fit.gpus),
    params:
        settings=lambda w: CONFIG.settings_of_fit(w.dataset, w.fit).read_by(
            "fit_effects"
        ),
        stage_version=STAGE_VERSION["fit_effects"],
    message:
        "Fit the effects of {wildcards.dataset} (fit {wildcards.fit})"
    script:
        "../../scripts/fit_effects.py"


rule summarise_posterior:
    input:
        posterior=f"{FIT}/posterior.pt",
        design=design_of_fit,
    output:
        **files_in(SUMMARY, "summarise_posterior", "summary"),
    log:
        f"{RESULTS}/logs/summarise_posterior/{{dataset}}/{{fit}}_{{draws}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_posterior/{{dataset}}/{{fit}}_{{draws}}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda w: CONFIG.settings_of_fit(w.dataset, w.fit).fit.threads
    resources:
        mem_mb=memory(4000, per_input_mb=15),
        runtime=minutes(60),
    params:
        draws=lambda w: int(w.draws),
        seed=lambda w: CONFIG.settings_of_fit(w.dataset, w.fit).fit.seed,
        stage_version=STAGE_VERSION["summarise_posterior"],
    message:
        "Draw from the posterior of {wildcards.dataset} (fit {wildcards.fit})"
    script:
        "../../scripts/summarise_posterior.py"
