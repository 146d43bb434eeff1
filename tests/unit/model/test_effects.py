"""The random walk, and the centring of guide deviations: option A against option B."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fatewalk.config import ModelConfig
from fatewalk.model import Effects, center_within_gene
from fatewalk.model.effects import within_gene_mean
from fatewalk.model.walk import gap_walk, random_walk


def center_by_loop(u, gene_offsets, guides_by_gene):
    """The same as a loop over the CSR groups."""
    out = torch.empty_like(u)
    for start, end in itertools.pairwise(gene_offsets):
        guides = guides_by_gene[start:end]
        out[..., guides] = u[..., guides] - u[..., guides].mean(dim=-1, keepdim=True)
    return out


def mapping(sizes, seed):
    """Guides of genes with the given sizes, in a random order, with the CSR groups."""
    generator = torch.Generator().manual_seed(seed)
    guide_to_gene = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    guide_to_gene = guide_to_gene[torch.randperm(len(guide_to_gene), generator=generator)]
    offsets = torch.tensor([0, *np.cumsum(sizes)])
    return guide_to_gene, torch.tensor(sizes), offsets, torch.argsort(guide_to_gene, stable=True)


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=12),
    samples=st.sampled_from([(), (1,), (3,), (2, 3)]),
    seed=st.integers(0, 1000),
)
def test_centring_is_that_of_a_loop_over_genes_and_sums_to_zero(sizes, samples, seed):
    guide_to_gene, n_guides, offsets, by_gene = mapping(sizes, seed)
    u = torch.randn(
        *samples, 2, sum(sizes), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    centred = center_within_gene(u, guide_to_gene, n_guides)
    torch.testing.assert_close(centred, center_by_loop(u, offsets, by_gene))
    assert within_gene_mean(centred, guide_to_gene, n_guides).abs().max() < 1e-12
    assert (centred[..., n_guides[guide_to_gene] == 1] == 0).all()


def test_float32_meets_the_looser_tolerance():
    guide_to_gene, n_guides, *_ = mapping([7] * 300, 0)
    centred = center_within_gene(torch.randn(2, 2100) * 3, guide_to_gene, n_guides)
    assert within_gene_mean(centred, guide_to_gene, n_guides).abs().max() < 1e-4


def test_centring_is_differentiable_without_in_place_writes():
    guide_to_gene, n_guides, *_ = mapping([3, 1, 2], 0)
    u = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        center_within_gene(u, guide_to_gene, n_guides).square().sum().backward()
    assert torch.autograd.gradcheck(lambda x: center_within_gene(x, guide_to_gene, n_guides), (u,))


def test_a_gene_wide_shift_of_u_changes_nothing():
    """The invariance of the uncentred model is gone: a constant cannot sit in delta."""
    guide_to_gene, n_guides, *_ = mapping([3, 2, 4], 1)
    u = torch.randn(2, 9, dtype=torch.float64)
    shift = torch.tensor([0.7, -1.0, 2.0], dtype=torch.float64)[guide_to_gene]
    torch.testing.assert_close(
        center_within_gene(u + shift, guide_to_gene, n_guides), center_within_gene(u, guide_to_gene, n_guides)
    )


def test_walk_accumulates_scaled_innovations():
    walk = random_walk(3, ModelConfig())
    latents = {"tau": torch.tensor([0.5]), "sigma_time": torch.tensor([[0.1, 2.0]])}  # one contrast
    z = torch.tensor([[1.0], [2.0], [-1.0]]).double()  # three days, one gene
    scales = walk.scales.of({name: value.double() for name, value in latents.items()})[0]
    torch.testing.assert_close(walk.apply(scales[:, None] * z)[:, 0], torch.tensor([0.5, 0.7, -1.3]).double())


def test_walk_adjoint_inverse_and_variance_belong_to_its_weights():
    walk = gap_walk((0.0, 1.0, 4.0), ModelConfig())
    x, y = torch.randn(2, 3, 5).double(), torch.randn(2, 3, 5).double()
    torch.testing.assert_close((walk.apply(x) * y).sum(), (x * walk.adjoint(y)).sum())
    torch.testing.assert_close(walk.inverse @ walk.apply(x), x)
    scales = torch.tensor([0.5, 0.1, 2.0]).double()
    torch.testing.assert_close(walk.variance(scales), torch.tensor([0.25, 0.26, 4.26]).double())


@pytest.mark.parametrize("samples", [(), (4,)])
def test_beta_is_theta_of_the_gene_plus_delta(samples):
    theta, delta = torch.randn(*samples, 2, 3, 4), torch.randn(*samples, 2, 5)
    guide_to_gene = torch.tensor([2, 0, 0, 1, 2])
    beta = Effects(theta, delta).beta(guide_to_gene)
    assert beta.shape == (*samples, 2, 5, 4)
    torch.testing.assert_close(beta[..., 1, 3, 2], theta[..., 1, 1, 2] + delta[..., 1, 3])
