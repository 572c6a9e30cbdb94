"""The Gramian family: TorchJD's weightings on the K × K Gramian, brought to one scale; Nash-MTL ours.

Each returns ones for orthogonal gradients of equal length. What TorchJD takes for zero is absolute or a thousandth of
the whole, and one task's gradient is often a hundred times shorter than another's: its margins are set near the
precision of float64 here. Seen otherwise: CAGrad stops (all weights 0) and UPGrad becomes the mean.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from scipy.optimize import nnls  # type: ignore[import-untyped]
from torch import Tensor
from torchjd.aggregation import (
    AlignedMTLWeighting,
    CAGradWeighting,
    IMTLGWeighting,
    MGDAWeighting,
    PCGradWeighting,
    UPGradWeighting,
)
from torchjd.linalg import DualConeProjector, PSDMatrix

from winnow.engine.specs.balancing import Method
from winnow.engine.training.balancing.gramian import Weighting

MARGIN = 1e-10


def pcgrad(gramian: Tensor) -> Tensor:
    """Return PCGrad's weights (Yu et al., arXiv 2001.06782); their random order is drawn from torch's generator."""
    return PCGradWeighting()(gramian)


def mgda(gramian: Tensor) -> Tensor:
    """Return K times the weights of the shortest convex combination (Sener & Koltun, arXiv 1810.04650)."""
    return len(gramian) * MGDAWeighting(epsilon=1e-6, max_iters=250)(gramian)


def imtl_g(gramian: Tensor) -> Tensor:
    """Return K times IMTL-G's weights, some negative: equal projections on all directions (Liu et al., ICLR 2021)."""
    return len(gramian) * IMTLGWeighting()(gramian)


def aligned_mtl(gramian: Tensor) -> Tensor:
    """Return Aligned-MTL's weights: principal components of the gradients at equal length (arXiv 2305.19000)."""
    return AlignedMTLWeighting(torch.ones(len(gramian), dtype=gramian.dtype))(gramian)


def upgrad(gramian: Tensor) -> Tensor:
    """Return UPGrad's weights: each gradient is projected on what harms no task (Quinton & Rey, arXiv 2406.16232)."""
    ones = torch.ones(len(gramian), dtype=gramian.dtype)
    return UPGradWeighting(ones, NonNegativeProjector())(gramian)


def cagrad(radius: float) -> Weighting:
    """Return CAGrad's weighting with ball radius c (Liu et al., arXiv 2110.14048), over 1 + c."""

    def weighting(gramian: Tensor) -> Tensor:
        return len(gramian) / (1 + radius) * CAGradWeighting(radius, norm_eps=MARGIN)(gramian)

    return weighting


class NonNegativeProjector(DualConeProjector):
    """argmin_v vᵀGv with v ≥ u, as non-negative least squares for s = v − u: exact, for each row u of U."""

    def __call__(self, U: Tensor, G: PSDMatrix) -> Tensor:
        """Return V, of the shape of U."""
        values, vectors = torch.linalg.eigh(G)
        root = (vectors * values.clamp(min=MARGIN * values.max()).sqrt()).T.numpy()
        rows = [u + nnls(root, -root @ u)[0] for u in U.numpy()]
        return torch.stack([torch.as_tensor(row, dtype=G.dtype) for row in rows])


WEIGHTINGS: Mapping[Method, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"pcgrad": pcgrad, "mgda": mgda, "imtl_g": imtl_g, "aligned_mtl": aligned_mtl, "upgrad": upgrad}
)
