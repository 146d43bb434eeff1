"""The hierarchical Pyro model: terms, design rows, likelihood, coordinates, information."""

from fatewalk.model.effects import Effects, center_within_gene
from fatewalk.model.fate_model import FateModel
from fatewalk.model.rows import Rows, make_rows
from fatewalk.model.terms import Terms, make_terms

__all__ = ["Effects", "FateModel", "Rows", "Terms", "center_within_gene", "make_rows", "make_terms"]
