"""Puts the library of this checkout first: ``import checkout`` before anything of fatewalk.

Snakemake finds this module beside the script that it runs. So environments hold dependencies only, and
two checkouts of the workflow never share a library, whatever is installed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
