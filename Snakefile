# fatewalk: which genes shift which cell fate, on which day, by how much.
#
#   snakemake --cores 4                              config.yaml
#   snakemake --cores 4 --configfile my_screen.yaml  a config of your own, instead of config.yaml
#   snakemake --profile profiles/slurm               on a cluster
from snakemake.utils import min_version

min_version("9.9")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/design.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/effects.smk"
include: "workflow/rules/mash.smk"
include: "workflow/rules/hits.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/plots.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/over_runs.smk"
include: "workflow/rules/resample.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,
    all_effects,
    all_mash,
    all_hits,
    all_figures,
    all_report,
    all_recovery,
    all_ablation,
    write_index,
    all_sweep,
    all_bootstrap,


rule all:
    default_target: True
    input:
        made_by(
            "publish_design",
            "rank_hits",
            "plot_figures",
            "write_report",
        ),
        index_file(),
        recovery_files(),
        label_files(),


rule all_effects:
    input:
        made_by("publish_design", "export_effects"),


rule all_mash:
    input:
        made_by("publish_design", "fit_mash"),


rule all_hits:
    input:
        made_by("publish_design", "rank_hits"),


rule all_report:
    input:
        made_by("publish_design", "plot_figures", "write_report"),
        index_file(),


rule all_figures:
    input:
        made_by("plot_figures"),
        contrast_figures(),


rule all_recovery:
    input:
        recovery_files(),


rule all_ablation:
    input:
        ablation_files,


rule all_sweep:
    input:
        sweep_files,


rule all_bootstrap:
    input:
        made_by("tabulate_bootstrap"),
