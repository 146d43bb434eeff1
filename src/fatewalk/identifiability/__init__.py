"""What a screen can and cannot tell: anchors, defects, weak directions, power, a check of the burden."""

from fatewalk.identifiability.check import Identifiability, check_identifiability
from fatewalk.identifiability.directions import WeakDirection
from fatewalk.identifiability.ntc import NtcSlope, ntc_slope
from fatewalk.identifiability.power import gene_power

__all__ = [
    "Identifiability",
    "NtcSlope",
    "WeakDirection",
    "check_identifiability",
    "gene_power",
    "ntc_slope",
]
