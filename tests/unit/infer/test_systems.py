"""The information matrix in blocks does what the dense one does."""

import torch

from fatewalk.infer.systems import BlockSystem, DenseSystem, gene_grams, gene_information
from fatewalk.model.information import RowIndex, curvature, fate_probabilities, information
from tests.unit.model.test_coordinates import case, some  # noqa: F401 (a fixture)


def systems(case):  # noqa: F811
    """Both systems at the same point, and the dense matrix."""
    _, c, rows = case
    vector = c.scales.start(0.5) + 0.3 * some(c.scales.size)
    sd = c.sd(c.scales.log_scales(vector))
    eta = rows.matrix @ c.coefficients(sd * some(*sd.shape, seed=1)).T
    weights, index = curvature(rows, fate_probabilities(eta)), RowIndex(rows, c)
    flat = sd.reshape(-1)
    matrix = flat[:, None] * information(index, c, weights) * flat + torch.eye(len(flat)).double()
    blocks = gene_information(gene_grams(index, c, weights), c, sd)
    return DenseSystem(index, c, weights, sd), BlockSystem(index, c, rows, weights, sd), matrix, blocks


def test_products_and_solves_agree(case):  # noqa: F811
    dense, block, matrix, _ = systems(case)
    b = some(len(matrix), 20, seed=3)
    torch.testing.assert_close(block.product(b), matrix @ b)
    torch.testing.assert_close(dense.solve(b), torch.linalg.solve(matrix, b))
    error = block.solve(b) - dense.solve(b)
    length = (error * (matrix @ error)).sum(0).sqrt() / (b * dense.solve(b)).sum(0).sqrt()
    assert float(length.max()) < 1e-3


def test_gene_blocks_are_those_of_the_matrix(case):  # noqa: F811
    _, c, _ = case
    _, _, matrix, blocks = systems(case)
    for group, found in zip(c.gene_groups(), blocks, strict=True):
        for place, block in zip(group.place.reshape(len(found), -1), found, strict=True):
            torch.testing.assert_close(block, matrix[place[:, None], place])
