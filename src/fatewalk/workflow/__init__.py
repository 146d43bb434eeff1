"""What the Snakemake workflow needs beside the stages: their frame, the manifest of a run, its last words."""
