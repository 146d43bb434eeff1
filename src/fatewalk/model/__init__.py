"""The hierarchical Pyro model: effects, centring, design rows, likelihood."""

from fatewalk.model.effects import Effects, center_within_gene, random_walk
from fatewalk.model.fate_model import FateModel, Sizes
from fatewalk.model.rows import Rows

__all__ = ["Effects", "FateModel", "Rows", "Sizes", "center_within_gene", "random_walk"]
