"""Puts the library of this checkout first: ``import checkout`` before anything of fatewalk.

Snakemake finds this module beside the script that it runs. So environments hold dependencies only, and
two checkouts of the workflow never share a library, whatever is installed.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if Path(sys.argv[0]).resolve().parent == HERE:  # Snakemake runs a copy of the script
    sys.exit(f"{sys.argv[0]}: is run by Snakemake alone: snakemake --cores 4 --configfile my_screen.yaml")
sys.path.insert(0, str(HERE.parent / "src"))
