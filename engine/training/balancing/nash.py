"""Nash-MTL's bargaining solution (Navon et al., arXiv 2202.01017): G w = 1/w for the Gramian G of the task gradients.

The solution is the minimum of the strictly convex ½ wᵀGw − Σ log w_t on w > 0, which damped Newton finds to nearly
float64 in a quarter of a millisecond (K = 3). The usual sequence of linearised cone programs takes 25 ms, needs a
solver under the GPL, and may not arrive: in 20 trials of TorchJD 0.18 with random gradients of lengths 1 : 0.1 : 3,
w_t (Gw)_t was off by about 1 where it should be 1. The update's length is √K whatever that of the gradients, in units
of a mean squared length of 1.
"""

import torch
from torch import Tensor

RIDGE = 1e-6  # opposite gradients have no solution: weights grow to 1/√RIDGE
ENOUGH = 1e-10
STEPS = 200


def nash_mtl(gramian: Tensor) -> Tensor:
    """Return w > 0 with (G + tiny) w = 1/w; G (K, K) has a positive diagonal.

    With w = D⁻¹v, D² = diag G, this is C v = 1/v for the cosines C: no task is too short to count.
    """
    lengths = gramian.diagonal().sqrt()
    cosines = gramian / lengths[:, None] / lengths + RIDGE * torch.eye(len(gramian), dtype=gramian.dtype)
    v = torch.ones_like(lengths)
    for _ in range(STEPS):
        slope = cosines @ v - 1 / v
        step = torch.linalg.solve(cosines + torch.diag(v**-2), slope)
        decrement = (slope @ step).clamp(min=0).sqrt()
        v = v - step / (1 + decrement)  # never leaves v > 0: the function is self-concordant
        if decrement < ENOUGH:
            break
    return v / lengths
