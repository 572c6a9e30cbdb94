"""Which weights have a scale that the loss ignores: those of a convolution whose output goes straight to a batch norm.

For them loss(c W) = loss(W) for every c > 0 (van Laarhoven 2017), so that a penalty on the norm alone can fall at no
loss. `engine.proximal.Kept` takes them as the weights that keep their norm.
"""

from itertools import pairwise

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.groups import CONVOLUTIONS


def scale_free_weights(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights of all convolutions without bias that a batch norm follows in an `nn.Sequential`."""
    chains = [chain for chain in model.modules() if isinstance(chain, nn.Sequential)]
    return [
        first.get_parameter("weight")
        for chain in chains
        for first, second in pairwise(chain)
        if isinstance(first, CONVOLUTIONS) and first.bias is None and isinstance(second, _BatchNorm)
    ]
