"""The Snakemake glue: the frame of a script, the kinds of runs, the last words."""
