"""fatewalk: gene-by-day effects of CRISPR perturbations on cell fate.

The stages of the workflow are functions of this library; the rules of the Snakefile call them
through the scripts of the same name.
"""

__version__ = "0.2.0"
