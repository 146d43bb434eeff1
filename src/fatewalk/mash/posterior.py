"""What the fitted mixture says about each effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtr

from fatewalk.errors import FatewalkError
from fatewalk.mash.data import Array, MashData
from fatewalk.mash.fit import MashFit
from fatewalk.mash.likelihood import Whitened, factor
