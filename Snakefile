# fatewalk: which genes shift which cell fate, on which day, by how much.
#
#   snakemake --cores 4                              config.yaml
#   snakemake --cores 4 --configfile my_screen.yaml  a config of your own, instead of config.yaml
#   snakemake --profile profiles/slurm               on a cluster
from snakemake.utils import min_version

min_version("9.9")

# A user's --configfile replaces config.yaml instead of being merged into it: otherwise the
# simulated demo would run beside every real screen. Defaults live in the config models.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/design.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/mash.smk"
include: "workflow/rules/hits.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/plots.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,
    all_effects,
    all_mash,
    all_hits,
    all_report,
    all_recovery,
    all_ablation,


rule all:
    default_target: True
    input:
        run_files(targets_effects),
        run_files(targets_mash),
        run_files(targets_hits),
        run_files(targets_report),
        run_files(targets_recovery),


rule all_effects:
    input:
        run_files(targets_effects),


rule all_mash:
    input:
        run_files(targets_mash),


rule all_hits:
    input:
        run_files(targets_hits),


rule all_report:
    input:
        run_files(targets_report),


rule all_recovery:
    input:
        run_files(targets_recovery),


rule all_ablation:
    input:
        ablation_files,
